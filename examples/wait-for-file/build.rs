//! Links the program without a C library, at a fixed address. A C compiler that calls the linker and the
//! linker itself accept these options alike.

fn main() {
    for option in ["-nostdlib", "-static", "-no-pie", "-znorelro", "-znoseparate-code"] {
        println!("cargo::rustc-link-arg-bins={option}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

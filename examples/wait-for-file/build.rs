//! How the program is linked: by itself, at a fixed address. These words mean the same to a C compiler
//! that calls the linker and to the linker itself.

fn main() {
    for word in ["-nostdlib", "-static", "-no-pie", "-znorelro", "-znoseparate-code"] {
        println!("cargo::rustc-link-arg-bins={word}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

//! Builds the programs without libc in `examples/`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::skipped;
use crate::traced;

pub const PROGRAMS: [(&str, &str); 3] =
    [("wait-for-file", "wait-for-file"), ("init", "init"), ("init", "examples/probe")];

/// Builds the programs for a target, and returns their directory.
pub fn build(target: &str, stripped: bool) -> Result<PathBuf, String> {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-libc");
    let target_dir = if stripped { target_dir } else { target_dir.join("symbols") };
    for package in ["wait-for-file", "init"] {
        let manifest = format!("{}/examples/{package}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let run = |offline: bool| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--release", "--bins", "--examples", "--quiet"]);
            cargo.args(["--manifest-path", &manifest, "--target", target]);
            cargo.args(offline.then_some("--offline"));
            cargo.env("CARGO_TARGET_DIR", &target_dir);
            // The user's settings must not change the programs.
            cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
            if !stripped {
                cargo.env("CARGO_PROFILE_RELEASE_STRIP", "none");
            }
            if target != NATIVE {
                let linker = format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_"));
                cargo.env(linker.to_uppercase(), "rust-lld");
            }
            cargo.output().unwrap()
        };
        // The dependencies are usually downloaded already, because this crate has them too.
        let mut output = run(true);
        if !output.status.success() {
            output = run(false);
        }
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    Ok(target_dir.join(target).join("release"))
}

pub const NATIVE: &str = if cfg!(target_arch = "x86_64") { X86_64 } else { AARCH64 };

pub const X86_64: &str = "x86_64-unknown-linux-gnu";

pub const AARCH64: &str = "aarch64-unknown-linux-gnu";

pub fn native(program: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(NATIVE, true).unwrap()).join(program)
}

/// Returns the directory of the programs for aarch64, and the emulator. Prints a message and returns
/// `None` if one is missing.
pub fn aarch64(test: &str) -> Option<(PathBuf, PathBuf)> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    let libs =
        rustc.args(["--print", "target-libdir", "--target", AARCH64]).output().unwrap().stdout;
    if !Path::new(String::from_utf8(libs).unwrap().trim_end()).exists() {
        skipped(test, format_args!("no core library: rustup target add {AARCH64}"));
        return None;
    }
    let path = env::var_os("PATH").unwrap();
    let qemu = env::split_paths(&path).map(|dir| dir.join("qemu-aarch64-static"));
    let Some(qemu) = { qemu }.find(|file| file.exists()) else {
        skipped(test, "no qemu-aarch64-static");
        return None;
    };
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Some((BUILT.get_or_init(|| build(AARCH64, true).unwrap()).clone(), qemu))
}

/// Returns a command that runs strace(1) with new processes included. Prints a message and returns `None` if
/// strace does not work.
pub fn strace(log: &Path) -> Option<Command> {
    if !traced::works() {
        skipped("lists of system calls", traced::MISSING);
        return None;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(log);
    Some(strace)
}

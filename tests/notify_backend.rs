//! Builds `examples/notify-backend` and runs its tests, with notify 8.2.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_notify_backend_passes_its_tests() {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("notify-backend");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).arg("--quiet").arg("--manifest-path");
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/notify-backend/Cargo.toml"));
        cargo.env("CARGO_TARGET_DIR", &target_dir).output().unwrap()
    };
    // Its dependencies are usually downloaded already: the benchmarks of this crate need them too.
    let offline = ["test", "--offline"];
    let is_downloaded = cargo(&["test", "--offline", "--no-run"]).status.success();
    let output = cargo(if is_downloaded { &offline } else { &offline[..1] });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

//! What the tests share that run something under strace(1).

// Each test binary uses some of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// Why a test is skipped if [`works`] returns `false`.
pub const MISSING: &str = "strace is missing, or may not trace here";

/// Returns `true` if strace is installed and may trace.
pub fn works() -> bool {
    let output = Command::new("strace").args(["-e", "trace=none", "true"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Returns the calls in the first paragraph after a heading of `docs/syscalls.md`.
pub fn documented(heading: &str) -> BTreeSet<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/syscalls.md");
    let text = fs::read_to_string(file).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n\n")).unwrap();
    let (list, _) = section.split_once("\n\n").unwrap();
    let calls = list.split([',', '\n', ' ']).filter(|word| !word.is_empty());
    calls.map(|call| call.trim_matches('`').to_owned()).collect()
}

/// Returns the thread and the call of each line of a log of `strace -f`: `PID CALL(`. Skips other lines,
/// such as the end of an interrupted call.
pub fn calls(log: &str) -> impl Iterator<Item = (&str, &str)> {
    log.lines().filter_map(|line| {
        let (thread, line) = line.split_once(' ')?;
        let (call, _) = line.trim_start().split_once('(')?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        call.bytes().all(is_name).then_some((thread, call))
    })
}

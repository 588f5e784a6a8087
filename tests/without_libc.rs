//! The programs without libc in `examples/` are small and static. A system call that is not on the list ends
//! them, so the tests of their system calls detect it.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod caged;
mod support;
mod traced;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use caged::{Cage, NATIVE, PROGRAMS, aarch64, build, native};
use support::skipped;
use traced::documented;

#[test]
fn wait_for_file_has_at_most_20_kb() {
    let size = |program: &Path| fs::metadata(program).unwrap().len();
    let bytes = size(&native("wait-for-file"));
    println!("wait-for-file: {bytes} bytes; init: {} bytes", size(&native("init")));
    assert!(bytes <= 20_000, "{bytes}");
    if let Some((dir, _)) = aarch64("the size on aarch64") {
        let bytes = size(&dir.join("wait-for-file"));
        println!("wait-for-file on aarch64: {bytes} bytes");
        assert!(bytes <= 20_000, "{bytes}");
    }
}

/// Returns the types of the segments of a 64-bit ELF file.
fn segments(file: &Path) -> Vec<u32> {
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(b"\x7FELF\x02"), "{}", file.display());
    let number = |at: usize, len: usize| {
        let mut number = [0; 8];
        number[..len].copy_from_slice(&bytes[at..at + len]);
        usize::try_from(u64::from_le_bytes(number)).unwrap()
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).map(|at| u32::try_from(number(table + at * size, 4)).unwrap()).collect()
}

#[test]
fn the_programs_are_static_and_need_no_loader() {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    let check = |file: &Path| {
        let segments = segments(file);
        assert!(segments.contains(&PT_LOAD), "{}: {segments:?}", file.display());
        assert!(!segments.contains(&PT_DYNAMIC), "{}: {segments:?}", file.display());
        assert!(!segments.contains(&PT_INTERP), "{}: {segments:?}", file.display());
    };
    // `segments` finds these types in a program that has them.
    let own = segments(&env::current_exe().unwrap());
    assert!(own.contains(&PT_DYNAMIC), "{own:?}");
    for (_, program) in PROGRAMS {
        check(&native(program));
        if let Some((dir, _)) = aarch64("the segments on aarch64") {
            check(&dir.join(program));
        }
    }
}

#[test]
fn the_programs_have_no_symbol_of_a_libc() {
    // The functions that `bare` provides for the compiler instead of a libc.
    const OWN: [&str; 7] = ["_start", "memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];
    if !Command::new("nm").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("symbols", "nm(1) is not installed");
    }
    let dir = build(NATIVE, false).unwrap();
    for (_, program) in PROGRAMS {
        let output = Command::new("nm").arg(dir.join(program)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let symbols: Vec<_> = text
            .lines()
            .map(|line| {
                let mut words = line.split_whitespace().rev();
                (words.next().unwrap(), words.next().unwrap())
            })
            .filter(|(name, kind)| kind.chars().all(char::is_uppercase) && !is_rust(name))
            .collect();
        assert!(symbols.contains(&("_start", "T")), "{program}: {text}");
        for (name, kind) in symbols {
            assert_ne!(kind, "U", "{program}: {name} is undefined");
            assert!(OWN.contains(&name), "{program}: {name}");
        }
    }
}

/// Returns `true` if a symbol is a mangled Rust name, or the entry point of `bare`.
fn is_rust(name: &str) -> bool {
    name.starts_with("_R") || name.starts_with("_ZN") || name == "bare_main"
}

#[test]
fn a_system_call_that_is_not_on_the_list_ends_the_program() {
    let cage = Cage::new(false);
    if !cage.is_permitted("a call that is not on the list") {
        return;
    }
    let all = documented("wait-for-file");
    let command = ["/wait-for-file", "/run/never", "0.01"];
    assert_eq!(cage.run(&command, Some(&all)).status().code(), Some(2));
    for call in all.iter().filter(|call| *call != "exit_group") {
        let mut fewer = all.clone();
        fewer.remove(call);
        let status = cage.run(&command, Some(&fewer)).status();
        // unshare(1) ends by the signal of its child, or with the status that a shell returns for it.
        let killed = status.signal() == Some(SIGSYS) || status.code() == Some(128 + SIGSYS);
        // This run prints no message and reads no event.
        let unused = matches!(call.as_str(), "write" | "read");
        assert_eq!(killed, !unused, "without {call}: {status}");
    }
}

const SIGSYS: i32 = 31;

//! The output of the tool on a terminal.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use support::terminal::OnTerminal;
use support::{Program, lossy};

#[path = "tool/mod.rs"]
mod support;
mod traced;

/// Returns `true` if a terminal obeys no character of the text except line ends.
fn is_harmless(seen: &str) -> bool {
    let is_obeyed = |char: char| {
        let changes_direction = matches!(char, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        char.is_control() || changes_direction || matches!(char, '\u{2028}' | '\u{2029}')
    };
    !seen.replace("\r\n", "").chars().any(is_obeyed)
}

#[test]
fn control_characters_in_names_do_not_reach_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let json = ["--json", "-m", "-e", "create"];
    for args in
        [&["-m", "-e", "create"][..], &["-mc", "-e", "create"], &["-mr", "-e", "create"], &json]
    {
        let args = [args, &["d"]].concat();
        let Some(tool) = OnTerminal::start(&mut support::tool(dir.path(), &args)) else { return };
        tool.program.events.until("Watches established.\r\n");
        for name in support::hostile_names() {
            File::create(support::path(&dir.path().join("d"), name)).unwrap();
        }
        File::create(dir.path().join("d/end")).unwrap();
        let (end, escaped) = match args[0] {
            "-mc" => ("d/,CREATE,end", r"\u{1b}[2J"),
            "--json" => (r#""name":"end""#, r"\u001b[2J"),
            _ => ("CREATE end", r"\u{1b}[2J"),
        };
        let seen = lossy(&tool.program.events.until(end));
        assert!(is_harmless(&seen), "{seen:?}");
        assert!(seen.contains(escaped), "{seen}");
        drop(tool);
        fs::remove_dir_all(dir.path().join("d")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
    }
}

#[test]
fn control_characters_in_messages_do_not_reach_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["miss\u{1b}[31ming\u{7}\u{202e}\u{2028}"];
    let Some(tool) = OnTerminal::start(&mut support::tool(dir.path(), &args)) else { return };
    let seen = lossy(&tool.program.events.to_end());
    assert!(seen.contains("ming") && is_harmless(&seen), "{seen:?}");
}

/// Returns a command that runs the tool on a tree of forty directories, with a delay for each watch.
fn slow_set_up(dir: &Path) -> Option<Command> {
    if !traced::works() {
        support::skip(&format!("the progress of a set-up: {}", traced::MISSING));
        return None;
    }
    for number in 0..40 {
        fs::create_dir_all(dir.join(format!("d/{number}"))).unwrap();
    }
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let slow = "inject=inotify_add_watch:delay_enter=50000";
    let args = [
        "-f",
        "-qq",
        "-o",
        "trace",
        "-e",
        "signal=none",
        "-e",
        "trace=inotify_add_watch",
        "-e",
        slow,
        tool,
        "-mr",
        "d",
    ];
    Some(support::program("strace".as_ref(), dir, &args))
}

#[test]
fn a_terminal_shows_the_progress_of_a_long_set_up_and_then_clears_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut slow) = slow_set_up(dir.path()) else { return };
    let Some(tool) = OnTerminal::start(&mut slow) else { return };
    let seen = lossy(&tool.program.events.until("Watches established.\r\n"));
    let (_, line) = seen.split_once("this may take a while!\r\n").unwrap();
    let line = line.strip_suffix("\r\x1b[KWatches established.\r\n").unwrap();
    let steps: Vec<u64> = line
        .split_terminator("\x1b[K")
        .map(|step| step.strip_prefix('\r').unwrap().split_once(" directories, ").unwrap())
        .map(|(count, rate)| {
            assert!(rate.ends_with(" a second"), "{seen:?}");
            count.parse().unwrap()
        })
        .collect();
    assert!(
        steps.len() >= 2 && steps.is_sorted() && steps.iter().all(|step| (1..=41).contains(step)),
        "{steps:?}"
    );
}

#[test]
fn a_pipe_gets_no_progress_of_a_long_set_up() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut slow) = slow_set_up(dir.path()) else { return };
    let tool = Program::established(&mut slow);
    let messages = lossy(&tool.messages.so_far());
    assert_eq!(messages.lines().count(), 2, "{messages:?}");
}

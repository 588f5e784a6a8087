//! Tests of the options that end the tool: `--count` and `--timeout`.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Ended, Program, lossy};

#[path = "tool/mod.rs"]
mod support;

use support::tool::Tool;

/// Makes the directory `d/sub`.
fn prepare(dir: &Path) {
    fs::create_dir_all(dir.join("d/sub")).unwrap();
}

fn start(args: &[&str]) -> Tool {
    Tool::prepared(args, prepare)
}

/// Runs the tool to its end.
fn run(args: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    Program::start(&mut support::tool(dir.path(), args)).end()
}

#[test]
fn count_ends_the_tool_after_exactly_this_many_events() {
    for count in [1, 2, 7, 2000] {
        let mut tool = start(&["-e", "create", "--count", &count.to_string(), "d"]);
        // A burst: all events are queued before the tool reads them.
        tool.program.signal(Signal::STOP);
        for name in 0..count + 50 {
            fs::create_dir(tool.path(format!("d/{name}"))).unwrap();
        }
        tool.program.signal(Signal::CONT);
        let ended = tool.program.end();
        assert_eq!(ended.code, Some(0));
        let expected: String = (0..count).map(|name| format!("d/ CREATE,ISDIR {name}\n")).collect();
        assert_eq!(lossy(&ended.events), expected);
    }
}

#[test]
fn count_counts_only_printed_events() {
    let mut tool = start(&["-m", "-e", "create", "--exclude", "x", "--count=2", "--json", "d"]);
    tool.make(&["d/x1", "d/a", "d/x2", "d/b", "d/c"]);
    let ended = tool.program.end();
    let names: Vec<Value> = lossy(&ended.events)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!((ended.code, names), (Some(0), vec!["a".into(), "b".into()]));
}

#[test]
fn count_with_a_rename_that_is_two_events_prints_no_more() {
    let mut tool = start(&["-r", "-e", "move", "--count", "1", "d"]);
    fs::rename(tool.path("d/sub"), tool.path("d/bus")).unwrap();
    let ended = tool.program.end();
    assert_eq!((ended.code, lossy(&ended.events).lines().count()), (Some(0), 1));
}

#[test]
fn the_timeout_ends_a_count_that_is_not_reached_with_status_2() {
    assert_eq!(run(&["--count", "2", "-t", "0.01", "d"]).code, Some(2));
}

/// Does the work while two threads make changes of names with `hidden` all the time.
fn under_hidden_changes<T>(dir: &Path, work: impl FnOnce() -> T) -> T {
    /// Ends the threads, after a panic too.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = Done(&done);
        for writer in 0..2 {
            let (done, path) = (done.0, dir.join(format!("hidden{writer}")));
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    fs::create_dir(&path).unwrap();
                    fs::remove_dir(&path).unwrap();
                }
            });
        }
        work()
    })
}

#[test]
fn events_that_are_not_shown_do_not_delay_the_timeout() {
    // The queue is never empty for long: the changes go on until the tool ends.
    let cases: [(&[&str], i32); 4] = [
        (&["-t", "0.2", "--exclude", "hidden", "d"], 2),
        (&["-m", "-t", "0.2", "--exclude", "hidden", "d"], 2),
        (&["-mr", "-t", "0.2", "-e", "modify", "--exclude", "hidden", "d"], 2),
        (&["stat", "-t", "0.2", "d"], 0),
    ];
    for (args, code) in cases {
        let mut tool = start(args);
        let dir = tool.path("d");
        let ended = under_hidden_changes(&dir, || tool.program.end());
        assert_eq!(ended.code, Some(code), "{args:?}: {}", ended.messages);
    }
}

#[test]
fn a_slow_reader_does_not_delay_the_timeout_or_lose_events() {
    const COUNT: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let d = dir.path().join("d");
    let args = ["-mq", "-t", "2", "-e", "create", "--exclude", "hidden", "d"];
    let mut command = support::tool(dir.path(), &args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = support::spawn(&mut command).unwrap();
    support::wait_for_watches(&tool, 1);
    // The tool reads none of these before all are there, and they are more than a pipe holds.
    let signal = |signal| kill_process(Pid::from_child(&tool), signal).unwrap();
    signal(Signal::STOP);
    for name in 0..COUNT {
        fs::create_dir(d.join(format!("{name:0100}"))).unwrap();
    }
    signal(Signal::CONT);
    let (text, status) = under_hidden_changes(&d, || {
        let mut text = String::new();
        tool.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (text, tool.wait().unwrap())
    });
    assert_eq!((status.code(), text.lines().count()), (Some(2), COUNT));
}

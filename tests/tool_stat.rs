//! Tests of `tinotify stat`.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use support::{DEADLINE, Ended, Program, hostile_names, lossy};

#[path = "tool/mod.rs"]
mod support;

use support::tool::Tool;

/// Makes the directories `d` and `e` and the file `f`.
fn prepare(dir: &Path) {
    fs::create_dir_all(dir.join("d/sub")).unwrap();
    fs::create_dir(dir.join("e")).unwrap();
    support::write(dir.join("f"), "text");
}

fn start(args: &[&str]) -> Tool {
    Tool::prepared(args, prepare)
}

/// Ends the tool, checks its status, and returns its output.
fn counts(tool: Tool) -> String {
    let ended = tool.stop(Signal::INT);
    assert_eq!(ended.code, Some(0), "{}", ended.messages);
    lossy(&ended.events)
}

/// Runs the tool to its end.
fn run(args: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    Program::start(&mut support::tool(dir.path(), args)).end()
}

/// Makes many kinds of changes. No two neighbours are the same, because the kernel may merge those.
fn make_changes(dir: &Path) {
    let at = |name: &str| dir.join(name);
    for name in ["d/a", "d/b", "d/sub/a", "e/a"] {
        support::write(at(name), "text");
    }
    fs::read(at("d/a")).unwrap();
    fs::set_permissions(at("d/a"), Permissions::from_mode(0o600)).unwrap();
    fs::rename(at("d/a"), at("d/c")).unwrap();
    fs::rename(at("d/c"), at("e/c")).unwrap();
    fs::remove_file(at("d/b")).unwrap();
    // No new directory: inotifywatch may be too slow to watch it.
    fs::hard_link(at("e/c"), at("d/link")).unwrap();
    fs::File::options().append(true).open(at("f")).unwrap().write_all(b"more").unwrap();
    fs::rename(at("f"), at("g")).unwrap();
}

/// Waits until a program sleeps. inotifywatch does that when it has read all events. At a signal it does not
/// read those that are queued.
fn until_asleep(child: &Child) {
    let begin = Instant::now();
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).unwrap().contains(") S ") {
        assert!(begin.elapsed() < DEADLINE, "the program does not sleep");
        thread::yield_now();
    }
}

/// Runs inotifywatch and the tool on the same changes. Returns their tables, or `None` without inotifywatch.
fn beside(args: &[&str]) -> Option<[String; 2]> {
    if support::output(Command::new("inotifywatch").arg("--help")).is_err() {
        support::skip("comparison with inotifywatch: it is not installed (inotify-tools)");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let mut theirs =
        Program::start(&mut support::program("inotifywatch".as_ref(), dir.path(), args));
    theirs.messages.until("now collecting statistics.\n");
    let args = [&["stat"], args].concat();
    let mut ours = Program::established(&mut support::tool(dir.path(), &args));
    make_changes(dir.path());
    until_asleep(&theirs.child);
    Some([&mut theirs, &mut ours].map(|program| {
        program.signal(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.messages);
        lossy(&ended.events)
    }))
}

#[test]
fn the_table_is_that_of_inotifywatch() {
    let cases: [&[&str]; 10] = [
        &["d", "e", "f"],
        &["-z", "d", "e", "f"],
        &["-e", "create,delete,move", "f", "d", "e"],
        &["-z", "-e", "create", "-e", "close", "d"],
        &["-a", "open", "d", "e", "f"],
        &["-d", "moved_to", "-e", "move,create", "d", "e"],
        &["--ascending=TOTAL", "d", "e", "f"],
        &["-r", "-e", "create,delete,move,close_write,attrib", "d", "e"],
        &["-rz", "-e", "move,delete", "e", "d/"],
        &["--exclude", "/a$", "-P", "d", "e", "f"],
    ];
    for args in cases {
        let Some([theirs, ours]) = beside(args) else { return };
        assert_eq!(ours, theirs, "{args:?}");
        assert!(ours.lines().count() > 1, "{args:?}: {ours}");
    }
}

#[test]
fn events_are_counted_by_watched_directory() {
    let tool = start(&["stat", "-r", "-e", "create,delete", "d", "f"]);
    tool.make(&["d/a", "d/b", "d/sub/c"]);
    fs::remove_dir(tool.path("d/a")).unwrap();
    let expected = "total  create  delete  filename\n3      2       1       d/\n\
                    1      1       0       d/sub/\n";
    assert_eq!(counts(tool), expected);
}

#[test]
fn events_are_counted_by_file_on_request() {
    let tool = start(&["stat", "-r", "--by", "file", "-e", "create,delete", "d"]);
    tool.make(&["d/a", "d/sub/c"]);
    fs::remove_dir(tool.path("d/a")).unwrap();
    let expected = "total  create  delete  filename\n2      1       1       d/a\n\
                    1      1       0       d/sub/c\n";
    assert_eq!(counts(tool), expected);
}

#[test]
fn paths_can_be_excluded_and_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    support::write(dir.path().join("list"), "d\n@d/sub\n");
    let args = ["stat", "-r", "-e", "create", "--fromfile", "list"];
    let program = Program::established(&mut support::tool(dir.path(), &args));
    let tool = Tool { dir, program };
    tool.make(&["d/sub/a", "d/b"]);
    assert_eq!(counts(tool), "total  create  filename\n1      1       d/\n");
}

#[test]
fn rows_are_sorted_by_the_count_and_then_by_the_path() {
    let cases: [(&[&str], [&str; 4]); 6] = [
        (&[], ["d/3", "d/2", "d/1", "d/4"]),
        (&["-a", "total"], ["d/1", "d/4", "d/2", "d/3"]),
        (&["-d", "delete"], ["d/2", "d/3", "d/1", "d/4"]),
        (&["-a", "Delete"], ["d/1", "d/4", "d/2", "d/3"]),
        (&["-d", "delete", "-a", "create"], ["d/1", "d/2", "d/4", "d/3"]),
        (&["--desc", "create,delete"], ["d/3", "d/2", "d/1", "d/4"]),
    ];
    for (args, expected) in cases {
        let args = [&["stat", "--by=file", "-e", "create,delete", "d"], args].concat();
        let tool = start(&args);
        tool.make(&["d/4", "d/3", "d/1", "d/2"]);
        fs::remove_dir(tool.path("d/2")).unwrap();
        fs::remove_dir(tool.path("d/3")).unwrap();
        tool.make(&["d/3"]);
        let text = counts(tool);
        let paths = text.lines().skip(1).map(|line| line.rsplit(' ').next().unwrap());
        assert_eq!(paths.collect::<Vec<_>>(), expected, "{args:?}");
    }
}

#[test]
fn zero_prints_columns_and_paths_without_events() {
    let tool = start(&["stat", "-z", "-e", "create,open", "d", "f"]);
    tool.make(&["d/a"]);
    let expected = "total  open  create  filename\n1      0     1       d/\n\
                    0      0     0       f\n";
    assert_eq!(counts(tool), expected);
}

#[test]
fn each_signal_ends_the_count_with_its_table_and_status_0() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let tool = start(&["stat", "-e", "create", "d"]);
        tool.make(&["d/a"]);
        let ended = tool.stop(signal);
        assert_eq!(lossy(&ended.events), "total  create  filename\n1      1       d/\n");
        assert_eq!(ended.code, Some(0));
    }
}

#[test]
fn a_signal_ends_the_count_after_all_events_that_were_queued() {
    let tool = start(&["stat", "-e", "create", "--csv", "d"]);
    tool.program.signal(Signal::STOP);
    for name in 0..5000 {
        fs::create_dir(tool.path(format!("d/{name}"))).unwrap();
    }
    tool.program.signal(Signal::INT);
    let ended = tool.stop(Signal::CONT);
    assert_eq!(lossy(&ended.events), "total,create,filename\n5000,5000,d/\n");
}

#[test]
fn a_count_without_events_prints_no_table() {
    for option in ["--json", "--csv", "-s"] {
        let ended = run(&["stat", "-t", "0.01", option, "d"]);
        assert_eq!((ended.code, lossy(&ended.events).as_str()), (Some(0), ""), "{option}");
    }
    assert!(run(&["stat", "-t", "0.01", "d"]).messages.ends_with("No events occurred.\n"));
}

#[test]
fn a_count_ends_when_nothing_is_left_to_watch() {
    let mut tool = start(&["stat", "-e", "delete_self", "e"]);
    fs::remove_dir(tool.path("e")).unwrap();
    let ended = tool.program.end();
    assert_eq!(lossy(&ended.events), "total  delete_self  filename\n1      1            e/\n");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn counts_are_appended_to_a_file() {
    let tool = start(&["stat", "-e", "create", "-o", "log", "d"]);
    tool.make(&["d/a"]);
    let log = tool.path("log");
    // Before the end, the scene is there.
    let Tool { dir: _dir, mut program } = tool;
    program.signal(Signal::TERM);
    assert_eq!(program.end().events, b"");
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text, "total  create  filename\n1      1       d/\n");
}

/// Counts changes of all hostile names by file. Returns the output, and the names.
fn hostile(args: &[&str]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let args = [&["stat", "--by", "file", "-e", "create", "d"], args].concat();
    let tool = start(&args);
    let mut names = hostile_names();
    for name in &names {
        fs::create_dir(support::path(&tool.path("d"), name)).unwrap();
    }
    names.sort();
    let ended = tool.stop(Signal::INT);
    assert_eq!(ended.code, Some(0));
    (ended.events, names)
}

#[test]
fn counts_in_json_have_the_exact_bytes_of_paths() {
    let (text, names) = hostile(&["--json"]);
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), names.len());
    for (line, name) in text.lines().zip(&names) {
        let value: Value = serde_json::from_str(line).unwrap();
        let path = [b"d/", &name[..]].concat();
        match std::str::from_utf8(&path) {
            Ok(path) => {
                assert_eq!(value, serde_json::json!({"path": path, "total": 1, "create": 1}));
            }
            Err(_) => {
                let hex: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(value["path_hex"], hex);
            }
        }
    }
}

#[test]
fn counts_in_csv_have_a_header_and_quoted_paths() {
    let (text, names) = hostile(&["--csv"]);
    let mut expected = b"total,create,filename\n".to_vec();
    for name in &names {
        let path = [b"d/", &name[..]].concat();
        expected.extend(b"1,1,");
        if path.iter().any(|byte| b"\",\n\r".contains(byte)) || path.ends_with(b" ") {
            let quotes = lossy(&path).replace('"', "\"\"");
            expected.extend(format!("\"{quotes}\"").bytes());
        } else {
            expected.extend(path);
        }
        expected.push(b'\n');
    }
    assert_eq!(lossy(&text), lossy(&expected));
}

#[test]
fn an_overflow_is_counted_and_shown() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        support::skip("an overflow in a count: the queue is too big to fill");
        return;
    }
    let tool = start(&["stat", "-e", "create,delete", "--json", "d"]);
    tool.program.signal(Signal::STOP);
    for _ in 0..=limit / 2 {
        fs::create_dir(tool.path("d/a")).unwrap();
        fs::remove_dir(tool.path("d/a")).unwrap();
    }
    tool.program.signal(Signal::CONT);
    let messages = tool.program.messages.until("max_queued_events");
    assert!(lossy(&messages).contains("events were lost"));
    let text = counts(tool);
    let overflow = text.lines().last().unwrap();
    let expected = r#"{"path":"","total":1,"create":0,"delete":0,"q_overflow":1}"#;
    assert_eq!(overflow, expected, "{text}");
}

#[test]
fn a_path_named_stat_is_a_command_only_as_the_first_argument() {
    for args in [["-mq", "stat", "-t0.01"], ["./stat", "-mq", "-t0.01"]] {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        fs::create_dir(dir.path().join("stat")).unwrap();
        let ended = Program::start(&mut support::tool(dir.path(), &args)).end();
        assert_eq!((ended.code, ended.messages.as_str()), (Some(2), ""), "{args:?}");
    }
    assert_eq!(run(&["stat"]).code, Some(1));
}

#[test]
fn the_help_of_stat_shows_what_applies() {
    for args in [["stat", "--help"], ["stat", "-h"]] {
        let ended = run(&args);
        let text = lossy(&ended.events);
        assert_eq!(ended.code, Some(0));
        for option in ["tinotify stat [OPTION]", "--ascending", "--by", "--zero", "--recursive"] {
            assert!(text.contains(option), "{option}: {text}");
        }
        for option in ["--exec", "--monitor", "--daemon", "--format", "--count"] {
            assert!(!text.contains(&format!("  {option}")), "{option}: {text}");
        }
    }
}

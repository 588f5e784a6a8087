//! Tests of the command line tool, with the real kernel.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[path = "tool/mod.rs"]
mod support;

use support::tool::Tool;
use support::{Ended, Program, write};

/// Runs the tool to its end.
fn run(args: &[&str]) -> Ended {
    Program::start(&mut support::tool(Path::new("."), args)).end()
}

#[test]
fn the_tool_ends_with_status_0_after_the_first_event() {
    let tool = Tool::prepared(&["-e", "create", "."], |_| ());
    fs::create_dir(tool.path("sub")).unwrap();
    let ended = tool.end();
    assert_eq!(ended.events, b"./ CREATE,ISDIR sub\n");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn with_monitor_each_event_is_printed_until_nothing_is_left_to_watch() {
    let tool = Tool::prepared(&["-m", "dir"], |dir| fs::create_dir(dir.join("dir")).unwrap());
    write(tool.path("dir/a"), "text");
    fs::rename(tool.path("dir/a"), tool.path("dir/b")).unwrap();
    fs::remove_file(tool.path("dir/b")).unwrap();
    fs::remove_dir(tool.path("dir")).unwrap();
    let ended = tool.end();
    let expected = "dir/ CREATE a\ndir/ OPEN a\ndir/ MODIFY a\ndir/ CLOSE_WRITE,CLOSE a\n\
                    dir/ MOVED_FROM a\ndir/ MOVED_TO b\ndir/ DELETE b\ndir/ DELETE_SELF \n";
    assert_eq!(String::from_utf8(ended.events).unwrap(), expected);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.messages.contains("tinotify: watch ended: dir/: it was removed"),
        "{}",
        ended.messages
    );
}

#[test]
fn an_event_of_a_watched_file_has_only_its_path() {
    let tool = Tool::prepared(&["--event=modify", "file"], |dir| {
        write(dir.join("file"), "");
    });
    write(tool.path("file"), "text");
    assert_eq!(tool.end().events, b"file MODIFY \n");
}

#[test]
fn lists_and_repeated_options_of_events_add_up_in_any_case() {
    let args = ["-me", "Create,MOVED_TO", "--ev", "delete_self", "d"];
    let tool = Tool::prepared(&args, |dir| fs::create_dir(dir.join("d")).unwrap());
    write(tool.path("d/a"), "text");
    fs::rename(tool.path("d/a"), tool.path("d/b")).unwrap();
    fs::remove_file(tool.path("d/b")).unwrap();
    fs::remove_dir(tool.path("d")).unwrap();
    assert_eq!(tool.end().events, b"d/ CREATE a\nd/ MOVED_TO b\nd/ DELETE_SELF \n");
}

#[test]
fn a_path_that_is_given_twice_has_each_event_once() {
    let tool = Tool::prepared(&["-m", "-e", "create,delete_self", "d", "./d"], |dir| {
        fs::create_dir(dir.join("d")).unwrap();
    });
    fs::create_dir(tool.path("d/sub")).unwrap();
    fs::remove_dir_all(tool.path("d")).unwrap();
    assert_eq!(tool.end().events, b"d/ CREATE,ISDIR sub\nd/ DELETE_SELF \n");
}

#[test]
fn names_are_written_to_a_pipe_unchanged() {
    let tool = Tool::prepared(&["-e", "create", "."], |_| ());
    write(tool.path(OsStr::from_bytes(b"a\x1b[2J\xff")), "");
    assert_eq!(tool.end().events, b"./ CREATE a\x1b[2J\xff\n");
}

#[test]
fn the_tool_ends_with_status_2_after_the_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    for timeout in ["--timeout=0.01", "-t.01"] {
        let ended = run(&["-m", timeout, path]);
        assert_eq!((ended.code, ended.events), (Some(2), Vec::new()));
    }
}

#[test]
fn the_tool_ends_with_status_1_when_a_watch_ends() {
    let tool = Tool::prepared(&["-e", "create", "d"], |dir| fs::create_dir(dir.join("d")).unwrap());
    fs::remove_dir(tool.path("d")).unwrap();
    let ended = tool.end();
    assert_eq!((ended.code, ended.events), (Some(1), Vec::new()));
}

#[test]
fn quiet_suppresses_messages() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(&["-qt0.01", dir.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.messages.as_str()), (Some(2), ""));
}

#[test]
fn quiet_twice_suppresses_events_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut tool = Program::start(&mut support::tool(dir.path(), &["-qq", "-e", "create", "."]));
    // It prints no message when it is ready, so make changes until it ends.
    for name in 0_u64.. {
        if tool.child.try_wait().unwrap().is_some() {
            break;
        }
        write(dir.path().join(name.to_string()), "");
    }
    let expected = Ended { code: Some(0), events: Vec::new(), messages: String::new() };
    assert_eq!(tool.end(), expected);
}

#[test]
fn an_error_names_the_path_and_the_remedy_with_status_1() {
    let ended = run(&["no/such/path"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.messages.contains("cannot watch: no/such/path: ENOENT"), "{}", ended.messages);
    assert!(ended.messages.contains("until it exists, use --follow"), "{}", ended.messages);
}

#[test]
fn a_path_with_control_characters_is_escaped_in_messages() {
    let messages = run(&["no\x1b[2J"]).messages;
    assert!(messages.contains(r"cannot watch: no\u{1b}[2J: "), "{messages}");
}

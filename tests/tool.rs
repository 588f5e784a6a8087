//! Tests of the command line tool, with the real kernel.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

#[path = "tool/mod.rs"]
mod support;

use support::{Ended, Program, write};

/// The running tool in a new directory, with its watches set up.
struct Tool {
    dir: TempDir,
    program: Program,
}

impl Tool {
    /// Starts the tool in a new directory, after `prepare`.
    fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let program = Program::established(&mut support::tool(dir.path(), args));
        Self { dir, program }
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until the tool ends.
    fn end(mut self) -> Ended {
        self.program.end()
    }
}

/// Runs the tool to its end.
fn run(args: &[&str]) -> Ended {
    Program::start(&mut support::tool(Path::new("."), args)).end()
}

#[test]
fn the_tool_ends_with_status_0_after_the_first_event() {
    let tool = Tool::start(&["-e", "create", "."], |_| ());
    fs::create_dir(tool.path("sub")).unwrap();
    let ended = tool.end();
    assert_eq!(ended.events, b"./ CREATE,ISDIR sub\n");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn with_monitor_each_event_is_printed_until_nothing_is_left_to_watch() {
    let tool = Tool::start(&["-m", "dir"], |dir| fs::create_dir(dir.join("dir")).unwrap());
    write(tool.path("dir/a"), "text");
    fs::rename(tool.path("dir/a"), tool.path("dir/b")).unwrap();
    fs::remove_file(tool.path("dir/b")).unwrap();
    fs::remove_dir(tool.path("dir")).unwrap();
    let ended = tool.end();
    let expected = "dir/ CREATE a\ndir/ OPEN a\ndir/ MODIFY a\ndir/ CLOSE_WRITE,CLOSE a\n\
                    dir/ MOVED_FROM a\ndir/ MOVED_TO b\ndir/ DELETE b\ndir/ DELETE_SELF \n";
    assert_eq!(String::from_utf8(ended.events).unwrap(), expected);
    assert_eq!(ended.code, Some(1));
    assert!(ended.messages.contains("The watch of dir/ has ended."), "{}", ended.messages);
}

#[test]
fn an_event_of_a_watched_file_has_only_its_path() {
    let tool = Tool::start(&["--event=modify", "file"], |dir| {
        write(dir.join("file"), "");
    });
    write(tool.path("file"), "text");
    assert_eq!(tool.end().events, b"file MODIFY \n");
}

#[test]
fn lists_and_repeated_options_of_events_add_up_in_any_case() {
    let args = ["-me", "Create,MOVED_TO", "--ev", "delete_self", "d"];
    let tool = Tool::start(&args, |dir| fs::create_dir(dir.join("d")).unwrap());
    write(tool.path("d/a"), "text");
    fs::rename(tool.path("d/a"), tool.path("d/b")).unwrap();
    fs::remove_file(tool.path("d/b")).unwrap();
    fs::remove_dir(tool.path("d")).unwrap();
    assert_eq!(tool.end().events, b"d/ CREATE a\nd/ MOVED_TO b\nd/ DELETE_SELF \n");
}

#[test]
fn a_path_that_is_given_twice_has_each_event_once() {
    let tool = Tool::start(&["-m", "-e", "create,delete_self", "d", "./d"], |dir| {
        fs::create_dir(dir.join("d")).unwrap();
    });
    fs::create_dir(tool.path("d/sub")).unwrap();
    fs::remove_dir_all(tool.path("d")).unwrap();
    assert_eq!(tool.end().events, b"d/ CREATE,ISDIR sub\nd/ DELETE_SELF \n");
}

#[test]
fn names_are_written_to_a_pipe_unchanged() {
    let tool = Tool::start(&["-e", "create", "."], |_| ());
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
fn a_negative_timeout_only_sets_up_the_watches() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(&["-t", "-1", dir.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.messages.contains("Watches established."), "{}", ended.messages);
}

#[test]
fn the_tool_ends_with_status_1_when_a_watch_ends() {
    let tool = Tool::start(&["-e", "create", "d"], |dir| fs::create_dir(dir.join("d")).unwrap());
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

#[test]
fn invalid_usage_is_reported_with_status_1() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "no path to watch"),
        (&["-e", "creat", "."], "unknown event \"creat\"; did you mean \"create\"?"),
        (&["-e", "create,,open", "."], "unknown event \"\""),
        (&["-t", "soon", "."], "invalid timeout \"soon\": expected seconds"),
        (&["--what", "."], "--what"),
        (&["-y", "."], "-y"),
    ];
    for (args, expected) in cases {
        let ended = run(args);
        assert_eq!(ended.code, Some(1), "{args:?}");
        assert!(ended.messages.contains(expected), "{args:?}: {}", ended.messages);
    }
}

#[test]
fn help_and_version_go_to_standard_output_with_status_0() {
    for args in [["-h"], ["--help"], ["--he"]] {
        let ended = run(&args);
        assert!(ended.events.starts_with(b"Wait for changes"));
        assert_eq!(ended.code, Some(0));
    }
    let version = run(&["--version"]);
    assert!(version.events.ends_with(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes()));
}

#[test]
fn the_tool_ends_without_a_message_when_its_reader_has_closed_the_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = support::tool(dir.path(), &["-m", "-e", "create", "."]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = support::spawn(&mut command).unwrap();
    support::wait_for_watches(&tool, 1);
    drop(tool.stdout.take());
    // Nothing has changed: it notices at once.
    let output = tool.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(support::lossy(&output.stderr), "Setting up watches.\nWatches established.\n");
}

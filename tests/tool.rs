//! Tests of the command line tool, with the real kernel.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use tempfile::TempDir;

/// The running tool in a new directory, with its watches set up.
struct Tool {
    dir: TempDir,
    child: Child,
    messages: BufReader<ChildStderr>,
}

struct Ended {
    code: Option<i32>,
    events: Vec<u8>,
    messages: String,
}

impl Tool {
    /// Starts the tool in a new directory, after `prepare`.
    fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let mut child = command(args)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while line != "Watches established.\n" {
            line.clear();
            assert_ne!(messages.read_line(&mut line).unwrap(), 0, "the tool ended too early");
        }
        Self { dir, child, messages }
    }

    fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until the tool ends.
    fn end(mut self) -> Ended {
        let mut events = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut events).unwrap();
        let mut messages = String::new();
        self.messages.read_to_string(&mut messages).unwrap();
        Ended { code: self.child.wait().unwrap().code(), events, messages }
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinotify"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the tool to its end.
fn run(args: &[&str]) -> Ended {
    let output = command(args).output().unwrap();
    Ended {
        code: output.status.code(),
        events: output.stdout,
        messages: String::from_utf8(output.stderr).unwrap(),
    }
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
    fs::write(tool.path("dir/a"), "text").unwrap();
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
        fs::write(dir.join("file"), "").unwrap();
    });
    fs::write(tool.path("file"), "text").unwrap();
    assert_eq!(tool.end().events, b"file MODIFY \n");
}

#[test]
fn lists_and_repeated_options_of_events_add_up_in_any_case() {
    let args = ["-me", "Create,MOVED_TO", "--ev", "delete_self", "d"];
    let tool = Tool::start(&args, |dir| fs::create_dir(dir.join("d")).unwrap());
    fs::write(tool.path("d/a"), "text").unwrap();
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
    fs::write(tool.path(OsStr::from_bytes(b"a\x1b[2J\xff")), "").unwrap();
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
    let mut child = command(&["-qq", "-e", "create", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It prints no message when it is ready, so make changes until it ends.
    for name in 0_u64.. {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        fs::write(dir.path().join(name.to_string()), "").unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()));
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
        (&["-x", "."], "-x"),
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
    let mut tool = Tool::start(&["-m", "-e", "create,delete", "."], |_| ());
    drop(tool.child.stdout.take());
    // A process that another test is starting may have the pipe open for a moment, so repeat.
    while tool.child.try_wait().unwrap().is_none() {
        fs::create_dir(tool.path("a")).unwrap();
        fs::remove_dir(tool.path("a")).unwrap();
    }
    let mut messages = String::new();
    tool.messages.read_to_string(&mut messages).unwrap();
    assert_eq!(messages, "");
    assert_eq!(tool.child.wait().unwrap().code(), Some(1));
}

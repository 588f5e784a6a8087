//! What the tool does that inotifywait does not.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use support::{DEADLINE, Program, lossy};
use tempfile::TempDir;

#[path = "tool/mod.rs"]
mod support;

/// The tool at work in a directory of its own, where `d` is.
struct Tool {
    dir: TempDir,
    program: Program,
}

impl Tool {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let program = Program::established(&mut support::tool(dir.path(), args));
        Self { dir, program }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str) {
        fs::write(self.path(name), "text").unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// What was shown, once that text was.
    fn until(&self, text: &str) -> String {
        lossy(&self.program.events.until(text))
    }
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let begin = Instant::now();
    while !there() {
        assert!(begin.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn renames_are_one_line() {
    let tool = Tool::start(&["-m", "-e", "move", "--renames", "d"]);
    tool.write("d/a");
    tool.write("outside");
    tool.rename("d/a", "d/b");
    tool.rename("d/b", "away");
    tool.rename("outside", "d/in");
    tool.rename("d/in", "d/end");
    let expected = "d/ RENAMED b <- d/a\nd/ MOVED_FROM b\nd/ MOVED_TO in\nd/ RENAMED end <- d/in\n";
    assert_eq!(tool.until("d/in\n"), expected);
}

#[test]
fn a_renamed_directory_of_a_tree_is_one_line_and_all_beneath_has_its_new_path() {
    let tool =
        Tool::start(&["-mr", "-e", "create,move", "--renames", "--format", "%e %w%f %o", "d"]);
    fs::create_dir_all(tool.path("d/a/b")).unwrap();
    tool.until("CREATE,ISDIR d/a/b \n");
    tool.rename("d/a", "d/z");
    tool.write("d/z/b/file");
    let text = tool.until("file");
    assert!(text.contains("RENAMED,ISDIR d/z d/a\n"), "{text}");
    assert!(text.contains("CREATE d/z/b/file"), "{text}");
}

#[test]
fn what_is_made_in_a_new_directory_at_once_is_shown_once() {
    let tool = Tool::start(&["-mr", "-e", "create", "--format", "%w%f", "d"]);
    for round in 0..50 {
        let deep = format!("d/{round}/b/c");
        fs::create_dir_all(tool.path(&deep)).unwrap();
        tool.write(&format!("{deep}/file"));
    }
    tool.write("d/end");
    let text = tool.until("d/end\n");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..50)
        .flat_map(|round| ["", "/b", "/b/c", "/b/c/file"].map(|end| format!("d/{round}{end}")))
        .chain(["d/end".to_owned()])
        .collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn a_file_in_a_new_directory_is_shown_by_the_word_that_was_asked_for() {
    for (asked, shown) in [
        ("close_write", "CLOSE_WRITE,CLOSE"),
        ("moved_to,close", "CLOSE_WRITE,CLOSE"),
        ("moved_to", "MOVED_TO"),
        ("modify", "MODIFY"),
        ("create,modify", "CREATE"),
    ] {
        let tool = Tool::start(&["-mr", "-e", asked, "--format", "%e %w%f", "d"]);
        // Made outside, so that nothing but looking finds what is in it.
        fs::create_dir_all(tool.path("new/b")).unwrap();
        tool.write("new/b/file");
        tool.rename("new", "d/new");
        tool.until(&format!("{shown} d/new/b/file\n"));
    }
}

#[test]
fn a_directory_in_a_new_directory_is_not_said_to_be_written() {
    let tool = Tool::start(&["-mr", "-e", "close_write,moved_to", "--format", "%e %w%f", "d"]);
    fs::create_dir_all(tool.path("new/b")).unwrap();
    tool.rename("new", "d/new");
    tool.until("MOVED_TO,ISDIR d/new/b\n");
}

#[test]
fn what_was_found_by_looking_is_marked_in_json() {
    let tool = Tool::start(&["-mr", "-e", "create,moved_to", "--json", "d"]);
    fs::create_dir(tool.path("new")).unwrap();
    tool.write("new/file");
    tool.rename("new", "d/new");
    let text = tool.until("\"found\":true}\n");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3, "{text}");
    let [established, new, file] = &events[..] else { unreachable!() };
    assert_eq!(established["events"][0], "ESTABLISHED");
    assert_eq!(new["name"], "new");
    assert_eq!(new["found"], serde_json::Value::Null);
    assert_eq!(file["name"], "file");
    assert_eq!(file["dir"], "d/new/");
}

#[test]
fn the_end_of_the_set_up_of_each_tree_is_an_object_of_its_own_in_json() {
    let tool = Tool::start(&["-mr", "-e", "create", "--json", "d", "."]);
    tool.write("d/file");
    let text = tool.until("\"CREATE\"]}\n");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, dir) in lines.iter().zip(["d/", "./"]) {
        let mut expected = serde_json::json!({"dir": dir, "events": ["ESTABLISHED"]});
        expected["time"] = line["time"].clone();
        assert_eq!(*line, expected);
    }
    assert_eq!(lines[2]["name"], "file", "{text}");
}

#[test]
fn the_end_of_the_set_up_is_no_event_but_in_json() {
    for args in [&["-mr", "-e", "create"][..], &["-mr", "-e", "create", "--csv"]] {
        let tool = Tool::start(&[args, &["d"]].concat());
        tool.write("d/file");
        let text = tool.until("file\n");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn a_name_is_followed_through_replacements_and_before_it_exists() {
    let tool = Tool::start(&["-m", "-e", "close_write", "--follow", "d/config"]);
    tool.write("d/config");
    tool.until("APPEARED");
    tool.write("d/new");
    tool.rename("d/new", "d/config");
    tool.until("REPLACED");
    tool.write("d/config");
    fs::remove_file(tool.path("d/config")).unwrap();
    let text = tool.until("VANISHED");
    for word in ["APPEARED", "REPLACED", "VANISHED"] {
        assert!(text.contains(&format!("d/config {word}")), "{word}: {text}");
    }
}

#[test]
fn links_to_directories_are_followed_where_that_is_asked_for() {
    let tool = Tool::start(&["-mr", "-e", "create", "--follow-links", "d"]);
    fs::create_dir_all(tool.path("elsewhere/sub")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", tool.path("d/link")).unwrap();
    tool.until("d/link/ CREATE,ISDIR sub\n");
    tool.write("elsewhere/sub/file");
    tool.until("d/link/sub/ CREATE file\n");
}

#[test]
fn a_command_is_run_for_each_event() {
    let args =
        ["-m", "-e", "create", "d", "--exec", "sh", "-c", "echo ran $1", "sh", "{}", ";", "-q"];
    let tool = Tool::start(&args[..11]);
    for name in ["a", "b", "c"] {
        tool.write(&format!("d/{name}"));
    }
    let text = tool.until("ran d/c\n");
    let ran: Vec<&str> = text.lines().filter(|line| line.starts_with("ran")).collect();
    assert_eq!(ran, ["ran d/a", "ran d/b", "ran d/c"]);
}

#[test]
fn a_command_is_run_once_for_a_burst() {
    let tool = Tool::start(&[
        "-m",
        "-e",
        "create,close_write",
        "--debounce",
        "300",
        "d",
        "--exec",
        "echo",
        "ran",
        "{}",
    ]);
    for name in ["a", "b", "c"] {
        tool.write(&format!("d/{name}"));
    }
    let text = tool.until("d/c\n");
    assert!(text.contains("ran d/a d/b d/c\n"), "{text}");
}

#[test]
fn without_monitor_the_command_has_ended_before_the_tool_does() {
    let mut tool = Tool::start(&["-e", "create", "d", "--exec", "sh", "-c", "sleep 0.1; echo ran"]);
    tool.write("d/a");
    let ended = tool.program.end();
    assert_eq!((lossy(&ended.events).as_str(), ended.code), ("d/ CREATE a\nran\n", Some(0)));
}

#[test]
fn a_command_that_cannot_be_run_is_told_with_status_1() {
    let mut tool = Tool::start(&["-e", "create", "d", "--exec", "/no/such/program"]);
    tool.write("d/a");
    let ended = tool.program.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.messages.contains("cannot run /no/such/program"), "{}", ended.messages);
}

#[test]
fn stats_tell_at_the_end_how_much_there_was() {
    let mut tool = Tool::start(&["-m", "-e", "create,delete", "--exclude", "b", "--stats", "d"]);
    tool.write("d/a");
    tool.write("d/b");
    fs::remove_file(tool.path("d/a")).unwrap();
    tool.until("DELETE a");
    tool.program.signal(Signal::TERM);
    let messages = tool.program.end().messages;
    for text in ["2 shown, 1 hidden, 0 overflows", "1 CREATE", "1 DELETE"] {
        assert!(messages.contains(text), "{messages}");
    }
}

#[test]
fn a_signal_ends_it_as_a_signal_does_with_all_written() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut tool = Tool::start(&["-m", "-e", "create", "-o", "log", "d"]);
        tool.write("d/a");
        wait_for("the event", || fs::read(tool.path("log")).is_ok_and(|text| !text.is_empty()));
        tool.program.signal(signal);
        tool.program.end();
        let status = tool.program.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert_eq!(fs::read_to_string(tool.path("log")).unwrap(), "d/ CREATE a\n");
    }
}

#[test]
fn sighup_opens_the_file_anew() {
    let tool = Tool::start(&["-m", "-e", "create", "-o", "log", "d"]);
    tool.write("d/a");
    wait_for("a", || fs::read(tool.path("log")).is_ok_and(|text| text.ends_with(b"a\n")));
    tool.rename("log", "log.1");
    tool.program.signal(Signal::HUP);
    wait_for("the new file", || tool.path("log").exists());
    tool.write("d/b");
    wait_for("b", || fs::read(tool.path("log")).is_ok_and(|text| text.ends_with(b"b\n")));
    assert_eq!(fs::read_to_string(tool.path("log.1")).unwrap(), "d/ CREATE a\n");
    assert_eq!(fs::read_to_string(tool.path("log")).unwrap(), "d/ CREATE b\n");
}

#[test]
fn messages_go_to_the_system_log_if_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let log = UnixDatagram::bind(dir.path().join("log")).unwrap();
    // In a place of its own that has one, whatever is in /dev here.
    let place =
        "mount -t tmpfs none /dev && : > /dev/log && mount --bind log /dev/log && exec \"$@\"";
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let args = ["-rm", "sh", "-c", place, "sh", tool, "-s", "d", "missing"];
    if Command::new("unshare").arg("--version").output().is_err() {
        support::skip("the system log: no unshare(1)");
        return;
    }
    let mut command = support::program("unshare".as_ref(), dir.path(), &args);
    let ended = Program::start(&mut command).end();
    if ended.messages.contains("unshare") || ended.messages.contains("mount") {
        support::skip(&format!("the system log: {}", ended.messages.trim_end()));
        return;
    }
    assert_eq!((ended.code, ended.messages.as_str()), (Some(1), ""));
    let mut lines = Vec::new();
    log.set_nonblocking(true).unwrap();
    let mut buffer = [0; 1000];
    while let Ok(len) = log.recv(&mut buffer) {
        lines.push(lossy(&buffer[..len]));
    }
    assert!(lines[0].starts_with("<30>tinotify[") && lines[0].ends_with("]: Setting up watches."));
    assert!(lines[1].starts_with("<28>tinotify[") && lines[1].contains("missing"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_daemon_leaves_once_its_watches_are_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let args = ["-d", "-e", "create,delete_self", "-o", "log", "d"];
    let ended = Program::start(&mut support::tool(dir.path(), &args)).end();
    assert_eq!(ended.code, Some(0), "{}", ended.messages);
    fs::write(dir.path().join("d/a"), "").unwrap();
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    wait_for("the event", || log() == "d/ CREATE a\n");
    // Nothing is left to watch then, so it ends.
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    wait_for("the end", || log().contains("DELETE_SELF"));
}

#[test]
fn a_daemon_that_cannot_watch_says_so_with_status_1() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Program::start(&mut support::tool(dir.path(), &["-d", "-o", "log", "none"])).end();
    assert_eq!(ended.code, Some(1));
}

#[test]
fn fanotify_is_refused_with_a_clear_word() {
    let dir = tempfile::tempdir().unwrap();
    for option in ["-F", "-S", "--fanotify", "--filesystem"] {
        let ended = Program::start(&mut support::tool(dir.path(), &[option, "."])).end();
        assert_eq!(ended.code, Some(1));
        assert!(ended.messages.contains("fanotify is not supported"), "{}", ended.messages);
    }
}

#[test]
fn looking_at_a_tree_is_not_shown_as_an_event_of_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/a/b/c")).unwrap();
    let args = ["-mr", "--format", "%w%f %e", "d"];
    let tool = Program::established(&mut support::tool(dir.path(), &args));
    fs::write(dir.path().join("d/a/b/c/x"), "").unwrap();
    let text = lossy(&tool.events.until("CLOSE"));
    assert_eq!(text, "d/a/b/c/x CREATE\nd/a/b/c/x OPEN\nd/a/b/c/x CLOSE_WRITE,CLOSE\n");
}

/// Gives what it prints to a program that knows whether it makes sense.
fn accepted(what: &str, program: &str, args: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let ended = Program::start(&mut support::tool(dir.path(), &["--generate", what])).end();
    assert_eq!(ended.code, Some(0));
    for option in ["--recursive", "--debounce", "close_write"] {
        let plain = lossy(&ended.events).replace("\\-", "-").replace("-l ", "--");
        assert!(plain.contains(option), "{option} is not in {what}");
    }
    let file = dir.path().join("text");
    fs::write(&file, &ended.events).unwrap();
    let output = Command::new(program)
        .args(args)
        .arg(&file)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success() && output.stderr.is_empty(), "{what}: {output:?}");
        }
        Err(_) => support::skip(&format!("whether {what} makes sense: no {program}")),
    }
}

#[test]
fn completions_and_the_man_page_make_sense() {
    accepted("bash", "bash", &["-n"]);
    accepted("zsh", "zsh", &["-n"]);
    accepted("fish", "fish", &["--no-execute"]);
    accepted("man", "man", &["--warnings=all", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]);
}

#[test]
fn completions_complete_options_and_names_of_events() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, option, event) in [
        (
            "bash",
            "source f; COMP_WORDS=(x --mon); COMP_CWORD=1; _tinotify; echo ${COMPREPLY[@]}",
            "source f; COMP_WORDS=(x -e close_w); COMP_CWORD=2; _tinotify; echo ${COMPREPLY[@]}",
        ),
        (
            "fish",
            "source f; complete -C'tinotify --mon'",
            "source f; complete -C'tinotify -e close_w'",
        ),
    ] {
        let ended = Program::start(&mut support::tool(dir.path(), &["--generate", shell])).end();
        fs::write(dir.path().join("f"), &ended.events).unwrap();
        for (line, expected) in [(option, "--monitor"), (event, "close_write")] {
            let output = Command::new(shell)
                .args(["-c", line])
                .current_dir(dir.path())
                .env("HOME", dir.path())
                .output();
            let Ok(output) = output else {
                support::skip(&format!("whether {shell} completes: it is not there"));
                break;
            };
            let words = lossy(&output.stdout);
            assert_eq!(words.split_whitespace().next(), Some(expected), "{shell}: {output:?}");
        }
    }
}

#[test]
fn a_tree_of_more_directories_than_the_queue_holds_events_is_quiet_and_true() {
    let room = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let room: usize = room.trim().parse().unwrap();
    let watches = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap();
    if room > 20_000 || watches.trim().parse::<usize>().unwrap() < 4 * room {
        support::skip("a tree that is bigger than the queue: other limits than the usual ones");
        return;
    }
    // So many take long on a busy disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for number in 0..=room {
        fs::create_dir(dir.path().join(format!("d/{number}"))).unwrap();
    }
    let program = Program::established(&mut support::tool(dir.path(), &["-mr", "d"]));
    fs::write(dir.path().join("d/7/x"), "").unwrap();
    assert_eq!(
        lossy(&program.events.until("CLOSE x\n")),
        "d/7/ CREATE x\nd/7/ OPEN x\nd/7/ CLOSE_WRITE,CLOSE x\n"
    );
    let messages = lossy(&program.messages.until(support::ESTABLISHED));
    assert!(!messages.contains("events were lost"), "{messages}");
}

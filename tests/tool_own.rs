//! Tests of options and output that inotifywait does not have.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::Signal;
use support::tool::{Tool, wait_for};
use support::{Program, lossy};

#[path = "tool/mod.rs"]
mod support;

#[test]
fn a_rename_is_one_line_with_renames() {
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
fn a_renamed_directory_is_one_line_and_later_events_have_the_new_path() {
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
fn entries_created_at_once_in_a_new_directory_are_printed_once() {
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
fn a_discovered_file_is_printed_as_a_selected_event() {
    for (selected, shown) in [
        ("close_write", "CLOSE_WRITE,CLOSE"),
        ("moved_to,close", "CLOSE_WRITE,CLOSE"),
        ("moved_to", "MOVED_TO"),
        ("modify", "MODIFY"),
        ("create,modify", "CREATE"),
    ] {
        let tool = Tool::start(&["-mr", "-e", selected, "--format", "%e %w%f", "d"]);
        // Created outside the tree, so that only a listing can discover its entries.
        fs::create_dir_all(tool.path("new/b")).unwrap();
        tool.write("new/b/file");
        tool.rename("new", "d/new");
        tool.until(&format!("{shown} d/new/b/file\n"));
    }
}

#[test]
fn a_discovered_directory_is_not_printed_as_written() {
    let tool = Tool::start(&["-mr", "-e", "close_write,moved_to", "--format", "%e %w%f", "d"]);
    fs::create_dir_all(tool.path("new/b")).unwrap();
    tool.rename("new", "d/new");
    tool.until("MOVED_TO,ISDIR d/new/b\n");
}

#[test]
fn discovered_entries_are_marked_in_json() {
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
fn the_end_of_each_set_up_is_an_object_in_json() {
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
fn the_end_of_the_set_up_is_printed_only_in_json() {
    for args in [&["-mr", "-e", "create"][..], &["-mr", "-e", "create", "--csv"]] {
        let tool = Tool::start(&[args, &["d"]].concat());
        tool.write("d/file");
        let text = tool.until("file\n");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn follow_reports_a_name_before_it_exists_and_after_replacements() {
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
fn follow_links_watches_the_targets_of_links() {
    let tool = Tool::start(&["-mr", "-e", "create", "--follow-links", "d"]);
    fs::create_dir_all(tool.path("elsewhere/sub")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", tool.path("d/link")).unwrap();
    tool.until("d/link/ CREATE,ISDIR sub\n");
    tool.write("elsewhere/sub/file");
    tool.until("d/link/sub/ CREATE file\n");
}

#[test]
fn stats_prints_the_number_of_events_at_the_end() {
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
fn a_signal_ends_the_tool_after_all_output_is_written() {
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
fn sigusr1_reopens_the_output_file() {
    let tool = Tool::start(&["-m", "-e", "create", "-o", "log", "d"]);
    tool.write("d/a");
    wait_for("a", || fs::read(tool.path("log")).is_ok_and(|text| text.ends_with(b"a\n")));
    tool.rename("log", "log.1");
    tool.program.signal(Signal::USR1);
    wait_for("the new file", || tool.path("log").exists());
    tool.write("d/b");
    wait_for("b", || fs::read(tool.path("log")).is_ok_and(|text| text.ends_with(b"b\n")));
    assert_eq!(fs::read_to_string(tool.path("log.1")).unwrap(), "d/ CREATE a\n");
    assert_eq!(fs::read_to_string(tool.path("log")).unwrap(), "d/ CREATE b\n");
}

#[test]
fn messages_are_sent_to_syslog() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let log = UnixDatagram::bind(dir.path().join("log")).unwrap();
    // In a new mount namespace with its own /dev/log.
    let script =
        "mount -t tmpfs none /dev && : > /dev/log && mount --bind log /dev/log && exec \"$@\"";
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let args = ["-rm", "sh", "-c", script, "sh", tool, "-s", "d", "missing"];
    if support::output(Command::new("unshare").arg("--version")).is_err() {
        support::skip("the system log: unshare(1) is not installed");
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
fn a_daemon_goes_to_the_background_after_its_watches_are_set_up() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let args = ["-d", "-e", "create,delete_self", "-o", "log", "d"];
    let ended = Program::start(&mut support::tool(dir.path(), &args)).end();
    assert_eq!(ended.code, Some(0), "{}", ended.messages);
    fs::write(dir.path().join("d/a"), "").unwrap();
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    wait_for("the event", || log() == "d/ CREATE a\n");
    // It ends because nothing is left to watch.
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    wait_for("the end", || log().contains("DELETE_SELF"));
}

#[test]
fn listing_a_tree_prints_no_events() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/a/b/c")).unwrap();
    let args = ["-mr", "--format", "%w%f %e", "d"];
    let tool = Program::established(&mut support::tool(dir.path(), &args));
    fs::write(dir.path().join("d/a/b/c/x"), "").unwrap();
    let text = lossy(&tool.events.until("CLOSE"));
    assert_eq!(text, "d/a/b/c/x CREATE\nd/a/b/c/x OPEN\nd/a/b/c/x CLOSE_WRITE,CLOSE\n");
}

#[test]
fn a_tree_with_more_directories_than_queued_events_does_not_overflow() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let watches = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap();
    if limit > 20_000 || watches.trim().parse::<usize>().unwrap() < 4 * limit {
        support::skip("a tree that is bigger than the queue: the limits are not the default ones");
        return;
    }
    // In memory if possible: creating this many directories is slow on a busy disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for number in 0..=limit {
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

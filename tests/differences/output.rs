//! Differences in what is printed, and when the programs end.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::terminal::OnTerminal;
use crate::support::{self, ESTABLISHED, Program, lossy};
use crate::{Who, compare, compare_versions};

// Difference 2.
#[test]
fn include_hides_events_of_directories() {
    let events = |who: &Who| {
        let run = who.start(&["-m", "-e", "create", "--include", "d/", "d"], &["d"]);
        fs::create_dir(run.path("d/sub")).unwrap();
        run.until_new("d/file")
    };
    let ours = "d/ CREATE file\n".to_owned();
    let theirs = format!("d/ CREATE,ISDIR sub\n{ours}");
    compare_versions(|major| major < 4, events, &theirs, &ours);
    compare_versions(|major| major >= 4, events, &ours, &ours);
}

// Difference 6.
#[test]
fn the_end_of_a_watch_is_reported_with_monitor() {
    let is_reported = |who: &Who| {
        let run = who.start(&["-m", "-e", "create", "d", "e"], &["d", "e"]);
        fs::remove_dir(run.path("d")).unwrap();
        run.until_new("e/file");
        run.stop().messages.contains("watch ended: d/: ")
    };
    compare(is_reported, &false, &true);
}

// Difference 7.
#[test]
fn the_path_of_a_link_to_a_directory_ends_with_a_slash() {
    let events = |who: &Who| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        symlink("d", dir.path().join("link")).unwrap();
        let args = ["-e", "create", "--format", "%w%f", "link"];
        let mut program = Program::established(&mut who.command(dir.path(), &args));
        support::write(dir.path().join("d/new"), "");
        lossy(&program.end().events)
    };
    compare(events, &"linknew\n".to_owned(), &"link/new\n".to_owned());
}

// Difference 9.
#[test]
fn the_tool_ends_with_status_1_when_nothing_is_left_to_watch() {
    let code = |who: &Who| {
        let run = who.start(&["-m", "-e", "delete_self", "d"], &["d"]);
        fs::remove_dir(run.path("d")).unwrap();
        run.until("DELETE_SELF");
        // inotifywait waits until the signal.
        if who.is_ours() { run.end().code } else { run.stop().code }
    };
    compare(code, &None, &Some(1));
}

// Difference 14.
#[test]
fn lost_events_are_reported_with_the_sysctl_to_raise() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 20_000 {
        support::skip("lost events: the limit of queued events is not the default one");
        return;
    }
    let is_reported = |who: &Who| {
        let run = who.start(&["-m", "-e", "moved_to,create", "d"], &["d/0"]);
        run.program.signal(Signal::STOP);
        for number in 0..=limit {
            run.rename(&format!("d/{number}"), &format!("d/{}", number + 1));
        }
        run.program.signal(Signal::CONT);
        // The last event of a full queue is lost as well.
        for number in 0.. {
            let _ = fs::create_dir(run.path(format!("d/end-{number}")));
            if lossy(&run.program.events.so_far()).contains("end-") {
                break;
            }
            std::thread::yield_now();
        }
        let messages = run.stop().messages;
        messages.contains("events were lost") && messages.contains("fs.inotify.max_queued_events")
    };
    compare(is_reported, &false, &true);
}

// Difference 19.
#[test]
fn formats_of_any_length_that_may_print_nothing_are_accepted() {
    let code = |who: &Who| who.run(&["-t", "1", "--format", "%f", "--no-newline", "d"]).code;
    compare(code, &Some(1), &Some(2));
    let long = "x".repeat(5000);
    let is_accepted = |who: &Who| {
        let args = ["-t", "1", "--format", &long, "d"];
        who.run(&args).code == Some(2)
    };
    compare_versions(|major| major < 4, is_accepted, &false, &true);
    let run = Who::ours().start(&["-e", "create", "--format", &long, "d"], &["d"]);
    run.write("d/a");
    assert_eq!(run.end().events.len(), 5001);
    let run = Who::ours().start(&["-e", "create", "--format", "%f %", "d"], &["d"]);
    run.write("d/a");
    assert_eq!(lossy(&run.end().events), "a %\n");
}

// Difference 21.
#[test]
fn csv_quotes_carriage_returns() {
    let events = |who: &Who| {
        let run = who.start(&["-c", "-e", "create", "d"], &["d"]);
        run.write("d/a\rb");
        lossy(&run.end().events)
    };
    compare(events, &"d/,CREATE,a\rb\n".to_owned(), &"d/,CREATE,\"a\rb\"\n".to_owned());
}

// Difference 24.
#[test]
fn sigusr1_reopens_the_output_file() {
    let is_reopened = |who: &Who| {
        let mut run = who.start(&["-m", "-e", "create", "-o", "log", "d"], &["d"]);
        run.write("d/a");
        support::tool::wait_for("a", || {
            fs::read(run.path("log")).is_ok_and(|text| !text.is_empty())
        });
        run.rename("log", "log.1");
        run.program.signal(Signal::USR1);
        support::tool::wait_for("the new file or the end", || {
            run.path("log").exists() || run.program.child.try_wait().unwrap().is_some()
        });
        run.path("log").exists()
    };
    compare(is_reopened, &false, &true);
}

// Difference 25.
#[test]
fn a_closed_pipe_ends_the_tool_at_once_with_status_1_and_without_a_message() {
    let end = |who: &Who| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let mut command = who.command(dir.path(), &["-m", "-e", "create", "d"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = support::spawn(&mut command).unwrap();
        support::wait_for_watches(&child, 1);
        drop(child.stdout.take());
        if !who.is_ours() {
            support::write(dir.path().join("d/a"), "");
        }
        let output = child.wait_with_output().unwrap();
        let messages = lossy(&output.stderr);
        (output.status.code(), output.status.signal(), messages.ends_with(ESTABLISHED))
    };
    compare(end, &(None, Some(Signal::PIPE.as_raw()), true), &(Some(1), None, true));
}

// Difference 26.
#[test]
fn control_characters_in_names_are_escaped_on_a_terminal() {
    let is_raw = |who: &Who| {
        let dir = tempfile::tempdir().unwrap();
        let mut command = who.command(dir.path(), &["-m", "-e", "create", "."]);
        let Some(shown) = OnTerminal::start(&mut command) else { return !who.is_ours() };
        shown.program.events.until("established.\r\n");
        support::write(dir.path().join("\u{1b}[31mred"), "");
        lossy(&shown.program.events.until("red")).contains("\u{1b}[31m")
    };
    compare(is_raw, &true, &false);
}

// Difference 28.
#[test]
fn events_of_the_output_file_are_left_out() {
    let is_shown = |who: &Who| {
        let run = who.start(&["-m", "-e", "create,modify", "-o", "d/log", "d"], &["d"]);
        let log = || fs::read_to_string(run.path("d/log")).unwrap_or_default();
        run.write("d/a");
        support::tool::wait_for("the events", || log().contains("MODIFY a\n"));
        // inotifywait prints a line for each line.
        run.write("d/b");
        support::tool::wait_for("the events", || log().contains("MODIFY b\n"));
        log().contains("MODIFY log\n")
    };
    compare(is_shown, &true, &false);
}

// Difference 29.
#[test]
fn lost_coverage_is_reported_with_quiet() {
    let messages = |who: &Who| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::create_dir(dir.path().join("e")).unwrap();
        let args = ["-mq", "-e", "create", "d", "e"];
        let mut program = Program::watching(&mut who.command(dir.path(), &args), 2);
        fs::remove_dir(dir.path().join("d")).unwrap();
        support::write(dir.path().join("e/file"), "");
        program.events.until("CREATE file\n");
        program.signal(Signal::TERM);
        program.end().messages
    };
    let ours = "tinotify: watch ended: d/: it was removed, or its file system was unmounted\n";
    compare(messages, &String::new(), &ours.to_owned());
}

//! `--exec`, and the options that need it.

use std::fs;
use std::path::Path;

use support::tool::{Tool, wait_for};
use support::{Program, hostile_names, lossy, path};

#[path = "tool/mod.rs"]
mod support;

/// Runs the tool to its end.
fn run(args: &[&str]) -> support::Ended {
    Program::start(&mut support::tool(Path::new("."), args)).end()
}

/// Returns the lines that commands have printed: those that begin with `ran`.
fn ran(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("ran")).collect()
}

#[test]
fn a_command_is_run_for_each_event_in_order() {
    let args = ["-m", "-e", "create", "d", "--exec", "sh", "-c", "echo ran $1", "sh", "{}"];
    let tool = Tool::start(&args);
    for name in ["a", "b", "c"] {
        tool.write(&format!("d/{name}"));
    }
    let text = tool.until("ran d/c\n");
    assert_eq!(ran(&text), ["ran d/a", "ran d/b", "ran d/c"]);
}

#[test]
fn options_and_paths_can_follow_the_end_of_the_command() {
    let tool = Tool::start(&["-m", "--exec", "echo", "ran", "{}", ";", "-e", "create", "d"]);
    tool.write("d/a");
    tool.until("ran d/a\n");
}

#[test]
fn a_command_has_the_event_in_its_environment() {
    let script =
        "echo ran $TINOTIFY_EVENT $TINOTIFY_PATH ${TINOTIFY_OLD_PATH-none} $TINOTIFY_COUNT";
    let args = ["-m", "--renames", "-e", "create,move", "d", "--exec", "sh", "-c", script];
    let tool = Tool::start(&args);
    tool.write("d/a");
    tool.rename("d/a", "d/b");
    fs::create_dir(tool.path("d/sub")).unwrap();
    let text = tool.until("d/sub none 1\n");
    let expected =
        ["ran CREATE d/a none 1", "ran RENAMED d/b d/a 1", "ran CREATE,ISDIR d/sub none 1"];
    assert_eq!(ran(&text), expected);
}

#[test]
fn a_variable_has_the_exact_bytes_of_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().join("d");
    fs::create_dir(&d).unwrap();
    let script = "printf '%s\\0' \"$TINOTIFY_PATH\"";
    let args = ["-m", "-qq", "-e", "create", "d", "--exec", "sh", "-c", script];
    let tool = Program::watching(&mut support::tool(dir.path(), &args), 1);
    let names = hostile_names();
    for name in &names {
        fs::write(path(&d, name), "").unwrap();
    }
    fs::write(d.join("the-end"), "").unwrap();
    let text = tool.events.until("d/the-end\0");
    let read: Vec<&[u8]> = text.split(|&byte| byte == 0).collect();
    for (path, name) in read.iter().zip(&names) {
        assert_eq!(*path, [b"d/", &name[..]].concat());
    }
}

#[test]
fn a_command_that_only_reads_does_not_run_itself() {
    let tool = server(&["-m", "-q", "d", "--exec", "sh", "-c", "ls d; cat d/*; echo ran"]);
    fs::create_dir(tool.path("d/sub")).unwrap();
    tool.until("ran\n");
    // If the listing had run the command, these runs would come first.
    fs::create_dir(tool.path("d/end")).unwrap();
    let text = tool.until("CREATE,ISDIR end");
    assert_eq!(text.matches("ran\n").count(), 1, "{text}");
}

#[test]
fn without_monitor_the_tool_waits_for_the_command() {
    let mut tool =
        Tool::start(&["-e", "create", "d", "--exec", "sh", "-c", "read x < fifo; echo ran"]);
    fifo(&tool);
    tool.write("d/a");
    tool.until("CREATE a");
    fs::write(tool.path("fifo"), "go\n").unwrap();
    let ended = tool.program.end();
    assert_eq!((lossy(&ended.events).as_str(), ended.code), ("d/ CREATE a\nran\n", Some(0)));
}

/// Makes a FIFO that a command can wait for.
fn fifo(tool: &Tool) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, tool.path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn a_program_that_does_not_exist_is_found_before_the_set_up() {
    for program in ["/no/such/program", "no-such-program", "/etc", "/etc/passwd"] {
        let ended = run(&[".", "--exec", program]);
        let expected = format!(
            "tinotify: cannot run: {program}: no such program; install it, or give its path\n"
        );
        assert_eq!((ended.code, ended.messages), (Some(1), expected));
    }
}

#[test]
fn a_shell_that_would_run_the_name_of_a_file_is_refused() {
    for command in [&["sh", "-c", "cat {}"][..], &["env", "bash", "-ec", "rm '{}'"]] {
        let ended = run(&[&[".", "--exec"], command].concat());
        assert_eq!(ended.code, Some(1));
        assert!(ended.messages.contains("it would run the name of a file as code; write"));
        assert!(!ended.messages.contains("Setting up"), "{}", ended.messages);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_reported_with_status_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    support::write(dir.path().join("program"), "\u{7f}ELF, but not a real one");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path().join("program"), mode).unwrap();
    let args = ["-e", "create", "d", "--exec", "./program"];
    let mut tool = Program::established(&mut support::tool(dir.path(), &args));
    support::write(dir.path().join("d/a"), "");
    let ended = tool.end();
    assert_eq!(ended.code, Some(1));
    assert!(ended.messages.contains("cannot run: ./program: "), "{}", ended.messages);
}

#[test]
fn the_status_of_a_command_that_fails_is_reported() {
    let tool = Tool::start(&["-m", "-e", "create", "d", "--exec", "sh", "-c", "exit 3"]);
    tool.write("d/a");
    tool.program.messages.until("command failed: sh: exit status: 3\n");
    // It goes on.
    tool.write("d/b");
    tool.until("CREATE b");
}

#[test]
fn with_exit_on_error_the_tool_ends_with_the_status_of_the_command() {
    for (script, status) in [("exit 3", 3), ("kill -9 $$", 137)] {
        for monitor in [&["-m"][..], &[]] {
            let args = ["-e", "create", "d", "--exit-on-error", "--exec", "sh", "-c", script];
            let mut tool = Tool::start(&[monitor, &args].concat());
            tool.write("d/a");
            let ended = tool.program.end();
            assert_eq!(ended.code, Some(status), "{}", ended.messages);
            assert!(ended.messages.contains("command failed: sh: "), "{}", ended.messages);
        }
    }
}

#[test]
fn with_run_at_start_the_command_is_run_before_the_first_event() {
    let script = "echo ran ${TINOTIFY_PATH-none} $#";
    let args = ["-m", "-e", "create", "d", "--run-at-start", "--exec", "sh", "-c", script, "sh"];
    let tool = Tool::start(&[&args[..], &["{}"]].concat());
    tool.until("ran none 0\n");
    tool.write("d/a");
    let text = tool.until("d/a 1\n");
    assert_eq!(ran(&text), ["ran none 0", "ran d/a 1"]);
}

#[test]
fn restart_stops_the_command_and_starts_it_again() {
    let script =
        "trap 'echo ran told; exit 1' TERM; echo ran start; while :; do read x < fifo; done";
    for option in ["--restart", "--on-busy=restart"] {
        let args =
            ["-m", "-qq", "-e", "create", "d", option, "--run-at-start", "--exec", "sh", "-c"];
        let tool = server(&[&args[..], &[script]].concat());
        tool.until("ran start\n");
        tool.write("d/a");
        let text = tool.until("ran told\nran start\n");
        assert_eq!(ran(&text), ["ran start", "ran told", "ran start"]);
        // A stopped command has not failed.
        let messages = lossy(&tool.program.messages.so_far());
        assert!(!messages.contains("failed"), "{messages}");
    }
}

/// Starts the tool with `-q` in a new directory with `d` and a FIFO.
fn server(args: &[&str]) -> Tool {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let start = |command: &mut _| Program::watching(command, 1);
    let program = start(&mut support::tool(dir.path(), args));
    let tool = Tool { dir, program };
    fifo(&tool);
    tool
}

#[test]
fn restart_sends_the_chosen_signal_to_all_processes_of_the_command() {
    // Each trap is set before `start` is printed.
    let script = "trap 'wait; echo ran outer; exit' USR1
        (trap 'echo ran inner; exit' USR1; echo ran start; while :; do read x < fifo; done) &
        wait";
    let args =
        ["-m", "-qq", "-e", "create", "d", "--restart", "--run-at-start", "--signal", "usr1"];
    let tool = server(&[&args[..], &["--exec", "sh", "-c", script]].concat());
    tool.until("ran start\n");
    tool.write("d/a");
    let text = tool.until("ran outer\nran start\n");
    assert_eq!(ran(&text), ["ran start", "ran inner", "ran outer", "ran start"]);
}

#[test]
fn restart_kills_a_command_that_ignores_the_signal() {
    let script = "trap '' TERM; echo ran start; sleep 1000";
    let args = ["-m", "-qq", "-e", "create", "d", "--restart", "--stop-timeout=0.01"];
    let tool = server(&[&args[..], &["--run-at-start", "--exec", "sh", "-c", script]].concat());
    tool.until("ran start\n");
    tool.write("d/a");
    tool.until("ran start\nran start\n");
}

#[test]
fn a_command_that_is_busy_gets_a_signal_for_each_event() {
    let script = "trap 'echo ran told' HUP; echo ran start; while :; do read x < fifo; done";
    let args = ["-m", "-q", "-e", "create", "d", "--on-busy", "signal", "--signal=SIGHUP"];
    let tool = server(&[&args[..], &["--exec", "sh", "-c", script]].concat());
    tool.write("d/a");
    tool.until("ran start\n");
    for name in ["b", "c"] {
        let before = tool.so_far().matches("ran told\n").count();
        tool.write(&format!("d/{name}"));
        wait_for("the signal", || tool.so_far().matches("ran told\n").count() > before);
    }
    assert_eq!(tool.so_far().matches("ran start").count(), 1);
}

#[test]
fn events_while_the_command_runs_are_ignored_on_request() {
    let script = "echo ran $1; read x < fifo";
    let args = ["-m", "-q", "-e", "create", "d", "--on-busy=ignore", "--exec", "sh", "-c", script];
    let tool = server(&[&args[..], &["sh", "{}"]].concat());
    tool.write("d/a");
    tool.until("ran d/a\n");
    for name in ["b", "c"] {
        tool.write(&format!("d/{name}"));
    }
    tool.until("CREATE c\n");
    fs::write(tool.path("fifo"), "go\n").unwrap();
    // The tool may not yet know that the command has ended.
    let mut name = 0;
    wait_for("the next run", || {
        name += 1;
        tool.write(&format!("d/later-{name}"));
        tool.until(&format!("CREATE later-{name}\n")).contains("ran d/later")
    });
    let text = tool.until("ran d/later");
    assert!(!text.contains("ran d/b") && !text.contains("ran d/c"), "{text}");
}

#[test]
fn a_full_queue_of_runs_is_reported() {
    let script = "echo ran $1; read x < fifo";
    let args = ["-m", "-q", "-e", "create", "d", "--exec", "sh", "-c", script, "sh", "{}"];
    let tool = server(&args);
    for number in 0..1100 {
        fs::create_dir(tool.path(format!("d/{number}"))).unwrap();
    }
    tool.program.messages.until("tinotify: queue full: 1024 runs of the command are pending");
}

#[test]
fn a_run_for_the_same_event_is_pending_once() {
    let script = "echo ran $TINOTIFY_PATH; read x < fifo";
    let args = ["-m", "-q", "-e", "attrib,create", "d", "--exec", "sh", "-c", script];
    let tool = server(&args);
    tool.write("d/first");
    tool.until("ran d/first\n");
    for name in ["a", "b", "a", "b", "end"] {
        let _ = fs::create_dir(tool.path(format!("d/{name}")));
        let _ = fs::remove_dir(tool.path(format!("d/{name}")));
    }
    tool.until("CREATE,ISDIR end\n");
    wait_for("the last run", || {
        let _ = fs::write(tool.path("fifo"), "go\n");
        tool.so_far().contains("ran d/end\n")
    });
    let text = tool.so_far();
    assert_eq!(ran(&text), ["ran d/first", "ran d/a", "ran d/b", "ran d/end"]);
}

#[test]
fn a_command_that_changes_what_it_is_run_for_ends_its_loop_by_name() {
    let script = "date >> d/log; echo ran $TINOTIFY_PATH";
    let tool = Tool::start(&["-m", "-e", "modify,create", "d", "--exec", "sh", "-c", script]);
    tool.write("d/a");
    tool.program.messages.until("loop: d/log: it changes in each run of the command");
    // The loop has ended: a change from outside makes one more run, and that is the last one.
    for name in ["b", "end"] {
        let before = ran(&tool.so_far()).len();
        fs::create_dir(tool.path(format!("d/{name}"))).unwrap();
        wait_for("the run", || tool.so_far().contains(&format!("ran d/{name}\n")));
        assert!(ran(&tool.so_far()).len() <= before + 3);
    }
    let messages = lossy(&tool.program.messages.so_far());
    assert_eq!(messages.matches("loop: ").count(), 1, "{messages}");
}

#[test]
fn the_output_file_in_a_watched_directory_is_left_out() {
    let tool = Tool::start(&["-m", "-e", "modify,create,open", "-o", "d/log", "d"]);
    for name in ["a", "b"] {
        fs::create_dir(tool.path(format!("d/{name}"))).unwrap();
    }
    let log = || fs::read_to_string(tool.path("d/log")).unwrap();
    wait_for("b", || log().contains("CREATE,ISDIR b\n"));
    assert_eq!(log(), "d/ CREATE,ISDIR a\nd/ CREATE,ISDIR b\n");
}

#[test]
fn with_debounce_a_command_is_run_once_for_all_paths() {
    let args =
        ["-m", "-e", "create,close_write", "--debounce", "300", "d", "--exec", "echo", "ran"];
    let tool = Tool::start(&[&args[..], &["{}"]].concat());
    for name in ["a", "b", "c"] {
        tool.write(&format!("d/{name}"));
    }
    let text = tool.until("d/c\n");
    assert!(text.contains("ran d/a d/b d/c\n"), "{text}");
}

#[test]
fn debounce_prints_the_net_effect_of_the_events_of_a_path() {
    let tool = Tool::start(&["-m", "--renames", "--debounce", "200", "d"]);
    tool.write("d/new");
    tool.write("d/gone");
    fs::remove_file(tool.path("d/gone")).unwrap();
    tool.write("d/.tmp");
    tool.rename("d/.tmp", "d/saved");
    let text = tool.until("saved");
    assert_eq!(text.lines().collect::<Vec<_>>(), ["d/ CREATE new", "d/ CREATE saved"]);
    tool.write("d/new");
    tool.rename("d/new", "d/other");
    fs::remove_file(tool.path("d/saved")).unwrap();
    let text = tool.until("DELETE saved\n");
    assert!(text.ends_with("d/ RENAMED other <- d/new\nd/ DELETE saved\n"), "{text}");
}

#[test]
fn the_cap_of_debounce_ends_the_wait_for_quiet() {
    let tool = Tool::start(&["-m", "--debounce", "1000000,50", "d", "--exec", "echo", "ran", "{}"]);
    tool.write("d/a");
    tool.until("ran d/a\n");
}

#[test]
fn a_hidden_path_does_not_delay_the_others() {
    let args =
        ["-m", "--exclude", "/noise", "--debounce", "50", "d", "--exec", "echo", "ran", "{}"];
    let tool = Tool::start(&args);
    tool.write("d/a");
    let ran = || tool.so_far().contains("ran d/a\n");
    // It is never quiet before the command has run.
    wait_for("the run", || {
        tool.write("d/noise");
        ran()
    });
}

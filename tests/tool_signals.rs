//! SIGTERM, SIGINT and SIGHUP end the tool in every state. Each test would wait for ever otherwise.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};
use support::tool::wait_for;
use support::{Program, lossy, skip};
use tempfile::TempDir;

#[path = "tool/mod.rs"]
mod support;
mod traced;

const SIGNALS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::HUP];

fn with_d() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    dir
}

/// Starts the tool with a command that prints `started`, and waits for that.
fn with_command(options: &[&str], script: &str) -> (TempDir, Program) {
    let dir = with_d();
    let args = [options, &["-m", "d", "--run-at-start", "--exec", "sh", "-c", script]].concat();
    let program = Program::start(&mut support::tool(dir.path(), &args));
    program.events.until("started\n");
    (dir, program)
}

/// Waits until the tool and all processes that have its pipes have ended. Returns the status of the tool.
fn ended(program: &mut Program) -> ExitStatus {
    program.end();
    program.child.wait().unwrap()
}

fn assert_killed(program: &mut Program, signal: Signal) {
    program.signal(signal);
    assert_eq!(ended(program).signal(), Some(signal.as_raw()));
}

/// Waits until a thread of the program sleeps in a function of the kernel with one of these names. Returns at once if
/// the kernel does not tell the names.
fn wait_until_blocked(child: u32, names: &[&str]) {
    let file = format!("/proc/{child}/wchan");
    wait_for(names[0], || {
        let name = fs::read_to_string(&file).unwrap_or_default();
        name.is_empty()
            || name == "0" && is_hidden()
            || names.iter().any(|known| name.contains(known))
    });
}

/// Returns `true` if the kernel does not tell where a process sleeps.
fn is_hidden() -> bool {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    wait_for("sleep", || fs::read_to_string(&stat).unwrap().contains("(sleep) S"));
    let name = fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
    child.kill().unwrap();
    child.wait().unwrap();
    name == "0" || name.is_empty()
}

#[test]
fn a_signal_ends_the_tool_and_its_command() {
    for signal in SIGNALS {
        let (_dir, mut program) = with_command(&[], "echo started; exec sleep 1000");
        assert_killed(&mut program, signal);
    }
}

#[test]
fn a_signal_ends_all_processes_of_the_command() {
    let (_dir, mut program) = with_command(&[], "(echo started; sleep 1000) & sleep 1000 & wait");
    assert_killed(&mut program, Signal::TERM);
}

#[test]
fn the_command_gets_the_chosen_signal() {
    let script = "trap 'echo told; exit' USR1; echo started; while :; do sleep 0.01; done";
    let (_dir, mut program) = with_command(&["--signal=USR1"], script);
    program.signal(Signal::TERM);
    let text = lossy(&program.end().events);
    assert_eq!(text, "started\ntold\n");
}

#[test]
fn a_command_that_ignores_the_signal_is_killed_after_the_stop_timeout() {
    let script = "trap '' TERM; echo started; sleep 1000";
    let (_dir, mut program) = with_command(&["--stop-timeout=0.1"], script);
    assert_killed(&mut program, Signal::TERM);
}

#[test]
fn a_second_signal_kills_a_command_that_ignores_the_first() {
    let script = "trap '' TERM; trap 'echo told' INT; echo started; while :; do sleep 0.01; done";
    let (_dir, mut program) = with_command(&["--stop-timeout=1000", "--signal=INT"], script);
    program.signal(Signal::TERM);
    program.events.until("told\n");
    assert_killed(&mut program, Signal::TERM);
}

#[test]
fn a_signal_ends_a_tool_that_waits_for_its_last_command() {
    let dir = with_d();
    let script = "echo started; exec sleep 1000";
    let args = ["-e", "create", "d", "--exec", "sh", "-c", script];
    let mut program = Program::established(&mut support::tool(dir.path(), &args));
    support::write(dir.path().join("d/a"), "");
    program.events.until("started\n");
    assert_killed(&mut program, Signal::TERM);
}

#[test]
fn a_signal_ends_a_tool_whose_output_is_a_full_pipe() {
    for signal in SIGNALS {
        let dir = with_d();
        // Nobody reads it.
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
        fcntl_setfl(&writer, OFlags::empty()).unwrap();
        let mut command = support::tool(dir.path(), &["-m", "d"]);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
        let mut child = support::spawn(&mut command).unwrap();
        support::wait_for_watches(&child, 1);
        support::write(dir.path().join("d/a"), "");
        wait_until_blocked(child.id(), &["pipe"]);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
    }
}

/// Returns a directory with `d` and a FIFO that no other process opens.
fn with_fifo() -> TempDir {
    let dir = with_d();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, dir.path().join("fifo"), FileType::Fifo, mode, 0).unwrap();
    dir
}

#[test]
fn a_signal_ends_a_tool_that_opens_a_fifo() {
    for (signal, option) in SIGNALS.into_iter().zip(["-o", "--fromfile", "-o"]) {
        let dir = with_fifo();
        let args = ["-m", option, "fifo", "d"];
        let mut program = Program::start(&mut support::tool(dir.path(), &args));
        wait_until_blocked(program.child.id(), &["fifo", "partner", "pipe"]);
        assert_killed(&mut program, signal);
    }
}

#[test]
fn a_signal_ends_the_set_up_of_a_big_tree() {
    if !traced::works() {
        skip(&format!("a signal during a long set-up: {}", traced::MISSING));
        return;
    }
    let dir = with_d();
    for number in 0..100 {
        fs::create_dir(dir.path().join(format!("d/{number}"))).unwrap();
    }
    // Each watch takes a second.
    let slow = "inject=inotify_add_watch:delay_enter=1000000";
    let trace = ["-f", "-qq", "-o", "trace", "-e", "signal=none", "-e", "trace=inotify_add_watch"];
    let args = [&trace[..], &["-e", slow, env!("CARGO_BIN_EXE_tinotify"), "-mr", "-o", "log", "d"]]
        .concat();
    let mut program = Program::start(&mut support::program("strace".as_ref(), dir.path(), &args));
    program.messages.until("this may take a while!\n");
    let tool = child_of(program.child.id());
    kill_process(tool, Signal::TERM).unwrap();
    let ended = program.end();
    assert!(!ended.messages.contains("established"), "{}", ended.messages);
}

/// Waits for the first child of a process.
fn child_of(parent: u32) -> Pid {
    let mut found = None;
    wait_for("the child", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        found = numbers.find(|number: &i32| {
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            // The name of the program can have spaces and brackets.
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            fields.split_whitespace().nth(1) == Some(&parent.to_string())
        });
        found.is_some()
    });
    Pid::from_raw(found.unwrap()).unwrap()
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let dir = with_d();
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let script = "trap '' HUP INT; exec \"$@\"";
    let args = ["-c", script, "sh", tool, "-m", "-e", "create", "d"];
    let mut program = Program::established(&mut support::program("sh".as_ref(), dir.path(), &args));
    for signal in [Signal::HUP, Signal::INT] {
        program.signal(signal);
    }
    support::write(dir.path().join("d/a"), "");
    program.events.until("CREATE a\n");
    assert_killed(&mut program, Signal::TERM);
}

#[test]
fn process_1_ends_with_the_status_of_a_shell() {
    let dir = with_d();
    let tool = env!("CARGO_BIN_EXE_tinotify");
    let rooted = rustix::process::geteuid().is_root();
    let options: &[&str] = if rooted { &["-pf"] } else { &["-Urpf"] };
    let args = [options, &["--kill-child", tool, "-m", "d"]].concat();
    let mut command = support::program("unshare".as_ref(), dir.path(), &args);
    if support::output(Command::new("unshare").args(options).arg("true"))
        .is_ok_and(|output| output.status.success())
    {
        let mut program = Program::established(&mut command);
        kill_process(child_of(program.child.id()), Signal::TERM).unwrap();
        assert_eq!(ended(&mut program).code(), Some(128 + Signal::TERM.as_raw()));
    } else {
        skip("the tool as process 1: unshare(1) cannot make a new PID namespace");
    }
}

#[test]
fn the_output_is_complete_after_a_signal() {
    let dir = with_d();
    let mut program = Program::established(&mut support::tool(
        dir.path(),
        &["-m", "-e", "create", "--stats", "d"],
    ));
    support::write(dir.path().join("d/a"), "");
    program.events.until("CREATE a\n");
    program.signal(Signal::HUP);
    let ended = program.end();
    assert!(ended.messages.contains("1 shown, 0 hidden"), "{}", ended.messages);
}

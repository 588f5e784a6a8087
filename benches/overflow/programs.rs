//! The rivals in a process of their own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::readers::{NOTIFY, QUIET, Reader};
use crate::writer::Writer;

const SAMPLE: usize = 1_000;

/// A program that prints events to /dev/null.
pub struct Program {
    process: Child,
    /// Open, so that the program can write messages.
    _messages: BufReader<ChildStderr>,
    /// The bytes that it prints for an event.
    line: usize,
    /// The bytes that it had printed before the current order.
    before: usize,
}

impl Program {
    /// Starts the tool or inotifywait.
    pub fn start_tool(program: &str, root: &Path, writer: &mut Writer) -> Self {
        let mut command = Command::new(program);
        command.args(["-m", "-r", "-e", "modify"]).arg(root);
        Self::start(command, writer)
    }

    /// Starts notify.
    pub fn start_notify(root: &Path, writer: &mut Writer) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(NOTIFY).arg(root);
        Self::start(command, writer)
    }

    fn start(mut command: Command, writer: &mut Writer) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(process.stderr.take().unwrap());
        let mut message = String::new();
        while !message.contains("Watches established") {
            message.clear();
            assert_ne!(messages.read_line(&mut message).unwrap(), 0, "the program ended too early");
        }
        let mut program = Self { process, _messages: messages, line: 0, before: 0 };
        program.measure_line(writer);
        program
    }

    /// Finds the number of bytes of each line. All paths have the same length.
    fn measure_line(&mut self, writer: &mut Writer) {
        let before = self.written();
        writer.order(SAMPLE, Some(100_000.0));
        writer.time();
        self.wait_until_quiet(usize::MAX, || true);
        let bytes = self.written() - before;
        assert_eq!(bytes % SAMPLE, 0, "lines have different lengths");
        self.line = bytes / SAMPLE;
        assert_ne!(self.line, 0, "the program prints nothing");
    }

    /// Returns the bytes that the program has written, to files of all kinds.
    fn written(&self) -> usize {
        let counters = fs::read_to_string(format!("/proc/{}/io", self.process.id())).unwrap();
        let written = counters.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        written.parse().unwrap()
    }

    /// Waits until a number of bytes is written, or until `is_done` and nothing more is written.
    fn wait_until_quiet(&self, expected: usize, is_done: impl Fn() -> bool) {
        let (mut last, mut since) = (self.written(), Instant::now());
        while last < expected {
            sleep(Duration::from_millis(2));
            let written = self.written();
            if written != last {
                (last, since) = (written, Instant::now());
            } else if since.elapsed() > QUIET && is_done() {
                return;
            }
        }
    }
}

impl Reader for Program {
    fn begin(&mut self) {
        self.before = self.written();
    }

    fn read(&mut self, expected: usize, writer: &Writer) -> bool {
        let end = self.before + expected * self.line;
        self.wait_until_quiet(end, || writer.is_done());
        let is_complete = self.written() == end;
        if !is_complete {
            self.wait_until_quiet(usize::MAX, || writer.is_done());
        }
        !is_complete
    }

    fn pause(&self) {
        kill_process(Pid::from_child(&self.process), Signal::STOP).unwrap();
    }

    fn resume(&self) {
        kill_process(Pid::from_child(&self.process), Signal::CONT).unwrap();
    }

    fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanoseconds = tasks.map(|task| {
            let times = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            times.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! Shared by the tests of the tool: running programs, and their output.

// Each test binary uses some of this.
#![allow(dead_code)]

pub mod beside;
pub mod scene;
pub mod terminal;
#[path = "tool.rs"]
pub mod tool;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The time after which a test fails instead of waiting. A test that passes never reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const ESTABLISHED: &str = "Watches established.\n";

/// The output of a program, read from a pipe.
#[derive(Clone, Default)]
pub struct Text(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The text so far, and whether the pipe is closed.
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Text {
    pub fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let writer = text.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let len = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = writer.0.state.lock().unwrap();
                state.0.extend_from_slice(&buffer[..len]);
                state.1 = len == 0;
                writer.0.changed.notify_all();
                if len == 0 {
                    return;
                }
            }
        });
        text
    }

    /// Waits until the text is `enough`, or the pipe is closed.
    fn wait(&self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let begin = Instant::now();
        let mut state = self.0.state.lock().unwrap();
        while !enough(&state.0) && !state.1 {
            let Some(left) = DEADLINE.checked_sub(begin.elapsed()) else {
                let text = lossy(&state.0);
                drop(state);
                panic!("timeout after: {text}");
            };
            state = self.0.changed.wait_timeout(state, left).unwrap().0;
        }
        state.0.clone()
    }

    pub fn so_far(&self) -> Vec<u8> {
        self.0.state.lock().unwrap().0.clone()
    }

    pub fn until(&self, what: impl AsRef<[u8]>) -> Vec<u8> {
        let what = what.as_ref();
        let text = self.wait(|text| contains(text, what));
        assert!(contains(&text, what), "no {} in: {}", lossy(what), lossy(&text));
        text
    }

    pub fn to_end(&self) -> Vec<u8> {
        self.wait(|_| false)
    }
}

pub fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running program. Dropping it kills the program.
pub struct Program {
    pub child: Child,
    pub events: Text,
    pub messages: Text,
}

/// The result of a program that has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub events: Vec<u8>,
    pub messages: String,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command).unwrap();
        let events = Text::of(child.stdout.take().unwrap());
        let messages = Text::of(child.stderr.take().unwrap());
        Self { child, events, messages }
    }

    /// Starts a program, and waits for its message that the watches are set up.
    pub fn established(command: &mut Command) -> Self {
        let program = Self::start(command);
        program.messages.until(ESTABLISHED);
        program
    }

    /// Starts a program that prints no message, and waits until it has `count` watches.
    pub fn watching(command: &mut Command, count: usize) -> Self {
        let program = Self::start(command);
        wait_for_watches(&program.child, count);
        program
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program ends.
    pub fn end(&mut self) -> Ended {
        let begin = Instant::now();
        let (events, messages) = (self.events.to_end(), lossy(&self.messages.to_end()));
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < DEADLINE, "the program does not end");
            thread::yield_now();
        };
        Ended { code: status.code(), events, messages }
    }
}

/// Does the work while no other test forks. A forked child has a copy of each open descriptor until it calls exec.
/// A file that another test is writing would be closed only then, and its `CLOSE_WRITE` would come late.
fn without_fork<T>(work: impl FnOnce() -> T) -> T {
    static FORK: Mutex<()> = Mutex::new(());
    let _lock = FORK.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Starts a program. It has called exec when this returns.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    without_fork(|| command.spawn())
}

/// Runs a program to its end, without input.
pub fn output(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command)?.wait_with_output()
}

/// Writes a file, and closes it before any other test forks.
pub fn write(path: impl AsRef<Path>, text: &str) {
    without_fork(|| fs::write(path, text)).unwrap();
}

/// Waits until a program has `count` watches, which the kernel lists in /proc.
pub fn wait_for_watches(child: &Child, count: usize) {
    let begin = Instant::now();
    let dir = format!("/proc/{}/fdinfo", child.id());
    loop {
        let infos = fs::read_dir(&dir).into_iter().flatten().flatten();
        let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
        if texts.map(|text| text.matches("inotify wd:").count()).sum::<usize>() >= count {
            return;
        }
        assert!(begin.elapsed() < DEADLINE, "the program does not have {count} watches");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Creates a directory that other users may enter: in memory if possible, since changes on a busy disk take time.
pub fn scratch_in_memory() -> TempDir {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Makes as many events in a directory as the kernel queues, while their reader is stopped.
pub fn fill_queue(dir: &Path) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for _ in 0..=limit.trim().parse::<usize>().unwrap() / 2 {
        // Two events that the kernel does not merge.
        fs::create_dir(dir.join("churn")).unwrap();
        fs::remove_dir(dir.join("churn")).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a command that runs the tool in a directory.
pub fn tool(dir: &Path, args: &[impl AsRef<OsStr>]) -> Command {
    program(OsStr::new(env!("CARGO_BIN_EXE_tinotify")), dir, args)
}

pub fn program(program: &OsStr, dir: &Path, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env("TZ", "XYZ-5:30").env("LC_ALL", "C");
    command
}

/// Returns inotifywait, or the program in `INOTIFYWAIT`, and its version. Prints a message if it is not
/// installed.
pub fn inotifywait() -> Option<(OsString, u32)> {
    let program = std::env::var_os("INOTIFYWAIT").unwrap_or_else(|| "inotifywait".into());
    let Ok(output) = output(Command::new(&program).arg("--help")) else {
        skip("comparison with inotifywait: it is not installed (inotify-tools)");
        return None;
    };
    let help = String::from_utf8(output.stdout).unwrap();
    let version = help.lines().next().unwrap().split(' ').nth(1).unwrap();
    let major = version.split('.').next().unwrap().parse().unwrap();
    Some((program, major))
}

/// Prints that something was not tested. The test runner does not capture this.
pub fn skip(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// Returns names that are known to break programs.
pub fn hostile_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        &b"plain"[..],
        b"new\nline",
        b"\nfirst",
        b"last\n",
        b"tab\there",
        b"\x1b[2J\x1b]0;title\x07",
        b"\xff\xfe\x80",
        b"half \xc3",
        b"-rf",
        b"--",
        b"a,b",
        b"\"quoted\"",
        b"\"",
        b" leading and trailing ",
        b"a\"b,c\nd",
        b"%w%f%n",
        b"\\n \\ \\\\",
        b"carriage\rreturn",
        b"\x01\x7f\xc2\x9b",
        "\u{e9}\u{1F600}\u{202E}".as_bytes(),
        "line\u{2028}paragraph\u{2029}\u{2066}isolated\u{2069}\u{200F}".as_bytes(),
        b"{}",
        b"@at",
        b"'$(true)`true`;&|",
    ]
    .map(<[u8]>::to_vec)
    .into();
    names.push(vec![b'x'; 255]);
    names.push([&[b'"'; 254][..], b","].concat());
    names.push(vec![0xff; 255]);
    names
}

pub fn path(dir: &Path, name: impl AsRef<[u8]>) -> PathBuf {
    dir.join(OsStr::from_bytes(name.as_ref()))
}

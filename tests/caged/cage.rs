//! A root directory for one program. A copy of the test binary changes to it, and then executes the
//! program.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::Pid;
use tempfile::TempDir;

use super::programs::{NATIVE, PROGRAMS, X86_64, native};
use crate::support;
use crate::support::{DEADLINE, as_plain_user, is_root, scratch, skipped};

const CAGE: &str = "TINOTIFY_CAGE";

/// A root directory that has only the programs and the directories that they need.
pub struct Cage {
    root: TempDir,
    /// Has a copy of this test binary, because a plain user may have no permission for its directory.
    entry: TempDir,
    plain_user: bool,
}

impl Cage {
    pub fn new(plain_user: bool) -> Self {
        let (root, entry) = (scratch(), scratch());
        for (_, program) in PROGRAMS {
            let name = Path::new(program).file_name().unwrap();
            fs::copy(native(program), root.path().join(name)).unwrap();
        }
        fs::copy(env::current_exe().unwrap(), entry.path().join("entry")).unwrap();
        let cage = Self { root, entry, plain_user: plain_user && is_root() };
        for dir in ["etc", "etc/services", "run"] {
            cage.make_dir(dir);
        }
        cage
    }

    /// Creates a directory that belongs to the user of the program.
    pub fn make_dir(&self, dir: &str) {
        fs::create_dir(self.path(dir)).unwrap();
        if self.plain_user {
            std::os::unix::fs::chown(self.path(dir), Some(65534), Some(65534)).unwrap();
        }
    }

    /// Returns `true` if this machine permits the namespaces. Prints a message otherwise.
    pub fn is_permitted(&self, test: &str) -> bool {
        let try_it = || Command::new("unshare").args(NAMESPACES).arg("true").output();
        let tried = if self.plain_user { as_plain_user(try_it) } else { try_it() };
        let why = match tried {
            Ok(output) if output.status.success() => return true,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("unshare(1): {error}"),
        };
        let user = if self.plain_user { "plain user" } else { "this user" };
        skipped(test, format_args!("no namespaces for {user}: {why}"));
        false
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Creates or replaces a file atomically.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        let new = path.with_file_name(".new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Runs a program as the first process of a namespace in this root. Permits only these system calls, or
    /// all.
    pub fn run(&self, command: &[&str], calls: Option<&BTreeSet<String>>) -> Running {
        self.run_by(Command::new("unshare"), command, calls)
    }

    /// Runs a program as [`run`](Self::run) does. `unshare` is unshare(1), or a command that runs it.
    pub fn run_by(
        &self,
        mut unshare: Command,
        command: &[&str],
        calls: Option<&BTreeSet<String>>,
    ) -> Running {
        let calls = calls.map(|calls| calls.iter().cloned().collect::<Vec<_>>().join(","));
        unshare.args(NAMESPACES).arg(self.entry.path().join("entry"));
        unshare.args(["--exact", ENTRY, "--nocapture", "--test-threads=1"]);
        unshare.env(CAGE, self.root.path());
        unshare.env("TINOTIFY_CAGE_RUN", command.join("\n"));
        unshare.env("TINOTIFY_CAGE_CALLS", calls.unwrap_or_default());
        if self.plain_user {
            as_plain_user(move || Running::new(unshare))
        } else {
            Running::new(unshare)
        }
    }
}

const NAMESPACES: [&str; 6] =
    ["--user", "--map-root-user", "--pid", "--mount", "--fork", "--kill-child"];

/// The test that changes to the root and executes the program.
const ENTRY: &str = "caged::cage::entry_of_a_cage";

#[test]
fn entry_of_a_cage() {
    enter();
}

/// Executes the program of a cage, if the environment names one.
fn enter() {
    use rustix::mount::{UnmountFlags, mount_bind_recursive, unmount};
    let Some(root) = env::var_os(CAGE) else { return };
    let command = env::var("TINOTIFY_CAGE_RUN").unwrap();
    let words = command.split('\n');
    mount_bind_recursive(&root, &root).unwrap();
    env::set_current_dir(&root).unwrap();
    // This mounts the old root over the new one, and then unmounts it (pivot_root(2)).
    rustix::process::pivot_root(".", ".").unwrap();
    unmount(".", UnmountFlags::DETACH).unwrap();
    env::set_current_dir("/").unwrap();
    assert!(!Path::new("/proc").exists() && !Path::new("/dev").exists());

    // Not by `Command`, which makes more calls than execve(2) after the filter is set.
    let words: Vec<_> = words.map(support::c).collect();
    let environment: [CString; 0] = [];
    let calls = env::var("TINOTIFY_CAGE_CALLS").unwrap();
    if !calls.is_empty() {
        permit_only(calls.split(','));
    }
    let Err(error) = nix::unistd::execve(&words[0], &words, &environment);
    panic!("{command:?}: {error}");
}

/// Makes the kernel kill this process at any other call. Also permits execve(2).
fn permit_only<'a>(calls: impl Iterator<Item = &'a str>) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
    let number = |call: &str| {
        let call: syscalls::Sysno = call.parse().unwrap();
        i64::from(call.id())
    };
    let rules: BTreeMap<_, _> =
        calls.chain(["execve"]).map(|call| (number(call), Vec::new())).collect();
    let arch = if NATIVE == X86_64 { TargetArch::x86_64 } else { TargetArch::aarch64 };
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

/// A running program, and the lines that it prints to standard error.
pub struct Running {
    pub child: Child,
    pub lines: Receiver<String>,
    /// The lines that were read so far.
    pub seen: Vec<String>,
}

impl Running {
    pub fn new(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with this beginning, and returns the rest of the line.
    pub fn wait_for_line(&mut self, begin: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(rest) else {
                panic!("no line begins with {begin:?}: {:#?}", self.seen)
            };
            self.seen.push(line.clone());
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    pub fn status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                None => panic!("the program does not end: {:#?}", self.seen),
            }
        }
    }

    /// Waits for the end of the output, and returns the lines that were not read yet.
    pub fn rest(&mut self) -> Vec<String> {
        self.lines.iter().collect()
    }

    /// Waits until the first process of the namespace runs this program. Returns its number outside the
    /// namespace.
    pub fn first(&self, program: &str) -> Pid {
        let deadline = Instant::now() + DEADLINE;
        let id = self.child.id();
        loop {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            let first = children.unwrap_or_default().trim().parse::<i32>();
            if let Ok(first) = first {
                let name = fs::read_to_string(format!("/proc/{first}/comm")).unwrap_or_default();
                if name.trim_end() == program {
                    return Pid::from_raw(first).unwrap();
                }
            }
            assert!(Instant::now() < deadline, "{program} does not run");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The end of unshare(1) ends the namespace.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns `true` if a process sleeps.
pub fn is_waiting(pid: Pid) -> bool {
    let pid = pid.as_raw_nonzero();
    let wchan = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    wchan.rsplit_once(") ").unwrap().1.starts_with('S')
}

//! What the tests against the real kernel share: scratch directories, events read behind a fence,
//! and ways to run a test as somebody else or in a process of its own.

// Each test binary uses some of this.
#![allow(dead_code)]

use std::ffi::CString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fmt};

use tempfile::TempDir;
use tinotify::{Error, Event, EventMask, Events, InitFlags, Inotify, WatchMask, Wd};

/// Where waiting is for something that must come: never reached by a test that passes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A directory of its own for one test, removed with it. Others may enter, not write.
pub fn scratch() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

pub fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

/// An instance that does not block.
pub fn instance() -> Inotify {
    Inotify::init(InitFlags::NONBLOCK).unwrap()
}

pub fn watch(inotify: &Inotify, path: impl AsRef<Path>, mask: WatchMask) -> Wd {
    inotify.add_watch(&c(path), mask).unwrap()
}

/// An instance that does not block, and a watch of it.
pub fn watching(path: impl AsRef<Path>, mask: WatchMask) -> (Inotify, Wd) {
    let inotify = instance();
    let wd = watch(&inotify, path, mask);
    (inotify, wd)
}

/// An event with a name of its own, to be compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    pub wd: Wd,
    pub mask: EventMask,
    pub cookie: u32,
    pub name: Option<Vec<u8>>,
}

/// What is expected: an event without a name or a cookie.
pub fn ev(wd: Wd, mask: EventMask) -> Seen {
    Seen { wd, mask, cookie: 0, name: None }
}

impl Seen {
    pub fn name(self, name: impl AsRef<[u8]>) -> Self {
        Self { name: Some(name.as_ref().to_vec()), ..self }
    }

    pub fn cookie(self, cookie: u32) -> Self {
        Self { cookie, ..self }
    }

    /// The size of the record, by what the documentation says, and not by the crate's own sum.
    pub fn record_size(&self) -> usize {
        16 + self.name.as_ref().map_or(0, |name| (name.len() / 16 + 1) * 16)
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        Self {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            name: event.name().map(<[u8]>::to_vec),
        }
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wd {} {} cookie {}", self.wd, self.mask, self.cookie)?;
        match &self.name {
            Some(name) => write!(f, " \"{}\"", name.escape_ascii()),
            None => Ok(()),
        }
    }
}

/// The bytes that are queued now, as the kernel gave them. The size of the queue is the fence: all
/// that happened before is there, so nobody need wait for it.
pub fn raw_bytes(inotify: &Inotify) -> Vec<u8> {
    let queued = inotify.queued_bytes().unwrap();
    let mut bytes = Vec::with_capacity(queued);
    let mut buffer = vec![0; 1 << 16];
    while bytes.len() < queued {
        // Before the first event is taken, all the bytes remain.
        bytes.extend_from_slice(inotify.read(&mut buffer).unwrap().remainder());
    }
    assert_eq!(bytes.len(), queued, "what was read is what was queued");
    bytes
}

/// Decodes what came from the kernel: strictly, and so that encoding gives the same bytes again.
pub fn decoded(bytes: &[u8]) -> Vec<Seen> {
    let mut again = Vec::with_capacity(bytes.len());
    let mut record = [0xAA; 512];
    let mut seen = Vec::new();
    for event in Events::new(bytes).strict() {
        let event = event.expect("the kernel's bytes are events");
        let len = event.encode(&mut record).unwrap();
        again.extend_from_slice(&record[..len]);
        seen.push(Seen::from(event));
    }
    assert_eq!(bytes, again, "encoding is decoding's mirror");
    seen
}

/// The events that are queued now, cookies as they came.
pub fn drain(inotify: &Inotify) -> Vec<Seen> {
    decoded(&raw_bytes(inotify))
}

/// The events that are queued now. Cookies become 1, 2, 3 in the order in which they first come.
pub fn told(inotify: &Inotify) -> Vec<Seen> {
    let mut cookies = vec![0];
    let mut seen = drain(inotify);
    for event in &mut seen {
        let known = cookies.iter().position(|&cookie| cookie == event.cookie);
        let number = known.unwrap_or_else(|| {
            cookies.push(event.cookie);
            cookies.len() - 1
        });
        event.cookie = u32::try_from(number).unwrap();
    }
    seen
}

/// Whether the instance has nothing to tell.
pub fn is_silent(inotify: &Inotify) -> bool {
    let mut buffer = [0; 4096];
    let nothing = inotify.read(&mut buffer).is_err_and(|error| error.is_would_block());
    nothing && inotify.queued_bytes() == Ok(0) && inotify.poll(Some(Duration::ZERO)) == Ok(false)
}

/// What an error says, after checking that it says something.
pub fn text(error: Error) -> String {
    let text = error.to_string();
    assert!(text.starts_with("cannot "), "{text}");
    text
}

/// Says that a test did not run, past the capturing of output.
pub fn skipped(what: &str, why: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// The program that runs this binary where the machine itself can't, from `TINOTIFY_QEMU`.
pub fn qemu() -> Option<String> {
    env::var("TINOTIFY_QEMU").ok().filter(|program| !program.is_empty())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `work` as a user who is not root. Credentials belong to threads in Linux (the C library
/// hides that), so a thread of its own gives up its own.
pub fn as_plain_user<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                if is_root() {
                    let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
                    rustix::thread::set_thread_groups(&[]).unwrap();
                    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                    // That made /proc/thread-self root's.
                    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
                }
                assert!(!is_root());
                work()
            })
            .join()
            .unwrap()
    })
}

const CHILD: &str = "TINOTIFY_CHILD";
/// What a child prints, so that a test that was not run there does not count as passed.
const DONE: &str = "the child is done";

/// Runs the rest of a test alone in a new process: `test` is its name, `wrapper` a command that runs
/// the command behind it. In that child this gives `true`, and in the parent `false`, when the child
/// is done.
pub fn in_child(test: &str, wrapper: &[&str]) -> bool {
    if env::var(CHILD).is_ok_and(|child| child == test) {
        // The harness is silent about it; an exit status alone would also be that of no test run.
        let _ = writeln!(std::io::stdout(), "{DONE}");
        return true;
    }
    let mut line: Vec<_> = wrapper.iter().map(Into::into).collect();
    line.extend(qemu().map(Into::into));
    line.push(env::current_exe().unwrap().into_os_string());
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    run(test, command);
    false
}

/// Runs a test in this program, which is run by a command.
fn run(test: &str, mut command: Command) {
    let output = command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains(DONE), "{command:?} did not run {test}:\n{stdout}\n{stderr}");
    let is_for_all = |line: &&str| line.starts_with("SKIPPED") || line.starts_with("storm ");
    for line in stderr.lines().filter(is_for_all) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// As [`in_child`], for a process that is not root's. Gives `false` where none is to be had, after
/// saying so.
pub fn in_plain_process(test: &str) -> bool {
    use std::os::unix::process::CommandExt;
    if env::var(CHILD).is_ok() {
        return in_child(test, &[]);
    }
    // Not by its path, which a plain user may not be permitted to go.
    let command = || {
        let mut command = Command::new("/proc/self/exe");
        if is_root() {
            command.uid(65534).gid(65534).current_dir("/");
        }
        command
    };
    match command().arg("--list").output() {
        Ok(output) if output.status.success() => run(test, command()),
        Ok(output) => skipped(test, format_args!("no plain user: {}", output.status)),
        Err(error) => skipped(test, format_args!("no plain user: {error}")),
    }
    false
}

/// As [`in_child`], for a process that is root in a new user namespace with its own mounts. Gives
/// `false` where the machine permits none, after saying so.
pub fn in_namespace(test: &str) -> bool {
    const UNSHARE: [&str; 2] = ["unshare", "-Urm"];
    if env::var(CHILD).is_err() {
        let tried = Command::new(UNSHARE[0]).args(&UNSHARE[1..]).arg("true").output();
        let why = match tried {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(format!("unshare(1): {error}")),
        };
        if let Some(why) = why {
            skipped(test, format_args!("no user namespace: {why}"));
            return false;
        }
    }
    in_child(test, &UNSHARE)
}

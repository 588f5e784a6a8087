//! Shared by the tests with the real kernel: scratch directories, reading events, and running a test as
//! another user or in a separate process.

// Each test binary uses some of this.
#![allow(dead_code)]

use std::ffi::CString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use tempfile::TempDir;
use tinotify::{Error, Event, EventMask, Events, InitFlags, Inotify, WatchMask, Wd};

/// The time after which a test fails instead of waiting. A test that passes never reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition that no event reports.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "timeout: {what}");
        thread::yield_now();
    }
}

/// Creates a directory for one test, which is removed on drop. Other users may enter it, but not write.
pub fn scratch() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

pub fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

/// Creates a non-blocking instance.
pub fn instance() -> Inotify {
    Inotify::init(InitFlags::NONBLOCK).unwrap()
}

pub fn watch(inotify: &Inotify, path: impl AsRef<Path>, mask: WatchMask) -> Wd {
    inotify.add_watch(&c(path), mask).unwrap()
}

/// Creates a non-blocking instance with one watch.
pub fn watching(path: impl AsRef<Path>, mask: WatchMask) -> (Inotify, Wd) {
    let inotify = instance();
    let wd = watch(&inotify, path, mask);
    (inotify, wd)
}

/// An event that owns its name, for comparisons.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedEvent {
    pub wd: Wd,
    pub mask: EventMask,
    pub cookie: u32,
    pub name: Option<Vec<u8>>,
}

/// Returns an event without a name and a cookie.
pub fn ev(wd: Wd, mask: EventMask) -> OwnedEvent {
    OwnedEvent { wd, mask, cookie: 0, name: None }
}

impl OwnedEvent {
    pub fn name(self, name: impl AsRef<[u8]>) -> Self {
        Self { name: Some(name.as_ref().to_vec()), ..self }
    }

    pub fn cookie(self, cookie: u32) -> Self {
        Self { cookie, ..self }
    }

    /// Returns the size of the record as inotify(7) documents it, independent of the crate's code.
    pub fn record_size(&self) -> usize {
        16 + self.name.as_ref().map_or(0, |name| (name.len() / 16 + 1) * 16)
    }
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        Self {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            name: event.name().map(<[u8]>::to_vec),
        }
    }
}

impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wd {} {} cookie {}", self.wd, self.mask, self.cookie)?;
        match &self.name {
            Some(name) => write!(f, " \"{}\"", name.escape_ascii()),
            None => Ok(()),
        }
    }
}

/// Reads the bytes that are queued now. The size of the queue is the fence: it includes all earlier
/// changes, so no wait is needed.
pub fn raw_bytes(inotify: &Inotify) -> Vec<u8> {
    let queued = inotify.queued_bytes().unwrap();
    let mut bytes = Vec::with_capacity(queued);
    let mut buffer = vec![0; 1 << 16];
    while bytes.len() < queued {
        // Before the first event is decoded, the remainder is all bytes.
        bytes.extend_from_slice(inotify.read(&mut buffer).unwrap().remainder());
    }
    assert_eq!(bytes.len(), queued, "bytes read, bytes queued");
    bytes
}

/// Decodes the kernel's bytes with the strict decoder, and checks that encoding writes the same bytes.
pub fn decoded(bytes: &[u8]) -> Vec<OwnedEvent> {
    let mut encoded = Vec::with_capacity(bytes.len());
    let mut record = [0xAA; 512];
    let mut seen = Vec::new();
    for event in Events::new(bytes).strict() {
        let event = event.expect("a valid record from the kernel");
        let len = event.encode(&mut record).unwrap();
        encoded.extend_from_slice(&record[..len]);
        seen.push(OwnedEvent::from(event));
    }
    assert_eq!(bytes, encoded, "the encoded events");
    seen
}

/// Reads the events that are queued now. The cookies are those of the kernel.
pub fn drain(inotify: &Inotify) -> Vec<OwnedEvent> {
    decoded(&raw_bytes(inotify))
}

/// Reads the events that are queued now. Replaces the cookies by 1, 2, 3 in order of appearance.
pub fn events_of(inotify: &Inotify) -> Vec<OwnedEvent> {
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

/// Returns `true` if no event is queued.
pub fn is_silent(inotify: &Inotify) -> bool {
    let mut buffer = [0; 4096];
    let would_block = inotify.read(&mut buffer).is_err_and(|error| error.is_would_block());
    would_block
        && inotify.queued_bytes() == Ok(0)
        && inotify.poll(Some(Duration::ZERO)) == Ok(false)
}

/// Returns the message of an error, and checks its start.
pub fn text(error: Error) -> String {
    let text = error.to_string();
    assert!(text.starts_with("cannot "), "{text}");
    text
}

/// Prints that a test did not run. The test runner does not capture this.
pub fn skipped(what: &str, why: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// Returns the emulator in `TINOTIFY_QEMU` that runs this binary, if the machine itself can't.
pub fn qemu() -> Option<String> {
    env::var("TINOTIFY_QEMU").ok().filter(|program| !program.is_empty())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `work` as a user other than root. In Linux each thread has its own credentials (the C library
/// hides that), so a new thread changes them for itself.
pub fn as_plain_user<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
    thread::scope(|scope| {
        scope
            .spawn(|| {
                if is_root() {
                    let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
                    rustix::thread::set_thread_groups(&[]).unwrap();
                    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                    // The change of the user has given /proc/thread-self to root.
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
/// Printed by a child, so that the parent knows that the test ran.
const DONE: &str = "the child is done";

/// Runs the rest of a test in a new process. `test` is the name of the test. `wrapper` is the start of a
/// command line that runs the rest of the line. Returns `true` in the child, and `false` in the parent
/// after the child has ended.
pub fn in_child(test: &str, wrapper: &[&str]) -> bool {
    if env::var(CHILD).is_ok_and(|child| child == test) {
        // The exit status is also zero if the test runner finds no test of this name.
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

/// Runs one test of this binary by a command that starts the binary.
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
    let is_forwarded = |line: &&str| line.starts_with("SKIPPED") || line.starts_with("storm ");
    for line in stderr.lines().filter(is_forwarded) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Like [`in_child`], in a process of a user other than root. Prints a message and returns `false` if such
/// a process can't be started.
pub fn in_plain_process(test: &str) -> bool {
    use std::os::unix::process::CommandExt;
    if env::var(CHILD).is_ok() {
        return in_child(test, &[]);
    }
    // Not by its path: a plain user may have no permission to search it.
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

/// Like [`in_child`], in a process that is root in a new user namespace with its own mounts. Prints a
/// message and returns `false` if the machine does not permit that.
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

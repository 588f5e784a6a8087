//! Turns signals into descriptors to poll and flags to read.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

/// The signals that the main thread waits for.
#[derive(Debug)]
pub struct Wakeups {
    /// Readable after a signal.
    read: UnixStream,
    write: UnixStream,
    reopen: Arc<AtomicBool>,
}

impl Wakeups {
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        Ok(Self { read, write, reopen: Arc::default() })
    }

    /// Returns a stream that wakes the main thread when a byte is written to it.
    pub fn waker(&self) -> io::Result<UnixStream> {
        self.write.try_clone()
    }

    /// Catches SIGUSR1 for [`take_reopen`](Self::take_reopen).
    pub fn catch_reopen(&self) -> io::Result<()> {
        flag::register(SIGUSR1, Arc::clone(&self.reopen))?;
        low_level::pipe::register(SIGUSR1, self.waker()?)?;
        Ok(())
    }

    /// Makes the descriptor readable after SIGCHLD too.
    pub fn catch_children(&self) -> io::Result<()> {
        low_level::pipe::register(SIGCHLD, self.waker()?)?;
        Ok(())
    }

    /// Makes the descriptor unreadable until the next signal. Call it before reading the flags, so that a
    /// later signal makes it readable again.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.read).read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// Returns `true` if there was a SIGUSR1 since the last call.
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Wakeups {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// The signals that end the program: SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub struct EndSignals {
    read: UnixStream,
    last: Arc<AtomicUsize>,
}

impl EndSignals {
    /// Catches those that were not ignored when the program was started. A shell ignores SIGINT for commands in
    /// the background, and nohup(1) ignores SIGHUP.
    pub fn catch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let last: Arc<AtomicUsize> = Arc::default();
        let ignored = ignored();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored & 1 << (signal - 1) != 0 {
                continue;
            }
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&last), number)?;
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self { read, last })
    }

    /// Waits for a signal, and returns it.
    pub fn next(&self) -> i32 {
        let mut byte = [0];
        loop {
            // An error is EINTR.
            if matches!((&self.read).read(&mut byte), Ok(1)) {
                return i32::try_from(self.last.load(Ordering::Relaxed)).unwrap_or(SIGTERM);
            }
        }
    }

    /// Waits for another signal. Returns `false` after `timeout`.
    pub fn is_repeated(&self, timeout: Duration) -> bool {
        let mut fds = [PollFd::new(&self.read, PollFlags::IN)];
        // Interrupted by a signal, it returns early: the next call waits for the rest.
        matches!(poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()), Ok(1))
    }
}

/// Returns the signals that are ignored, one bit each. Safe Rust cannot call sigaction(2), so it reads /proc: the field
/// `sigignore` of proc_pid_stat(5), which takes half the time of `SigIgn` in `/proc/self/status`. Without /proc it
/// returns none.
fn ignored() -> u64 {
    /// The number of fields between the name of the program and `sigignore`.
    const BEFORE: usize = 30;
    let stat = fs::read("/proc/self/stat").unwrap_or_default();
    // The name of the program is in brackets, and can contain any byte.
    let fields = stat.rsplit(|&byte| byte == b')').next().unwrap_or_default();
    let field = fields.split(|&byte| byte == b' ').filter(|field| !field.is_empty()).nth(BEFORE);
    let field = field.and_then(|field| std::str::from_utf8(field).ok());
    field.and_then(|bits| bits.parse().ok()).unwrap_or(0)
}

/// Ends the program by this signal, so that its parent sees the real reason.
pub fn die_of(signal: i32) {
    // The kernel protects process 1 from signals without a handler: see pid_namespaces(7).
    if process::id() == 1 {
        process::exit(signal.saturating_add(128));
    }
    let _ = low_level::emulate_default_handler(signal);
}

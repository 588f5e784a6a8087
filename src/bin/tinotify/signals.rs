//! Turns signals into a descriptor to poll and flags to read.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

#[derive(Debug)]
pub struct Signals {
    /// Readable after a signal.
    read: UnixStream,
    write: UnixStream,
    end: Arc<AtomicUsize>,
    reopen: Arc<AtomicBool>,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        Ok(Self { read, write, end: Arc::default(), reopen: Arc::default() })
    }

    /// Catches SIGHUP for [`take_reopen`](Self::take_reopen).
    pub fn catch_reopen(&self) -> io::Result<()> {
        flag::register(SIGHUP, Arc::clone(&self.reopen))?;
        self.wake_at(SIGHUP)
    }

    /// Catches SIGINT and SIGTERM for [`end`](Self::end).
    pub fn catch_end(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&self.end), number)?;
            self.wake_at(signal)?;
        }
        Ok(())
    }

    /// Makes the descriptor readable after SIGCHLD too.
    pub fn catch_children(&self) -> io::Result<()> {
        self.wake_at(SIGCHLD)
    }

    fn wake_at(&self, signal: i32) -> io::Result<()> {
        low_level::pipe::register(signal, self.write.try_clone()?)?;
        Ok(())
    }

    /// Makes the descriptor unreadable until the next signal. Call it before reading the flags, so that a
    /// later signal makes it readable again.
    pub fn clear_wakeups(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.read).read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// Returns the last SIGINT or SIGTERM.
    pub fn end(&self) -> Option<i32> {
        match self.end.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Returns `true` if there was a SIGHUP since the last call.
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// Ends the program by this signal, so that its parent sees the real reason.
pub fn die_of(signal: i32) {
    let _ = low_level::emulate_default_handler(signal);
}

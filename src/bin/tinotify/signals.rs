//! Signals, as something that can be polled and asked for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

#[derive(Debug)]
pub struct Signals {
    pipe: UnixStream,
    write: UnixStream,
    end: Arc<AtomicUsize>,
    reopen: Arc<AtomicBool>,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        Ok(Self { pipe, write, end: Arc::default(), reopen: Arc::default() })
    }

    /// From now on SIGHUP is to [`reopen`](Self::reopen), and not to die.
    pub fn catch_reopen(&self) -> io::Result<()> {
        flag::register(SIGHUP, Arc::clone(&self.reopen))?;
        self.wake_at(SIGHUP)
    }

    /// From now on SIGINT and SIGTERM are to [`end`](Self::end).
    pub fn catch_end(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&self.end), number)?;
            self.wake_at(signal)?;
        }
        Ok(())
    }

    /// From now on the end of a child wakes.
    pub fn catch_children(&self) -> io::Result<()> {
        self.wake_at(SIGCHLD)
    }

    fn wake_at(&self, signal: i32) -> io::Result<()> {
        low_level::pipe::register(signal, self.write.try_clone()?)?;
        Ok(())
    }

    /// Forgets what woke; to be called before what is to be done then.
    pub fn awake(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.pipe).read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// The signal that asks to end.
    pub fn end(&self) -> Option<i32> {
        match self.end.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Whether SIGHUP has come since this was last asked.
    pub fn reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Ends as the signal would have ended the program: whoever waits for it is told the truth.
pub fn die_of(signal: i32) {
    let _ = low_level::emulate_default_handler(signal);
}

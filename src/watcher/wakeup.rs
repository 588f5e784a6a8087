//! Wakes the thread that waits for events, and stops it.
//!
//! The counter is readable from a wake-up or a stop on. A reader that has found nothing left takes wake-ups
//! back, but never a stop. The epoll instance shows the counter and the kernel's queue as one.
//!
//! The stop flag is in the memory of this process. A forked child has a copy of it, and leaves the
//! counter alone, which it shares with its parent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::inotify::Error;
use crate::sys::{Errno, Fd};

/// An eventfd(2) that wakes the reader, and the stop flag.
#[derive(Debug)]
pub(super) struct Wakeup {
    counter: Fd,
    /// `None` where epoll(7) is refused.
    epoll: Option<Fd>,
    is_stopped: AtomicBool,
    owner: u32,
}

impl Wakeup {
    /// Returns the wakeup of the reader of a queue.
    ///
    /// # Errors
    ///
    /// Those of eventfd(2) and epoll_create1(2). It is no error if a kernel or a seccomp filter refuses
    /// epoll(7) (`ENOSYS`, `EPERM`).
    pub fn new(queue: &Fd) -> Result<Self, Error> {
        let counter = Fd::eventfd().map_err(|errno| Error::Call { name: "eventfd2", errno })?;
        let epoll = match Fd::epoll([queue, &counter]) {
            Ok(epoll) => Some(epoll),
            Err(Errno::ENOSYS | Errno::EPERM) => None,
            Err(errno) => return Err(Error::Call { name: "epoll_create1", errno }),
        };
        Ok(Self { counter, epoll, is_stopped: AtomicBool::new(false), owner: std::process::id() })
    }

    /// Returns the descriptor that becomes readable by [`wake`](Self::wake) and [`stop`](Self::stop).
    pub const fn fd(&self) -> &Fd {
        &self.counter
    }

    /// Returns the descriptor that is readable when the queue or the counter is.
    pub const fn epoll(&self) -> Option<&Fd> {
        self.epoll.as_ref()
    }

    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// Wakes the reader. Does nothing in a forked child.
    pub fn wake(&self) {
        if std::process::id() == self.owner {
            // Fails only at a count that no program reaches.
            let _ = self.counter.signal();
        }
    }

    /// Takes back all wake-ups, but not a stop.
    pub fn clear(&self) {
        // An error means that there was no wake-up.
        let _ = self.counter.read(&mut [0; 8]);
        if self.is_stopped() {
            self.wake();
        }
    }

    fn stop(&self) {
        if !self.is_stopped.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }
}

/// Stops a watcher from any thread. Every current and later wait returns
/// [`StopReason::Requested`](super::StopReason::Requested). Clones stop the same watcher.
///
/// A handle that a forked child inherits stops the child's copy of the watcher, and not its parent's.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{StopReason, WatchError, Watcher};
///
/// let mut watcher = Watcher::new()?;
/// let stop = watcher.stop_handle();
/// let reader = std::thread::spawn(move || watcher.recv().map(|event| event.to_buf()));
/// stop.stop();
/// assert!(matches!(reader.join().unwrap(), Err(WatchError::Stopped(StopReason::Requested))));
/// # }
/// # Ok::<(), tinotify::WatchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StopHandle {
    wakeup: Arc<Wakeup>,
}

impl StopHandle {
    pub(super) const fn new(wakeup: Arc<Wakeup>) -> Self {
        Self { wakeup }
    }

    /// Stops the watcher. Never blocks. Stopping again changes nothing.
    pub fn stop(&self) {
        self.wakeup.stop();
    }

    /// Returns `true` if the watcher was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.wakeup.is_stopped()
    }
}

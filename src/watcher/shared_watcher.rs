//! A watcher that several threads read.
//!
//! Invariant: only the thread that has the turn locks the watcher, so that lock is never waited for. The
//! turn is given back when an event was found, also if a filter panics.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::WatchError;
use super::event::{WatchEvent, WatchEventBuf};
use super::wakeup::StopHandle;
use super::watcher::Watcher;
use super::watches::Watches;

/// A [`Watcher`] that several threads read by shared reference. Clones read the same watcher.
///
/// Each event goes to one of the threads. It is copied, since a lent event would keep the others from
/// reading. One thread waits in the kernel at a time; the others wait for it.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{SharedWatcher, WatchMask, Watcher};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let watcher = SharedWatcher::new(Watcher::new()?);
/// watcher.watches().watch(path, WatchMask::CREATE)?;
/// # for name in ["a", "b"] {
/// #     std::fs::write(path.join(name), "")?;
/// # }
///
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| println!("{}", watcher.recv().unwrap()));
///     }
/// });
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedWatcher {
    reader: Arc<Reader>,
    watches: Watches,
    stop: StopHandle,
}

#[derive(Debug)]
struct Reader {
    /// Whether a thread has the turn.
    is_taken: Mutex<bool>,
    /// Notified when the turn is free.
    is_free: Condvar,
    watcher: Mutex<Watcher>,
}

impl SharedWatcher {
    /// Shares a watcher between threads.
    #[must_use]
    pub fn new(watcher: Watcher) -> Self {
        let (watches, stop) = (watcher.watches(), watcher.stop_handle());
        let reader = Reader {
            is_taken: Mutex::new(false),
            is_free: Condvar::new(),
            watcher: Mutex::new(watcher),
        };
        Self { reader: Arc::new(reader), watches, stop }
    }

    /// Returns the handle that adds and removes watches.
    #[must_use]
    pub const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Returns the handle that stops all threads that wait here.
    #[must_use]
    pub const fn stop_handle(&self) -> &StopHandle {
        &self.stop
    }

    /// Waits for the next event, and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv`]. [`Stopped`](WatchError::Stopped) is returned to every thread, any other
    /// error to one of them.
    pub fn recv(&self) -> Result<WatchEventBuf, WatchError> {
        let mut turn = self.reader.wait();
        turn.watcher.recv().map(|event| event.to_buf())
    }

    /// Returns the next event that is buffered or queued. Never blocks. `None` means that nothing is left, or
    /// that another thread is reading.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::try_recv`].
    pub fn try_recv(&self) -> Result<Option<WatchEventBuf>, WatchError> {
        match self.reader.try_take() {
            Some(mut turn) => owned(turn.watcher.try_recv()),
            None => Ok(None),
        }
    }

    /// Waits for the next event, at most for `timeout`: then returns `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<WatchEventBuf>, WatchError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.recv_deadline(deadline),
            None => self.recv().map(Some),
        }
    }

    /// Waits for the next event, at most until `deadline`: then returns `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv_deadline`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Option<WatchEventBuf>, WatchError> {
        match self.reader.wait_until(deadline) {
            Some(mut turn) => owned(turn.watcher.recv_deadline(deadline)),
            None => Ok(None),
        }
    }

    /// Returns the watcher, if this is the only handle.
    ///
    /// # Errors
    ///
    /// The handle itself, if there are others.
    pub fn try_into_inner(self) -> Result<Watcher, Self> {
        let Self { reader, watches, stop } = self;
        match Arc::try_unwrap(reader) {
            Ok(reader) => Ok(reader.watcher.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Err(reader) => Err(Self { reader, watches, stop }),
        }
    }
}

impl From<Watcher> for SharedWatcher {
    fn from(watcher: Watcher) -> Self {
        Self::new(watcher)
    }
}

/// Copies the event that was lent.
fn owned(
    lent: Result<Option<WatchEvent<'_>>, WatchError>,
) -> Result<Option<WatchEventBuf>, WatchError> {
    Ok(lent?.map(|event| event.to_buf()))
}

/// The right to read. Drop gives it to another thread.
struct Turn<'a> {
    reader: &'a Reader,
    watcher: MutexGuard<'a, Watcher>,
}

impl Reader {
    /// Waits for the turn.
    fn wait(&self) -> Turn<'_> {
        let mut is_taken = self.lock();
        while *is_taken {
            is_taken = self.is_free.wait(is_taken).unwrap_or_else(PoisonError::into_inner);
        }
        self.take(is_taken)
    }

    /// Waits for the turn, at most until `deadline`: then returns `None`.
    fn wait_until(&self, deadline: Instant) -> Option<Turn<'_>> {
        let mut is_taken = self.lock();
        while *is_taken {
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.is_free.wait_timeout(is_taken, left);
            is_taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(self.take(is_taken))
    }

    /// Takes the turn, unless another thread has it.
    fn try_take(&self) -> Option<Turn<'_>> {
        let is_taken = self.lock();
        if *is_taken { None } else { Some(self.take(is_taken)) }
    }

    fn take(&self, mut is_taken: MutexGuard<'_, bool>) -> Turn<'_> {
        *is_taken = true;
        drop(is_taken);
        // A panic of a filter poisons the lock, and leaves the watcher usable.
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { reader: self, watcher }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.reader.lock() = false;
        self.reader.is_free.notify_one();
    }
}

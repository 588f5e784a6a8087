//! Builds watchers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::error::WatchError;
use super::reader::{Reader, Settings};
use super::shared::Shared;
use super::state::State;
use super::wakeup::Wakeup;
use super::watcher::Watcher;
use super::watches::Watches;
use crate::event::MAX_RECORD_SIZE;
use crate::flags::{InitFlags, WatchMask};
use crate::inotify::{Error, Inotify};

/// Configures a [`Watcher`].
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{WatchMask, Watcher};
///
/// let watcher = Watcher::builder()
///     .buffer_size(16 * 1024)
///     .mask(WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)
///     .path("/tmp")
///     .stop_without_watches(true)
///     .build()?;
/// assert_eq!(watcher.watches().list().len(), 1);
/// # }
/// # Ok::<(), tinotify::WatchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct WatcherBuilder {
    settings: Settings,
    buffer_size: usize,
    paths: Vec<PathBuf>,
    mask: WatchMask,
    is_inheritable: bool,
    close_on_drop: bool,
}

impl Default for WatcherBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            buffer_size: 32 * 1024,
            paths: Vec::new(),
            mask: Watcher::CHANGES,
            is_inheritable: false,
            close_on_drop: true,
        }
    }
}

impl WatcherBuilder {
    /// Sets the size of the buffer that one read(2) fills, in bytes. At least 4,112 are used, which one
    /// event may take. Default: 32 KiB.
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes.max(MAX_RECORD_SIZE);
        self
    }

    /// Adds a path that is watched from the beginning, with [`mask`](Self::mask).
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Adds paths that are watched from the beginning, with [`mask`](Self::mask).
    #[must_use]
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.paths.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Sets the mask for the paths of this builder. Default: [`Watcher::CHANGES`].
    #[must_use]
    pub fn mask(mut self, mask: WatchMask) -> Self {
        self.mask = mask;
        self
    }

    /// Delays each read so that identical events merge in the kernel. Only calls that wait delay. A
    /// [`StopHandle`](super::StopHandle) or a deadline ends the delay. Default: no delay.
    #[must_use]
    pub fn read_delay(mut self, delay: Duration) -> Self {
        self.settings.read_delay = delay;
        self
    }

    /// Stops reading with [`StopReason::NoWatches`](super::StopReason::NoWatches) when no watch is left.
    /// Otherwise the reader waits for ever. Default: `false`.
    #[must_use]
    pub fn stop_without_watches(mut self, stop: bool) -> Self {
        self.settings.stop_without_watches = stop;
        self
    }

    /// Stops reading with [`StopReason::Overflow`](super::StopReason::Overflow) when events were lost.
    /// Otherwise an overflow is an event. Default: `false`.
    #[must_use]
    pub fn stop_on_overflow(mut self, stop: bool) -> Self {
        self.settings.stop_on_overflow = stop;
        self
    }

    /// Stops reading with [`StopReason::Unmounted`](super::StopReason::Unmounted) when a watched file
    /// system was unmounted. Otherwise an unmount is an event. Default: `false`.
    #[must_use]
    pub fn stop_on_unmount(mut self, stop: bool) -> Self {
        self.settings.stop_on_unmount = stop;
        self
    }

    /// Opens the descriptor without `O_NONBLOCK`. This matters only to code that reads the descriptor
    /// itself: the watcher's own calls say by their names whether they wait. Default: `false`.
    #[must_use]
    pub fn blocking(mut self, blocking: bool) -> Self {
        self.settings.is_blocking = blocking;
        self
    }

    /// Lets programs that this process starts inherit the descriptor (no `FD_CLOEXEC`). Default: `false`.
    #[must_use]
    pub fn inheritable(mut self, inheritable: bool) -> Self {
        self.is_inheritable = inheritable;
        self
    }

    /// Closes the descriptor when the watcher is dropped. With `false` it stays open, for code that knows
    /// its number. Default: `true`.
    #[must_use]
    pub fn close_on_drop(mut self, close: bool) -> Self {
        self.close_on_drop = close;
        self
    }

    /// Returns the watcher. If it fails, nothing stays open.
    ///
    /// # Errors
    ///
    /// Those of [`Inotify::init`](crate::Inotify::init), eventfd(2) and epoll_create1(2), and those of
    /// [`Watches::watch`](super::Watches::watch) for the paths.
    pub fn build(self) -> Result<Watcher, WatchError> {
        let flags =
            if self.settings.is_blocking { InitFlags::empty() } else { InitFlags::NONBLOCK };
        self.build_on(Inotify::init(flags)?)
    }

    /// Returns a watcher that uses an inotify instance made elsewhere: before privileges were dropped, or by
    /// another process, for example. [`blocking`](Self::blocking) is ignored. Events of watches that the
    /// instance has already are skipped. If it fails, the instance is closed.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build) except those of [`Inotify::init`](crate::Inotify::init).
    pub fn build_from(mut self, inotify: Inotify) -> Result<Watcher, WatchError> {
        // Whether a read would block is not known, so each read is preceded by a poll.
        self.settings.is_blocking = true;
        self.build_on(inotify)
    }

    fn build_on(self, inotify: Inotify) -> Result<Watcher, WatchError> {
        /// Numbers the watchers of this process.
        static WATCHERS: AtomicU32 = AtomicU32::new(0);

        if self.is_inheritable {
            inotify.set_inheritable().map_err(Error::Init)?;
        }
        let wakeup = Wakeup::new(inotify.fd())?;
        let state = State::new(WATCHERS.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared::new(inotify, wakeup, state));
        let watches = Watches::new(&shared);
        for path in &self.paths {
            watches.watch(path, self.mask)?;
        }
        if !self.close_on_drop {
            shared.leak_inotify();
        }
        Ok(Watcher::from_reader(Reader::new(shared, self.settings, self.buffer_size)))
    }
}

impl Watcher {
    /// Returns a watcher without watches.
    ///
    /// # Errors
    ///
    /// Those of [`Inotify::init`](crate::Inotify::init), eventfd(2) and epoll_create1(2).
    pub fn new() -> Result<Self, WatchError> {
        Self::builder().build()
    }

    /// Returns a builder, which sets options.
    #[must_use]
    pub fn builder() -> WatcherBuilder {
        WatcherBuilder::default()
    }
}

impl TryFrom<Inotify> for Watcher {
    type Error = WatchError;

    /// See [`WatcherBuilder::build_from`].
    fn try_from(inotify: Inotify) -> Result<Self, WatchError> {
        Self::builder().build_from(inotify)
    }
}

//! The settings of a watcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Watcher;
use super::error::WatchError;
use super::handle::Shared;
use super::reader::Reader;
use super::table::Table;
use crate::event::MAX_RECORD_SIZE;
use crate::flags::{InitFlags, WatchMask};
use crate::inotify::{Error, Inotify};
use crate::sys::Fd;

/// How a watcher is to be.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{WatchMask, Watcher};
///
/// let watcher = Watcher::builder()
///     .buffer_size(16 * 1024)
///     .mask(WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO)
///     .path("/tmp")
///     .end_without_watches(true)
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
    inheritable: bool,
    close_on_drop: bool,
}

/// What a watcher keeps of how it was built.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub blocking: bool,
    pub read_delay: Duration,
    pub end_without_watches: bool,
    pub end_at_overflow: bool,
    pub end_at_unmount: bool,
}

impl Default for WatcherBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            buffer_size: 32 * 1024,
            paths: Vec::new(),
            mask: Watcher::CHANGES,
            inheritable: false,
            close_on_drop: true,
        }
    }
}

impl WatcherBuilder {
    /// The size of the buffer that one read(2) fills, in bytes; at least 4,112 whatever is asked,
    /// which one event may take. 32 KiB if not set.
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes.max(MAX_RECORD_SIZE);
        self
    }

    /// A path to watch from the beginning, with [`mask`](Self::mask).
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Paths to watch from the beginning, with [`mask`](Self::mask).
    #[must_use]
    pub fn paths(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.paths.extend(paths.into_iter().map(Into::into));
        self
    }

    /// The mask for the paths given here; [`Watcher::CHANGES`] if not set.
    #[must_use]
    pub fn mask(mut self, mask: WatchMask) -> Self {
        self.mask = mask;
        self
    }

    /// Waits so long before each read, so that like events merge in the kernel. Not if not set.
    ///
    /// Waiting calls alone do so; a stopper or a deadline cuts it short.
    #[must_use]
    pub fn read_delay(mut self, delay: Duration) -> Self {
        self.settings.read_delay = delay;
        self
    }

    /// Whether reading ends ([`End::NoWatches`](super::End::NoWatches)) when no watch is left; else it waits for ever. Not
    /// if not set.
    #[must_use]
    pub fn end_without_watches(mut self, end: bool) -> Self {
        self.settings.end_without_watches = end;
        self
    }

    /// Whether reading ends ([`End::Overflow`](super::End::Overflow)) when events were lost; else that is an event. Not if
    /// not set.
    #[must_use]
    pub fn end_at_overflow(mut self, end: bool) -> Self {
        self.settings.end_at_overflow = end;
        self
    }

    /// Whether reading ends ([`End::Unmounted`](super::End::Unmounted)) when a watched file system was unmounted; else that
    /// is an event. Not if not set.
    #[must_use]
    pub fn end_at_unmount(mut self, end: bool) -> Self {
        self.settings.end_at_unmount = end;
        self
    }

    /// Whether read(2) on the descriptor itself waits (no `O_NONBLOCK`). It matters only to those
    /// who read it past the watcher, whose own calls say by their names whether they wait. Not if
    /// not set.
    #[must_use]
    pub fn blocking(mut self, blocking: bool) -> Self {
        self.settings.blocking = blocking;
        self
    }

    /// Whether programs started by this process get the descriptor too (no `FD_CLOEXEC`). Not if not
    /// set.
    #[must_use]
    pub fn inheritable(mut self, inheritable: bool) -> Self {
        self.inheritable = inheritable;
        self
    }

    /// Whether the descriptor is closed with the last of the watcher and its handles. So if not set;
    /// else it stays open, for whoever has its number.
    #[must_use]
    pub fn close_on_drop(mut self, close: bool) -> Self {
        self.close_on_drop = close;
        self
    }

    /// Makes the watcher.
    ///
    /// # Errors
    ///
    /// Those of [`Inotify::init`](crate::Inotify::init), and of [`Watches::watch`](super::Watches::watch) for the paths.
    pub fn build(self) -> Result<Watcher, WatchError> {
        /// Numbers the watchers of this process.
        static WATCHERS: AtomicU32 = AtomicU32::new(0);

        let flags = if self.settings.blocking { InitFlags::empty() } else { InitFlags::NONBLOCK };
        let inotify = Inotify::init(flags)?;
        if self.inheritable {
            inotify.set_inheritable().map_err(Error::Init)?;
        }
        let stop = Fd::eventfd().map_err(Error::Init)?;
        let table = Table::new(WATCHERS.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared::new(inotify, stop, table));
        if !self.close_on_drop {
            // What is never let go is never closed.
            std::mem::forget(Arc::clone(&shared));
        }
        let watcher = Watcher { reader: Reader::new(shared, self.settings, self.buffer_size) };
        for path in &self.paths {
            watcher.watch(path, self.mask)?;
        }
        Ok(watcher)
    }
}

//! The owning wrapper: paths instead of descriptors, and every way of waiting for events.
//!
//! ```
//! # #[cfg(not(miri))] {
//! use std::time::Duration;
//! use tinotify::{EventKind, WatchMask, Watcher};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let mut watcher = Watcher::new()?;
//! let logs = watcher.watch(path, WatchMask::CREATE | WatchMask::CLOSE_WRITE)?;
//! # std::fs::write(path.join("new"), "text")?;
//!
//! while let Some(event) = watcher.next_timeout(Duration::from_millis(1))? {
//!     assert_eq!(event.watch(), Some(logs));
//!     println!("{:?}: {}", event.kind(), event.path().display());
//! }
//! watcher.unwatch(logs)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call waits how
//!
//! | call | nothing queued |
//! |---|---|
//! | [`Watcher::next`] | waits |
//! | [`Watcher::try_next`] | `None` at once |
//! | [`Watcher::next_timeout`], [`Watcher::next_deadline`] | waits, then `None` |
//! | [`Watcher::batch`], [`Watcher::batch_timeout`] | as these, for all that is queued |
//! | [`Watcher::drain`] | ends at once |
//! | [`Watcher::iter`] | waits |
//! | [`Watcher::ticks`] | waits, then gives `None`, and goes on |
//! | [`Watcher::run`] | waits |
//!
//! A signal handler makes none of them return early, and events that are filtered out do not make a
//! deadline later. A [`Stopper`] makes all of them that wait return
//! [`End::Stopped`].

#![forbid(unsafe_code)]

mod builder;
mod error;
mod event;
mod handle;
mod iter;
mod name;
mod reader;
mod table;
mod tree;
mod tree_options;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::WatcherBuilder;
pub use error::{End, WatchError};
pub use event::{Change, TreeChange, WatchEvent, WatchEventBuf};
pub use handle::{Stopper, WatchOptions, Watches};
pub use iter::{Drain, Iter, Ticks, wait_for, wait_for_batch};
pub(crate) use reader::{Reader, Until};
pub use table::{Watch, WatchInfo};
pub use tree::TreeDirectory;
pub use tree_options::{AtLimit, TreeOptions};

use crate::flags::WatchMask;

/// An inotify instance with all that belongs to it: watches, their paths, and a buffer of events.
///
/// One thread reads. Others can add and remove watches ([`watches`](Self::watches)) and stop the
/// reading ([`stopper`](Self::stopper)). Giving an event allocates nothing.
#[derive(Debug)]
pub struct Watcher {
    pub(crate) reader: Reader,
}

impl Watcher {
    /// What changes a file or a directory: all events but those of reading (`ACCESS`, `OPEN`,
    /// `CLOSE_NOWRITE`), which a program that looks at what it watches would bring about itself.
    pub const CHANGES: WatchMask = WatchMask::ALL_EVENTS
        .difference(WatchMask::ACCESS)
        .difference(WatchMask::OPEN)
        .difference(WatchMask::CLOSE_NOWRITE);

    /// A watcher that watches nothing yet.
    ///
    /// # Errors
    ///
    /// Those of [`Inotify::init`](crate::Inotify::init).
    pub fn new() -> Result<Self, WatchError> {
        Self::builder().build()
    }

    /// A watcher with settings.
    #[must_use]
    pub fn builder() -> WatcherBuilder {
        WatcherBuilder::default()
    }

    /// A handle that adds and removes watches from any thread.
    #[must_use]
    pub fn watches(&self) -> Watches {
        Watches { shared: Arc::clone(&self.reader.shared) }
    }

    /// A handle that makes the reading end.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.reader.shared) }
    }

    /// As [`Watches::watch`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
        self.watches().watch(path, mask)
    }

    /// As [`Watches::watch_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<Watch, WatchError> {
        self.watches().watch_with(path, mask, options)
    }

    /// As [`Watches::watch_name`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch_name(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
        self.watches().watch_name(path, mask)
    }

    /// As [`Watches::watch_tree`].
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{TreeChange, TreeOptions, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let mut watcher = Watcher::new()?;
    /// watcher.watch_tree(path, WatchMask::CREATE | WatchMask::MOVE, TreeOptions::new())?;
    /// # std::fs::create_dir_all(path.join("a/b"))?;
    /// # std::fs::rename(path.join("a"), path.join("z"))?;
    ///
    /// while let Some(event) = watcher.try_next()? {
    ///     match event.tree() {
    ///         Some(TreeChange::Renamed { from }) => {
    ///             println!("{} is now {}", from.display(), event.path().display());
    ///         }
    ///         _ => println!("{event}"),
    ///     }
    /// }
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch_tree(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: TreeOptions,
    ) -> Result<Watch, WatchError> {
        self.watches().watch_tree(path, mask, options)
    }

    /// As [`Watches::unwatch`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn unwatch(&self, watch: Watch) -> Result<(), WatchError> {
        self.watches().unwatch(watch)
    }

    /// Ends the watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`], and as for [`unwatch`](Self::unwatch).
    pub fn unwatch_alias(&self, alias: impl AsRef<OsStr>) -> Result<(), WatchError> {
        self.unwatch(self.watches().with_alias(alias)?)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`WatchError::Ended`] when stopped, or when it is time by the builder's settings;
    /// [`WatchError::Inotify`] where a system call fails; [`WatchError::Path`] where a followed name
    /// can't be followed further (the limit of watches, say): it is tried again with the next events.
    /// Reading can go on after any of them.
    #[allow(clippy::should_implement_trait)] // It lends, as an iterator can't.
    pub fn next(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        // Without a deadline it can't come too late.
        self.reader.next(Until::Event)?.ok_or(WatchError::Ended(End::Stopped))
    }

    /// The next event, if there is one now: in the buffer or in the kernel's queue. `None` only when
    /// the queue was found empty, which is what edge-triggered epoll(7) asks for. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.reader.next(Until::Empty)
    }

    /// Waits for the next event, but not longer than `timeout`: then `None`. What was queued by then
    /// is looked through first, so a timeout of zero gives what is there.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        let until = Until::after(timeout);
        self.reader.next(until)
    }

    /// Waits for the next event, but not beyond `deadline`: then `None`.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.reader.next(Until::Time(deadline))
    }

    /// Waits for the next event, and takes with it all that the same read(2) gave. Allocates.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next); events before an error are given first, the error by the next
    /// call.
    pub fn batch(&mut self) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch_until(Until::Event)
    }

    /// As [`batch`](Self::batch), but waits not longer than `timeout`: then the batch is empty.
    ///
    /// # Errors
    ///
    /// As for [`batch`](Self::batch).
    pub fn batch_timeout(&mut self, timeout: Duration) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch_until(Until::after(timeout))
    }

    fn batch_until(&mut self, until: Until) -> Result<Vec<WatchEventBuf>, WatchError> {
        Ok(if self.reader.arrive(until)? { self.reader.rest_of_batch() } else { Vec::new() })
    }

    /// Takes all events that are there now, until the queue is found empty. Never waits.
    pub fn drain(&mut self) -> Drain<'_> {
        Drain { watcher: self }
    }

    /// Waits for one event after another, each with a name of its own. Ends when stopped, or when no
    /// watch is left and the watcher was built to end then; every other error is an item.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter { watcher: self }
    }

    /// As [`iter`](Self::iter), and gives `None` whenever nothing has come for `idle`: time to do
    /// other things.
    pub fn ticks(&mut self, idle: Duration) -> Ticks<'_> {
        Ticks { watcher: self, idle }
    }

    /// Waits for one event after another, and gives them to `each` until it breaks. `None` if the
    /// watcher was stopped first, or no watch is left and it was built to end then.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use std::ops::ControlFlow;
    /// use tinotify::{WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let mut watcher = Watcher::new()?;
    /// watcher.watch(path, WatchMask::CREATE)?;
    /// # std::fs::write(path.join("a"), "")?;
    /// # std::fs::write(path.join("done"), "")?;
    /// let done = watcher.run(|event| match event.name() {
    ///     Some(name) if name == "done" => ControlFlow::Break(event.path()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// assert_eq!(done, Some(path.join("done")));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next), but for these two.
    pub fn run<B>(
        &mut self,
        mut each: impl FnMut(WatchEvent<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, WatchError> {
        loop {
            match self.reader.arrive(Until::Event) {
                Ok(_) => {}
                Err(WatchError::Ended(End::Stopped | End::NoWatches)) => return Ok(None),
                Err(error) => return Err(error),
            }
            if let ControlFlow::Break(value) = each(self.reader.lend()) {
                return Ok(Some(value));
            }
        }
    }

    /// Whether events wait in the buffer, which poll(2) on the descriptor does not show. Some of them
    /// may be for nobody.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.reader.has_buffered()
    }

    /// Closes the watcher, if no handle is left, and says how that went.
    ///
    /// # Errors
    ///
    /// `EBADF`: someone else closed the descriptor before.
    pub fn close(self) -> Result<(), WatchError> {
        match Arc::into_inner(self.reader.shared) {
            Some(shared) => Ok(shared.inotify.close()?),
            None => Ok(()),
        }
    }

    /// Whether a stopper has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.reader.is_stopped()
    }

    /// What becomes readable when events are queued, and when it is stopped.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.reader.shared.inotify.as_fd(), self.reader.shared.stop.as_fd()]
    }
}

impl AsFd for Watcher {
    /// The inotify descriptor, for poll(2) and epoll(7): readable when events are queued. See
    /// [`has_buffered`](Watcher::has_buffered) for those that were read already.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.shared.inotify.as_fd()
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.shared.inotify.as_raw_fd()
    }
}

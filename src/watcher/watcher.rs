//! The watcher itself: the calls that add watches, and those that read.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{StopReason, WatchError};
use super::event::{WatchEvent, WatchEventBuf};
use super::id::WatchId;
use super::iter::{Iter, IterTimeout, TryIter};
use super::options::{TreeOptions, WatchOptions};
use super::reader::{Deadline, Found, Reader};
use super::wakeup::StopHandle;
use super::watches::Watches;
use crate::flags::WatchMask;

/// Owns an inotify instance, the paths of its watches, and a buffer of events.
///
/// One thread reads. Others can add and remove watches ([`watches`](Self::watches)) and stop the
/// reader ([`stop_handle`](Self::stop_handle)). Lending an event of a file allocates nothing.
#[derive(Debug)]
pub struct Watcher {
    reader: Reader,
}

impl Watcher {
    /// The events that change a file or a directory. It leaves out those of reading (`ACCESS`, `OPEN`,
    /// `CLOSE_NOWRITE`), which a program causes itself when it reads what it watches.
    pub const CHANGES: WatchMask = WatchMask::ALL_EVENTS
        .difference(WatchMask::ACCESS)
        .difference(WatchMask::OPEN)
        .difference(WatchMask::CLOSE_NOWRITE);

    /// Returns a handle that adds and removes watches from any thread.
    #[must_use]
    pub fn watches(&self) -> Watches {
        Watches::new(self.reader.shared())
    }

    /// Returns a handle that stops the watcher.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(Arc::clone(self.reader.shared().wakeup()))
    }

    /// Watches a file or directory. The same as [`Watches::watch`].
    ///
    /// # Errors
    ///
    /// Those of [`Watches::watch`].
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<WatchId, WatchError> {
        self.watches().watch(path, mask)
    }

    /// Watches a file or directory, with an alias, a token or a filter. The same as [`Watches::watch_with`].
    ///
    /// # Errors
    ///
    /// Those of [`Watches::watch_with`].
    pub fn watch_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<WatchId, WatchError> {
        self.watches().watch_with(path, mask, options)
    }

    /// Follows a name, whatever file it leads to. The same as [`Watches::watch_name`].
    ///
    /// # Errors
    ///
    /// Those of [`Watches::watch_name`].
    pub fn watch_name(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
    ) -> Result<WatchId, WatchError> {
        self.watches().watch_name(path, mask)
    }

    /// Watches a directory and everything beneath it. The same as [`Watches::watch_tree`].
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{TreeOptions, WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let mut watcher = Watcher::new()?;
    /// watcher.watch_tree(path, WatchMask::CREATE | WatchMask::MOVE, TreeOptions::new())?;
    /// # std::fs::create_dir_all(path.join("a/b"))?;
    /// # std::fs::rename(path.join("a"), path.join("z"))?;
    ///
    /// while let Some(event) = watcher.try_recv()? {
    ///     match event.renamed_from() {
    ///         Some(from) => println!("{} is now {}", from.display(), event.path().display()),
    ///         None => println!("{event}"),
    ///     }
    /// }
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Watches::watch_tree`].
    pub fn watch_tree(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: TreeOptions,
    ) -> Result<WatchId, WatchError> {
        self.watches().watch_tree(path, mask, options)
    }

    /// Ends a watch. The same as [`Watches::unwatch`].
    ///
    /// # Errors
    ///
    /// Those of [`Watches::unwatch`].
    pub fn unwatch(&self, watch: WatchId) -> Result<(), WatchError> {
        self.watches().unwatch(watch)
    }

    /// Ends the watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`], and those of [`unwatch`](Self::unwatch).
    pub fn unwatch_alias(&self, alias: impl AsRef<OsStr>) -> Result<(), WatchError> {
        self.unwatch(self.watches().with_alias(alias)?)
    }

    /// Waits for the next event, and lends it.
    ///
    /// # Errors
    ///
    /// - [`WatchError::Stopped`] if the watcher was stopped, or stops by the builder's settings.
    /// - [`WatchError::Inotify`] if a system call fails.
    /// - [`WatchError::Path`] if a followed name can't be followed further, at the limit of watches for
    ///   example. It is tried again with the next events.
    ///
    /// Reading can go on after any of them.
    #[inline]
    pub fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        // Without a deadline it can't be late.
        let event = self.reader.recv(Deadline::Never)?;
        event.ok_or(WatchError::Stopped(StopReason::Requested))
    }

    /// Returns the next event that is buffered or queued. `None` means that nothing is left anywhere,
    /// which is what edge-triggered epoll(7) asks for. Never blocks.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). After a stop, what is left is returned first.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.reader.recv(Deadline::Empty)
    }

    /// Waits for the next event, at most for `timeout`: then returns `None`. A timeout of zero
    /// still reads everything that is queued.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        let deadline = Deadline::after(timeout);
        self.reader.recv(deadline)
    }

    /// Waits for the next event, at most until `deadline`: then returns `None`. A deadline in the past
    /// still reads everything that is queued.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.reader.recv(Deadline::At(deadline))
    }

    /// Waits for the next event, and returns it with all others that the same read(2) returned.
    /// Allocates.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). Events before an error are returned first. The next call returns
    /// the error.
    pub fn recv_batch(&mut self) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch(Deadline::Never)
    }

    /// Does what [`recv_batch`](Self::recv_batch) does, and waits at most for `timeout`: then returns an
    /// empty batch.
    ///
    /// # Errors
    ///
    /// Those of [`recv_batch`](Self::recv_batch).
    pub fn recv_batch_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch(Deadline::after(timeout))
    }

    fn batch(&mut self, deadline: Deadline) -> Result<Vec<WatchEventBuf>, WatchError> {
        let found = self.reader.find(deadline)?;
        Ok(if found == Found::Event { self.reader.rest_of_batch() } else { Vec::new() })
    }

    /// Returns an iterator over all events that are buffered or queued. Never blocks.
    pub fn try_iter(&mut self) -> TryIter<'_> {
        TryIter::new(&mut self.reader)
    }

    /// Returns an iterator that waits for events. Each event owns its name. It ends when the watcher is
    /// stopped, or when no watch is left and the watcher was built to stop then. Every other error is
    /// an item. After a [fatal](WatchError::is_fatal) one it ends, too.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter::new(&mut self.reader)
    }

    /// Returns an iterator like [`iter`](Self::iter), which yields `None` each time nothing has come for
    /// `timeout`: time to do other things.
    pub fn iter_timeout(&mut self, timeout: Duration) -> IterTimeout<'_> {
        IterTimeout::new(&mut self.reader, timeout)
    }

    /// Waits for events, and calls `each` with them until it breaks. Returns `None` if the watcher was
    /// stopped first, or if no watch is left and the watcher was built to stop then.
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
    /// let done = watcher.try_for_each(|event| match event.name() {
    ///     Some(name) if name == "done" => ControlFlow::Break(event.path().to_owned()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// assert_eq!(done, Some(path.join("done")));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv), except these two.
    pub fn try_for_each<B>(
        &mut self,
        mut each: impl FnMut(WatchEvent<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, WatchError> {
        loop {
            match self.reader.find(Deadline::Never) {
                Ok(_) => {}
                Err(WatchError::Stopped(StopReason::Requested | StopReason::NoWatches)) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            if let ControlFlow::Break(value) = each(self.reader.lend()) {
                return Ok(Some(value));
            }
        }
    }

    /// Returns `true` if something is buffered in memory. It may be for nobody.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.reader.has_buffered()
    }

    /// Makes the descriptor of [`as_fd`](Self::as_fd) readable if something is buffered in memory. For
    /// event loops that do not call [`try_recv`](Self::try_recv) until it returns `None`. Never blocks.
    pub fn rearm(&self) {
        if self.reader.has_buffered() {
            self.reader.shared().wake_again();
        }
    }

    /// Returns the inotify descriptor, for `/proc/self/fdinfo` or to count the queued bytes (`FIONREAD`).
    /// Event loops use [`as_fd`](Self::as_fd).
    #[must_use]
    pub fn inotify_fd(&self) -> BorrowedFd<'_> {
        self.reader.shared().inotify().as_fd()
    }

    /// Closes the descriptor.
    ///
    /// # Errors
    ///
    /// `EBADF`: someone else closed the descriptor before.
    pub fn close(self) -> Result<(), WatchError> {
        // Another thread may be using a handle now, and closes the descriptor then.
        let shared = Arc::into_inner(self.reader.into_shared());
        match shared.and_then(|shared| shared.into_inotify()) {
            Some(inotify) => Ok(inotify.close()?),
            None => Ok(()),
        }
    }

    /// Returns `true` if a [`StopHandle`] has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.reader.is_stopped()
    }

    pub(super) const fn from_reader(reader: Reader) -> Self {
        Self { reader }
    }

    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) const fn reader_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }

    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What becomes readable when events are queued, and when the reader is woken or stopped.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        let shared = self.reader.shared();
        [shared.inotify().as_fd(), shared.wakeup().fd().as_fd()]
    }
}

impl AsFd for Watcher {
    /// Returns a descriptor for poll(2), epoll(7) and event loops. It is readable whenever
    /// [`try_recv`](Watcher::try_recv) may return an event or an error: for queued events, for what trees
    /// and names have found, for what other threads did, and after a stop.
    ///
    /// When it is readable, call [`try_recv`](Watcher::try_recv) until it returns `None`. A loop that
    /// stops earlier calls [`rearm`](Watcher::rearm). Both are right for level-triggered and for
    /// edge-triggered loops. Never read from this descriptor.
    ///
    /// It is an epoll(7) instance. Where a seccomp filter refuses epoll, it is the inotify descriptor,
    /// which shows queued events only.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let shared = self.reader.shared();
        shared.wakeup().epoll().map_or_else(|| shared.inotify().as_fd(), AsFd::as_fd)
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<'a> IntoIterator for &'a mut Watcher {
    type Item = Result<WatchEventBuf, WatchError>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

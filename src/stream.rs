//! Watchers for async: the same watcher, waiting in a runtime instead of in a system call.
//!
//! Both features can be enabled at once. Timeouts are those of the runtime, such as
//! `tokio::time::timeout`. Calls that do not wait are made on the watcher itself
//! ([`get_ref`](AsyncWatcher::get_ref)) or on its handles.
//!
//! Every future may be dropped at any time: an event leaves the watcher only when it is returned. After 128
//! events without a pause a task yields to others. [`read_delay`](crate::WatcherBuilder::read_delay) has no
//! effect here.
//!
//! ```
//! # #[cfg(all(feature = "tokio", not(miri)))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tinotify::{TokioWatcher, WatchMask, Watcher};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let mut watcher = TokioWatcher::tokio(Watcher::new()?)?;
//! watcher.get_ref().watch(path, WatchMask::CREATE)?;
//! # std::fs::write(path.join("new"), "text")?;
//!
//! let event = watcher.recv().await?;
//! assert_eq!(event.path(), path.join("new"));
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "tokio", not(miri))))]
//! # fn main() {}
//! ```

#![forbid(unsafe_code)]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::flags::WatchMask;
use crate::watcher::{
    Deadline, Found, Replay, StopReason, WatchError, WatchEvent, WatchEventBuf, Watcher,
};

/// Waits for descriptors: implemented by [`Tokio`] and [`AsyncIo`]. Sealed.
pub trait Runtime: sealed::Runtime {}

mod sealed {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll};

    pub trait Runtime: Sized {
        fn register(fd: OwnedFd) -> io::Result<Self>;

        /// Returns `Ready` if the descriptor may have become readable since the last `Pending`.
        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    }
}

/// A [`Watcher`] that waits in an async runtime.
///
/// [`recv`](Self::recv) lends each event without allocating. As a [`Stream`] it yields events that can be
/// kept. One task reads. Other tasks and threads add watches and stop it with the handles of
/// [`get_ref`](Self::get_ref).
pub struct AsyncWatcher<R> {
    watcher: Watcher,
    events: R,
    wakeup: R,
    ended: bool,
    readiness: Readiness,
    /// The events returned since it last waited.
    unbroken: u32,
}

/// The number of events after which a task yields to others.
const TURN: u32 = 128;

/// A watcher in tokio. [`AsyncWatcher::tokio`] makes one, in a runtime with I/O enabled.
#[cfg(feature = "tokio")]
pub type TokioWatcher = AsyncWatcher<Tokio>;

/// A watcher in smol, or in any runtime that uses async-io. [`AsyncWatcher::async_io`] makes one.
#[cfg(feature = "async-io")]
pub type AsyncIoWatcher = AsyncWatcher<AsyncIo>;

#[cfg(feature = "async-io")]
pub use with_async_io::AsyncIo;
#[cfg(feature = "tokio")]
pub use with_tokio::Tokio;

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{AsyncWatcher, Runtime, TokioWatcher, WatchError, Watcher, sealed};

    /// Waits with tokio: the parameter of [`TokioWatcher`].
    #[derive(Debug)]
    pub struct Tokio(AsyncFd<OwnedFd>);

    impl Runtime for Tokio {}

    impl sealed::Runtime for Tokio {
        // Deprecated because some implementations of `AsRawFd` change their descriptor. `OwnedFd` does not.
        #[allow(deprecated)]
        fn register(fd: OwnedFd) -> io::Result<Self> {
            AsyncFd::with_interest(fd, Interest::READABLE).map(Self)
        }

        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.0.poll_read_ready(cx))?.clear_ready();
            Poll::Ready(Ok(()))
        }
    }

    impl TokioWatcher {
        /// Registers a watcher with the current tokio runtime.
        ///
        /// # Errors
        ///
        /// [`WatchError::Runtime`] if the runtime refuses the descriptors.
        ///
        /// # Panics
        ///
        /// Outside of a tokio runtime with I/O enabled, like all I/O types of tokio.
        pub fn tokio(watcher: Watcher) -> Result<Self, WatchError> {
            AsyncWatcher::with_runtime(watcher)
        }
    }
}

#[cfg(feature = "async-io")]
mod with_async_io {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll};

    use async_io::Async;

    use super::{AsyncIoWatcher, AsyncWatcher, Runtime, WatchError, Watcher, sealed};

    /// Waits with async-io: the parameter of [`AsyncIoWatcher`].
    #[derive(Debug)]
    pub struct AsyncIo(Async<OwnedFd>);

    impl Runtime for AsyncIo {}

    impl sealed::Runtime for AsyncIo {
        fn register(fd: OwnedFd) -> io::Result<Self> {
            // The descriptors are non-blocking, or are polled before each read.
            Async::new_nonblocking(fd).map(Self)
        }

        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_readable(cx)
        }
    }

    impl AsyncIoWatcher {
        /// Registers a watcher with async-io's reactor.
        ///
        /// # Errors
        ///
        /// [`WatchError::Runtime`] if the reactor refuses the descriptors.
        pub fn async_io(watcher: Watcher) -> Result<Self, WatchError> {
            AsyncWatcher::with_runtime(watcher)
        }
    }
}

/// What the runtime knows of the inotify descriptor: whether it can be read.
#[derive(Clone, Copy, Debug)]
enum Readiness {
    /// Taken back, or never there.
    Taken,
    /// The last poll returned `Pending`, since nothing was queued.
    Awaited,
    /// It ended the last wait, and was not taken back yet.
    Woken,
}

impl<R: Runtime> AsyncWatcher<R> {
    fn with_runtime(watcher: Watcher) -> Result<Self, WatchError> {
        let register = || -> io::Result<(R, R)> {
            let [events, wakeup] = watcher.descriptors();
            Ok((
                R::register(events.try_clone_to_owned()?)?,
                R::register(wakeup.try_clone_to_owned()?)?,
            ))
        };
        let (events, wakeup) = register().map_err(|error| WatchError::Runtime(error.kind()))?;
        Ok(Self { watcher, events, wakeup, ended: false, readiness: Readiness::Taken, unbroken: 0 })
    }

    /// Returns the watcher, for its handles and for calls that do not wait.
    #[must_use]
    pub const fn get_ref(&self) -> &Watcher {
        &self.watcher
    }

    /// Returns the watcher, to read without waiting ([`Watcher::try_recv`], [`Watcher::try_iter`]).
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut Watcher {
        &mut self.watcher
    }

    /// Returns the watcher, no longer registered with the runtime. Buffered events stay in it.
    #[must_use]
    pub fn into_inner(self) -> Watcher {
        self.watcher
    }

    /// Waits for the next event, and lends it. Safe to cancel: a dropped future loses no event.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv`], and [`WatchError::Runtime`] if waiting fails.
    pub async fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        poll_fn(|cx| self.poll_find(cx)).await?;
        Ok(self.watcher.reader().lend())
    }

    /// Waits for the next event, and returns it with all others that the same read(2) returned. Allocates.
    /// Safe to cancel.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub async fn recv_batch(&mut self) -> Result<Vec<WatchEventBuf>, WatchError> {
        poll_fn(|cx| self.poll_find(cx)).await?;
        Ok(self.watcher.reader_mut().rest_of_batch())
    }

    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WatchError>> {
        let waits = |error: io::Error| WatchError::Runtime(error.kind());
        match std::mem::replace(&mut self.readiness, Readiness::Taken) {
            Readiness::Taken => {}
            // Not taken back before the first read, which has to be fast.
            Readiness::Awaited => self.readiness = Readiness::Woken,
            // After the next read it would be taken for new, and in tokio, read(2) would be called twice in
            // vain.
            Readiness::Woken => drop(self.events.poll_readable(cx).map_err(waits)?),
        }
        loop {
            if self.watcher.is_stopped() {
                return Poll::Ready(Err(WatchError::Stopped(StopReason::Requested)));
            }
            let found = if self.unbroken >= TURN {
                Found::Late
            } else {
                self.watcher.reader_mut().find(Deadline::Turn(TURN))?
            };
            match found {
                Found::Event => {
                    self.unbroken = self.unbroken.saturating_add(1);
                    return Poll::Ready(Ok(()));
                }
                Found::Late => {
                    self.unbroken = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Found::Nothing => self.unbroken = 0,
            }
            if self.wakeup.poll_readable(cx).map_err(waits)?.is_ready() {
                continue;
            }
            if self.events.poll_readable(cx).map_err(waits)?.is_pending() {
                self.readiness = Readiness::Awaited;
                return Poll::Pending;
            }
        }
    }
}

impl<R: Runtime + Unpin> Stream for AsyncWatcher<R> {
    type Item = Result<WatchEventBuf, WatchError>;

    /// Ends when the watcher is stopped, when no watch is left and the watcher was built to stop then, and
    /// after a [fatal](WatchError::is_fatal) error.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(this.poll_find(cx)) {
            Ok(()) => Some(Ok(this.watcher.reader().lend().to_buf())),
            Err(WatchError::Stopped(StopReason::Requested | StopReason::NoWatches)) => {
                this.ended = true;
                None
            }
            Err(error) => {
                this.ended = error.is_fatal();
                Some(Err(error))
            }
        })
    }
}

impl<R: Runtime + Unpin> FusedStream for AsyncWatcher<R> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

/// A replay in place of an [`AsyncWatcher`]: never pending, ends after the last event.
impl Stream for Replay {
    type Item = Result<WatchEventBuf, WatchError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().next())
    }
}

impl<R> fmt::Debug for AsyncWatcher<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWatcher").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

/// Waits in tokio for the first event on a path. For a limit, use `tokio::time::timeout`.
///
/// Watching begins with the call, not with the first poll, so the call needs a runtime.
///
/// # Errors
///
/// Those of [`wait_for`](crate::wait_for), and [`WatchError::Runtime`] if waiting fails.
#[cfg(feature = "tokio")]
pub fn wait_for_tokio<P: AsRef<Path>>(
    path: P,
    mask: WatchMask,
) -> impl Future<Output = Result<WatchEventBuf, WatchError>> {
    let watcher = Watcher::builder().path(path.as_ref()).mask(mask).build();
    let watcher = watcher.and_then(TokioWatcher::tokio);
    async move { Ok(watcher?.recv().await?.to_buf()) }
}

/// Waits in async-io for the first event on a path. For a limit, race it with a timer.
///
/// Watching begins with the call, not with the first poll.
///
/// # Errors
///
/// Those of [`wait_for`](crate::wait_for), and [`WatchError::Runtime`] if waiting fails.
#[cfg(feature = "async-io")]
pub fn wait_for_async_io<P: AsRef<Path>>(
    path: P,
    mask: WatchMask,
) -> impl Future<Output = Result<WatchEventBuf, WatchError>> {
    let watcher = Watcher::builder().path(path.as_ref()).mask(mask).build();
    let watcher = watcher.and_then(AsyncIoWatcher::async_io);
    async move { Ok(watcher?.recv().await?.to_buf()) }
}

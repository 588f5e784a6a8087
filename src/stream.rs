//! Watchers for async: the same watcher, waiting in a runtime instead of in a system call.
//!
//! Both features can be on at once; the runtime's own type is the parameter. Timeouts are the
//! runtime's business. What can be done without waiting is done on the watcher itself, by
//! [`get_ref`](AsyncWatcher::get_ref) and its handles.
//!
//! Dropping a future loses nothing: an event is taken out of the watcher only when it is given. A task
//! that finds events without end lets others have their turn after every 128. A
//! [`read_delay`](crate::WatcherBuilder::read_delay) is for calls that wait themselves, and changes
//! nothing here.
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
use crate::watcher::{Deadline, Found, StopReason, WatchError, WatchEvent, WatchEventBuf, Watcher};

/// A way of waiting for a descriptor: what a runtime has to offer.
///
/// Sealed: there is one for tokio and one for async-io.
pub trait Runtime: sealed::Runtime {}

mod sealed {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll};

    pub trait Runtime: Sized {
        fn register(fd: OwnedFd) -> io::Result<Self>;

        /// Ready when the descriptor may have become readable since it was last found not to be.
        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    }
}

/// A watcher that waits in a runtime.
///
/// It is a [`Stream`] of events with names of their own, and [`recv`](Self::recv) lends them without
/// allocating. One task reads; others, and threads, add watches and stop it by the handles of
/// [`get_ref`](Self::get_ref).
pub struct AsyncWatcher<R> {
    watcher: Watcher,
    events: R,
    wakeup: R,
    ended: bool,
    /// The events given since it last waited.
    unbroken: u32,
}

/// So many events are given before other tasks have their turn.
const TURN: u32 = 128;

/// A watcher in tokio. Make it with [`AsyncWatcher::tokio`], in a runtime with I/O enabled.
#[cfg(feature = "tokio")]
pub type TokioWatcher = AsyncWatcher<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>;

/// A watcher in smol, or wherever async-io's reactor serves. Make it with [`AsyncWatcher::async_io`].
#[cfg(feature = "async-io")]
pub type AsyncIoWatcher = AsyncWatcher<async_io::Async<std::os::fd::OwnedFd>>;

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::task::{Context, Poll, ready};

    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{AsyncWatcher, Runtime, TokioWatcher, WatchError, Watcher, sealed};

    impl Runtime for AsyncFd<OwnedFd> {}

    impl sealed::Runtime for AsyncFd<OwnedFd> {
        // Deprecated because not every `AsRawFd` keeps to one descriptor; an `OwnedFd` does.
        #[allow(deprecated)]
        fn register(fd: OwnedFd) -> io::Result<Self> {
            Self::with_interest(fd, Interest::READABLE)
        }

        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            ready!(self.poll_read_ready(cx))?.clear_ready();
            Poll::Ready(Ok(()))
        }
    }

    impl TokioWatcher {
        /// Waits with tokio from now on.
        ///
        /// # Errors
        ///
        /// [`WatchError::Runtime`] where the runtime can't take the descriptors.
        ///
        /// # Panics
        ///
        /// Outside of a tokio runtime with I/O enabled, as all of tokio's I/O does.
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

    impl Runtime for Async<OwnedFd> {}

    impl sealed::Runtime for Async<OwnedFd> {
        fn register(fd: OwnedFd) -> io::Result<Self> {
            // The descriptors do not block already, or are asked before they are read.
            Self::new_nonblocking(fd)
        }

        fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_readable(self, cx)
        }
    }

    impl AsyncIoWatcher {
        /// Waits with async-io's reactor from now on.
        ///
        /// # Errors
        ///
        /// [`WatchError::Runtime`] where the reactor can't take the descriptors.
        pub fn async_io(watcher: Watcher) -> Result<Self, WatchError> {
            AsyncWatcher::with_runtime(watcher)
        }
    }
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
        Ok(Self { watcher, events, wakeup, ended: false, unbroken: 0 })
    }

    /// The watcher: its handles, and what needs no waiting.
    #[must_use]
    pub const fn get_ref(&self) -> &Watcher {
        &self.watcher
    }

    /// The watcher, to read without waiting ([`Watcher::try_recv`], [`Watcher::try_iter`]).
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut Watcher {
        &mut self.watcher
    }

    /// The watcher, no longer in a runtime. What it has buffered it keeps.
    #[must_use]
    pub fn into_inner(self) -> Watcher {
        self.watcher
    }

    /// Waits for the next event. Safe to cancel: a dropped future loses none.
    ///
    /// # Errors
    ///
    /// As for [`Watcher::recv`], and [`WatchError::Runtime`].
    pub async fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        poll_fn(|cx| self.poll_find(cx)).await?;
        Ok(self.watcher.reader().lend())
    }

    /// Waits for the next event, and takes with it all that the same read(2) gave. Allocates. Safe to
    /// cancel.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_batch(&mut self) -> Result<Vec<WatchEventBuf>, WatchError> {
        poll_fn(|cx| self.poll_find(cx)).await?;
        Ok(self.watcher.reader_mut().rest_of_batch())
    }

    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WatchError>> {
        let waits = |error: io::Error| WatchError::Runtime(error.kind());
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
            ready!(self.events.poll_readable(cx)).map_err(waits)?;
        }
    }
}

impl<R: Runtime + Unpin> Stream for AsyncWatcher<R> {
    type Item = Result<WatchEventBuf, WatchError>;

    /// Ends when the watcher is stopped, or when no watch is left and it was built to end then.
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

impl<R> fmt::Debug for AsyncWatcher<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWatcher").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}

/// Waits in tokio for the first event on a path, and cleans up: one call. Put a timeout around it.
///
/// It watches from the call on, not from the first poll, and so it has to be called in a runtime.
///
/// # Errors
///
/// As for [`wait_for`](crate::wait_for), and [`WatchError::Runtime`].
#[cfg(feature = "tokio")]
pub fn wait_for_tokio<P: AsRef<Path>>(
    path: P,
    mask: WatchMask,
) -> impl Future<Output = Result<WatchEventBuf, WatchError>> {
    let watcher = Watcher::builder().path(path.as_ref()).mask(mask).build();
    let watcher = watcher.and_then(TokioWatcher::tokio);
    async move { Ok(watcher?.recv().await?.to_buf()) }
}

/// Waits in async-io for the first event on a path, and cleans up: one call. Race it with a timer.
///
/// It watches from the call on, not from the first poll.
///
/// # Errors
///
/// As for [`wait_for`](crate::wait_for), and [`WatchError::Runtime`].
#[cfg(feature = "async-io")]
pub fn wait_for_async_io<P: AsRef<Path>>(
    path: P,
    mask: WatchMask,
) -> impl Future<Output = Result<WatchEventBuf, WatchError>> {
    let watcher = Watcher::builder().path(path.as_ref()).mask(mask).build();
    let watcher = watcher.and_then(AsyncIoWatcher::async_io);
    async move { Ok(watcher?.recv().await?.to_buf()) }
}

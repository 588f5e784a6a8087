//! Methods of the debouncer that read the events of a watcher.
//!
//! They only borrow the watcher, so the caller can still add watches between two calls.

use std::time::Instant;

use super::{Debouncer, Group};
use crate::watcher::{WatchError, Watcher};

/// The maximum number of events that are read before the deadlines are checked.
const MAX_EVENTS: u32 = 128;

impl Debouncer {
    /// Reads events from a watcher until a group is due, and returns it. Blocks without a limit.
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv`]:
    ///
    /// - [`WatchError::Stopped`]: the watcher was stopped, by a handle or by the settings of its builder.
    ///   [`flush`](Self::flush) then returns the pending groups.
    /// - [`WatchError::Inotify`]: a system call failed.
    /// - [`WatchError::Path`]: a followed name can't be followed further.
    ///
    /// No pending group is lost by an error.
    pub fn recv_from(&mut self, watcher: &mut Watcher) -> Result<Group, WatchError> {
        loop {
            if let Some(group) = self.wait(watcher, None)? {
                return Ok(group);
            }
        }
    }

    /// Reads events from a watcher until a group is due, and returns it. Returns `None` at `deadline`. If
    /// `deadline` is in the past, this reads all queued events, but does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`recv_from`](Self::recv_from).
    pub fn recv_deadline_from(
        &mut self,
        watcher: &mut Watcher,
        deadline: Instant,
    ) -> Result<Option<Group>, WatchError> {
        self.wait(watcher, Some(deadline))
    }

    fn wait(
        &mut self,
        watcher: &mut Watcher,
        limit: Option<Instant>,
    ) -> Result<Option<Group>, WatchError> {
        loop {
            // Queued events happened before the deadlines, so they are read first.
            let mut is_drained = false;
            for _ in 0..MAX_EVENTS {
                let Some(event) = watcher.try_recv()? else {
                    is_drained = true;
                    break;
                };
                self.push(event.to_buf(), Instant::now());
            }
            let now = Instant::now();
            if let Some(group) = self.pop(now) {
                return Ok(Some(group));
            }
            if !is_drained {
                continue;
            }
            if limit.is_some_and(|limit| limit <= now) {
                return Ok(None);
            }
            let event = match self.next_deadline().into_iter().chain(limit).min() {
                Some(until) => watcher.recv_deadline(until)?,
                None => Some(watcher.recv()?),
            };
            if let Some(event) = event {
                self.push(event.to_buf(), Instant::now());
            }
        }
    }
}

#[cfg(any(feature = "tokio", feature = "async-io"))]
mod with_runtime {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Instant;

    use super::super::{Debouncer, Group};
    use super::MAX_EVENTS;
    use crate::stream::{AsyncWatcher, Runtime};
    use crate::watcher::WatchError;

    impl Debouncer {
        /// Reads events from an async watcher until a group is due, and returns it.
        ///
        /// `sleep_until` returns a future that completes at the given time, for example that of
        /// `tokio::time::sleep_until`. A test can pass its own clock. This method is cancel safe: dropping
        /// the future loses no event.
        ///
        /// ```
        /// # #[cfg(all(feature = "tokio", not(miri)))]
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use std::time::{Duration, Instant};
        /// use tinotify::debounce::Debouncer;
        /// use tinotify::{TokioWatcher, Watcher};
        ///
        /// # let dir = tempfile::tempdir()?;
        /// # let path = dir.path();
        /// let mut watcher = TokioWatcher::tokio(Watcher::new()?)?;
        /// watcher.get_ref().watch(path, Watcher::CHANGES)?;
        /// let mut debouncer = Debouncer::new(Duration::from_millis(20));
        /// # std::fs::write(path.join("new"), "text")?;
        ///
        /// let sleep_until = |time: Instant| tokio::time::sleep_until(time.into());
        /// let group = debouncer.recv_from_async(&mut watcher, sleep_until).await?;
        /// assert_eq!(group.path(), path.join("new"));
        /// # Ok(())
        /// # }
        /// # #[cfg(not(all(feature = "tokio", not(miri))))]
        /// # fn main() {}
        /// ```
        ///
        /// # Errors
        ///
        /// Those of [`recv_from`](Self::recv_from), and [`WatchError::Runtime`] if the runtime can't wait for
        /// the watcher. No pending group is lost by an error.
        pub async fn recv_from_async<R: Runtime, S: Future>(
            &mut self,
            watcher: &mut AsyncWatcher<R>,
            mut sleep_until: impl FnMut(Instant) -> S,
        ) -> Result<Group, WatchError> {
            loop {
                for _ in 0..MAX_EVENTS {
                    let Some(event) = queued(watcher).await? else { break };
                    self.push(event, Instant::now());
                }
                if let Some(group) = self.pop(Instant::now()) {
                    return Ok(group);
                }
                let Some(until) = self.next_deadline() else {
                    let event = watcher.recv().await?.to_buf();
                    self.push(event, Instant::now());
                    continue;
                };
                let mut timer = pin!(sleep_until(until));
                let mut event = pin!(watcher.recv());
                let event = poll_fn(|cx| match event.as_mut().poll(cx) {
                    Poll::Ready(event) => Poll::Ready(Some(event.map(|event| event.to_buf()))),
                    Poll::Pending => timer.as_mut().poll(cx).map(|_| None),
                });
                if let Some(event) = event.await {
                    self.push(event?, Instant::now());
                }
            }
        }

        /// Reads events from an async-io watcher until a group is due, and returns it. Uses the timer of
        /// async-io. This method is cancel safe.
        ///
        /// # Errors
        ///
        /// Those of [`recv_from_async`](Self::recv_from_async).
        #[cfg(feature = "async-io")]
        pub async fn recv_from_async_io(
            &mut self,
            watcher: &mut crate::AsyncIoWatcher,
        ) -> Result<Group, WatchError> {
            self.recv_from_async(watcher, async_io::Timer::at).await
        }
    }

    /// Returns an event if one is available now.
    async fn queued<R: Runtime>(
        watcher: &mut AsyncWatcher<R>,
    ) -> Result<Option<crate::WatchEventBuf>, WatchError> {
        let mut event = pin!(watcher.recv());
        let event = poll_fn(|cx| {
            Poll::Ready(match event.as_mut().poll(cx) {
                Poll::Ready(event) => event.map(|event| Some(event.to_buf())),
                Poll::Pending => Ok(None),
            })
        });
        event.await
    }
}

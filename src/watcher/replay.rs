//! Events from memory, for tests of programs that handle events.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{StopReason, WatchError};
use super::event::{WatchEvent, WatchEventBuf};
use super::watcher::Watcher;
use crate::decode::{DecodeError, Events};
use crate::event::Wd;

/// A source of events: a [`Watcher`], or a [`Replay`] in a test.
///
/// A function that handles events takes `&mut impl EventSource`, and its test needs no files, no kernel and
/// no waiting. A function that takes an iterator (as [`Watcher::iter`]) or a stream (as `AsyncWatcher`) can be
/// given a [`Replay`], too.
pub trait EventSource {
    /// Waits for the next event, and lends it. See [`Watcher::recv`].
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv`].
    fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError>;

    /// Returns the next event, if one is there. See [`Watcher::try_recv`].
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::try_recv`].
    fn try_recv(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError>;

    /// Waits for the next event, at most for `timeout`. See [`Watcher::recv_timeout`].
    ///
    /// # Errors
    ///
    /// Those of [`Watcher::recv_timeout`].
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<WatchEvent<'_>>, WatchError>;
}

impl EventSource for Watcher {
    fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        self.recv()
    }

    fn try_recv(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.try_recv()
    }

    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.recv_timeout(timeout)
    }
}

/// Events from memory: what a [`Watcher`] would return, in the same order.
///
/// After the last event, every call returns [`WatchError::Stopped`], like a watcher that was stopped.
/// No call waits.
///
/// ```
/// use std::time::Duration;
/// use tinotify::{EventMask, EventSource, Replay, WatchError, WatchEventBuf};
///
/// /// Counts the files that come before the first quiet second.
/// fn count(source: &mut impl EventSource) -> Result<usize, WatchError> {
///     let mut count = 0;
///     while let Some(event) = source.recv_timeout(Duration::from_secs(1))? {
///         count += usize::from(event.mask().contains(EventMask::CREATE));
///     }
///     Ok(count)
/// }
///
/// let created = |name: &str| {
///     WatchEventBuf::builder(EventMask::CREATE).directory("/srv").name(name).build()
/// };
/// let mut replay = Replay::new();
/// replay.event(created("a")).event(created("b")).pause().event(created("late"));
/// assert_eq!(count(&mut replay)?, 2);
/// # Ok::<(), WatchError>(())
/// ```
///
/// # Record and replay
///
/// Every event can be recorded with the encoder ([`Event::encode`](crate::Event::encode)), in the format of
/// the kernel. [`from_records`](Self::from_records) makes the events again, with paths:
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{EventSource, MAX_RECORD_SIZE, Replay, WatchMask, Watcher};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let mut watcher = Watcher::new()?;
/// watcher.watch(path, WatchMask::CREATE)?;
/// # std::fs::write(path.join("a"), "")?;
///
/// let (mut record, mut buffer) = (Vec::new(), [0; MAX_RECORD_SIZE]);
/// while let Some(event) = watcher.try_recv()? {
///     let len = event.event().encode(&mut buffer)?;
///     record.extend_from_slice(&buffer[..len]);
/// }
///
/// let mut replay = Replay::from_records(&record, |_| Some(path.to_owned()))?;
/// assert_eq!(replay.recv()?.path(), path.join("a"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A record has what the kernel reported, and not the alias, the token, or what a tree discovered. With the
/// feature `serde`, a [`WatchEventBuf`] is saved with all of this.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    steps: VecDeque<Step>,
    /// The event that is lent.
    current: Option<WatchEventBuf>,
}

#[derive(Clone, Debug)]
enum Step {
    Event(WatchEventBuf),
    Pause,
    Error(WatchError),
}

impl Replay {
    /// Returns a source without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the events that are recorded in `bytes`, in the format of the kernel. `directory` returns the
    /// path of the file or directory that a watch descriptor stood for; `None` skips its events.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are not whole, valid records.
    pub fn from_records(
        bytes: &[u8],
        mut directory: impl FnMut(Wd) -> Option<PathBuf>,
    ) -> Result<Self, DecodeError> {
        let mut replay = Self::new();
        for event in Events::new(bytes) {
            let event = event?;
            // An overflow is of no watch.
            let of = if event.is_overflow() { Some(PathBuf::new()) } else { directory(event.wd()) };
            if let Some(directory) = of {
                replay.event(WatchEventBuf::from_record(&event, directory));
            }
        }
        Ok(replay)
    }

    /// Adds an event to the end.
    pub fn event(&mut self, event: WatchEventBuf) -> &mut Self {
        self.push(Step::Event(event))
    }

    /// Adds a pause to the end: a call that does not wait, or waits with a limit, returns `None` there.
    pub fn pause(&mut self) -> &mut Self {
        self.push(Step::Pause)
    }

    /// Adds an error to the end. Reading goes on after it.
    pub fn error(&mut self, error: WatchError) -> &mut Self {
        self.push(Step::Error(error))
    }

    /// Returns `true` if nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn push(&mut self, step: Step) -> &mut Self {
        self.steps.push_back(step);
        self
    }
}

impl EventSource for Replay {
    fn recv(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        while let Some(Step::Pause) = self.steps.front() {
            self.steps.pop_front();
        }
        // No pause comes next, so there is an event or an error.
        self.try_recv()?.ok_or(WatchError::Stopped(StopReason::Requested))
    }

    fn try_recv(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError> {
        match self.steps.pop_front() {
            Some(Step::Event(event)) => Ok(Some(self.current.insert(event).as_event())),
            Some(Step::Pause) => Ok(None),
            Some(Step::Error(error)) => Err(error),
            None => Err(WatchError::Stopped(StopReason::Requested)),
        }
    }

    fn recv_timeout(&mut self, _: Duration) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.try_recv()
    }
}

/// Like [`Watcher::iter`]: pauses are skipped, and every error is an item.
impl Iterator for Replay {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.steps.pop_front()? {
                Step::Event(event) => return Some(Ok(event)),
                Step::Error(error) => return Some(Err(error)),
                Step::Pause => {}
            }
        }
    }
}

impl Extend<WatchEventBuf> for Replay {
    fn extend<I: IntoIterator<Item = WatchEventBuf>>(&mut self, events: I) {
        self.steps.extend(events.into_iter().map(Step::Event));
    }
}

impl FromIterator<WatchEventBuf> for Replay {
    fn from_iter<I: IntoIterator<Item = WatchEventBuf>>(events: I) -> Self {
        let mut replay = Self::new();
        replay.extend(events);
        replay
    }
}

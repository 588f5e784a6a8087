//! Iterators over events.

use std::time::Duration;

use super::error::{StopReason, WatchError};
use super::event::WatchEventBuf;
use super::reader::{Deadline, Found, Reader};

/// Waits for events: see [`Watcher::iter`](super::Watcher::iter).
#[derive(Debug)]
pub struct Iter<'a> {
    reader: &'a mut Reader,
}

impl<'a> Iter<'a> {
    pub(super) const fn new(reader: &'a mut Reader) -> Self {
        Self { reader }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        item(self.reader, Deadline::Never).and_then(Result::transpose)
    }
}

/// Waits for events for some time: see [`Watcher::iter_timeout`](super::Watcher::iter_timeout).
#[derive(Debug)]
pub struct IterTimeout<'a> {
    reader: &'a mut Reader,
    timeout: Duration,
}

impl<'a> IterTimeout<'a> {
    pub(super) const fn new(reader: &'a mut Reader, timeout: Duration) -> Self {
        Self { reader, timeout }
    }
}

impl Iterator for IterTimeout<'_> {
    /// `Ok(None)`: nothing has come in time.
    type Item = Result<Option<WatchEventBuf>, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        item(self.reader, Deadline::after(self.timeout))
    }
}

/// Takes what is there: see [`Watcher::try_iter`](super::Watcher::try_iter).
#[derive(Debug)]
pub struct TryIter<'a> {
    reader: &'a mut Reader,
}

impl<'a> TryIter<'a> {
    pub(super) const fn new(reader: &'a mut Reader) -> Self {
        Self { reader }
    }
}

impl Iterator for TryIter<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        item(self.reader, Deadline::Empty).and_then(Result::transpose)
    }
}

/// Returns the next event, or `None` inside if there was none in time, or the end of the iterator.
fn item(
    reader: &mut Reader,
    deadline: Deadline,
) -> Option<Result<Option<WatchEventBuf>, WatchError>> {
    match reader.find(deadline) {
        Ok(found) => Some(Ok((found == Found::Event).then(|| reader.lend().to_buf()))),
        Err(WatchError::Stopped(StopReason::Requested | StopReason::NoWatches)) => None,
        Err(error) => Some(Err(error)),
    }
}

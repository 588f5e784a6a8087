//! Iterators over events. Each ends when the watcher is stopped, and after an error that would come again
//! and again.

use std::time::Duration;

use super::error::{StopReason, WatchError};
use super::event::WatchEventBuf;
use super::reader::{Deadline, Found, Reader};

/// Waits for events: see [`Watcher::iter`](super::Watcher::iter).
#[derive(Debug)]
pub struct Iter<'a> {
    items: Items<'a>,
}

impl<'a> Iter<'a> {
    pub(super) const fn new(reader: &'a mut Reader) -> Self {
        Self { items: Items::new(reader) }
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next(Deadline::Never).and_then(Result::transpose)
    }
}

/// Waits for events for some time: see [`Watcher::iter_timeout`](super::Watcher::iter_timeout).
#[derive(Debug)]
pub struct IterTimeout<'a> {
    items: Items<'a>,
    timeout: Duration,
}

impl<'a> IterTimeout<'a> {
    pub(super) const fn new(reader: &'a mut Reader, timeout: Duration) -> Self {
        Self { items: Items::new(reader), timeout }
    }
}

impl Iterator for IterTimeout<'_> {
    /// `Ok(None)`: nothing has come in time.
    type Item = Result<Option<WatchEventBuf>, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next(Deadline::after(self.timeout))
    }
}

/// Takes what is there: see [`Watcher::try_iter`](super::Watcher::try_iter).
#[derive(Debug)]
pub struct TryIter<'a> {
    items: Items<'a>,
}

impl<'a> TryIter<'a> {
    pub(super) const fn new(reader: &'a mut Reader) -> Self {
        Self { items: Items::new(reader) }
    }
}

impl Iterator for TryIter<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next(Deadline::Empty).and_then(Result::transpose)
    }
}

/// What the iterators have in common.
#[derive(Debug)]
struct Items<'a> {
    reader: &'a mut Reader,
    is_over: bool,
}

impl<'a> Items<'a> {
    const fn new(reader: &'a mut Reader) -> Self {
        Self { reader, is_over: false }
    }

    /// Returns the next event, or `None` inside if there was none in time, or the end of the iterator.
    fn next(&mut self, deadline: Deadline) -> Option<Result<Option<WatchEventBuf>, WatchError>> {
        if self.is_over {
            return None;
        }
        match self.reader.find(deadline) {
            Ok(found) => Some(Ok((found == Found::Event).then(|| self.reader.lend().to_buf()))),
            Err(WatchError::Stopped(StopReason::Requested | StopReason::NoWatches)) => None,
            Err(error) => {
                self.is_over = error.is_fatal();
                Some(Err(error))
            }
        }
    }
}

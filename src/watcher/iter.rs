//! Events one after another, as iterators and as one call.

use std::path::Path;
use std::time::Duration;

use super::Watcher;
use super::error::{End, WatchError};
use super::event::WatchEventBuf;
use super::reader::Until;
use crate::flags::WatchMask;

/// See [`Watcher::iter`].
#[derive(Debug)]
pub struct Iter<'a> {
    pub(super) watcher: &'a mut Watcher,
}

impl Iterator for Iter<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        ended(self.watcher.next().map(|event| event.to_buf()))
    }
}

impl<'a> IntoIterator for &'a mut Watcher {
    type Item = Result<WatchEventBuf, WatchError>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// See [`Watcher::ticks`].
#[derive(Debug)]
pub struct Ticks<'a> {
    pub(super) watcher: &'a mut Watcher,
    pub(super) idle: Duration,
}

impl Iterator for Ticks<'_> {
    /// `Ok(None)` is an idle tick.
    type Item = Result<Option<WatchEventBuf>, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.watcher.next_timeout(self.idle);
        ended(event.map(|event| event.map(|event| event.to_buf())))
    }
}

/// See [`Watcher::drain`].
#[derive(Debug)]
pub struct Drain<'a> {
    pub(super) watcher: &'a mut Watcher,
}

impl Iterator for Drain<'_> {
    type Item = Result<WatchEventBuf, WatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        ended(self.watcher.try_next()).and_then(|event| match event {
            Ok(event) => event.map(|event| Ok(event.to_buf())),
            Err(error) => Some(Err(error)),
        })
    }
}

/// An item, or the end, where that was asked for.
fn ended<T>(item: Result<T, WatchError>) -> Option<Result<T, WatchError>> {
    match item {
        Err(WatchError::Ended(End::Stopped | End::NoWatches)) => None,
        item => Some(item),
    }
}

/// Waits for the first event on a path, and cleans up: one call. `None` if nothing has come before
/// the time was over; no `timeout` waits for ever.
///
/// ```
/// # #[cfg(not(miri))] {
/// use std::time::Duration;
/// use tinotify::{WatchMask, wait_for};
///
/// # let dir = tempfile::tempdir()?;
/// let nothing = wait_for(dir.path(), WatchMask::CREATE, Some(Duration::ZERO))?;
/// assert!(nothing.is_none());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of [`Watches::watch`](super::Watches::watch) and [`Watcher::next`].
pub fn wait_for(
    path: impl AsRef<Path>,
    mask: WatchMask,
    timeout: Option<Duration>,
) -> Result<Option<WatchEventBuf>, WatchError> {
    let mut watcher = watching(path.as_ref(), mask)?;
    let arrived = watcher.reader.arrive(timeout.map_or(Until::Event, Until::after))?;
    Ok(arrived.then(|| watcher.reader.lend().to_buf()))
}

/// As [`wait_for`], for all events that are there together with the first. None if nothing has come
/// before the time was over.
///
/// # Errors
///
/// As for [`wait_for`].
pub fn wait_for_batch(
    path: impl AsRef<Path>,
    mask: WatchMask,
    timeout: Option<Duration>,
) -> Result<Vec<WatchEventBuf>, WatchError> {
    let mut watcher = watching(path.as_ref(), mask)?;
    match timeout {
        Some(timeout) => watcher.batch_timeout(timeout),
        None => watcher.batch(),
    }
}

/// A watcher of one path.
fn watching(path: &Path, mask: WatchMask) -> Result<Watcher, WatchError> {
    Watcher::builder().path(path).mask(mask).build()
}

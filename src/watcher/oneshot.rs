//! Waiting for one event, as one call.

use std::path::Path;
use std::time::Duration;

use super::error::WatchError;
use super::event::WatchEventBuf;
use super::watcher::Watcher;
use crate::flags::WatchMask;

/// Watches a path, waits for its first event, and cleans up. Returns `None` at the timeout. Without a
/// timeout it waits for ever.
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
/// Those of [`Watches::watch`](super::Watches::watch) and [`Watcher::recv`].
pub fn wait_for(
    path: impl AsRef<Path>,
    mask: WatchMask,
    timeout: Option<Duration>,
) -> Result<Option<WatchEventBuf>, WatchError> {
    let mut watcher = watching(path.as_ref(), mask)?;
    Ok(match timeout {
        Some(timeout) => watcher.recv_timeout(timeout)?.map(|event| event.to_buf()),
        None => Some(watcher.recv()?.to_buf()),
    })
}

/// Does what [`wait_for`] does, and returns all events that come together with the first. Returns none at
/// the timeout.
///
/// # Errors
///
/// Those of [`wait_for`].
pub fn wait_for_batch(
    path: impl AsRef<Path>,
    mask: WatchMask,
    timeout: Option<Duration>,
) -> Result<Vec<WatchEventBuf>, WatchError> {
    let mut watcher = watching(path.as_ref(), mask)?;
    match timeout {
        Some(timeout) => watcher.recv_batch_timeout(timeout),
        None => watcher.recv_batch(),
    }
}

/// Returns a watcher of one path.
fn watching(path: &Path, mask: WatchMask) -> Result<Watcher, WatchError> {
    Watcher::builder().path(path).mask(mask).build()
}

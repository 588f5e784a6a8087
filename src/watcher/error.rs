//! Errors of a watcher.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::id::WatchId;
use crate::decode::DecodeError;
use crate::event::Escaped;
use crate::inotify::Error;
use crate::sys::Errno;

/// Why a watch could not be added or changed, or why reading stopped. Its message names the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchError {
    /// The path can't be watched.
    Path {
        /// The path, as it was given.
        path: PathBuf,
        /// Why not.
        error: Error,
    },
    /// The path contains a NUL byte, which no file system accepts.
    Nul(PathBuf),
    /// Another watch has this alias.
    AliasTaken(OsString),
    /// No watch has this alias.
    NoSuchAlias(OsString),
    /// The watch has ended, or belongs to another watcher.
    NoSuchWatch(WatchId),
    /// The watcher was dropped.
    Closed,
    /// The path now leads to another file than the watched one.
    Moved(PathBuf),
    /// The path is not that of a directory beneath the root of the tree.
    NotBeneath {
        /// The path, as it was given.
        path: PathBuf,
        /// The root of the tree.
        root: PathBuf,
    },
    /// A tree can't be listed by its own [`exclude`](super::TreeOptions::exclude) condition.
    InExclude(WatchId),
    /// The glob pattern is invalid, and why.
    #[cfg(feature = "glob")]
    Glob(String),
    /// A system call on the inotify instance failed.
    Inotify(Error),
    /// The bytes that were read are no event: the descriptor is no inotify instance.
    Decode(DecodeError),
    /// The runtime can't wait for the descriptor.
    Runtime(io::ErrorKind),
    /// Reading has stopped.
    Stopped(StopReason),
}

/// Why reading has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// A [`StopHandle`](super::StopHandle) was used.
    Requested,
    /// No watch is left, and the watcher was built to
    /// [stop then](super::WatcherBuilder::stop_without_watches).
    NoWatches,
    /// Events were lost, and the watcher was built to [stop then](super::WatcherBuilder::stop_on_overflow).
    Overflow,
    /// A file system was unmounted, and the watcher was built to
    /// [stop then](super::WatcherBuilder::stop_on_unmount).
    Unmounted,
}

impl WatchError {
    /// Returns `true` if every later read would fail in the same way: the descriptor is not usable.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Inotify(Error::Read { .. } | Error::Poll(_)))
    }

    pub(super) fn at(path: &Path, error: Error) -> Self {
        Self::Path { path: path.to_owned(), error }
    }

    /// Returns the error number of the system call that failed; `None` if none failed.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Path { error, .. } | Self::Inotify(error) => error.errno(),
            _ => None,
        }
    }
}

/// Returns the error number of a failed call of the standard library. One without a number is `ENOENT`.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::ENOENT, Errno::from_raw)
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &std::ffi::OsStr| format!("{}", Escaped(name.as_encoded_bytes()));
        match self {
            Self::Path { path, error } => fmt_at(f, path, error),
            Self::Nul(path) => write!(
                f,
                "cannot watch: {}: the path contains a NUL byte, which no file system accepts",
                shown(path.as_os_str())
            ),
            Self::AliasTaken(alias) => write!(
                f,
                "cannot add the alias: {}: another watch has it; unwatch that one first, or choose another \
                 alias",
                shown(alias)
            ),
            Self::NoSuchAlias(alias) => {
                write!(f, "unknown alias: {}: no watch has it", shown(alias))
            }
            Self::NoSuchWatch(watch) => {
                write!(f, "{watch:?} has ended, or belongs to another watcher")
            }
            Self::Closed => f.write_str("the watcher of this handle was dropped"),
            Self::Moved(path) => write!(
                f,
                "cannot change the watch: {}: the path now leads to another file than the watched \
                 one; unwatch it, then watch again",
                shown(path.as_os_str())
            ),
            Self::NotBeneath { path, root } => write!(
                f,
                "cannot exclude or include: {}: it is not beneath the root of the tree, {}; give a path \
                 as the events of the tree show it",
                shown(path.as_os_str()),
                shown(root.as_os_str())
            ),
            Self::InExclude(watch) => write!(
                f,
                "cannot list the directories of {watch:?}: its own exclude condition asked for them; \
                 ask from another place"
            ),
            #[cfg(feature = "glob")]
            Self::Glob(error) => write!(f, "invalid glob pattern: {error}"),
            Self::Inotify(error) => error.fmt(f),
            Self::Decode(error) => {
                write!(f, "{error}; check that the descriptor is an inotify instance")
            }
            Self::Runtime(kind) => write!(f, "the runtime cannot wait for events: {kind}"),
            Self::Stopped(StopReason::Requested) => f.write_str("the watcher was stopped"),
            Self::Stopped(StopReason::NoWatches) => f.write_str("no watch is left"),
            Self::Stopped(StopReason::Overflow) => f.write_str(
                "events were lost: they came faster than they were read; read in time, watch less, \
                 or raise the sysctl fs.inotify.max_queued_events",
            ),
            Self::Stopped(StopReason::Unmounted) => {
                f.write_str("the watched file system was unmounted")
            }
        }
    }
}

/// Writes an error of a path: what failed, the path, why, and what to do.
fn fmt_at(f: &mut fmt::Formatter<'_>, path: &Path, error: &Error) -> fmt::Result {
    let path = Escaped(path.as_os_str().as_encoded_bytes());
    match error {
        Error::AddWatch(errno) => write!(f, "cannot watch: {path}: {errno}")?,
        Error::Mask(error) => return write!(f, "cannot watch: {path}: {error}"),
        _ => return write!(f, "{path}: {error}"),
    }
    match (error, error.remedy()) {
        // A watcher can follow a name that does not exist yet, which the core can't.
        (Error::AddWatch(Errno::ENOENT), _) => {
            f.write_str("; to wait until it exists, use watch_name")
        }
        (_, Some(remedy)) => write!(f, "; {remedy}"),
        (_, None) => Ok(()),
    }
}

/// Has no source: the message includes the cause.
impl core::error::Error for WatchError {}

impl From<Error> for WatchError {
    fn from(error: Error) -> Self {
        Self::Inotify(error)
    }
}

impl From<DecodeError> for WatchError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<WatchError> for io::Error {
    /// Keeps the error number: `raw_os_error` returns it, as for the errors of [`std::fs`]. An error
    /// without one stays inside, and its kind says what it is: `UnexpectedEof` for
    /// [`Stopped`](WatchError::Stopped), for example.
    ///
    /// An error with a number loses its path and its remedy. `io::Error::other(error)` keeps them, and
    /// has no number.
    fn from(error: WatchError) -> Self {
        let kind = match &error {
            WatchError::Path { error, .. } | WatchError::Inotify(error) => return (*error).into(),
            WatchError::Decode(_) => io::ErrorKind::InvalidData,
            WatchError::NoSuchAlias(_) | WatchError::NoSuchWatch(_) => io::ErrorKind::NotFound,
            WatchError::Closed => io::ErrorKind::BrokenPipe,
            WatchError::AliasTaken(_) => io::ErrorKind::AlreadyExists,
            WatchError::Runtime(kind) => *kind,
            WatchError::Stopped(_) => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

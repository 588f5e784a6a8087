//! What can go wrong with a watcher.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::table::Watch;
use crate::decode::DecodeError;
use crate::event::Escaped;
use crate::inotify::Error;
use crate::sys::Errno;

/// Why reading came to its end, or a watch could not be had. Printed, it says what helps.
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
    /// The path holds a NUL byte, which no file system takes.
    Nul(PathBuf),
    /// A watch of that alias exists already.
    AliasTaken(OsString),
    /// No watch has that alias.
    NoSuchAlias(OsString),
    /// The watch is gone, or belongs to another watcher.
    NoSuchWatch(Watch),
    /// The path now leads to another file than the one that is watched.
    Moved(PathBuf),
    /// The path is not that of a directory beneath the root of the tree.
    NotBeneath {
        /// The path, as it was given.
        path: PathBuf,
        /// The root of the tree.
        root: PathBuf,
    },
    /// A glob pattern that makes no sense, and why.
    #[cfg(feature = "glob")]
    Glob(String),
    /// The inotify instance failed.
    Inotify(Error),
    /// What was read is no event: the descriptor is no inotify instance.
    Decode(DecodeError),
    /// A runtime could not wait for the descriptor.
    Runtime(io::ErrorKind),
    /// Reading has come to its end.
    Ended(End),
}

/// Why reading has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// A [`Stopper`](super::Stopper) said so.
    Stopped,
    /// No watch is left, and the watcher was built to end then.
    NoWatches,
    /// Events were lost, and the watcher was built to end then.
    Overflow,
    /// A file system was unmounted, and the watcher was built to end then.
    Unmounted,
}

impl WatchError {
    /// What the kernel said; `None` if it was not asked.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Path { error, .. } | Self::Inotify(error) => error.errno(),
            _ => None,
        }
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &std::ffi::OsStr| format!("{}", Escaped(name.as_encoded_bytes()));
        match self {
            Self::Path { path, error } => write!(f, "{}: {error}", shown(path.as_os_str())),
            Self::Nul(path) => write!(
                f,
                "{}: cannot watch: the path holds a NUL byte, which no file system takes",
                shown(path.as_os_str())
            ),
            Self::AliasTaken(alias) => write!(
                f,
                "a watch with the alias {} exists already; unwatch it first, or choose another",
                shown(alias)
            ),
            Self::NoSuchAlias(alias) => write!(f, "no watch has the alias {}", shown(alias)),
            Self::NoSuchWatch(watch) => {
                write!(f, "{watch:?} is gone already, or belongs to another watcher")
            }
            Self::Moved(path) => write!(
                f,
                "{}: the path now leads to another file than the watched one; unwatch, then watch \
                 again",
                shown(path.as_os_str())
            ),
            Self::NotBeneath { path, root } => write!(
                f,
                "{}: not beneath the root of the tree, {}; give a path as the events of the tree show it",
                shown(path.as_os_str()),
                shown(root.as_os_str())
            ),
            #[cfg(feature = "glob")]
            Self::Glob(error) => write!(f, "cannot filter: {error}"),
            Self::Inotify(error) => error.fmt(f),
            Self::Decode(error) => write!(f, "{error}; is the descriptor an inotify instance?"),
            Self::Runtime(kind) => write!(f, "the runtime cannot wait for events: {kind}"),
            Self::Ended(End::Stopped) => f.write_str("the watcher was stopped"),
            Self::Ended(End::NoWatches) => f.write_str("no watch is left"),
            Self::Ended(End::Overflow) => f.write_str(
                "events were lost: they came faster than they were read; read in time, watch less, \
                 or raise the sysctl fs.inotify.max_queued_events",
            ),
            Self::Ended(End::Unmounted) => f.write_str("the watched file system was unmounted"),
        }
    }
}

impl core::error::Error for WatchError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Path { error, .. } | Self::Inotify(error) => Some(error),
            Self::Decode(error) => Some(error),
            _ => None,
        }
    }
}

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
    /// Of the kind that the error number has, with this error inside, so that no message is lost.
    fn from(error: WatchError) -> Self {
        let kind = match &error {
            WatchError::Path { error, .. } | WatchError::Inotify(error) => {
                Self::from(*error).kind()
            }
            WatchError::Decode(_) => io::ErrorKind::InvalidData,
            WatchError::NoSuchAlias(_) | WatchError::NoSuchWatch(_) => io::ErrorKind::NotFound,
            WatchError::AliasTaken(_) => io::ErrorKind::AlreadyExists,
            WatchError::Runtime(kind) => *kind,
            WatchError::Ended(_) => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

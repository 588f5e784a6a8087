//! What ends the tool with an error.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tinotify::{Errno, Escaped, WatchError};

use crate::filter::PatternError;

#[derive(Debug)]
pub enum Failure {
    Watch(WatchError),
    /// A regular expression is invalid.
    Pattern(Vec<u8>, PatternError),
    /// A file cannot be opened.
    File(PathBuf, io::Error),
    /// Events cannot be written.
    Output(io::Error),
    System(io::Error),
    NoPaths,
    NegativeTimeout,
}

impl Failure {
    /// Returns `true` if the reader of the events is gone, as `head` is after its last line.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(WatchError::Path { path, error })
                if error.errno() == Some(Errno::ENOENT) =>
            {
                let path = Escaped(path.as_os_str().as_encoded_bytes());
                let errno = Errno::ENOENT;
                write!(f, "cannot watch: {path}: {errno}; to wait until it exists, use --follow")
            }
            Self::Watch(error) => error.fmt(f),
            Self::Pattern(pattern, error) => {
                write!(f, "invalid regular expression: {}: {error}", Escaped(pattern))
            }
            Self::File(path, error) => {
                write!(f, "cannot open: {}: {error}", Escaped(path.as_os_str().as_encoded_bytes()))
            }
            Self::Output(error) => write!(f, "cannot write events: {error}"),
            Self::System(error) => error.fmt(f),
            Self::NoPaths => f.write_str("no path to watch: --fromfile has none"),
            Self::NegativeTimeout => {
                f.write_str("the watches were set up; ending, since the timeout is negative")
            }
        }
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        Self::Watch(error)
    }
}

impl From<io::Error> for Failure {
    /// An error of the output. All others are converted by name.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

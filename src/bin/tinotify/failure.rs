//! Errors that end the tool.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tinotify::{Errno, Escaped, WatchError};

use crate::exec::CommandError;
use crate::filter::FilterError;
use crate::limits::Limit;

#[derive(Debug)]
pub enum Failure {
    Watch(WatchError),
    /// A pattern is invalid.
    Filter(FilterError),
    /// A file cannot be opened.
    File(PathBuf, io::Error),
    /// Events cannot be written.
    Output(io::Error),
    /// A system call failed. The text says what the tool could not do.
    System(&'static str, io::Error),
    /// The command of `--exec` is refused.
    Command(CommandError),
    NoPaths,
    NegativeTimeout,
}

impl Failure {
    /// Returns a function that adds what failed to an error of a system call.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System(what, error)
    }

    /// Returns `true` if the reader of the events has closed the pipe, as `head` does after its last
    /// line.
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
            Self::Watch(error) => match Limit::of(error) {
                Some(limit) => {
                    f.write_str("cannot watch: ")?;
                    if let WatchError::Path { path, .. } = error {
                        write!(f, "{}: ", Escaped(path.as_os_str().as_encoded_bytes()))?;
                    }
                    write!(f, "a limit of this user is reached: {limit}")
                }
                None => error.fmt(f),
            },
            Self::Filter(error) => error.fmt(f),
            Self::File(path, error) => {
                write!(f, "cannot open: {}: {error}", Escaped(path.as_os_str().as_encoded_bytes()))
            }
            Self::Output(error) => write!(f, "cannot write events: {error}"),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Command(error) => error.fmt(f),
            Self::NoPaths => f.write_str("no path to watch: --fromfile has none; add a path to it"),
            Self::NegativeTimeout => {
                f.write_str("the watches were set up; ending because the timeout is negative")
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
    /// Converts an error of the output. All other errors need an explicit variant.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

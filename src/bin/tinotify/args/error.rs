//! Errors of the command line.

use std::fmt;

use crate::args::table::{EVENTS, options};

#[derive(Debug)]
pub enum UsageError {
    NoPaths,
    NoCommand,
    UnknownEvent(String),
    UnknownDocument(String),
    InvalidTimeout(String),
    InvalidDebounce(String),
    InvalidExtensions(String),
    InvalidTypes(String),
    Ambiguous(String),
    Fanotify,
    /// The first option needs the second.
    Needs(&'static str, &'static str),
    /// Only one of these can be given.
    OnlyOne(&'static str),
    /// This long option needs a library that is not in this build.
    NotInBuild(&'static str),
    /// This long option was given twice.
    Twice(&'static str),
    Syntax(lexopt::Error),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPaths => f.write_str("no path to watch: give a PATH or --fromfile"),
            Self::NoCommand => f.write_str("no command to run: give a COMMAND after --exec"),
            Self::UnknownEvent(name) => match similar_event(name) {
                Some(similar) => write!(f, "unknown event {name:?}; did you mean {similar:?}?"),
                None => write!(f, "unknown event {name:?}; --help lists the events"),
            },
            Self::UnknownDocument(name) => {
                write!(f, "invalid value {name:?} for --generate: expected man, bash, zsh or fish")
            }
            Self::InvalidTimeout(text) => write!(f, "invalid timeout {text:?}: expected seconds"),
            Self::InvalidDebounce(text) => {
                write!(f, "invalid debounce time {text:?}: expected milliseconds")
            }
            Self::InvalidExtensions(list) => {
                write!(f, "invalid extension {list:?}: expected a list such as rs,toml")
            }
            Self::InvalidTypes(list) => {
                write!(
                    f,
                    "invalid type {list:?}: expected f, d or f,d; events do not tell other types \
                     from files"
                )
            }
            Self::NotInBuild(long) => {
                write!(f, "--{long} is not in this build: build with the feature cli")
            }
            Self::Ambiguous(prefix) => {
                write!(f, "ambiguous option --{prefix}: did you mean one of")?;
                let mut matching =
                    options().filter(|option| option.long.starts_with(prefix.as_str()));
                matching.try_for_each(|option| write!(f, " --{}", option.long))?;
                f.write_str("?")
            }
            Self::Fanotify => f.write_str("fanotify is not supported: remove -F and -S"),
            Self::Needs(option, other) => write!(f, "{option} needs {other}"),
            Self::OnlyOne(options) => write!(f, "only one of {options} can be given"),
            Self::Twice(long) => write!(f, "--{long} was given twice: give it once"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

/// Returns an event that starts with `name`, or else one with the same first three bytes.
fn similar_event(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let starting = |start: &str| EVENTS.iter().find(|(event, _)| event.starts_with(start));
    let start = name.get(..3)?;
    Some(starting(&name).or_else(|| starting(start))?.0)
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}

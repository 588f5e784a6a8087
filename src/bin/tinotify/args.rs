//! The command line, as inotifywait and getopt_long(3) have it: options and paths in any order, short
//! options combined, long ones shortened.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use tinotify::{EventMask, ParseFlagsError};

const HELP: &str = "\
Wait for changes to files, and show them.

Usage: tinotify [OPTION]... PATH...

Options:
  -e, --event EVENT[,EVENT]...  what to wait for; can be repeated (default: each event)
  -m, --monitor                 go on after the first event
  -t, --timeout SECONDS         end if nothing comes for so long; 0 waits for ever (default)
  -q, --quiet                   show events only; -qq: nothing at all
  -h, --help                    show this
  -V, --version                 show the version

Events:
  access          read                        moved_from   moved out of a directory
  modify          written                     moved_to     moved into a directory
  attrib          metadata changed            move         either of the two
  close_write     closed after writing        move_self    the watched thing was moved
  close_nowrite   closed, was not writable    create       made in a directory
  close           either of the two           delete       removed from a directory
  open            opened                      delete_self  the watched thing is gone
  all_events      each of these               unmount      its file system was unmounted

Each event is a line: the watched path, the names of the event, the name in the directory.

Exit status: 0 after an event; 1 after an error, or when a watch ended; 2 after the timeout.
";

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Show this text, and nothing else.
    Tell(String),
    Watch(Options),
}

#[derive(Debug)]
pub struct Options {
    pub paths: Vec<PathBuf>,
    pub events: EventMask,
    pub monitor: bool,
    pub timeout: Timeout,
    pub quiet: Quiet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    Never,
    After(Duration),
    /// Set up the watches, then give up: to see whether they can be set up.
    Negative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    No,
    /// No messages but errors.
    Messages,
    /// No events either.
    Events,
}

/// Each option: what the user types, and what [`parse`] calls it.
const LONG: [(&str, char); 6] = [
    ("event", 'e'),
    ("help", 'h'),
    ("monitor", 'm'),
    ("quiet", 'q'),
    ("timeout", 't'),
    ("version", 'V'),
];

/// Reads the arguments, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut paths = Vec::new();
    let mut events = EventMask::empty();
    let mut monitor = false;
    let mut timeout = Timeout::Never;
    let mut quiet = Quiet::No;

    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        let option = match arg {
            Short(letter) => letter,
            Long(name) => letter_of(name)?,
            Value(path) => {
                paths.push(PathBuf::from(path));
                continue;
            }
        };
        match option {
            'e' => events |= events_named(&parser.value()?.string()?)?,
            'h' => return Ok(Command::Tell(HELP.to_owned())),
            'm' => monitor = true,
            'q' => quiet = if quiet == Quiet::No { Quiet::Messages } else { Quiet::Events },
            't' => timeout = timeout_of(&parser.value()?.string()?)?,
            'V' => {
                let version = concat!("tinotify ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Command::Tell(version.to_owned()));
            }
            unknown => return Err(lexopt::Error::UnexpectedOption(format!("-{unknown}")).into()),
        }
    }

    if paths.is_empty() {
        return Err(UsageError::NoPaths);
    }
    if events.is_empty() {
        events = EventMask::ALL_EVENTS;
    }
    Ok(Command::Watch(Options { paths, events, monitor, timeout, quiet }))
}

/// The option of that name, or the only one whose name begins so.
fn letter_of(name: &str) -> Result<char, UsageError> {
    let mut begins = LONG.iter().filter(|(long, _)| long.starts_with(name));
    match (begins.next(), begins.next()) {
        (Some(&(_, letter)), None) => Ok(letter),
        (Some(_), Some(_)) => match LONG.iter().find(|(long, _)| *long == name) {
            Some(&(_, letter)) => Ok(letter),
            None => Err(UsageError::Ambiguous(name.to_owned())),
        },
        (None, _) => Err(lexopt::Error::UnexpectedOption(format!("--{name}")).into()),
    }
}

fn events_named(list: &str) -> Result<EventMask, UsageError> {
    let events: EventMask = list.parse().map_err(|error: ParseFlagsError| {
        UsageError::NoEvent(list.get(error.range()).unwrap_or_default().to_owned())
    })?;
    match events.difference(EventMask::ALL_EVENTS | EventMask::UNMOUNT) {
        none if none.is_empty() => Ok(events),
        other => Err(UsageError::NoEvent(other.to_string())),
    }
}

fn timeout_of(text: &str) -> Result<Timeout, UsageError> {
    match text.parse::<f64>() {
        Ok(0.0) => Ok(Timeout::Never),
        Ok(seconds) if seconds < 0.0 => Ok(Timeout::Negative),
        Ok(seconds) if !seconds.is_nan() => {
            // Beyond some hundred thousand million years, the difference is academic.
            Ok(Duration::try_from_secs_f64(seconds).map_or(Timeout::Never, Timeout::After))
        }
        _ => Err(UsageError::NoTimeout(text.to_owned())),
    }
}

/// What is wrong with the command line.
#[derive(Debug)]
pub enum UsageError {
    NoPaths,
    NoEvent(String),
    NoTimeout(String),
    Ambiguous(String),
    Syntax(lexopt::Error),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPaths => f.write_str("no path to watch was given"),
            Self::NoEvent(name) => write!(f, "no event has the name {name:?}"),
            Self::NoTimeout(text) => write!(f, "no number of seconds: {text:?}"),
            Self::Ambiguous(name) => write!(f, "more than one option begins with --{name}"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}

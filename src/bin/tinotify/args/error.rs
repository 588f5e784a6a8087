//! Errors of the command line.

use std::ffi::OsString;
use std::fmt;

use tinotify::EventMask;

use crate::args::opt::{Opt, Scope};
use crate::args::table::{EVENT_NAMES, options};

#[derive(Debug)]
pub enum UsageError {
    NoPaths,
    NoCommand,
    UnknownEvent(String),
    /// With its hyphens.
    UnknownOption(String),
    /// The option does not accept this value.
    UnknownValue(&'static Opt, String),
    MissingValue(&'static Opt),
    /// The value of an option that takes a text.
    NotUtf8(&'static Opt, OsString),
    /// The value of a flag. The flag is as it was written.
    UnexpectedValue(String, OsString),
    /// What is invalid, its text, and what is expected.
    Invalid(&'static str, String, &'static str),
    /// `stat` is to sort by an event that is not selected.
    UnselectedKey(EventMask),
    /// The option cannot be used with `stat`, or only with it.
    Scope(&'static Opt),
    /// An abbreviation, and whether it is of `stat`.
    Ambiguous(String, bool),
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
            Self::UnknownEvent(name) => {
                write!(f, "unknown event {name:?}: ")?;
                let known = nearest(&name.to_ascii_lowercase(), EVENT_NAMES);
                hint(f, known.map(|known| format!("{known:?}")), "--help lists the events")
            }
            Self::UnknownOption(name) => {
                write!(f, "unknown option {name:?}: ")?;
                let long = name.strip_prefix("--").unwrap_or_default();
                let known = nearest(long, options().map(|option| option.long));
                hint(f, known.map(|known| format!("--{known}")), "--help lists the options")
            }
            Self::UnknownValue(option, value) => {
                let words = option.values.words();
                write!(f, "unknown value {value:?} of --{}: ", option.long)?;
                let known = nearest(value, words.iter().copied());
                let all = format!("expected one of {}", words.join(", "));
                hint(f, known.map(|known| format!("{known:?}")), &all)
            }
            Self::MissingValue(option) => {
                let expected = option.value.unwrap_or_default();
                write!(f, "missing value of --{}: expected {expected}", option.long)
            }
            Self::NotUtf8(option, value) => {
                write!(f, "invalid value {value:?} of --{}: expected UTF-8", option.long)
            }
            Self::UnexpectedValue(option, value) => {
                write!(f, "unexpected value {value:?} of {option}: remove it")
            }
            Self::Invalid(what, text, expected) => {
                write!(f, "invalid {what} {text:?}: expected {expected}")
            }
            Self::NotInBuild(long) => {
                write!(f, "--{long} is not in this build: build with the feature cli")
            }
            Self::UnselectedKey(key) => {
                write!(f, "cannot sort by {key}: the event is not selected; add it to --event")
            }
            Self::Scope(option) => {
                let can = if option.scope == Scope::Stat { "can only" } else { "cannot" };
                write!(f, "--{} {can} be used with stat", option.long)
            }
            Self::Ambiguous(prefix, is_stat) => {
                write!(f, "ambiguous option --{prefix}: did you mean one of")?;
                let mut matching = options()
                    .filter(|option| option.scope.fits(*is_stat))
                    .filter(|option| option.long.starts_with(prefix.as_str()));
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

/// Writes the word that was probably meant, or else another remedy.
fn hint(f: &mut fmt::Formatter<'_>, known: Option<String>, otherwise: &str) -> fmt::Result {
    match known {
        Some(known) => write!(f, "did you mean {known}?"),
        None => f.write_str(otherwise),
    }
}

/// Returns the known word that is most similar to `word`: one that starts with it, or one that differs in
/// at most a third of its letters.
fn nearest(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let is_start = |known: &str| word.len() >= 3 && known.starts_with(word);
    let distances = known.into_iter().map(|known| match is_start(known) {
        true => (0, known),
        false => (strsim::levenshtein(word, known), known),
    });
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= nearest.len().max(word.len()) / 3).then_some(nearest)
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        match error {
            lexopt::Error::UnexpectedValue { option, value } => {
                Self::UnexpectedValue(option, value)
            }
            error => Self::Syntax(error),
        }
    }
}

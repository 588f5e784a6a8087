//! Parses the values of options.

use std::num::NonZeroU64;
use std::time::Duration;

use rustix::process::Signal;
use tinotify::{EventMask, ParseFlagsError};

use crate::args::error::UsageError;
use crate::args::opt::Opt;
use crate::args::options::{Debounce, FileType, Timeout};

/// The events that `--event` accepts.
const SELECTABLE: EventMask = EventMask::ALL_EVENTS
    .union(EventMask::UNMOUNT)
    .union(EventMask::Q_OVERFLOW)
    .union(EventMask::IGNORED);

/// Parses the names of events, separated by commas.
pub fn events(list: &str) -> Result<EventMask, UsageError> {
    let events: EventMask = list.parse().map_err(|error: ParseFlagsError| {
        UsageError::UnknownEvent(list.get(error.range()).unwrap_or_default().to_owned())
    })?;
    match events.difference(SELECTABLE) {
        others if others.is_empty() => Ok(events),
        others => Err(UsageError::UnknownEvent(others.to_string())),
    }
}

/// Parses what `stat` sorts by: `total`, or names of events.
pub fn sort_key(text: &str) -> Result<EventMask, UsageError> {
    if text.eq_ignore_ascii_case("total") { Ok(EventMask::all()) } else { events(text) }
}

pub fn count(text: String) -> Result<NonZeroU64, UsageError> {
    text.parse().map_err(|_| UsageError::Invalid("count", text, "a number greater than 0"))
}

/// Parses seconds, with or without a fraction.
pub fn timeout(text: &str) -> Result<Timeout, UsageError> {
    let number = text.trim_start();
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    match seconds(number) {
        Some(Duration::ZERO) => Ok(Timeout::Never),
        Some(_) if is_negative => Ok(Timeout::Negative),
        Some(Duration::MAX) => Ok(Timeout::Never),
        Some(seconds) => Ok(Timeout::After(seconds)),
        None => Err(UsageError::Invalid("timeout", text.to_owned(), "seconds")),
    }
}

/// Parses a decimal number without floating point, which takes 15 KB. Rounds down to nanoseconds, and
/// to the longest duration.
fn seconds(number: &str) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = whole.bytes().chain(fraction.bytes());
    if number == "." || number.is_empty() || !digits.all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = fraction.bytes().chain([b'0'; 9]).take(9);
    let nanoseconds = nanoseconds.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse() };
    Some(whole.map_or(Duration::MAX, |whole| Duration::new(whole, nanoseconds)))
}

/// Parses the quiet time and the cap of `--debounce`, in milliseconds.
pub fn debounce(text: &str) -> Result<Debounce, UsageError> {
    let invalid = || {
        UsageError::Invalid("debounce time", text.to_owned(), "milliseconds: QUIET or QUIET,CAP")
    };
    let milliseconds =
        |number: &str| number.parse().map(Duration::from_millis).map_err(|_| invalid());
    match text.split_once(',') {
        None => Ok(Debounce { quiet: milliseconds(text)?, cap: None }),
        Some((quiet, cap)) => {
            let (quiet, cap) = (milliseconds(quiet)?, milliseconds(cap)?);
            Ok(Debounce { quiet, cap: Some(cap) })
        }
    }
}

/// Parses the seconds of `--stop-timeout`.
pub fn stop_timeout(text: &str) -> Result<Duration, UsageError> {
    seconds(text).ok_or_else(|| UsageError::Invalid("stop timeout", text.to_owned(), "seconds"))
}

/// The signals that `--signal` accepts, in the order of its words.
const SIGNALS: [Signal; 13] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::ABORT,
    Signal::KILL,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::STOP,
    Signal::TSTP,
    Signal::WINCH,
];

/// Parses the name of a signal, with or without `SIG`, or its number.
pub fn signal(option: &'static Opt, text: String) -> Result<Signal, UsageError> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = name.parse().ok();
    if let Some(signal) = SIGNALS.into_iter().find(|signal| number == Some(signal.as_raw())) {
        return Ok(signal);
    }
    choice(option, name.to_owned(), &SIGNALS).map_err(|_| UsageError::UnknownValue(option, text))
}

/// Returns the meaning of a value that is one of the option's words. `meanings` has their order.
pub fn choice<T: Copy>(
    option: &'static Opt,
    word: String,
    meanings: &[T],
) -> Result<T, UsageError> {
    let mut known = option.values.words().iter().zip(meanings);
    match known.find(|(known, _)| **known == word) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(UsageError::UnknownValue(option, word)),
    }
}

/// Parses extensions, separated by commas, with or without a dot before them.
pub fn extensions(list: &str) -> Result<Vec<String>, UsageError> {
    let extensions = list.split(',').map(|word| word.strip_prefix('.').unwrap_or(word));
    if extensions.clone().any(|extension| extension.is_empty() || extension.contains('/')) {
        return Err(UsageError::Invalid("extension", list.to_owned(), "a list such as rs,toml"));
    }
    Ok(extensions.map(str::to_owned).collect())
}

/// What `--type` accepts.
const TYPES: &str = "f, d or f,d; events do not tell other types from files";

/// Parses types of files, separated by commas.
pub fn types(list: &str) -> Result<Vec<FileType>, UsageError> {
    let types = list.split(',').map(|word| match word {
        "f" => Ok(FileType::File),
        "d" => Ok(FileType::Directory),
        _ => Err(UsageError::Invalid("type", list.to_owned(), TYPES)),
    });
    types.collect()
}

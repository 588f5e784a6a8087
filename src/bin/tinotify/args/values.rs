//! Parses the values of options.

use std::time::Duration;

use tinotify::{EventMask, ParseFlagsError};

use crate::args::error::UsageError;
use crate::args::options::{Document, FileType, Timeout};

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
        None => Err(UsageError::InvalidTimeout(text.to_owned())),
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

pub fn milliseconds(text: &str) -> Result<Duration, UsageError> {
    let parsed = text.parse().map(Duration::from_millis);
    parsed.map_err(|_| UsageError::InvalidDebounce(text.to_owned()))
}

pub fn document(name: String) -> Result<Document, UsageError> {
    match &name[..] {
        "man" => Ok(Document::Man),
        "bash" => Ok(Document::Bash),
        "zsh" => Ok(Document::Zsh),
        "fish" => Ok(Document::Fish),
        _ => Err(UsageError::UnknownDocument(name)),
    }
}

/// Parses extensions, separated by commas, with or without a dot before them.
pub fn extensions(list: &str) -> Result<Vec<String>, UsageError> {
    let extensions = list.split(',').map(|word| word.strip_prefix('.').unwrap_or(word));
    if extensions.clone().any(|extension| extension.is_empty() || extension.contains('/')) {
        return Err(UsageError::InvalidExtensions(list.to_owned()));
    }
    Ok(extensions.map(str::to_owned).collect())
}

/// Parses types of files, separated by commas.
pub fn types(list: &str) -> Result<Vec<FileType>, UsageError> {
    let types = list.split(',').map(|word| match word {
        "f" => Ok(FileType::File),
        "d" => Ok(FileType::Directory),
        _ => Err(UsageError::InvalidTypes(list.to_owned())),
    });
    types.collect()
}

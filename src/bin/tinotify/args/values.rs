//! Parses the values of options.

use std::time::Duration;

use tinotify::{EventMask, ParseFlagsError};

use crate::args::error::UsageError;
use crate::args::options::{Document, Timeout};

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
    match text.trim_start().parse::<f64>() {
        Ok(0.0) => Ok(Timeout::Never),
        Ok(seconds) if seconds < 0.0 => Ok(Timeout::Negative),
        Ok(seconds) if !seconds.is_nan() => {
            // A duration overflows after 500,000 million years.
            Ok(Duration::try_from_secs_f64(seconds).map_or(Timeout::Never, Timeout::After))
        }
        _ => Err(UsageError::InvalidTimeout(text.to_owned())),
    }
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

//! `--debounce`: merges the events of each path, and passes their net effect on.

use std::time::Instant;

use tinotify::WatchEvent;
use tinotify::debounce::{Debouncer, Group};

use crate::args;

/// The pending events. Always empty without `--debounce`.
#[derive(Debug, Default)]
pub struct Debounce(Option<Debouncer>);

impl Debounce {
    pub fn new(options: Option<args::Debounce>) -> Self {
        Self(options.map(|options| {
            let debouncer = Debouncer::new(options.quiet);
            match options.cap {
                Some(cap) => debouncer.max_delay(cap),
                None => debouncer,
            }
        }))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub fn push(&mut self, event: &WatchEvent<'_>) {
        if let Some(debouncer) = &mut self.0 {
            debouncer.push(event.to_buf(), Instant::now());
        }
    }

    /// Returns the next group that is due.
    pub fn pop(&mut self, now: Instant) -> Option<Group> {
        self.0.as_mut()?.pop(now)
    }

    /// Returns the next group, even if it is not due.
    pub fn flush(&mut self) -> Option<Group> {
        self.0.as_mut()?.flush()
    }

    /// Returns when the next group is due.
    pub fn due(&self) -> Option<Instant> {
        self.0.as_ref()?.next_deadline()
    }

    /// Returns `true` if no event is pending.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(Debouncer::is_empty)
    }
}

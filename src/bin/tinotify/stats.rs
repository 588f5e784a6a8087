//! `--stats`: counts events.

use std::fmt;
use std::time::Instant;

use tinotify::EventMask;

#[derive(Debug)]
pub struct Stats {
    /// The start of the count.
    begun: Instant,
    /// The number of emitted events for each bit.
    kinds: [u64; 32],
    shown: u64,
    hidden: u64,
    overflows: u64,
}

impl Stats {
    pub fn new() -> Self {
        Self { begun: Instant::now(), kinds: [0; 32], shown: 0, hidden: 0, overflows: 0 }
    }

    /// Counts an emitted event.
    pub fn count(&mut self, mask: EventMask) {
        self.shown += 1;
        let kinds = mask & (EventMask::ALL_EVENTS | EventMask::UNMOUNT | EventMask::IGNORED);
        let first = kinds.bits().trailing_zeros() as usize;
        if let Some(count) = self.kinds.get_mut(first) {
            *count += 1;
        }
    }

    /// Counts an event that the filter hid.
    pub fn count_hidden(&mut self) {
        self.hidden += 1;
    }

    pub fn count_overflow(&mut self) {
        self.overflows += 1;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, hidden, overflows, .. } = self;
        let time = self.begun.elapsed();
        let (seconds, tenths) = (time.as_secs(), time.subsec_millis() / 100);
        write!(f, "{shown} shown, {hidden} hidden, {overflows} overflows in {seconds}.{tenths} s")?;
        let kinds = self.kinds.iter().enumerate().filter(|(_, count)| **count > 0);
        for (bit, count) in kinds {
            write!(f, "\n{count:10} {}", EventMask::from_bits_retain(1 << bit))?;
        }
        Ok(())
    }
}

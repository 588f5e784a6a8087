//! How far one call reads before it returns without an event.

use std::time::{Duration, Instant};

/// When to return without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Never: the call waits.
    Never,
    /// When the queue is empty.
    Empty,
    /// When the queue is empty, or after this number of records that nobody receives.
    #[cfg_attr(
        not(any(feature = "tokio", feature = "async-io")),
        allow(dead_code, reason = "for asynchronous readers")
    )]
    Turn(u32),
    /// At this time.
    At(Instant),
}

impl Deadline {
    /// A time too far away for the clock is never.
    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Self::Never, Self::At)
    }

    /// Returns `true` for a deadline of a call that waits.
    pub(super) const fn waits(self) -> bool {
        matches!(self, Self::Never | Self::At(_))
    }

    pub(super) fn left(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Empty | Self::Turn(_) => Some(Duration::ZERO),
            Self::At(time) => Some(time.saturating_duration_since(Instant::now())),
        }
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::At(time) if time <= Instant::now())
    }
}

/// What came of looking for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An event, which can be lent.
    Event,
    /// No event.
    Nothing,
    /// The time is over, or the turn.
    Late,
}

/// The progress of one call.
#[derive(Debug)]
pub(super) struct Search {
    pub deadline: Deadline,
    /// Records before this position are handled even after the deadline.
    fence: u64,
    /// Whether the time was over at the last read.
    is_over: bool,
    /// Whether a whole buffer was for nobody.
    is_fruitless: bool,
    /// The number of records that may still be handled.
    turn: u32,
    /// Whether no record was handled.
    is_first: bool,
}

impl Search {
    /// Begins a call.
    pub fn new(deadline: Deadline, queue_end: impl FnOnce() -> u64) -> Self {
        Self {
            deadline,
            // The records that are queued now are handled even after the deadline.
            fence: if deadline.is_over() { queue_end() } else { 0 },
            is_over: false,
            is_fruitless: false,
            turn: if let Deadline::Turn(turn) = deadline { turn } else { u32::MAX },
            is_first: true,
        }
    }

    /// Returns `true` if no record was handled in this call.
    pub const fn is_first(&self) -> bool {
        self.is_first
    }

    /// Returns `true` if the record at a position is left for the next call. Each call handles at least one
    /// record.
    pub fn is_late(&mut self, position: u64) -> bool {
        if std::mem::replace(&mut self.is_first, false) {
            return false;
        }
        match self.deadline {
            Deadline::Never | Deadline::Empty => false,
            Deadline::Turn(_) => {
                self.turn = self.turn.saturating_sub(1);
                self.turn == 0
            }
            Deadline::At(_) => position >= self.fence && self.deadline.is_over(),
        }
    }

    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Notes that the deadline has passed. Records before `fence` are still handled.
    pub const fn set_over(&mut self, fence: u64) {
        (self.is_over, self.fence) = (true, fence);
    }

    /// Something was read, or else the queue was found empty and trees have worked.
    pub fn note_read(&mut self, is_read: bool) {
        // The next read is the last one if the time is over by now.
        self.is_over |= self.deadline.is_over();
        // What trees do makes events for nobody, and has an end.
        if !is_read && self.deadline == Deadline::Empty {
            (self.is_fruitless, self.fence) = (false, 0);
        }
    }

    /// The buffer is empty at a position. Returns `true` if no more is read in this call: events that come
    /// all the time and are for nobody must not keep it for ever.
    ///
    /// What is queued then keeps the descriptor readable.
    pub fn is_done(&mut self, position: u64, queue_end: impl FnOnce() -> u64) -> bool {
        if self.deadline != Deadline::Empty {
            return self.is_over && position >= self.fence;
        }
        // Only where a whole buffer was for nobody.
        if !std::mem::replace(&mut self.is_fruitless, true) {
            return false;
        }
        let end = queue_end();
        if self.fence == 0 {
            self.fence = end;
        }
        position >= self.fence && position < end
    }
}

//! How long to wait, and waiting.

use std::time::{Duration, Instant};

use crate::inotify::{Error, Inotify};
use crate::sys::{self, Errno};

use super::super::wakeup::Wakeup;

/// How long to look for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Until there is an event.
    Never,
    /// Until the queue is found empty.
    Empty,
    /// Until the queue is found empty, but through at most so many records that are for nobody.
    Turn(u32),
    /// Until there is an event, or it is so late.
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

    fn left(self) -> Option<Duration> {
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

/// Waits until something is queued, or the reader is woken or stopped; `false` if the time is over first.
/// What is queued waits for `delay`, so that identical events merge.
pub(super) fn wait(
    inotify: &Inotify,
    wakeup: &Wakeup,
    delay: Duration,
    deadline: Deadline,
) -> Result<bool, Error> {
    loop {
        match sys::poll([inotify.fd(), wakeup.fd()], deadline.left()) {
            Ok([false, false]) => return Ok(false),
            Ok([true, false]) if !delay.is_zero() => break,
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Poll(errno)),
        }
    }
    let merged = Deadline::after(delay);
    loop {
        let left = [merged.left(), deadline.left()].into_iter().flatten().min();
        match sys::poll([wakeup.fd()], left) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Poll(errno)),
        }
    }
}

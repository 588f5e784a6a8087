//! Waits for the kernel, for a delay, or to be woken.

use std::time::Duration;

use crate::inotify::{Error, Inotify};
use crate::sys::{self, Errno};

use super::super::wakeup::Wakeup;
use super::search::Deadline;

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
            Ok([true, false]) if !delay.is_zero() => return let_merge(wakeup, delay, deadline),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Poll(errno)),
        }
    }
}

/// Waits for a delay, or until the reader is woken or the time is over.
#[cold]
fn let_merge(wakeup: &Wakeup, delay: Duration, deadline: Deadline) -> Result<bool, Error> {
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

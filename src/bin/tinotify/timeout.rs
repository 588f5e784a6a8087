//! `--timeout`: the time without an emitted event. With `stat`, the time of the whole count, which a signal
//! ends too.
//!
//! An event that the kernel queued before the deadline still counts, however late it is read. Events that
//! come all the time must not delay the end, though. So after the deadline a limited number of reads
//! follows, which is enough for what was queued:
//!
//! ```text
//! deadline ──► events in the buffer ──► `reads_left` reads, or until the queue is empty ──► over
//!    ▲                                             │
//!    └─────────────────── emitted event ───────────┘
//! ```

use std::time::{Duration, Instant};

use rustix::io::ioctl_fionread;
use tinotify::Watcher;

use crate::args::{Options, Timeout};
use crate::failure::Failure;

/// The size of the largest record of the kernel: inotify(7).
const LARGEST: usize = 16 + 256;

#[derive(Debug)]
pub struct Idle {
    timeout: Option<Duration>,
    /// `true` if an emitted event restarts the time.
    restarts: bool,
    begun: Instant,
    /// The number of bytes that a read returns at least if it does not empty the queue.
    read: u64,
    /// After the deadline: the number of reads that follow.
    reads_left: Option<u64>,
}

impl Idle {
    /// `buffer` is the size of the watcher's buffer.
    pub fn new(options: &Options, buffer: usize) -> Self {
        let timeout = match options.timeout {
            Timeout::After(timeout) => Some(timeout),
            Timeout::Never | Timeout::Negative => None,
        };
        Self {
            timeout,
            restarts: options.counting.is_none(),
            begun: Instant::now(),
            read: buffer.saturating_sub(LARGEST).max(1) as u64,
            reads_left: None,
        }
    }

    /// Restarts the time, after an emitted event.
    pub fn restart(&mut self) {
        if self.timeout.is_some() && self.restarts {
            self.begun = Instant::now();
            self.reads_left = None;
        }
    }

    /// Makes this the deadline, unless it has passed.
    pub fn expire(&mut self) {
        self.timeout = Some(Duration::ZERO);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.begun.checked_add(self.timeout?)
    }

    /// Begins the last reads if the deadline has passed. Returns `true` while they last.
    pub fn is_ending(&mut self, watcher: &Watcher) -> Result<bool, Failure> {
        let is_past = |deadline: Instant| deadline <= Instant::now();
        if self.reads_left.is_none() && self.deadline().is_some_and(is_past) {
            let queued = ioctl_fionread(watcher.inotify_fd()).map_err(|errno| {
                Failure::System("cannot read the number of queued bytes", errno.into())
            })?;
            self.reads_left = Some(queued / self.read + 1);
        }
        Ok(self.reads_left.is_some())
    }

    /// Returns `true` if the last reads are done. Call it before each event.
    pub fn is_over(&mut self, watcher: &Watcher) -> bool {
        match &mut self.reads_left {
            Some(0) => !watcher.has_buffered(),
            Some(reads) if !watcher.has_buffered() => {
                *reads -= 1;
                false
            }
            Some(_) | None => false,
        }
    }

    /// Returns `true` if the queue was found empty in the last reads.
    pub fn is_over_when_empty(&self) -> bool {
        self.reads_left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tinotify::WatchMask;

    use super::*;
    use crate::setup::BUFFER;

    /// A watcher of a directory, and a deadline that has passed.
    fn past() -> (tempfile::TempDir, Watcher, Idle) {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::builder().buffer_size(BUFFER).build().unwrap();
        watcher.watch(dir.path(), WatchMask::CREATE | WatchMask::DELETE).unwrap();
        let timeout = Timeout::After(Duration::from_nanos(1));
        let idle = Idle::new(&Options { timeout, ..Options::default() }, BUFFER);
        (dir, watcher, idle)
    }

    /// Makes one event, which is not the same as the one before.
    fn change(dir: &Path) {
        let name = dir.join("d");
        if fs::create_dir(&name).is_err() {
            fs::remove_dir(&name).unwrap();
        }
    }

    #[test]
    fn all_events_that_were_queued_at_the_deadline_and_few_later_ones_are_handled() {
        for queued in [0, 1, 255, 256, 257, 1000, 5000] {
            let (dir, mut watcher, mut idle) = past();
            (0..queued).for_each(|_| change(dir.path()));
            assert!(idle.is_ending(&watcher).unwrap());
            let mut handled = 0;
            // One more event is queued before each that is handled, so the queue is never empty.
            while !idle.is_over(&watcher) {
                change(dir.path());
                assert!(watcher.try_recv().unwrap().is_some());
                handled += 1;
            }
            let a_read = BUFFER / 32;
            let reads = queued * 32 / (BUFFER - LARGEST) + 1;
            assert!((queued..=reads * a_read).contains(&handled), "{queued}: {handled}");
        }
    }

    #[test]
    fn an_emitted_event_restarts_the_time() {
        let (_dir, watcher, mut idle) = past();
        idle.timeout = Some(Duration::from_secs(3600));
        idle.reads_left = Some(0);
        assert!(idle.is_over(&watcher));
        idle.restart();
        assert!(!idle.is_over(&watcher));
        assert!(!idle.is_ending(&watcher).unwrap());
    }
}

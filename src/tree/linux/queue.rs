//! The stream of events: what was read, and what of it waits in memory.
//!
//! Listing a directory is an event of it for everybody who asked for `OPEN` or `ACCESS`, and each watch
//! that ends queues an `IGNORED`. So work on a big tree can fill the queue of its own instance, and
//! nobody reads that meanwhile. Then it is read here, and its events are taken later, in their order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;

use crate::inotify::Inotify;
use crate::sys::retry_on_eintr;

/// What was read of one instance's queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Bytes that were ever read.
    consumed: u64,
    /// Whole records, the oldest first.
    ahead: VecDeque<Box<[u8]>>,
    /// The bytes in `ahead`.
    len: usize,
    /// Events that the work since the last look at the queue may have made.
    made: u32,
}

/// After so many events of its own, a tree looks how full the queue is. A queue holds 16,384 by default.
const LOOK_AFTER: u32 = 256;

/// From so many bytes on the queue is read: 1,024 events without a name.
const MUCH: usize = 16 * 1024;

/// So much is read at once.
const PIECE: usize = 64 * 1024;

/// So much is kept. What is more stays in the kernel, which reports an overflow in its place.
const MOST: usize = 64 * 1024 * 1024;

impl Queue {
    /// Bytes that were ever read from the kernel's queue.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Counts what was read without this.
    pub(crate) const fn read(&mut self, len: usize) {
        self.consumed = self.consumed.saturating_add(len as u64);
    }

    /// Returns `true` if nothing waits in memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The oldest records that wait, and their position in the stream.
    pub(crate) fn take(&mut self) -> Option<(u64, Box<[u8]>)> {
        let position = self.front();
        let records = self.ahead.pop_front()?;
        self.len = self.len.saturating_sub(records.len());
        Some((position, records))
    }

    /// Position of the oldest record that waits, in memory or in the kernel's queue.
    pub(crate) const fn front(&self) -> u64 {
        self.consumed.saturating_sub(self.len as u64)
    }

    /// Position of the end of the kernel's queue.
    pub(crate) fn end(&self, inotify: &Inotify) -> u64 {
        self.consumed.saturating_add(inotify.queued_bytes().unwrap_or(0) as u64)
    }

    /// Reads the queue if it may be getting full; `events` of its own a tree has made since it was
    /// last called.
    pub(crate) fn relieve(&mut self, inotify: &Inotify, events: u32) {
        self.made = self.made.saturating_add(events);
        if self.made < LOOK_AFTER {
            return;
        }
        self.made = 0;
        self.take_in(inotify, MUCH);
    }

    /// Reads everything that is queued into memory, so that the kernel can't merge a later event into an
    /// event that was queued before. Returns the position of the end.
    pub(crate) fn fence(&mut self, inotify: &Inotify) -> u64 {
        self.take_in(inotify, 1);
        self.end(inotify)
    }

    /// Reads the queue as long as `least` bytes are in it, and memory may take more.
    fn take_in(&mut self, inotify: &Inotify, least: usize) {
        // Never waits: there is something to be read, and nobody else reads meanwhile.
        while self.len < MOST && inotify.queued_bytes().is_ok_and(|queued| queued >= least) {
            let mut piece = vec![0; PIECE];
            match retry_on_eintr(|| inotify.fd().read(&mut piece)) {
                Ok(len) if len > 0 => {
                    piece.truncate(len);
                    self.ahead.push_back(piece.into_boxed_slice());
                    self.len = self.len.saturating_add(len);
                    self.read(len);
                }
                // The next read reports it.
                _ => return,
            }
        }
    }
}

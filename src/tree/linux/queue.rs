//! The stream of events: the position, and the records that were read ahead.
//!
//! Listing a directory queues events for each watch with `OPEN` or `ACCESS`, and each watch that ends queues
//! an `IGNORED`. So work on a big tree can fill the queue of its own instance while nothing reads it. In that
//! case the queue is read here, and the events are taken later, in order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;

use crate::inotify::Inotify;
use crate::sys::retry_on_eintr;

/// The part of an instance's stream that was read.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The bytes that were ever read.
    consumed: u64,
    /// Whole records that were read ahead, the oldest first.
    ahead: VecDeque<Box<[u8]>>,
    /// The bytes in `ahead`.
    len: usize,
    /// The events that the tree may have caused since the queue was last examined.
    own_events: u32,
}

/// The number of its own events after which a tree examines the queue. A queue holds 16,384 by default.
const CHECK_AFTER: u32 = 256;

/// The number of queued bytes from which the queue is read: 1,024 events without a name.
const READ_FROM: usize = 16 * 1024;

/// The size of one read.
const PIECE: usize = 64 * 1024;

/// The most bytes that are kept. More stay in the kernel, which reports an overflow if it is full.
const MAX_BYTES: usize = 64 * 1024 * 1024;

impl Queue {
    /// Returns the number of bytes that were ever read from the kernel's queue.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Counts bytes that another reader has read.
    pub(crate) const fn read(&mut self, len: usize) {
        self.consumed = self.consumed.saturating_add(len as u64);
    }

    /// Returns `true` if no record that was read ahead is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Takes the oldest records that were read ahead, with their position in the stream.
    pub(crate) fn take(&mut self) -> Option<(u64, Box<[u8]>)> {
        let position = self.front();
        let records = self.ahead.pop_front()?;
        self.len = self.len.saturating_sub(records.len());
        Some((position, records))
    }

    /// Returns the position of the oldest record that was not taken, in memory or in the kernel's queue.
    pub(crate) const fn front(&self) -> u64 {
        self.consumed.saturating_sub(self.len as u64)
    }

    /// Returns the position of the end of the kernel's queue.
    pub(crate) fn end(&self, inotify: &Inotify) -> u64 {
        self.consumed.saturating_add(inotify.queued_bytes().unwrap_or(0) as u64)
    }

    /// Reads the queue if it may be getting full. A tree may have caused `events` events since the last call.
    pub(crate) fn read_ahead(&mut self, inotify: &Inotify, events: u32) {
        self.own_events = self.own_events.saturating_add(events);
        if self.own_events < CHECK_AFTER {
            return;
        }
        self.own_events = 0;
        self.read_in(inotify, READ_FROM);
    }

    /// Reads everything that is queued into memory, so that the kernel can't merge a later event into an
    /// event that was queued before. Returns the position of the end.
    pub(crate) fn fence(&mut self, inotify: &Inotify) -> u64 {
        self.read_in(inotify, 1);
        self.end(inotify)
    }

    /// Reads the queue while at least `least` bytes are in it and memory may take more.
    fn read_in(&mut self, inotify: &Inotify, least: usize) {
        // The read never blocks: bytes are queued, and nothing else reads meanwhile.
        while self.len < MAX_BYTES && inotify.queued_bytes().is_ok_and(|queued| queued >= least) {
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

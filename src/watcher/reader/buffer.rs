//! The bytes that were read, and the next record in them.

use std::ops::Range;
use std::time::Duration;

use super::super::path::BLOCK;
use crate::decode::{DecodeError, DecodeErrorKind, HEADER, peek_header, split_event};
use crate::event::{Event, Wd};
use crate::flags::EventMask;
use crate::inotify::{Error, Inotify};
use crate::sys::{Errno, retry_on_eintr};
use crate::tree::linux::Queue;

/// The size of the largest record: inotify(7). Only FUSE has longer names.
const LARGEST: usize = HEADER + 256;

/// A record in the buffer, as numbers, so that nothing borrows the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub wd: Wd,
    pub mask: EventMask,
    pub cookie: u32,
    /// Position in the stream.
    pub position: u64,
    /// Where in the buffer the name and its NUL are.
    name: usize,
    end: usize,
}

impl Record {
    pub const NONE: Self =
        Self { wd: Wd::NONE, mask: EventMask::empty(), cookie: 0, position: 0, name: 0, end: 0 };
}

#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    /// The buffer for reading, while `bytes` was read ahead.
    spare: Option<Box<[u8]>>,
    /// What is still to be decoded.
    ahead: Range<usize>,
    /// Position in the stream of the first byte.
    base: u64,
}

impl Buffer {
    pub fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), spare: None, ahead: 0..0, base: 0 }
    }

    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.ahead.start >= self.ahead.end
    }

    /// Returns `true` if the last read emptied the queue: it left room for another record.
    pub const fn has_drained_queue(&self) -> bool {
        self.ahead.end.saturating_add(LARGEST) <= self.bytes.len()
    }

    /// Position in the stream of the next record.
    #[inline]
    pub const fn position(&self) -> u64 {
        // 2^64 bytes are never read.
        self.base.wrapping_add(self.ahead.start as u64)
    }

    /// Returns a record as an event.
    #[inline]
    pub fn event(&self, record: &Record) -> Event<'_> {
        let name_and_nul = self.bytes.get(record.name..record.end).unwrap_or_default();
        Event::from_parts(record.wd, record.mask, record.cookie, name_and_nul)
    }

    /// Returns the descriptor and the mask of the next record, and checks nothing else. Returns `None` if the
    /// rest of the buffer is too short for a header.
    #[inline(always)]
    pub fn head(&self) -> Option<(Wd, EventMask)> {
        peek_header(self.bytes.get(self.ahead.clone())?)
    }

    /// Takes the next record out of the buffer, as an event, with the first block of its name.
    ///
    /// # Errors
    ///
    /// Those of [`take`](Self::take).
    #[inline(always)]
    pub fn take_event(&mut self) -> Result<(Event<'_>, Option<&[u8; BLOCK]>), DecodeError> {
        let bytes = self.bytes.get(self.ahead.clone()).unwrap_or_default();
        match split_event(bytes) {
            Ok((event, rest)) => {
                self.ahead.start = self.ahead.end.wrapping_sub(rest.len());
                Ok((event, bytes.get(HEADER..).and_then(<[u8]>::first_chunk)))
            }
            Err(kind) => Err(discard(&mut self.ahead, self.base, kind)),
        }
    }

    /// Takes the next record out of the buffer, which is not empty.
    ///
    /// # Errors
    ///
    /// The next bytes are not a valid record. The rest of the buffer is discarded.
    #[inline(always)]
    pub fn take(&mut self) -> Result<Record, DecodeError> {
        let (position, name) = (self.position(), self.ahead.start.wrapping_add(HEADER));
        let (event, _) = self.take_event()?;
        Ok(Record {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            position,
            name,
            end: name.wrapping_add(event.name_and_nul().len()),
        })
    }

    /// Fills the empty buffer. Never blocks. Returns `false` if nothing is queued.
    ///
    /// # Errors
    ///
    /// Those of read(2) and ppoll(2).
    pub fn fill(
        &mut self,
        queue: &mut Queue,
        inotify: &Inotify,
        is_blocking: bool,
    ) -> Result<bool, Error> {
        if !queue.is_empty() {
            return Ok(self.take_ahead(queue));
        }
        if let Some(own) = self.spare.take() {
            self.bytes = own;
        }
        (self.base, self.ahead) = (queue.consumed(), 0..0);
        loop {
            if is_blocking && !is_readable(inotify)? {
                return Ok(false);
            }
            match inotify.fd().read(&mut self.bytes) {
                Ok(len) => {
                    queue.read(len);
                    self.ahead.end = len;
                    return Ok(len > 0);
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Read { errno, room: self.bytes.len() }),
            }
        }
    }

    /// Takes records that were read ahead.
    #[cold]
    fn take_ahead(&mut self, queue: &mut Queue) -> bool {
        let Some((base, records)) = queue.take() else { return false };
        self.base = base;
        self.ahead = 0..records.len();
        let own = std::mem::replace(&mut self.bytes, records);
        self.spare.get_or_insert(own);
        true
    }
}

/// Returns `true` if a read would not block.
#[cold]
fn is_readable(inotify: &Inotify) -> Result<bool, Error> {
    retry_on_eintr(|| inotify.fd().poll(Some(Duration::ZERO))).map_err(Error::Poll)
}

/// Discards the rest of the buffer.
#[cold]
fn discard(ahead: &mut Range<usize>, base: u64, kind: DecodeErrorKind) -> DecodeError {
    let offset = base.wrapping_add(ahead.start as u64) as usize;
    *ahead = 0..0;
    DecodeError { offset, kind }
}

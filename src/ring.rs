//! A fixed ring of events: room to empty the kernel's queue early, without a heap.
//!
//! The kernel keeps at most `fs.inotify.max_queued_events` events (16,384) and loses what comes then.
//! A program that is slow to handle events can move them here whenever it has a moment, also while
//! older ones wait. The bytes may come from an inotify instance (`Inotify::fill`), or in chunks cut
//! anywhere from a file, a socket or a fuzzer: the events are the same.
//!
//! ```
//! use tinotify::{Event, EventMask, EventRing, Wd};
//!
//! let mut ring = EventRing::<64>::new(); // 64 cells of 16 bytes: 1 KiB
//! let mut record = [0; 32];
//! Event::new(Wd::from_raw(1), EventMask::CREATE, 0, Some(c"a")).encode(&mut record)?;
//!
//! ring.extend(&record[..20])?;
//! assert!(ring.pop().is_none()); // not whole yet
//! ring.extend(&record[20..])?;
//! assert_eq!(ring.pop().unwrap()?.name(), Some(&b"a"[..]));
//! assert!(ring.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A ring that could not hold one whole record is refused by the compiler:
//!
//! ```compile_fail,E0080
//! let ring = tinotify::EventRing::<16>::new();
//! ```

#![forbid(unsafe_code)]

use core::fmt;

use heapless::Deque;

use crate::decode::{DecodeError, DecodeErrorKind, HEADER, name_field_len, split_event};
use crate::event::{Event, RECORD_SIZE};

/// The format's unit: each record is some of these.
type Cell = [u8; HEADER];

/// A ring buffer of whole events, in `N` cells of 16 bytes.
///
/// `N` is at least 17: one event with a name of 255 bytes ([`RECORD_SIZE`]). An event of a 6-byte
/// name takes 2 cells. Nothing here allocates, blocks or panics.
///
/// Bytes that are no event stop the ring as they stop [`Events`](crate::Events): the events before
/// them come, then the error once, then nothing, and no more bytes are taken until
/// [`clear`](Self::clear).
pub struct EventRing<const N: usize> {
    /// All cells, once the first bytes came: those given away, those that hold events, those that
    /// are free, in this order. So each cell is initialised once, and lent to be written after.
    cells: Deque<Cell, N>,
    /// The bytes given away, from the front. A multiple of 16.
    popped: usize,
    /// The bytes that were ever taken and are not yet free again, from the front.
    filled: usize,
    /// Where in the stream the front is, in bytes.
    front: usize,
    fault: Option<DecodeError>,
}

impl<const N: usize> EventRing<N> {
    /// An empty ring, which may live in a `static`.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= RECORD_SIZE / HEADER, "an EventRing needs at least 17 cells") };
        Self { cells: Deque::new(), popped: 0, filled: 0, front: 0, fault: None }
    }

    /// The size of the ring in bytes: 16 for each cell.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N.saturating_mul(HEADER)
    }

    /// The number of whole events in the ring.
    ///
    /// Counts them from header to header, so it costs time in proportion.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut at = self.popped;
        let mut events = 0_usize;
        while let Some(Ok(size)) = self.record_at(at) {
            at = at.saturating_add(size);
            events = events.saturating_add(1);
        }
        events
    }

    /// Whether [`pop`](Self::pop) would give nothing: no whole event, and no error to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_at(self.popped).is_none()
    }

    /// The free space in bytes. An incomplete event at the end takes space too.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.capacity().saturating_sub(self.filled.saturating_sub(self.popped))
    }

    /// The error that stopped the ring, once [`pop`](Self::pop) has told it.
    #[must_use]
    pub const fn fault(&self) -> Option<DecodeError> {
        self.fault
    }

    /// Takes bytes, cut anywhere.
    ///
    /// # Errors
    ///
    /// - [`ExtendError::Full`] where not all of them fit: as many as fit were taken, and it says how
    ///   many. Pop events and offer the rest.
    /// - [`ExtendError::Stopped`] after a fault: nothing was taken.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), ExtendError> {
        if let Some(fault) = self.fault {
            return Err(ExtendError::Stopped(fault));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = self.spare(1);
            let (now, later) = rest.split_at(spare.len().min(rest.len()));
            if now.is_empty() {
                return Err(ExtendError::Full { taken: bytes.len().saturating_sub(rest.len()) });
            }
            for (to, from) in spare.iter_mut().zip(now) {
                *to = *from;
            }
            self.commit(now.len());
            rest = later;
        }
        Ok(())
    }

    /// Free space in one piece, to be written by any reader; then [`commit`](Self::commit) what was
    /// written.
    ///
    /// It has at least `want` bytes, or all the free space if that is less: what is free is brought
    /// together if need be, for which the ring's contents move, about once a lap. There is none
    /// after a fault.
    ///
    /// ```
    /// # use std::io::Read;
    /// # let mut source = &[0_u8; 48][..];
    /// use tinotify::{EventRing, RECORD_SIZE};
    ///
    /// let mut ring = EventRing::<64>::new();
    /// let taken = source.read(ring.spare(RECORD_SIZE))?;
    /// ring.commit(taken);
    /// assert_eq!(ring.len(), 3);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spare(&mut self, want: usize) -> &mut [u8] {
        if self.fault.is_some() {
            return &mut [];
        }
        self.reclaim();
        let filled = self.filled;
        let unwrapped = self.unwrapped();
        if unwrapped <= filled {
            let (_, wrapped) = self.cells.as_mut_slices();
            let start = filled.saturating_sub(unwrapped);
            return wrapped.as_flattened_mut().get_mut(start..).unwrap_or_default();
        }
        if unwrapped.saturating_sub(filled) < want.min(self.free()) {
            self.unwrap_cells();
        }
        let (unwrapped, _) = self.cells.as_mut_slices();
        unwrapped.as_flattened_mut().get_mut(filled..).unwrap_or_default()
    }

    /// Says that the first `len` bytes of [`spare`](Self::spare) were written.
    ///
    /// More than there was counts as all there was. Bytes that were not written count as what they
    /// were before: zeros, or what older events left.
    pub fn commit(&mut self, len: usize) {
        if self.fault.is_none() && self.cells.is_full() {
            let unwrapped = self.unwrapped();
            let end = if self.filled < unwrapped { unwrapped } else { self.capacity() };
            self.filled = self.filled.saturating_add(len).min(end);
        }
    }

    /// Takes the first event out and lends it, in one piece. `None` if no event is whole (yet).
    ///
    /// # Errors
    ///
    /// What comes next is no event. Told once; then the ring is stopped.
    #[inline]
    pub fn pop(&mut self) -> Option<Result<Event<'_>, DecodeError>> {
        self.straighten();
        let offset = self.offset();
        match first_event(&self.cells, self.popped, self.filled, self.fault)? {
            Ok((event, size)) => {
                self.popped = self.popped.saturating_add(size);
                Some(Ok(event))
            }
            Err(kind) => {
                let error = DecodeError { offset, kind };
                self.fault = Some(error);
                Some(Err(error))
            }
        }
    }

    /// Lends the first event, in one piece, and keeps it. `None` if no event is whole (yet).
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop), which will tell it again.
    pub fn peek(&mut self) -> Option<Result<Event<'_>, DecodeError>> {
        self.straighten();
        let offset = self.offset();
        match first_event(&self.cells, self.popped, self.filled, self.fault)? {
            Ok((event, _)) => Some(Ok(event)),
            Err(kind) => Some(Err(DecodeError { offset, kind })),
        }
    }

    /// Forgets all events and any fault. The next byte begins a new stream.
    pub fn clear(&mut self) {
        self.popped = 0;
        self.filled = 0;
        self.front = 0;
        self.fault = None;
    }

    /// Where in the stream the next event begins.
    const fn offset(&self) -> usize {
        self.front.wrapping_add(self.popped)
    }

    /// How many bytes lie before the place where the ring wraps.
    fn unwrapped(&self) -> usize {
        self.cells.as_slices().0.as_flattened().len()
    }

    /// Makes the cells of popped events free again, and initialises those that never were in use.
    fn reclaim(&mut self) {
        self.front = self.offset();
        if self.popped == self.filled {
            // All cells are free where they are.
            self.filled = 0;
        } else {
            for _ in 0..self.popped / HEADER {
                self.cells.pop_front();
            }
            self.filled = self.filled.saturating_sub(self.popped);
        }
        self.popped = 0;
        while self.cells.push_back([0; HEADER]).is_ok() {}
    }

    /// Brings all cells into one piece.
    fn unwrap_cells(&mut self) {
        self.cells.make_contiguous();
        // heapless 0.9.3 leaves the end of a full deque one past its memory, where the next push
        // would write (rust-embedded/heapless#676). Taking the last cell out and putting it back
        // mends that.
        if let Some(cell) = self.cells.pop_back() {
            let _ = self.cells.push_back(cell);
        }
    }

    /// Brings the first record into one piece, where the ring wraps within it.
    #[inline]
    fn straighten(&mut self) {
        let unwrapped = self.unwrapped();
        if self.popped < unwrapped && unwrapped < self.filled {
            let wraps = match self.record_at(self.popped) {
                Some(Ok(size)) => unwrapped < self.popped.saturating_add(size),
                // Seen at the record's end, which may lie behind the wrap.
                Some(Err(DecodeErrorKind::MissingNul)) => true,
                _ => false,
            };
            if wraps {
                self.unwrap_cells();
            }
        }
    }

    /// The size of the record that begins at a byte from the front; `None` if it is not whole.
    fn record_at(&self, at: usize) -> Option<Result<usize, DecodeErrorKind>> {
        let have = self.filled.checked_sub(at)?;
        if have < HEADER || self.fault.is_some() {
            return None;
        }
        let header = self.cells.get(at / HEADER)?;
        let size = match name_field_len(header) {
            Ok(len) => HEADER.saturating_add(len),
            Err(kind) => return Some(Err(kind)),
        };
        if have < size {
            return over_capacity::<N>(size).map(Err);
        }
        let last = self.cells.get(at.saturating_add(size).saturating_sub(1) / HEADER)?;
        if size > HEADER && !last.ends_with(&[0]) {
            return Some(Err(DecodeErrorKind::MissingNul));
        }
        Some(Ok(size))
    }
}

/// The fault of a record that no amount of popping makes room for.
fn over_capacity<const N: usize>(size: usize) -> Option<DecodeErrorKind> {
    (size / HEADER > N).then_some(DecodeErrorKind::OverCapacity { size })
}

/// The event at `popped` and its size, where it is whole and lies in one piece.
#[inline]
fn first_event<const N: usize>(
    cells: &Deque<Cell, N>,
    popped: usize,
    filled: usize,
    fault: Option<DecodeError>,
) -> Option<Result<(Event<'_>, usize), DecodeErrorKind>> {
    let (unwrapped, wrapped) = cells.as_slices();
    let (unwrapped, wrapped) = (unwrapped.as_flattened(), wrapped.as_flattened());
    let bytes = match popped.checked_sub(unwrapped.len()) {
        None => unwrapped.get(popped..filled.min(unwrapped.len()))?,
        Some(popped) => wrapped.get(popped..filled.saturating_sub(unwrapped.len()))?,
    };
    if fault.is_some() {
        return None;
    }
    match split_event(bytes) {
        Ok((event, rest)) => Some(Ok((event, bytes.len().saturating_sub(rest.len())))),
        Err(DecodeErrorKind::HeaderCut { .. }) => None,
        Err(DecodeErrorKind::NameCut { len, .. }) => {
            over_capacity::<N>(HEADER.saturating_add(len)).map(Err)
        }
        Err(kind) => Some(Err(kind)),
    }
}

impl<const N: usize> Default for EventRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for EventRing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRing")
            .field("len", &self.len())
            .field("free", &self.free())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Why an [`EventRing`] did not take all the bytes it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtendError {
    /// No more room: offer what is behind the first `taken` bytes again, after popping.
    Full {
        /// The number of bytes that were taken.
        taken: usize,
    },
    /// The ring stopped at bytes that are no event, and took nothing.
    Stopped(DecodeError),
}

impl fmt::Display for ExtendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { taken } => {
                write!(f, "the ring is full after {taken} more bytes; pop events, then go on")
            }
            Self::Stopped(fault) => write!(f, "the ring has stopped; clear it to go on: {fault}"),
        }
    }
}

impl core::error::Error for ExtendError {}

//! A buffer of fixed size for events, so that a slow program can empty the kernel's queue early.
//!
//! The kernel queues at most `fs.inotify.max_queued_events` events (default: 16,384) and discards later
//! ones. A program that handles events slowly can move them into an [`EventRing`] at any time, even
//! while the ring still has older events. The ring needs no heap.
//!
//! ```text
//!        pop() reads here    fill() and extend() write here
//!              ▼                       ▼
//!  ┌───────────┬───────────────────────┬───────────────┐
//!  │   free    │        events         │     free      │   N cells of 16 bytes
//!  └───────────┴───────────────────────┴───────────────┘
//!  ▲                                                   │
//!  └────────── after the last cell: the first ─────────┘
//! ```
//!
//! The bytes come from an inotify instance (`Inotify::fill`), or in chunks of any size from a file, a
//! socket or a fuzzer. The boundaries of the chunks do not change the events.
//!
//! ```
//! use tinotify::{Event, EventMask, EventRing, Wd};
//!
//! let mut ring = EventRing::<64>::new(); // 64 cells of 16 bytes: 1 KiB
//! let mut record = [0; 32];
//! Event::new(Wd::from_raw(1), EventMask::CREATE, 0, Some(c"a")).encode(&mut record)?;
//!
//! ring.extend(&record[..20])?;
//! assert!(ring.pop().is_none()); // the record is incomplete
//! ring.extend(&record[20..])?;
//! assert_eq!(ring.pop().unwrap()?.name(), Some(&b"a"[..]));
//! assert!(ring.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A ring that is too small for one record does not compile:
//!
//! ```compile_fail,E0080
//! let ring = tinotify::EventRing::<16>::new();
//! ```

#![forbid(unsafe_code)]

use core::fmt;

use heapless::Deque;

use crate::decode::{DecodeError, DecodeErrorKind, HEADER, name_field_len, split_event};
use crate::event::{Event, RECORD_SIZE};

/// The unit of the format: a record is a whole number of cells.
type Cell = [u8; HEADER];

/// A ring buffer of events, in `N` cells of 16 bytes.
///
/// `N` is at least 17, for one event with a name of 255 bytes ([`RECORD_SIZE`]). An event with a
/// 6-byte name takes 2 cells. No method allocates, blocks or panics.
///
/// An invalid record stops the ring. [`pop`](Self::pop) returns the events before it, then the error
/// once, then `None`. The ring takes no more bytes until [`clear`](Self::clear).
pub struct EventRing<const N: usize> {
    /// All `N` cells, from the first use on. From the front: popped cells, cells with events, free
    /// cells.
    ///
    /// ```text
    ///  front        popped          filled        capacity
    ///    ├─ popped ───┼── events ─────┼── free ──────┤
    /// ```
    ///
    /// So each cell is initialised only once, and can then be lent for writing.
    cells: Deque<Cell, N>,
    /// The end of the popped bytes, from the front. A multiple of 16.
    popped: usize,
    /// The end of the bytes of events, from the front.
    filled: usize,
    /// The position of the front in the stream, in bytes.
    front: usize,
    fault: Option<DecodeError>,
}

impl<const N: usize> EventRing<N> {
    /// Makes an empty ring. It can be the initial value of a `static`.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= RECORD_SIZE / HEADER, "an EventRing needs at least 17 cells") };
        Self { cells: Deque::new(), popped: 0, filled: 0, front: 0, fault: None }
    }

    /// Returns the size of the ring in bytes: `N` times 16.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N.saturating_mul(HEADER)
    }

    /// Counts the complete events in the ring. Takes time in proportion to their number.
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

    /// Returns `true` if [`pop`](Self::pop) would return `None`: no complete event and no pending
    /// error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_at(self.popped).is_none()
    }

    /// Returns the free space in bytes. An incomplete event at the end uses space too.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.capacity().saturating_sub(self.filled.saturating_sub(self.popped))
    }

    /// Returns the error that stopped the ring, after [`pop`](Self::pop) has returned it.
    #[must_use]
    pub const fn fault(&self) -> Option<DecodeError> {
        self.fault
    }

    /// Appends bytes. A chunk may end anywhere, also inside a record.
    ///
    /// # Errors
    ///
    /// - [`ExtendError::Full`]: not all bytes fit. The ring took the first `taken` bytes. Pop events,
    ///   then extend with the rest.
    /// - [`ExtendError::Stopped`]: an invalid record stopped the ring. The ring took nothing.
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

    /// Lends free space in one piece, for any reader to write to. Then call [`commit`](Self::commit)
    /// with the number of bytes written.
    ///
    /// The space has at least `want` bytes, or all the free space if that is less. If the free space is
    /// in two pieces, the contents of the ring may be moved to join them, about once per lap. The space
    /// is empty if an invalid record stopped the ring.
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

    /// Appends the first `len` bytes of [`spare`](Self::spare), which the caller has written.
    ///
    /// A `len` above the size of that space counts as its size. Bytes that the caller did not write
    /// keep their old contents: zeros, or parts of older events.
    pub fn commit(&mut self, len: usize) {
        if self.fault.is_none() && self.cells.is_full() {
            let unwrapped = self.unwrapped();
            let end = if self.filled < unwrapped { unwrapped } else { self.capacity() };
            self.filled = self.filled.saturating_add(len).min(end);
        }
    }

    /// Removes the first event and lends it. Returns `None` if the ring has no complete event.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the next record is invalid. It is returned once, and stops the ring.
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

    /// Lends the first event without removing it. Returns `None` if the ring has no complete event.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the next record is invalid. [`pop`](Self::pop) returns the same error.
    pub fn peek(&mut self) -> Option<Result<Event<'_>, DecodeError>> {
        self.straighten();
        let offset = self.offset();
        match first_event(&self.cells, self.popped, self.filled, self.fault)? {
            Ok((event, _)) => Some(Ok(event)),
            Err(kind) => Some(Err(DecodeError { offset, kind })),
        }
    }

    /// Discards all events and any error. The next byte starts a new stream.
    pub fn clear(&mut self) {
        self.popped = 0;
        self.filled = 0;
        self.front = 0;
        self.fault = None;
    }

    /// Returns the position of the next event in the stream, in bytes.
    const fn offset(&self) -> usize {
        self.front.wrapping_add(self.popped)
    }

    /// Returns the number of bytes from the front to the end of the memory, where the ring wraps.
    fn unwrapped(&self) -> usize {
        self.cells.as_slices().0.as_flattened().len()
    }

    /// Moves popped cells to the free ones. Initialises all cells on the first use.
    fn reclaim(&mut self) {
        self.front = self.offset();
        if self.popped == self.filled {
            // The ring has no events, so no cell needs to move.
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

    /// Moves the cells so that they do not wrap.
    fn unwrap_cells(&mut self) {
        self.cells.make_contiguous();
        // heapless 0.9.3 leaves the end index of a full deque one past its memory, and the next push
        // would write there (rust-embedded/heapless#676). Popping and pushing the last cell corrects
        // the index.
        if let Some(cell) = self.cells.pop_back() {
            let _ = self.cells.push_back(cell);
        }
    }

    /// Moves the cells if the ring wraps inside the first record, so that it can be lent in one piece.
    #[inline]
    fn straighten(&mut self) {
        let unwrapped = self.unwrapped();
        if self.popped < unwrapped && unwrapped < self.filled {
            let wraps = match self.record_at(self.popped) {
                Some(Ok(size)) => unwrapped < self.popped.saturating_add(size),
                // The NUL is at the record's end, which may be after the wrap.
                Some(Err(DecodeErrorKind::MissingNul)) => true,
                _ => false,
            };
            if wraps {
                self.unwrap_cells();
            }
        }
    }

    /// Returns the size of the record that starts `at` bytes from the front; `None` if it is
    /// incomplete.
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

/// Returns an error if the record is larger than the whole ring, so that popping can't make room.
fn over_capacity<const N: usize>(size: usize) -> Option<DecodeErrorKind> {
    (size / HEADER > N).then_some(DecodeErrorKind::OverCapacity { size })
}

/// Returns the event at `popped` and its size, if it is complete. It must not wrap.
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

/// Why [`EventRing::extend`] did not take all bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtendError {
    /// The ring is full. Pop events, then extend with the bytes after the first `taken`.
    Full {
        /// The number of bytes that the ring took.
        taken: usize,
    },
    /// An invalid record stopped the ring. The ring took nothing.
    Stopped(DecodeError),
}

impl fmt::Display for ExtendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { taken } => {
                write!(f, "the ring is full: it took {taken} bytes; pop events, then add the rest")
            }
            Self::Stopped(fault) => write!(f, "the ring is stopped: {fault}; clear the ring"),
        }
    }
}

impl core::error::Error for ExtendError {}

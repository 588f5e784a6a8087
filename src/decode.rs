//! The decoder: bytes in, events out, for any bytes at all.
//!
//! It needs no kernel: recorded streams, a socket's bytes and a fuzzer's are as good, on any system.
//! Nothing is copied and nothing allocated; each record costs the same, however long its name.
//!
//! ```
//! use tinotify::{DecodeErrorKind, Events};
//!
//! let mut bytes = [0; 32];
//! bytes[0..4].copy_from_slice(&1_i32.to_ne_bytes()); // wd
//! bytes[4..8].copy_from_slice(&0x100_u32.to_ne_bytes()); // mask: CREATE
//! bytes[12..16].copy_from_slice(&16_u32.to_ne_bytes()); // len
//! bytes[16..19].copy_from_slice(b"new");
//!
//! let mut events = Events::new(&bytes[..]);
//! assert_eq!(events.next().unwrap()?.name(), Some(&b"new"[..]));
//! assert!(events.next().is_none());
//!
//! // A record that was cut is an error that says where, and the end.
//! let mut events = Events::new(&bytes[..20]);
//! let error = events.next().unwrap().unwrap_err();
//! assert_eq!(error.kind(), DecodeErrorKind::NameCut { len: 16, have: 4 });
//! assert!(events.next().is_none());
//! # Ok::<(), tinotify::DecodeError>(())
//! ```
//!
//! # What is accepted
//!
//! A record is a header of 16 bytes in native byte order (`wd: i32`, `mask`, `cookie`, `len`: `u32`)
//! and `len` bytes that hold the name and NULs behind it (inotify(7)).
//!
//! | the bytes | [`Events`] | [`StrictEvents`] |
//! |---|---|---|
//! | mask with unknown bits, any `wd`, any cookie | an event that keeps them | the same |
//! | fewer than 16 bytes left | [`HeaderCut`](DecodeErrorKind::HeaderCut) | the same |
//! | `len` not a multiple of 16, or above 4,096 | [`BadLen`](DecodeErrorKind::BadLen) | the same |
//! | fewer than `len` bytes behind the header | [`NameCut`](DecodeErrorKind::NameCut) | the same |
//! | the last byte of the name's field is not NUL | [`MissingNul`](DecodeErrorKind::MissingNul) | the same |
//! | a NUL further in (before the NULs at the end of the last 16 bytes) | part of the name | [`BadName`](DecodeErrorKind::BadName) |
//! | an empty name in a field of 16 NULs | `Some` of an empty name | `BadName` |
//! | a name with `/`, or the name `.` or `..` | part of the name | `BadName` |
//!
//! An accepted record loses nothing: encoded again, the event gives the same bytes
//! ([`Event::encode`]).

#![forbid(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;

use crate::event::{Event, MAX_RECORD_SIZE, Wd};
use crate::flags::EventMask;

/// The size of a header, and the unit of `len`, in bytes.
pub(crate) const HEADER: usize = 16;

/// The events in a buffer, in order, and an error where the bytes are none.
///
/// The iterator ends after an error; what it did not get through is [`remainder`](Self::remainder).
#[derive(Clone, Debug)]
pub struct Events<'a> {
    /// What is still to be decoded: nothing after an error.
    bytes: &'a [u8],
    /// What an error left.
    faulty: &'a [u8],
    total: usize,
}

impl<'a> Events<'a> {
    /// The events in these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, faulty: &[], total: bytes.len() }
    }

    /// The same events, with an error for each name that no kernel gives.
    #[must_use]
    pub const fn strict(self) -> StrictEvents<'a> {
        StrictEvents { events: self }
    }

    /// The bytes that no event has been made of: those behind the last event, and after an error
    /// those from the faulty record on.
    #[must_use]
    pub const fn remainder(&self) -> &'a [u8] {
        if self.bytes.is_empty() { self.faulty } else { self.bytes }
    }

    /// Where the [`remainder`](Self::remainder) begins, in bytes from the start.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.total.saturating_sub(self.remainder().len())
    }

    /// Ends the iteration before the record that `bytes` begin with.
    #[cold]
    fn fail(&mut self, bytes: &'a [u8], kind: DecodeErrorKind) -> DecodeError {
        self.faulty = bytes;
        self.bytes = &[];
        DecodeError { offset: self.offset(), kind }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        match split_event(self.bytes) {
            Ok((event, rest)) => {
                self.bytes = rest;
                Some(Ok(event))
            }
            Err(kind) => Some(Err(self.fail(self.bytes, kind))),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Not empty: at least an event or an error. No event is shorter than a header.
        (usize::from(!self.bytes.is_empty()), Some(self.bytes.len().div_ceil(HEADER)))
    }
}

impl FusedIterator for Events<'_> {}

/// As [`Events`], but refuses names that no kernel gives: see the [module](self) for the list.
///
/// For streams from elsewhere, before their names are used on a file system.
#[derive(Clone, Debug)]
pub struct StrictEvents<'a> {
    events: Events<'a>,
}

impl<'a> StrictEvents<'a> {
    /// As [`Events::remainder`].
    #[must_use]
    pub const fn remainder(&self) -> &'a [u8] {
        self.events.remainder()
    }

    /// As [`Events::offset`].
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.events.offset()
    }
}

impl<'a> Iterator for StrictEvents<'a> {
    type Item = Result<Event<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.events.bytes;
        let item = self.events.next()?;
        match item {
            Ok(event) if !event.name().is_none_or(is_file_name) => {
                Some(Err(self.events.fail(before, DecodeErrorKind::BadName)))
            }
            item => Some(item),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.events.size_hint()
    }
}

impl FusedIterator for StrictEvents<'_> {}

fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !has_nul_or_slash(name)
}

fn has_nul_or_slash(bytes: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
    // Not 0 just where one of the 8 bytes is 0: a clear high bit comes out set only where the
    // subtraction borrows from it, for which its byte, or one below, must be 0.
    let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let found = |bytes: &[u8; 8]| {
        let word = u64::from_ne_bytes(*bytes);
        zero(word) | zero(word ^ SLASHES)
    };
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
    };
    // All bytes, also behind a bad one, for there hardly ever is one. The last 8 may overlap others.
    let chunks = bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk);
    chunks.fold(found(last), |all, chunk| all | found(chunk)) != 0
}

/// Where and why bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    pub(crate) offset: usize,
    pub(crate) kind: DecodeErrorKind,
}

impl DecodeError {
    /// Where the faulty record begins, in bytes from the start of the bytes. All before it was
    /// delivered.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}

/// What is wrong with a record. Lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end within the header, after `have` of 16.
    HeaderCut {
        /// The bytes of the header that are there.
        have: usize,
    },
    /// The bytes end within the name's field, after `have` of `len`.
    NameCut {
        /// The length of the field.
        len: usize,
        /// The bytes of the field that are there.
        have: usize,
    },
    /// A length of the name's field that no kernel gives: not a multiple of 16, or above 4,096.
    BadLen {
        /// The length in the header.
        len: u32,
    },
    /// The name's field does not end with a NUL.
    MissingNul,
    /// A name that no kernel gives; only [`StrictEvents`] minds.
    BadName,
    /// A good record of `size` bytes, too large for the ring that it came to
    /// ([`EventRing`](crate::EventRing)).
    OverCapacity {
        /// The size of the record with its header.
        size: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no inotify event at byte {}: ", self.offset)?;
        match self.kind {
            DecodeErrorKind::HeaderCut { have } => {
                write!(f, "the bytes end after {have} of the header's {HEADER}")
            }
            DecodeErrorKind::NameCut { len, have } => {
                write!(f, "the bytes end after {have} of the name's {len}")
            }
            DecodeErrorKind::BadLen { len } => {
                write!(f, "no kernel gives a name the length {len}")
            }
            DecodeErrorKind::MissingNul => f.write_str("the name does not end with a NUL"),
            DecodeErrorKind::BadName => f.write_str(
                "the name is empty, `.`, `..`, or holds a NUL or a slash, which no kernel gives",
            ),
            DecodeErrorKind::OverCapacity { size } => {
                write!(f, "a record of {size} bytes is larger than the whole ring")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// The length of the name's field that a header tells.
#[inline]
pub(crate) fn name_field_len(header: &[u8; HEADER]) -> Result<usize, DecodeErrorKind> {
    // A header has these bytes. In one piece they are one load; one by one, they were three.
    let len = header.last_chunk().map_or(0, |len| u32::from_ne_bytes(*len));
    // Turned so that the bits below 16 are the highest ones: one comparison for both rules.
    if len.rotate_right(4) <= const { (MAX_RECORD_SIZE - HEADER) as u32 / 16 } {
        Ok(len as usize)
    } else {
        Err(DecodeErrorKind::BadLen { len })
    }
}

/// The first event, and the bytes behind it.
#[inline]
pub(crate) fn split_event(bytes: &[u8]) -> Result<(Event<'_>, &[u8]), DecodeErrorKind> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(DecodeErrorKind::HeaderCut { have: bytes.len() });
    };
    let [w0, w1, w2, w3, m0, m1, m2, m3, c0, c1, c2, c3, ..] = *header;
    let wd = Wd::from_raw(i32::from_ne_bytes([w0, w1, w2, w3]));
    let mask = EventMask::from_bits_retain(u32::from_ne_bytes([m0, m1, m2, m3]));
    let cookie = u32::from_ne_bytes([c0, c1, c2, c3]);
    let len = name_field_len(header)?;

    let Some((field, rest)) = rest.split_at_checked(len) else {
        return Err(DecodeErrorKind::NameCut { len, have: rest.len() });
    };
    // The kernel pads a name with 1 to 16 NULs, so its end lies in the last 16 bytes, and one load
    // finds it however long the name.
    let name_and_nul = match field.last_chunk::<16>() {
        None => field,
        Some(last) => {
            let nuls = (u128::from_be_bytes(*last).trailing_zeros() / 8) as usize;
            if nuls == 0 {
                return Err(DecodeErrorKind::MissingNul);
            }
            field.split_at_checked(len.wrapping_sub(nuls).wrapping_add(1)).unwrap_or((field, &[])).0
        }
    };
    Ok((Event::from_parts(wd, mask, cookie, name_and_nul), rest))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_or_a_slash_is_found_wherever_it_is_and_nothing_else() {
        for len in 0..40 {
            for fill in 0..=255 {
                let mut bytes = [fill; 40];
                let bad = matches!(fill, 0 | b'/') && len > 0;
                assert_eq!(has_nul_or_slash(&bytes[..len]), bad, "{len} times {fill}");
                for at in 0..len {
                    for byte in [0, 1, b'.', b'/', b'0', 0x7f, 0x80, 0xaf, 0xff] {
                        bytes[at] = byte;
                        let bad = bytes[..len].iter().any(|byte| matches!(byte, 0 | b'/'));
                        assert_eq!(has_nul_or_slash(&bytes[..len]), bad, "{:?}", &bytes[..len]);
                    }
                    bytes[at] = fill;
                }
            }
        }
    }
}

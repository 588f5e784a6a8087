//! Decodes bytes that were read from an inotify descriptor, a file or a socket into events.
//!
//! [`Events`] accepts any bytes: valid records become events, and invalid ones an error with their
//! offset. It needs no kernel and works on any system. It copies nothing and allocates nothing. The
//! cost of a record does not depend on the length of its name.
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
//! // An incomplete record is an error, and ends the iteration.
//! let mut events = Events::new(&bytes[..20]);
//! let error = events.next().unwrap().unwrap_err();
//! assert_eq!(error.kind(), DecodeErrorKind::NameCut { len: 16, have: 4 });
//! assert!(events.next().is_none());
//! # Ok::<(), tinotify::DecodeError>(())
//! ```
//!
//! # Accepted records
//!
//! A record is a header of 16 bytes in native byte order (`wd: i32`, `mask`, `cookie`, `len`: `u32`)
//! and a name field of `len` bytes: the name, then NULs (inotify(7)).
//!
//! | the bytes | [`Events`] | [`StrictEvents`] |
//! |---|---|---|
//! | mask with unknown bits, any `wd`, any cookie | an event that keeps them | the same |
//! | fewer than 16 bytes left | [`HeaderCut`](DecodeErrorKind::HeaderCut) | the same |
//! | `len` not a multiple of 16, or above 4,096 | [`BadLen`](DecodeErrorKind::BadLen) | the same |
//! | fewer than `len` bytes after the header | [`NameCut`](DecodeErrorKind::NameCut) | the same |
//! | the last byte of the name field is not NUL | [`MissingNul`](DecodeErrorKind::MissingNul) | the same |
//! | a NUL before those that end the last 16 bytes | part of the name | [`BadName`](DecodeErrorKind::BadName) |
//! | an empty name in a field of 16 NULs | `Some` of an empty name | `BadName` |
//! | a name with `/`, or the name `.` or `..` | part of the name | `BadName` |
//!
//! Decoding loses nothing: [`Event::encode`] writes the same bytes again.

#![forbid(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;

use crate::event::{Event, MAX_RECORD_SIZE, Wd};
use crate::flags::EventMask;

/// The size of a header, and the unit of `len`, in bytes.
pub(crate) const HEADER: usize = 16;

/// An iterator over the events in a buffer, in order. An invalid record is an error.
///
/// The iterator ends after an error; [`remainder`](Self::remainder) then starts with the invalid
/// record.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    /// The bytes still to be decoded. Empty after an error.
    bytes: &'a [u8],
    /// After an error: the bytes from the invalid record on.
    invalid: &'a [u8],
    total: usize,
}

impl<'a> Events<'a> {
    /// Iterates over the events in these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, invalid: &[], total: bytes.len() }
    }

    /// Also reports an error for a name that is not a file name: see [`StrictEvents`].
    #[must_use]
    pub const fn strict(self) -> StrictEvents<'a> {
        StrictEvents { events: self }
    }

    /// Returns the bytes that are not decoded yet. After an error these are the bytes from the invalid
    /// record on.
    #[must_use]
    pub const fn remainder(&self) -> &'a [u8] {
        if self.bytes.is_empty() { self.invalid } else { self.bytes }
    }

    /// Returns the offset of the [`remainder`](Self::remainder), in bytes from the start.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.total.saturating_sub(self.remainder().len())
    }

    /// Ends the iteration before the record at the start of `bytes`.
    #[cold]
    fn fail(&mut self, bytes: &'a [u8], kind: DecodeErrorKind) -> DecodeError {
        self.invalid = bytes;
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
        // Any bytes yield at least one event or error. No record is shorter than a header.
        (usize::from(!self.bytes.is_empty()), Some(self.bytes.len().div_ceil(HEADER)))
    }
}

impl FusedIterator for Events<'_> {}

/// An iterator like [`Events`] that also refuses names that no kernel reports, such as `..` and names
/// with a slash. The [module](self) lists them.
///
/// Use it for bytes from a file or a socket before their names reach a file system.
#[derive(Clone, Debug)]
pub struct StrictEvents<'a> {
    events: Events<'a>,
}

impl<'a> StrictEvents<'a> {
    /// Returns the bytes that are not decoded yet: see [`Events::remainder`].
    #[must_use]
    pub const fn remainder(&self) -> &'a [u8] {
        self.events.remainder()
    }

    /// Returns the offset of the [`remainder`](Self::remainder), in bytes from the start.
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
    // Not 0 exactly if one of the 8 bytes is 0. The subtraction sets a clear high bit only if it
    // borrows from it, and then this byte or a lower one is 0.
    let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let found = |bytes: &[u8; 8]| {
        let word = u64::from_ne_bytes(*bytes);
        zero(word) | zero(word ^ SLASHES)
    };
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
    };
    // Checks all bytes, even after a bad one, because bad ones are rare. The last 8 may overlap others.
    let chunks = bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk);
    chunks.fold(found(last), |all, chunk| all | found(chunk)) != 0
}

/// An invalid record: its offset, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecodeError {
    pub(crate) offset: usize,
    pub(crate) kind: DecodeErrorKind,
}

impl DecodeError {
    /// Returns the offset of the invalid record, in bytes from the start. All events before it were
    /// returned.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns what is wrong with the record.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }
}

/// What is wrong with a record. Lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end inside the header, after `have` of 16 bytes.
    HeaderCut {
        /// The number of header bytes present.
        have: usize,
    },
    /// The bytes end inside the name field, after `have` of `len` bytes.
    NameCut {
        /// The length of the field.
        len: usize,
        /// The number of field bytes present.
        have: usize,
    },
    /// The length of the name field is not a multiple of 16, or is above 4,096. No kernel writes such
    /// a length.
    BadLen {
        /// The length in the header.
        len: u32,
    },
    /// The name field does not end with a NUL.
    MissingNul,
    /// The name is not a file name: it is empty, `.`, `..`, or has a NUL or a slash. Only
    /// [`StrictEvents`] reports this.
    BadName,
    /// The record is valid, but larger than the whole [`EventRing`](crate::EventRing).
    OverCapacity {
        /// The size of the record with its header.
        size: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid inotify record at byte {}: ", self.offset)?;
        match self.kind {
            DecodeErrorKind::HeaderCut { have } => {
                write!(f, "the header ends after {have} of {HEADER} bytes")
            }
            DecodeErrorKind::NameCut { len, have } => {
                write!(f, "the name field ends after {have} of {len} bytes")
            }
            DecodeErrorKind::BadLen { len } => {
                write!(
                    f,
                    "the name field has length {len}; expected a multiple of 16, at most 4096"
                )
            }
            DecodeErrorKind::MissingNul => f.write_str("the name does not end with a NUL"),
            DecodeErrorKind::BadName => {
                f.write_str("the name is empty, `.`, `..`, or has a NUL or a slash")
            }
            DecodeErrorKind::OverCapacity { size } => {
                write!(f, "it has {size} bytes, more than the whole ring; use a larger ring")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Reads the length of the name field from a header.
#[inline]
pub(crate) fn name_field_len(header: &[u8; HEADER]) -> Result<usize, DecodeErrorKind> {
    // `last_chunk` compiles to one load; indexing each byte compiled to three.
    let len = header.last_chunk().map_or(0, |len| u32::from_ne_bytes(*len));
    // The rotation makes the low four bits the highest, so one comparison checks both rules.
    if len.rotate_right(4) <= const { (MAX_RECORD_SIZE - HEADER) as u32 / 16 } {
        Ok(len as usize)
    } else {
        Err(DecodeErrorKind::BadLen { len })
    }
}

/// Returns the watch descriptor and the mask of the first event, and checks nothing else.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn peek_header(bytes: &[u8]) -> Option<(Wd, EventMask)> {
    let (wd, mask, _) = fields(bytes.first_chunk()?);
    Some((wd, mask))
}

/// Decodes the fields of a header before the length of the name.
#[inline(always)]
const fn fields(header: &[u8; HEADER]) -> (Wd, EventMask, u32) {
    let [w0, w1, w2, w3, m0, m1, m2, m3, c0, c1, c2, c3, ..] = *header;
    let wd = Wd::from_raw(i32::from_ne_bytes([w0, w1, w2, w3]));
    let mask = EventMask::from_bits_retain(u32::from_ne_bytes([m0, m1, m2, m3]));
    (wd, mask, u32::from_ne_bytes([c0, c1, c2, c3]))
}

/// Decodes the first event, and returns it with the bytes after it.
#[inline]
pub(crate) fn split_event(bytes: &[u8]) -> Result<(Event<'_>, &[u8]), DecodeErrorKind> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(DecodeErrorKind::HeaderCut { have: bytes.len() });
    };
    let (wd, mask, cookie) = fields(header);
    let len = name_field_len(header)?;

    let Some((field, rest)) = rest.split_at_checked(len) else {
        return Err(DecodeErrorKind::NameCut { len, have: rest.len() });
    };
    // The kernel pads a name with 1 to 16 NULs. So its end is in the last 16 bytes, and one load finds
    // it, whatever the length of the name.
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
    fn a_nul_or_a_slash_is_found_at_any_offset_and_no_other_byte_is() {
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

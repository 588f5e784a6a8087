//! Encodes events into the bytes that the kernel would write.
//!
//! Use it to record and replay events, and in tests, fuzzers and simulated kernels. The
//! [decoder](crate::decode) reads the bytes back. The only functions here are [`Event::encode`] and
//! [`Event::encoded_len`]. Neither allocates.
//!
//! ```
//! use tinotify::{Event, EventMask, Events, Wd};
//!
//! let event = Event::new(Wd::from_raw(3), EventMask::MOVED_TO, 7, Some(c"new name"));
//! let mut buffer = [0; 64];
//! let len = event.encode(&mut buffer)?;
//! assert_eq!(len, 32);
//! assert_eq!(Events::new(&buffer[..len]).next(), Some(Ok(event)));
//! # Ok::<(), tinotify::EncodeError>(())
//! ```

#![forbid(unsafe_code)]

use core::fmt;

use crate::decode::HEADER;
use crate::event::{Event, MAX_RECORD_SIZE};

impl Event<'_> {
    /// Returns the size of this event's record, in bytes: a multiple of 16.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        // A slice has at most isize::MAX bytes, so this never saturates.
        HEADER.saturating_add(self.name_and_nul().len().div_ceil(16).saturating_mul(16))
    }

    /// Writes this event's record to the start of `buffer`, as the kernel would. Returns the size of
    /// the record, in bytes.
    ///
    /// # Errors
    ///
    /// On an error the buffer is unchanged.
    ///
    /// - [`EncodeError::NoRoom`]: the buffer is shorter than [`encoded_len`](Self::encoded_len).
    /// - [`EncodeError::NameTooLong`]: the name has more than 4,095 bytes.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let size = self.encoded_len();
        let name_and_nul = self.name_and_nul();
        if size > MAX_RECORD_SIZE {
            return Err(EncodeError::NameTooLong { len: name_and_nul.len().saturating_sub(1) });
        }
        let have = buffer.len();
        let Some(record) = buffer.get_mut(..size) else {
            return Err(EncodeError::NoRoom { size, have });
        };
        let Some((header, field)) = record.split_first_chunk_mut::<HEADER>() else {
            return Err(EncodeError::NoRoom { size, have });
        };
        let fields = [
            self.wd().as_raw().to_ne_bytes(),
            self.mask().bits().to_ne_bytes(),
            self.cookie().to_ne_bytes(),
            // At most 4,096.
            (field.len() as u32).to_ne_bytes(),
        ];
        header.copy_from_slice(fields.as_flattened());
        field.fill(0);
        for (to, from) in field.iter_mut().zip(name_and_nul) {
            *to = *from;
        }
        Ok(size)
    }
}

/// Why an event could not be encoded. The buffer is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too short.
    NoRoom {
        /// The size of the record, in bytes.
        size: usize,
        /// The size of the buffer, in bytes.
        have: usize,
    },
    /// The name has more than 4,095 bytes. The decoder would refuse such a record.
    NameTooLong {
        /// The length of the name, in bytes.
        len: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom { size, have } => {
                write!(f, "cannot encode the event: it needs {size} bytes, the buffer has {have}")
            }
            Self::NameTooLong { len } => {
                write!(f, "cannot encode the event: its name has {len} bytes, at most 4095 fit")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

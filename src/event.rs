//! One inotify event: which watch reported it, what happened, and the name of the entry.
//!
//! An [`Event`] borrows the buffer that it was read into. Keep it longer as an [`EventBuf`], which
//! needs no heap. To print a name on a terminal, wrap it in [`Escaped`].
//!
//! ```
//! use tinotify::{Event, EventKind, EventMask, Wd};
//!
//! let event = Event::new(Wd::from_raw(1), EventMask::CREATE | EventMask::ISDIR, 0, Some(c"logs"));
//! assert_eq!(event.kind(), EventKind::Create);
//! assert!(event.is_dir());
//! assert_eq!(event.name(), Some(&b"logs"[..]));
//! assert_eq!(event.to_string(), r#"wd 1 CREATE,ISDIR "logs""#);
//! ```

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt;

use heapless::Vec;

use crate::flags::EventMask;

/// The size in bytes of the largest record with a name of at most 255 bytes (`NAME_MAX`): a header of
/// 16 bytes and 256 bytes for the name.
///
/// A read buffer should have at least this size. It is enough for ext4, xfs, btrfs and tmpfs. Other
/// file systems may have longer names (FUSE: 1,024 bytes on Linux 6.18): a read into 272 bytes then
/// fails with `EINVAL`, and needs a larger buffer. [`MAX_RECORD_SIZE`] is enough for every file
/// system.
#[doc(alias = "NAME_MAX")]
pub const RECORD_SIZE: usize = 272;

/// The size in bytes of the largest record of any file system: a header of 16 bytes and 4,096 bytes
/// for the name, because no path is longer (`PATH_MAX`).
#[doc(alias = "PATH_MAX")]
pub const MAX_RECORD_SIZE: usize = 4112;

/// A watch descriptor: the number that inotify_add_watch(2) returns and that each event of the watch
/// has.
///
/// It is valid only for the inotify instance that returned it.
#[doc(alias = "WatchDescriptor")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Wd(i32);

impl Wd {
    /// The descriptor of an overflow event, which belongs to no watch: -1.
    pub const NONE: Self = Self(-1);

    /// Returns the descriptor with this number.
    #[must_use]
    pub const fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    /// Returns the number, as the kernel uses it. The kernel assigns positive numbers.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Wd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What happened, as one value to `match` on. The subject is the watched file or directory, or an
/// entry of the watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was read.
    Access,
    /// It was written or truncated.
    Modify,
    /// Its metadata changed.
    Attrib,
    /// It was closed after being open for writing.
    CloseWrite,
    /// It was closed after being open, but not for writing.
    CloseNoWrite,
    /// It was opened.
    Open,
    /// An entry was renamed: this is its old name. The event of the new name has the same cookie, or
    /// is missing if the new directory is not watched.
    MovedFrom,
    /// An entry was renamed: this is its new name. The event of the old name has the same cookie, or
    /// is missing if the old directory was not watched.
    MovedTo,
    /// An entry was created in the watched directory.
    Create,
    /// An entry was removed from the watched directory.
    Delete,
    /// The watched inode was deleted.
    DeleteSelf,
    /// The watched file or directory was moved.
    MoveSelf,
    /// The file system of the watched inode was unmounted.
    Unmount,
    /// Events were lost.
    Overflow,
    /// The watch was removed; its descriptor has no more events.
    Ignored,
    /// No kind that this version knows. [`Event::mask`] has the bits.
    Other,
}

impl EventKind {
    /// Returns the kind of an event with this mask: see [`Event::kind`].
    #[must_use]
    pub const fn of(mask: EventMask) -> Self {
        const LIFE: EventMask =
            EventMask::Q_OVERFLOW.union(EventMask::UNMOUNT).union(EventMask::IGNORED);
        let kinds = if mask.intersects(LIFE) { LIFE } else { EventMask::ALL_EVENTS };
        let kinds = kinds.intersection(mask).bits();
        // Only the lowest bit.
        match EventMask::from_bits_retain(kinds & kinds.wrapping_neg()) {
            EventMask::ACCESS => Self::Access,
            EventMask::MODIFY => Self::Modify,
            EventMask::ATTRIB => Self::Attrib,
            EventMask::CLOSE_WRITE => Self::CloseWrite,
            EventMask::CLOSE_NOWRITE => Self::CloseNoWrite,
            EventMask::OPEN => Self::Open,
            EventMask::MOVED_FROM => Self::MovedFrom,
            EventMask::MOVED_TO => Self::MovedTo,
            EventMask::CREATE => Self::Create,
            EventMask::DELETE => Self::Delete,
            EventMask::DELETE_SELF => Self::DeleteSelf,
            EventMask::MOVE_SELF => Self::MoveSelf,
            EventMask::UNMOUNT => Self::Unmount,
            EventMask::Q_OVERFLOW => Self::Overflow,
            EventMask::IGNORED => Self::Ignored,
            _ => Self::Other,
        }
    }
}

/// One event, borrowed from the buffer that it was read into. Copying it does not copy the name.
///
/// To keep an event longer than the buffer, copy it into an [`EventBuf`].
#[doc(alias = "inotify_event")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event<'a> {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    /// The name and one NUL. Empty if the record has no name.
    name_and_nul: &'a [u8],
}

impl<'a> Event<'a> {
    /// Makes an event of these parts, for tests, simulations and recordings.
    #[must_use]
    pub const fn new(wd: Wd, mask: EventMask, cookie: u32, name: Option<&'a CStr>) -> Self {
        let name_and_nul = match name {
            Some(name) => name.to_bytes_with_nul(),
            None => &[],
        };
        Self { wd, mask, cookie, name_and_nul }
    }

    /// Makes an event. `name_and_nul` must be empty or end with a NUL.
    #[inline]
    pub(crate) const fn from_parts(
        wd: Wd,
        mask: EventMask,
        cookie: u32,
        name_and_nul: &'a [u8],
    ) -> Self {
        Self { wd, mask, cookie, name_and_nul }
    }

    /// Returns the watch that reported this event, or [`Wd::NONE`] for an overflow.
    #[must_use]
    pub const fn wd(&self) -> Wd {
        self.wd
    }

    /// Returns all bits of the event, including those that this version does not know.
    #[must_use]
    pub const fn mask(&self) -> EventMask {
        self.mask
    }

    /// Returns the number that both events of a rename share, and 0 for other events.
    #[must_use]
    pub const fn cookie(&self) -> u32 {
        self.cookie
    }

    /// Returns the name of the directory entry, without padding. Returns `None` if the event is about
    /// the watched file or directory itself.
    ///
    /// Names are bytes in any encoding. A name from the kernel has no NUL and no `/`; a name from
    /// elsewhere may have both (see [`Events::strict`](crate::Events::strict)).
    #[must_use]
    #[inline]
    pub const fn name(&self) -> Option<&'a [u8]> {
        match self.name_and_nul {
            [name @ .., _nul] => Some(name),
            [] => None,
        }
    }

    /// Returns the name as a C string for a system call, without a copy.
    ///
    /// Returns `None` if the event has no name, or if the name has a NUL, which a name from the kernel
    /// never has.
    #[must_use]
    pub fn name_cstr(&self) -> Option<&'a CStr> {
        CStr::from_bytes_with_nul(self.name_and_nul).ok()
    }

    /// Returns the name as an `OsStr`, or `None` if the event has no name.
    #[cfg(all(feature = "std", unix))]
    #[must_use]
    pub fn name_os(&self) -> Option<&'a std::ffi::OsStr> {
        self.name().map(std::os::unix::ffi::OsStrExt::from_bytes)
    }

    pub(crate) const fn name_and_nul(&self) -> &'a [u8] {
        self.name_and_nul
    }

    /// Returns what happened as one value, to `match` on.
    ///
    /// A record can have several event bits (`MODIFY,ATTRIB` after truncating a set-user-ID file). This
    /// returns the one that is first in [`EventKind`], but `Unmount`, `Overflow` and `Ignored` go
    /// before all others. [`mask`](Self::mask) returns all bits.
    ///
    /// ```
    /// use tinotify::{Event, EventKind, EventMask, Wd};
    ///
    /// let both = EventMask::MODIFY | EventMask::ATTRIB;
    /// assert_eq!(Event::new(Wd::from_raw(1), both, 0, None).kind(), EventKind::Modify);
    /// let new = EventMask::from_bits_retain(0x1000);
    /// assert_eq!(Event::new(Wd::from_raw(1), new, 0, None).kind(), EventKind::Other);
    /// ```
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        EventKind::of(self.mask)
    }

    /// Returns `true` if the event has the `ISDIR` bit: its subject is a directory.
    ///
    /// The kernel does not set the bit when a watched directory is deleted (`DELETE_SELF`, `IGNORED`;
    /// Linux 6.18).
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.mask.contains(EventMask::ISDIR)
    }

    /// Returns `true` if events were lost. What the program knows of the watched files may then be out
    /// of date: rescan them.
    #[must_use]
    pub const fn is_overflow(&self) -> bool {
        self.mask.contains(EventMask::Q_OVERFLOW)
    }

    /// Returns `true` if this is the last event of its watch descriptor. Forget the watch after this event,
    /// not earlier.
    #[must_use]
    pub const fn is_ignored(&self) -> bool {
        self.mask.contains(EventMask::IGNORED)
    }
}

/// Prints as [`Display`](fmt::Display) does, in braces. Safe for a terminal.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event {{ {self} }}")
    }
}

/// Prints one line, such as `wd 1 MOVED_TO cookie 7 "name"`. The name is [`Escaped`], so the line is
/// safe for a terminal.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wd, mask, cookie, .. } = self;
        write!(f, "wd {wd} {mask}")?;
        if *cookie != 0 {
            write!(f, " cookie {cookie}")?;
        }
        if let Some(name) = self.name() {
            write!(f, " \"{}\"", Escaped(name))?;
        }
        Ok(())
    }
}

/// Prints the bytes of a file name so that they are safe for a terminal.
///
/// Printable characters are unchanged. These are escaped as in a Rust string: control characters,
/// characters that change the direction of text, most invisible characters, quotes, backslashes, and
/// bytes that are not UTF-8.
///
/// ```
/// use tinotify::Escaped;
///
/// assert_eq!(Escaped("früh.txt".as_bytes()).to_string(), "früh.txt");
/// assert_eq!(Escaped(b"a\x1b[2Jb\xff\n").to_string(), r"a\u{1b}[2Jb\xff\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

/// An event that owns its name, in a fixed buffer of 256 bytes. Keeps an event without a heap.
///
/// ```
/// use tinotify::{Event, EventBuf, EventMask, Wd};
///
/// let event = Event::new(Wd::from_raw(1), EventMask::DELETE, 0, Some(c"old"));
/// let kept = EventBuf::try_from(event)?;
/// assert_eq!(kept.as_event(), event);
/// # Ok::<(), tinotify::NameTooLong>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventBuf {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name_and_nul: Vec<u8, 256>,
}

impl EventBuf {
    /// Returns the event, borrowed from this buffer.
    #[must_use]
    pub fn as_event(&self) -> Event<'_> {
        Event::from_parts(self.wd, self.mask, self.cookie, &self.name_and_nul)
    }
}

impl TryFrom<Event<'_>> for EventBuf {
    type Error = NameTooLong;

    /// Copies the event. Fails with [`NameTooLong`] if its name has more than 255 bytes.
    fn try_from(event: Event<'_>) -> Result<Self, NameTooLong> {
        let name_and_nul = Vec::from_slice(event.name_and_nul)
            .map_err(|_| NameTooLong { len: event.name_and_nul.len().saturating_sub(1) })?;
        let Event { wd, mask, cookie, .. } = event;
        Ok(Self { wd, mask, cookie, name_and_nul })
    }
}

impl fmt::Debug for EventBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_event(), f)
    }
}

impl fmt::Display for EventBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_event(), f)
    }
}

/// A name is too long for an [`EventBuf`], which holds 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NameTooLong {
    /// The length of the name, in bytes.
    pub len: usize,
}

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot keep the event: its name has {} bytes, and at most 255 fit", self.len)
    }
}

impl core::error::Error for NameTooLong {}

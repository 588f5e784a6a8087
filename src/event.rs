//! One inotify event, as plain data borrowed from the bytes that it was read from.
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

/// The largest record of a file system that keeps to names of 255 bytes (`NAME_MAX`), in bytes: a
/// header of 16 and 256 for the name.
///
/// This is what ext4, xfs, btrfs and tmpfs need, and the least that a buffer should have. Names may
/// be longer elsewhere (FUSE: 1,024 bytes on Linux 6.18, where a read into 272 bytes fails with
/// `EINVAL` until the buffer grows); [`MAX_RECORD_SIZE`] is enough for all.
pub const RECORD_SIZE: usize = 272;

/// The largest record that any file system can give, in bytes: a header of 16 and 4,096 for a name,
/// for no path is longer (`PATH_MAX`).
pub const MAX_RECORD_SIZE: usize = 4112;

/// A watch descriptor: the number that `inotify_add_watch` gives, and that events carry.
///
/// It means something only together with the instance that gave it.
#[doc(alias = "WatchDescriptor")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Wd(i32);

impl Wd {
    /// The descriptor in events that belong to no watch: those of a queue overflow.
    pub const NONE: Self = Self(-1);

    /// The descriptor of that number.
    #[must_use]
    pub const fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    /// The number. The kernel hands out positive ones.
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

/// What happened, as one word. The subject is the watched file, or an entry of the watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was read.
    Access,
    /// It was written or truncated.
    Modify,
    /// Its metadata changed.
    Attrib,
    /// It was closed, and had been open for writing.
    CloseWrite,
    /// It was closed, and had not been open for writing.
    CloseNoWrite,
    /// It was opened.
    Open,
    /// The old name of a rename. The new one has the same cookie, or is not watched.
    MovedFrom,
    /// The new name of a rename. The old one has the same cookie, or was not watched.
    MovedTo,
    /// A name was made in the watched directory.
    Create,
    /// A name was removed from the watched directory.
    Delete,
    /// The watched inode is gone.
    DeleteSelf,
    /// The watched file or directory was moved.
    MoveSelf,
    /// The file system of the watched inode was unmounted.
    Unmount,
    /// Events were lost.
    Overflow,
    /// The watch is gone; no more events of its descriptor.
    Ignored,
    /// Nothing that this version knows: look at the mask.
    Other,
}

impl EventKind {
    /// The kind of an event with that mask: see [`Event::kind`].
    #[must_use]
    pub const fn of(mask: EventMask) -> Self {
        const LIFE: EventMask =
            EventMask::Q_OVERFLOW.union(EventMask::UNMOUNT).union(EventMask::IGNORED);
        let told = if mask.intersects(LIFE) { LIFE } else { EventMask::ALL_EVENTS };
        let told = told.intersection(mask).bits();
        // The lowest bit alone.
        match EventMask::from_bits_retain(told & told.wrapping_neg()) {
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

/// One event. Copying it copies the header and a reference to the name, never the name.
///
/// An event that came from the decoder borrows the buffer; keep it beyond that as an [`EventBuf`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event<'a> {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    /// The name and one NUL behind it; nothing where the record has no name.
    name_and_nul: &'a [u8],
}

impl<'a> Event<'a> {
    /// An event of these parts, for tests, simulations and recordings.
    #[must_use]
    pub const fn new(wd: Wd, mask: EventMask, cookie: u32, name: Option<&'a CStr>) -> Self {
        let name_and_nul = match name {
            Some(name) => name.to_bytes_with_nul(),
            None => &[],
        };
        Self { wd, mask, cookie, name_and_nul }
    }

    /// `name_and_nul` is empty or ends with a NUL.
    #[inline]
    pub(crate) const fn from_parts(
        wd: Wd,
        mask: EventMask,
        cookie: u32,
        name_and_nul: &'a [u8],
    ) -> Self {
        Self { wd, mask, cookie, name_and_nul }
    }

    /// The watch that this is an event of; [`Wd::NONE`] for an overflow.
    #[must_use]
    pub const fn wd(&self) -> Wd {
        self.wd
    }

    /// What happened, all bits as they came, those that this version doesn't know too.
    #[must_use]
    pub const fn mask(&self) -> EventMask {
        self.mask
    }

    /// The number that joins the two halves of a rename, else 0.
    #[must_use]
    pub const fn cookie(&self) -> u32 {
        self.cookie
    }

    /// The name of the directory entry, without padding; `None` where the event is about the watched
    /// file or directory itself.
    ///
    /// Names are bytes: any but NUL and `/`, in no promised encoding. Bytes that did not come from
    /// the kernel may hold anything.
    #[must_use]
    #[inline]
    pub const fn name(&self) -> Option<&'a [u8]> {
        match self.name_and_nul {
            [name @ .., _nul] => Some(name),
            [] => None,
        }
    }

    /// The name as a C string, ready for a system call: no copy is made.
    ///
    /// `None` where there is no name, or where it holds a NUL, as no kernel's name does.
    #[must_use]
    pub fn name_cstr(&self) -> Option<&'a CStr> {
        CStr::from_bytes_with_nul(self.name_and_nul).ok()
    }

    /// The name as an `OsStr`.
    #[cfg(all(feature = "std", unix))]
    #[must_use]
    pub fn name_os(&self) -> Option<&'a std::ffi::OsStr> {
        self.name().map(std::os::unix::ffi::OsStrExt::from_bytes)
    }

    pub(crate) const fn name_and_nul(&self) -> &'a [u8] {
        self.name_and_nul
    }

    /// What happened, as one word.
    ///
    /// Where a record tells several things at once (`MODIFY,ATTRIB` after truncating a set-user-ID
    /// file), this is the one that comes first in [`EventKind`], but an overflow, an unmount and the
    /// end of the watch come before all. The [`mask`](Self::mask) has them all.
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

    /// Whether the event says that its subject is a directory.
    ///
    /// The end of a watched directory (`DELETE_SELF`, `IGNORED`) does not say so (Linux 6.18).
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.mask.contains(EventMask::ISDIR)
    }

    /// Whether events were lost: what is known of each watched thing may be out of date.
    #[must_use]
    pub const fn is_overflow(&self) -> bool {
        self.mask.contains(EventMask::Q_OVERFLOW)
    }

    /// Whether this is the last event of its watch descriptor: forget the watch now, not before.
    #[must_use]
    pub const fn is_ignored(&self) -> bool {
        self.mask.contains(EventMask::IGNORED)
    }
}

/// As [`Display`](fmt::Display), in braces: safe to print on a terminal.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event {{ {self} }}")
    }
}

/// One line such as `wd 1 MOVED_TO cookie 7 "name"`, with the name [`Escaped`]: safe to print on a
/// terminal.
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

/// Bytes of a file name, shown so that no terminal takes them for a command.
///
/// Printable characters stand as they are; control characters, those that turn the direction of text,
/// most invisible ones, quotes, backslashes and bytes that are not UTF-8 are escaped as in a Rust
/// string.
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

/// An event that owns its name, in a fixed 256 bytes: to keep one without a heap.
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
    /// The event, borrowed from here.
    #[must_use]
    pub fn as_event(&self) -> Event<'_> {
        Event::from_parts(self.wd, self.mask, self.cookie, &self.name_and_nul)
    }
}

impl TryFrom<Event<'_>> for EventBuf {
    type Error = NameTooLong;

    /// Fails on a name of more than 255 bytes.
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

/// A name that is too long for where it should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameTooLong {
    /// The length of the name, in bytes.
    pub len: usize,
}

impl fmt::Display for NameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name of {} bytes is too long to be kept here", self.len)
    }
}

impl core::error::Error for NameTooLong {}

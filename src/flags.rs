//! The flags of inotify(7): choose which events to watch for, and test which events were read.
//!
//! | type | used for |
//! |---|---|
//! | [`InitFlags`] | inotify_init1(2): creating an instance |
//! | [`WatchMask`] | inotify_add_watch(2): the events and options of a watch |
//! | [`EventMask`] | read(2): what an event reports |
//!
//! Each type keeps unknown bits, prints as `CREATE,ISDIR`, and parses the text that it prints:
//!
//! ```
//! use tinotify::{EventMask, WatchMask};
//!
//! let mask: WatchMask = "close_write, moved_to|ONLYDIR".parse()?;
//! assert_eq!(mask, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR);
//! assert_eq!(mask.to_string(), "CLOSE_WRITE,MOVED_TO,ONLYDIR");
//!
//! // `iter` returns each single flag, then any unknown bits.
//! let read = EventMask::from_bits_retain(0x4000_0100);
//! assert!(read.iter().eq([EventMask::CREATE, EventMask::ISDIR]));
//! # Ok::<(), tinotify::ParseFlagsError>(())
//! ```
//!
//! A group such as [`EventMask::CLOSE`] has several bits, and an event usually has one of them. Test it
//! with `mask.intersects(EventMask::CLOSE)`: `contains` requires all bits of the group.

#![forbid(unsafe_code)]

use core::fmt;
use core::ops::Range;
use core::str::FromStr;

use bitflags::{Flags, bitflags};

// `IN_NONBLOCK` and `IN_CLOEXEC` are the `O_` flags of open(2). Their values differ on some
// architectures (include/linux/inotify.h; arch/*/include/uapi/asm/fcntl.h).
const NONBLOCK: u32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x80
} else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    0x4000
} else {
    0x800
};
const CLOEXEC: u32 =
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x40_0000 } else { 0x8_0000 };

bitflags! {
    /// Flags for creating an inotify instance: inotify_init1(2).
    #[doc(alias = "inotify_init1")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InitFlags: u32 {
        /// Reading an empty queue fails with `EAGAIN` instead of waiting (`IN_NONBLOCK`).
        const NONBLOCK = NONBLOCK;
        /// execve(2) closes the descriptor (`IN_CLOEXEC`).
        const CLOEXEC = CLOEXEC;
    }
}

bitflags! {
    /// The events and options of a watch: the mask of inotify_add_watch(2).
    ///
    /// Some combinations are invalid. `add_watch` calls [`check`](Self::check) first, so neither
    /// [`all()`](Self::all) nor a bit that the kernel would silently drop reaches the kernel.
    ///
    /// The kernel always reports [`EventMask::UNMOUNT`], [`EventMask::IGNORED`] and
    /// [`EventMask::Q_OVERFLOW`]. A mask need not, and can not, request them.
    #[doc(alias = "inotify_add_watch")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct WatchMask: u32 {
        /// A file was read (`IN_ACCESS`).
        const ACCESS = 0x1;
        /// A file was written or truncated (`IN_MODIFY`).
        const MODIFY = 0x2;
        /// Metadata changed: mode, owner, times, link count, extended attributes (`IN_ATTRIB`).
        const ATTRIB = 0x4;
        /// A file that was open for writing was closed (`IN_CLOSE_WRITE`).
        const CLOSE_WRITE = 0x8;
        /// A file or directory that was not open for writing was closed (`IN_CLOSE_NOWRITE`).
        const CLOSE_NOWRITE = 0x10;
        /// A file or directory was opened (`IN_OPEN`).
        const OPEN = 0x20;
        /// An entry was moved out of the watched directory, or within it (`IN_MOVED_FROM`).
        const MOVED_FROM = 0x40;
        /// An entry was moved into the watched directory, or within it (`IN_MOVED_TO`).
        const MOVED_TO = 0x80;
        /// An entry was created in the watched directory, also by link(2) (`IN_CREATE`).
        const CREATE = 0x100;
        /// An entry was removed from the watched directory (`IN_DELETE`).
        const DELETE = 0x200;
        /// The watched inode was deleted: no link and no open descriptor is left
        /// (`IN_DELETE_SELF`).
        ///
        /// While a process holds the file open, this event is delayed. [`ATTRIB`](Self::ATTRIB) is
        /// reported at once, because the link count changed.
        const DELETE_SELF = 0x400;
        /// The watched file or directory itself was moved (`IN_MOVE_SELF`).
        const MOVE_SELF = 0x800;

        /// Fail with `ENOTDIR` unless the path leads to a directory (`IN_ONLYDIR`).
        const ONLYDIR = 0x0100_0000;
        /// If the last component is a symbolic link, watch the link itself (`IN_DONT_FOLLOW`).
        const DONT_FOLLOW = 0x0200_0000;
        /// Report no events of files that were unlinked from the watched directory
        /// (`IN_EXCL_UNLINK`).
        const EXCL_UNLINK = 0x0400_0000;
        /// Fail with `EEXIST` if the inode is already watched (`IN_MASK_CREATE`, Linux 4.18).
        const MASK_CREATE = 0x1000_0000;
        /// If the inode is already watched, add to its mask instead of replacing it
        /// (`IN_MASK_ADD`).
        const MASK_ADD = 0x2000_0000;
        /// Remove the watch after its first event (`IN_ONESHOT`).
        const ONESHOT = 0x8000_0000;

        /// `CLOSE_WRITE` and `CLOSE_NOWRITE` (`IN_CLOSE`).
        const CLOSE = Self::CLOSE_WRITE.bits() | Self::CLOSE_NOWRITE.bits();
        /// Both events of a rename: `MOVED_FROM` and `MOVED_TO` (`IN_MOVE`).
        const MOVE = Self::MOVED_FROM.bits() | Self::MOVED_TO.bits();
        /// All twelve events, without options (`IN_ALL_EVENTS`).
        const ALL_EVENTS = 0xFFF;
    }
}

bitflags! {
    /// What an event reports: the mask of a `struct inotify_event`.
    ///
    /// Usually one event bit, with or without [`ISDIR`](Self::ISDIR). One record can have two event
    /// bits: truncating a set-user-ID file is reported as `MODIFY,ATTRIB` (checked on Linux 6.18). So
    /// test single bits instead of comparing the whole mask.
    #[doc(alias = "inotify_event")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EventMask: u32 {
        /// A file was read (`IN_ACCESS`).
        const ACCESS = WatchMask::ACCESS.bits();
        /// A file was written or truncated (`IN_MODIFY`).
        const MODIFY = WatchMask::MODIFY.bits();
        /// Metadata changed (`IN_ATTRIB`).
        const ATTRIB = WatchMask::ATTRIB.bits();
        /// A file that was open for writing was closed (`IN_CLOSE_WRITE`).
        const CLOSE_WRITE = WatchMask::CLOSE_WRITE.bits();
        /// A file or directory that was not open for writing was closed (`IN_CLOSE_NOWRITE`).
        const CLOSE_NOWRITE = WatchMask::CLOSE_NOWRITE.bits();
        /// A file or directory was opened (`IN_OPEN`).
        const OPEN = WatchMask::OPEN.bits();
        /// The old name of a rename; `MOVED_TO` has the same cookie (`IN_MOVED_FROM`).
        const MOVED_FROM = WatchMask::MOVED_FROM.bits();
        /// The new name of a rename; `MOVED_FROM` has the same cookie (`IN_MOVED_TO`).
        const MOVED_TO = WatchMask::MOVED_TO.bits();
        /// An entry was created in the watched directory (`IN_CREATE`).
        const CREATE = WatchMask::CREATE.bits();
        /// An entry was removed from the watched directory (`IN_DELETE`).
        const DELETE = WatchMask::DELETE.bits();
        /// The watched inode was deleted (`IN_DELETE_SELF`).
        const DELETE_SELF = WatchMask::DELETE_SELF.bits();
        /// The watched file or directory itself was moved (`IN_MOVE_SELF`).
        const MOVE_SELF = WatchMask::MOVE_SELF.bits();

        /// The file system of the watched inode was unmounted; `IGNORED` follows (`IN_UNMOUNT`).
        const UNMOUNT = 0x2000;
        /// Events were lost: the queue reached its limit, `fs.inotify.max_queued_events`
        /// (`IN_Q_OVERFLOW`).
        const Q_OVERFLOW = 0x4000;
        /// The watch was removed; this is the last event of its descriptor (`IN_IGNORED`).
        const IGNORED = 0x8000;
        /// The subject of the event is a directory (`IN_ISDIR`).
        const ISDIR = 0x4000_0000;

        /// `CLOSE_WRITE` and `CLOSE_NOWRITE` (`IN_CLOSE`).
        const CLOSE = WatchMask::CLOSE.bits();
        /// Both events of a rename: `MOVED_FROM` and `MOVED_TO` (`IN_MOVE`).
        const MOVE = WatchMask::MOVE.bits();
        /// All twelve events that a watch can request (`IN_ALL_EVENTS`).
        const ALL_EVENTS = WatchMask::ALL_EVENTS.bits();
    }
}

impl WatchMask {
    /// Returns this mask if a watch can use it, and an error otherwise. Makes no system call.
    ///
    /// # Errors
    ///
    /// - [`MaskError::Unknown`]: the mask has bits that a watch can't request. The kernel would drop
    ///   them silently, and the program would wait for events that are never reported.
    /// - [`MaskError::AddAndCreate`]: the mask has both `MASK_ADD` and `MASK_CREATE`, which the kernel
    ///   refuses with `EINVAL`. [`all()`](Self::all) is such a mask.
    /// - [`MaskError::NoEvents`]: the mask has no event bit.
    ///
    /// ```
    /// use tinotify::{MaskError, WatchMask};
    ///
    /// const MASK: WatchMask = WatchMask::CREATE.union(WatchMask::ONLYDIR);
    /// assert_eq!(MASK.check(), Ok(MASK));
    /// assert_eq!(WatchMask::all().check(), Err(MaskError::AddAndCreate));
    /// assert_eq!(WatchMask::ONESHOT.check(), Err(MaskError::NoEvents));
    /// ```
    pub const fn check(self) -> Result<Self, MaskError> {
        let unknown = self.bits() & !Self::all().bits();
        if unknown != 0 {
            Err(MaskError::Unknown(unknown))
        } else if self.contains(Self::MASK_ADD.union(Self::MASK_CREATE)) {
            Err(MaskError::AddAndCreate)
        } else if !self.intersects(Self::ALL_EVENTS) {
            Err(MaskError::NoEvents)
        } else {
            Ok(self)
        }
    }

    /// Returns the events that this mask requests, without its options, as an [`EventMask`].
    ///
    /// ```
    /// use tinotify::{EventMask, WatchMask};
    ///
    /// let mask = WatchMask::CREATE | WatchMask::ONLYDIR;
    /// assert_eq!(mask.events(), EventMask::CREATE);
    /// ```
    #[must_use]
    pub const fn events(self) -> EventMask {
        EventMask::from_bits_retain(self.bits() & Self::ALL_EVENTS.bits())
    }
}

/// Why a [`WatchMask`] can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaskError {
    /// The mask has these bits, which inotify_add_watch(2) does not know and would drop silently.
    Unknown(u32),
    /// The mask has both `MASK_ADD` and `MASK_CREATE`.
    AddAndCreate,
    /// The mask has no event bit.
    NoEvents,
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unknown(bits) => {
                let bits = EventMask::from_bits_retain(bits);
                write!(f, "invalid mask: a watch can't request {bits}; remove these bits")
            }
            Self::AddAndCreate => f.write_str(
                "invalid mask: it has both MASK_ADD and MASK_CREATE; remove one of them (all() has \
                 both; ALL_EVENTS is every event)",
            ),
            Self::NoEvents => f.write_str(
                "invalid mask: it has no event; add at least one (ALL_EVENTS is every event)",
            ),
        }
    }
}

impl core::error::Error for MaskError {}

/// An error in a list of flags: an unknown word, or a missing one. The text before it is valid.
///
/// ```
/// use tinotify::WatchMask;
///
/// let text = "CREATE,DELTE";
/// let error = text.parse::<WatchMask>().unwrap_err();
/// assert_eq!(&text[error.range()], "DELTE");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParseFlagsError {
    start: usize,
    end: usize,
}

impl ParseFlagsError {
    /// Returns the byte range of the word in the text. The range is empty if a word is missing.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl fmt::Display for ParseFlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = *self;
        if start == end {
            write!(f, "invalid flags: byte {start}: the name of a flag is missing")
        } else {
            write!(
                f,
                "invalid flags: bytes {start}..{end}: unknown name; use the names of inotify(7), \
                 such as CLOSE_WRITE, or a number, such as 0x10"
            )
        }
    }
}

impl core::error::Error for ParseFlagsError {}

/// Writes the names of the single flags, then any unknown bits, separated by commas.
fn print<F: Flags<Bits = u32>>(flags: &F, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut names = flags.iter_names();
    let mut separator = "";
    for (name, _) in &mut names {
        write!(f, "{separator}{name}")?;
        separator = ",";
    }
    match names.remaining().bits() {
        0 if !separator.is_empty() => Ok(()),
        bits => write!(f, "{separator}{bits:#x}"),
    }
}

/// Parses what [`print`] writes, and what people write: any case, with or without `IN_`, separated by
/// commas, bars or white space.
fn parse<F: Flags<Bits = u32>>(text: &str) -> Result<F, ParseFlagsError> {
    let at = |part: &str| {
        let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let end = start.saturating_add(part.len());
        ParseFlagsError { start, end }
    };
    let mut flags = F::empty();
    for item in text.split([',', '|']) {
        let trimmed = item.trim_ascii_end();
        if trimmed.is_empty() {
            return Err(at(trimmed));
        }
        for word in trimmed.split_ascii_whitespace() {
            flags.insert(flag_named(word).ok_or_else(|| at(word))?);
        }
    }
    Ok(flags)
}

/// Returns the flag or group with this name, or the bits of a hexadecimal number.
fn flag_named<F: Flags<Bits = u32>>(word: &str) -> Option<F> {
    let strip = |prefix: &str| {
        let (head, tail) = word.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(tail)
    };
    if let Some(digits) = strip("0x") {
        // `from_str_radix` accepts a sign.
        let unsigned = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = u32::from_str_radix(digits, 16).ok().filter(|_| unsigned)?;
        return Some(F::from_bits_retain(bits));
    }
    let name = strip("IN_").unwrap_or(word);
    F::FLAGS
        .iter()
        .find(|flag| flag.name().eq_ignore_ascii_case(name))
        .map(|flag| F::from_bits_retain(flag.value().bits()))
}

macro_rules! text {
    ($($flags:ty),*) => {$(
        /// Prints the names of the single flags, separated by commas. Unknown bits are printed as a
        /// hexadecimal number, and an empty mask as `0x0`.
        impl fmt::Display for $flags {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(self, f)
            }
        }

        /// Parses names of flags and groups, in any case, with or without `IN_`, and numbers such as
        /// `0x100`, separated by commas, bars or white space.
        impl FromStr for $flags {
            type Err = ParseFlagsError;

            fn from_str(text: &str) -> Result<Self, ParseFlagsError> {
                parse(text)
            }
        }
    )*};
}

text!(InitFlags, WatchMask, EventMask);

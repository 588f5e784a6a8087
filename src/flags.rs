//! The bits of inotify(7): what to ask for, and what came.
//!
//! Three types keep apart what the kernel keeps apart: [`InitFlags`] for `inotify_init1`,
//! [`WatchMask`] for `inotify_add_watch`, [`EventMask`] for the events that are read. All of them
//! keep bits they don't know, print as `CREATE,ISDIR`, and parse from the same text:
//!
//! ```
//! use tinotify::{EventMask, WatchMask};
//!
//! let mask: WatchMask = "close_write, moved_to|ONLYDIR".parse()?;
//! assert_eq!(mask, WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::ONLYDIR);
//! assert_eq!(mask.to_string(), "CLOSE_WRITE,MOVED_TO,ONLYDIR");
//!
//! // Each single flag of a mask, unknown bits last.
//! let came = EventMask::from_bits_retain(0x4000_0100);
//! assert!(came.iter().eq([EventMask::CREATE, EventMask::ISDIR]));
//! # Ok::<(), tinotify::ParseFlagsError>(())
//! ```
//!
//! A group such as [`EventMask::CLOSE`] is several bits, and an event carries one of them: ask with
//! `mask.intersects(EventMask::CLOSE)`, for `contains` wants all.

#![forbid(unsafe_code)]

use core::fmt;
use core::ops::Range;
use core::str::FromStr;

use bitflags::{Flags, bitflags};

// `IN_NONBLOCK` and `IN_CLOEXEC` are the `O_` flags of open(2), which some architectures number in
// their own way (include/linux/inotify.h; arch/*/include/uapi/asm/fcntl.h).
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
    /// How an inotify instance is made: the flags of inotify_init1(2).
    #[doc(alias = "inotify_init1")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InitFlags: u32 {
        /// Reading an empty queue fails with `EAGAIN` instead of waiting (`IN_NONBLOCK`).
        const NONBLOCK = NONBLOCK;
        /// The descriptor is closed at execve(2) (`IN_CLOEXEC`).
        const CLOEXEC = CLOEXEC;
    }
}

bitflags! {
    /// What a watch asks for: the mask of inotify_add_watch(2), events and options together.
    ///
    /// Not each combination means something: `add_watch` runs [`check`](Self::check) first, so that
    /// neither [`all()`](Self::all) nor a bit which the kernel would silently drop gets there.
    ///
    /// There is no need to ask for [`EventMask::UNMOUNT`], [`EventMask::IGNORED`] and
    /// [`EventMask::Q_OVERFLOW`]: they always come.
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
        /// A name was moved out of the watched directory, or within it (`IN_MOVED_FROM`).
        const MOVED_FROM = 0x40;
        /// A name was moved into the watched directory, or within it (`IN_MOVED_TO`).
        const MOVED_TO = 0x80;
        /// A name was made in the watched directory, by a link too (`IN_CREATE`).
        const CREATE = 0x100;
        /// A name was removed from the watched directory (`IN_DELETE`).
        const DELETE = 0x200;
        /// The watched inode is gone: no link and no descriptor is left (`IN_DELETE_SELF`).
        ///
        /// While a process holds the file open this waits; [`ATTRIB`](Self::ATTRIB) comes at once,
        /// for the link count changed.
        const DELETE_SELF = 0x400;
        /// The watched file or directory itself was moved (`IN_MOVE_SELF`).
        const MOVE_SELF = 0x800;

        /// Watch only if the path is a directory, else `ENOTDIR` (`IN_ONLYDIR`).
        const ONLYDIR = 0x0100_0000;
        /// Watch a symbolic link itself where the last component is one (`IN_DONT_FOLLOW`).
        const DONT_FOLLOW = 0x0200_0000;
        /// No more events of children that were unlinked from the directory (`IN_EXCL_UNLINK`).
        const EXCL_UNLINK = 0x0400_0000;
        /// Refuse an inode that is watched already, with `EEXIST` (`IN_MASK_CREATE`, Linux 4.18).
        const MASK_CREATE = 0x1000_0000;
        /// Add to the mask of an inode that is watched already, don't replace it (`IN_MASK_ADD`).
        const MASK_ADD = 0x2000_0000;
        /// Remove the watch after its first event (`IN_ONESHOT`).
        const ONESHOT = 0x8000_0000;

        /// Either way of closing (`IN_CLOSE`).
        const CLOSE = Self::CLOSE_WRITE.bits() | Self::CLOSE_NOWRITE.bits();
        /// Either half of a rename (`IN_MOVE`).
        const MOVE = Self::MOVED_FROM.bits() | Self::MOVED_TO.bits();
        /// Each of the twelve events, and no option (`IN_ALL_EVENTS`).
        const ALL_EVENTS = 0xFFF;
    }
}

bitflags! {
    /// What an event says happened: the mask of a `struct inotify_event`.
    ///
    /// Mostly one event bit, with or without [`ISDIR`](Self::ISDIR); but one change can be two
    /// things at once (truncating a set-user-ID file gives `MODIFY,ATTRIB` in one record; checked on
    /// Linux 6.18), so test bits, don't compare.
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
        /// The old name of a rename; its cookie joins it to `MOVED_TO` (`IN_MOVED_FROM`).
        const MOVED_FROM = WatchMask::MOVED_FROM.bits();
        /// The new name of a rename; its cookie joins it to `MOVED_FROM` (`IN_MOVED_TO`).
        const MOVED_TO = WatchMask::MOVED_TO.bits();
        /// A name was made in the watched directory (`IN_CREATE`).
        const CREATE = WatchMask::CREATE.bits();
        /// A name was removed from the watched directory (`IN_DELETE`).
        const DELETE = WatchMask::DELETE.bits();
        /// The watched inode is gone (`IN_DELETE_SELF`).
        const DELETE_SELF = WatchMask::DELETE_SELF.bits();
        /// The watched file or directory itself was moved (`IN_MOVE_SELF`).
        const MOVE_SELF = WatchMask::MOVE_SELF.bits();

        /// The file system of the watched inode was unmounted; `IGNORED` follows (`IN_UNMOUNT`).
        const UNMOUNT = 0x2000;
        /// Events were lost: the queue held `fs.inotify.max_queued_events` of them
        /// (`IN_Q_OVERFLOW`).
        const Q_OVERFLOW = 0x4000;
        /// The watch is gone, and this is the last event of its descriptor (`IN_IGNORED`).
        const IGNORED = 0x8000;
        /// The subject of the event is a directory (`IN_ISDIR`).
        const ISDIR = 0x4000_0000;

        /// Either way of closing (`IN_CLOSE`).
        const CLOSE = WatchMask::CLOSE.bits();
        /// Either half of a rename (`IN_MOVE`).
        const MOVE = WatchMask::MOVE.bits();
        /// Each of the twelve events that a watch can ask for (`IN_ALL_EVENTS`).
        const ALL_EVENTS = WatchMask::ALL_EVENTS.bits();
    }
}

impl WatchMask {
    /// This mask, if the kernel would take it as it is meant.
    ///
    /// # Errors
    ///
    /// - [`MaskError::Unknown`]: bits that a watch can't ask for. The kernel drops them silently, and
    ///   who sets them expects something that never comes.
    /// - [`MaskError::AddAndCreate`]: `MASK_ADD` and `MASK_CREATE` exclude each other (the kernel
    ///   says `EINVAL`). [`all()`](Self::all) is such a mask.
    /// - [`MaskError::NoEvents`]: options alone, which would watch for nothing.
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

    /// The events that this mask asks for, without its options, to compare with what came.
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
    /// Bits that inotify_add_watch(2) does not know; the kernel would drop them silently.
    Unknown(u32),
    /// Both `MASK_ADD` and `MASK_CREATE`.
    AddAndCreate,
    /// No event bit at all.
    NoEvents,
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unknown(bits) => {
                let bits = EventMask::from_bits_retain(bits);
                write!(f, "a watch can't ask for {bits}; leave these bits out")
            }
            Self::AddAndCreate => f.write_str(
                "MASK_ADD and MASK_CREATE exclude each other; choose one (all() holds both: \
                 for every event use ALL_EVENTS)",
            ),
            Self::NoEvents => f.write_str(
                "the mask holds no event to watch for; add at least one (for every event use \
                 ALL_EVENTS)",
            ),
        }
    }
}

impl core::error::Error for MaskError {}

/// A word in a list of flags that is no flag's name; the text before it was fine.
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
    /// Where the word stands in the text, in bytes. An empty range is a word that is missing.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl fmt::Display for ParseFlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end } = *self;
        if start == end {
            write!(f, "a flag's name is missing at byte {start}")
        } else {
            write!(
                f,
                "no flag has the name at bytes {start}..{end} (names are those of inotify(7), as \
                 CLOSE_WRITE; other bits as 0x10)"
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

/// Reads what [`print`] writes, and what people write: any case, `IN_` in front or not, separated by
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

/// The flag or group of that name, or the bits of a hexadecimal number.
fn flag_named<F: Flags<Bits = u32>>(word: &str) -> Option<F> {
    let strip = |prefix: &str| {
        let (head, tail) = word.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(tail)
    };
    if let Some(digits) = strip("0x") {
        // `from_str_radix` would take a sign.
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
        /// The names of the single flags, separated by commas; unknown bits, and no bits, as a
        /// hexadecimal number.
        impl fmt::Display for $flags {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(self, f)
            }
        }

        /// Names in any case, with or without `IN_`, groups too, and numbers such as `0x100`;
        /// separated by commas, bars or white space.
        impl FromStr for $flags {
            type Err = ParseFlagsError;

            fn from_str(text: &str) -> Result<Self, ParseFlagsError> {
                parse(text)
            }
        }
    )*};
}

text!(InitFlags, WatchMask, EventMask);

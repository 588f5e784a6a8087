//! An inotify instance: make one, add and remove watches, wait, read.
//!
//! ```
//! # #[cfg(not(miri))] {
//! use core::time::Duration;
//! use tinotify::{EventKind, InitFlags, Inotify, RECORD_SIZE, WatchMask};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = std::ffi::CString::new(dir.path().to_str().unwrap())?;
//! let inotify = Inotify::init(InitFlags::empty())?;
//! let wd = inotify.add_watch(&path, WatchMask::CREATE | WatchMask::ONLYDIR)?;
//! # std::fs::write(dir.path().join("new"), "")?;
//!
//! if inotify.poll(Some(Duration::from_secs(1)))? {
//!     let mut buffer = [0; 16 * RECORD_SIZE];
//!     for event in inotify.read(&mut buffer)? {
//!         let event = event?;
//!         assert_eq!((event.wd(), event.kind()), (wd, EventKind::Create));
//!     }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt;
use core::time::Duration;

use crate::decode::{DecodeError, Events};
use crate::event::{MAX_RECORD_SIZE, RECORD_SIZE, Wd};
use crate::flags::{InitFlags, MaskError, WatchMask};
use crate::ring::EventRing;
use crate::sys::{Errno, Fd};

/// An inotify instance, closed on drop.
///
/// All calls take `&self`, so that one thread can add and remove watches while another reads. Each
/// is one system call; none allocates. None is repeated when a signal handler interrupts it: see
/// [`Error::is_interrupted`].
#[derive(Debug)]
pub struct Inotify {
    fd: Fd,
}

impl Inotify {
    /// Makes an instance: inotify_init1(2), Linux 2.6.27.
    ///
    /// `CLOEXEC` is always set. [`InitFlags::NONBLOCK`] makes [`read`](Self::read) fail rather than
    /// wait.
    ///
    /// # Errors
    ///
    /// `EMFILE`: too many instances of this user (`fs.inotify.max_user_instances`), or open files of
    /// this process; `ENFILE`, `ENOMEM`; `ENOSYS`: a kernel without inotify; `EINVAL`: unknown flags.
    #[doc(alias = "inotify_init1")]
    pub fn init(flags: InitFlags) -> Result<Self, Error> {
        match Fd::inotify_init(flags | InitFlags::CLOEXEC) {
            Ok(fd) => Ok(Self { fd }),
            Err(errno) => Err(Error::Init(errno)),
        }
    }

    /// Watches what `path` leads to: inotify_add_watch(2).
    ///
    /// The same inode gives the same descriptor, by whatever path (hard link, symbolic link, bind
    /// mount), and its mask is replaced, silently: [`WatchMask::MASK_ADD`] adds to it instead,
    /// [`WatchMask::MASK_CREATE`] refuses. Does not block, but for the walk along the path.
    ///
    /// # Errors
    ///
    /// [`Error::Mask`] where [`WatchMask::check`] says so, and no call is made. Else: `ENOSPC`: too
    /// many watches of this user (`fs.inotify.max_user_watches`); `EACCES`: no permission to read
    /// the file; `ENOENT`, also for the empty path; `ENOTDIR`, also for `ONLYDIR`; `ELOOP`;
    /// `ENAMETOOLONG`: from 4,096 bytes on; `EEXIST`: `MASK_CREATE`; `EINVAL`: the descriptor is no
    /// inotify instance; `ENOMEM`.
    #[doc(alias = "inotify_add_watch")]
    pub fn add_watch(&self, path: &CStr, mask: WatchMask) -> Result<Wd, Error> {
        let mask = mask.check().map_err(Error::Mask)?;
        self.fd.inotify_add_watch(path, mask).map_err(Error::AddWatch)
    }

    /// Removes a watch: inotify_rm_watch(2).
    ///
    /// Its events that are queued still come, and [`EventMask::IGNORED`](crate::EventMask::IGNORED)
    /// is the last of them: forget the descriptor then. An overflow can swallow that one too. Does
    /// not block.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the descriptor was never given, or its watch is gone already (the file was deleted,
    /// say): nothing to worry about where that can happen.
    #[doc(alias = "inotify_rm_watch")]
    pub fn rm_watch(&self, wd: Wd) -> Result<(), Error> {
        self.fd.inotify_rm_watch(wd).map_err(Error::RmWatch)
    }

    /// Reads events into `buffer`: read(2).
    ///
    /// Whole events only, as many as are queued and fit. [`RECORD_SIZE`] bytes hold one event of an
    /// ordinary file system, [`MAX_RECORD_SIZE`] of any; more make fewer calls. The buffer needs no
    /// alignment, and need not be cleared.
    ///
    /// Where nothing is queued this waits, for ever if need be; or it fails, if the instance was
    /// made with [`InitFlags::NONBLOCK`].
    ///
    /// # Errors
    ///
    /// `EAGAIN`: nothing is queued ([`Error::is_would_block`]); `EINTR`: a signal handler ran
    /// ([`Error::is_interrupted`]); `EINVAL`: the buffer is too small for the next event, which stays
    /// queued. Nothing is lost by any of them.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Events<'b>, Error> {
        match self.fd.read(buffer) {
            Ok(len) => Ok(Events::new(buffer.get(..len).unwrap_or_default())),
            Err(errno) => Err(Error::Read { errno, room: buffer.len() }),
        }
    }

    /// Reads events into the free space of a ring, behind those it holds, and gives the number of
    /// bytes: read(2).
    ///
    /// Waits or fails where nothing is queued, as [`read`](Self::read) does.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use tinotify::{EventRing, InitFlags, Inotify, WatchMask};
    ///
    /// let inotify = Inotify::init(InitFlags::NONBLOCK)?;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = std::ffi::CString::new(dir.path().to_str().unwrap())?;
    /// inotify.add_watch(&path, WatchMask::ALL_EVENTS)?;
    /// # std::fs::write(dir.path().join("new"), "text")?;
    /// let mut ring = EventRing::<256>::new();
    /// inotify.fill(&mut ring)?;
    /// while let Some(event) = ring.pop() {
    ///     println!("{}", event?);
    /// }
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FillError::Full`]: the next event, if there is one, does not fit: pop some first.
    /// [`FillError::Stopped`]: the ring holds bytes that are no event. [`FillError::Read`]: as
    /// `read`; `EINVAL` only for an event that is larger than the whole ring.
    pub fn fill<const N: usize>(&self, ring: &mut EventRing<N>) -> Result<usize, FillError> {
        if let Some(fault) = ring.fault() {
            return Err(FillError::Stopped(fault));
        }
        let mut want = RECORD_SIZE;
        loop {
            let spare = ring.spare(want);
            let room = spare.len();
            if room == 0 {
                return Err(FillError::Full);
            }
            match self.fd.read(spare) {
                Ok(len) => {
                    ring.commit(len);
                    return Ok(len);
                }
                // A long name, and more room if it is brought together.
                Err(Errno::EINVAL) if room < ring.free() => want = usize::MAX,
                Err(Errno::EINVAL) if room < ring.capacity() => return Err(FillError::Full),
                Err(errno) => return Err(FillError::Read(Error::Read { errno, room })),
            }
        }
    }

    /// Waits until a read would not block, or the time is over: ppoll(2), `false` for the latter.
    ///
    /// Zero looks and returns at once, `None` waits for ever. What a ring holds does not count.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal handler ran ([`Error::is_interrupted`]).
    pub fn poll(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.fd.poll(timeout).map_err(Error::Poll)
    }

    /// The number of bytes that are queued: `FIONREAD` of ioctl(2). Does not block, but the kernel
    /// walks the whole queue to count.
    ///
    /// A fence: whoever reads that many bytes has seen all that happened before this call.
    ///
    /// # Errors
    ///
    /// `ENOTTY`, or `EINVAL`, where the descriptor is no inotify instance, mostly.
    #[doc(alias = "FIONREAD")]
    pub fn queued_bytes(&self) -> Result<usize, Error> {
        self.fd.queued_bytes().map_err(Error::QueuedBytes)
    }

    /// Closes the instance and all its watches, and says how that went: close(2).
    ///
    /// # Errors
    ///
    /// `EBADF`: someone else closed the descriptor before, which is a bug that a drop would hide.
    pub fn close(self) -> Result<(), Error> {
        self.fd.close().map_err(Error::Close)
    }

    /// The descriptor, for calls that this type has no method for.
    #[cfg(feature = "alloc")]
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
    pub(crate) const fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Lets programs that this process starts have the descriptor too.
    #[cfg(feature = "std")]
    pub(crate) fn set_inheritable(&self) -> Result<(), Errno> {
        self.fd.set_cloexec(false)
    }

    /// The descriptor's number, for a system call of one's own; it stays owned here.
    #[must_use]
    pub const fn as_raw(&self) -> core::ffi::c_int {
        self.fd.as_raw()
    }
}

impl From<Fd> for Inotify {
    /// Takes a descriptor that was made elsewhere. If it is no inotify instance, the calls say so.
    fn from(fd: Fd) -> Self {
        Self { fd }
    }
}

impl From<Inotify> for Fd {
    fn from(inotify: Inotify) -> Self {
        inotify.fd
    }
}

#[cfg(feature = "std")]
mod owned {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

    use super::Inotify;

    impl AsFd for Inotify {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }
    }

    impl AsRawFd for Inotify {
        fn as_raw_fd(&self) -> RawFd {
            self.fd.as_raw_fd()
        }
    }

    impl From<OwnedFd> for Inotify {
        fn from(fd: OwnedFd) -> Self {
            Self { fd: fd.into() }
        }
    }

    impl From<Inotify> for OwnedFd {
        fn from(inotify: Inotify) -> Self {
            inotify.fd.into()
        }
    }
}

/// Which call failed, and why. Printed, it says what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// No instance could be made.
    Init(Errno),
    /// The mask can't be used; no call was made.
    Mask(MaskError),
    /// The path could not be watched.
    AddWatch(Errno),
    /// The watch could not be removed.
    RmWatch(Errno),
    /// No events could be read.
    Read {
        /// Why.
        errno: Errno,
        /// The size of the buffer, in bytes.
        room: usize,
    },
    /// Waiting failed.
    Poll(Errno),
    /// The size of the queue could not be asked.
    QueuedBytes(Errno),
    /// Closing failed.
    Close(Errno),
    /// Another system call that a watcher needs failed.
    Call {
        /// The name of the call.
        name: &'static str,
        /// Why.
        errno: Errno,
    },
}

impl Error {
    /// What the kernel said; `None` if it was not asked.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match *self {
            Self::Mask(_) => None,
            Self::Init(errno)
            | Self::AddWatch(errno)
            | Self::RmWatch(errno)
            | Self::Read { errno, .. }
            | Self::Poll(errno)
            | Self::QueuedBytes(errno)
            | Self::Close(errno)
            | Self::Call { errno, .. } => Some(errno),
        }
    }

    /// Whether nothing was queued, on an instance that does not block.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.errno() == Some(Errno::EAGAIN)
    }

    /// Whether a signal handler ran first. Look at what the signal was about, and call again.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.errno() == Some(Errno::EINTR)
    }

    /// What helps, where something is known to.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match *self {
            Self::Init(Errno::EMFILE) => {
                "too many inotify instances of this user: close some, or raise the sysctl \
                 fs.inotify.max_user_instances (in a user namespace: user.max_inotify_instances); \
                 or too many open files of this process: raise its limit (ulimit -n)"
            }
            Self::Call { errno: Errno::EMFILE, .. } => {
                "too many open files of this process: raise its limit (ulimit -n)"
            }
            Self::Call { errno: Errno::EPERM | Errno::ENOSYS, .. } => {
                "a seccomp filter may forbid it: allow the call"
            }
            Self::Init(Errno::ENFILE) | Self::Call { errno: Errno::ENFILE, .. } => {
                "too many open files of the whole system: raise the sysctl fs.file-max"
            }
            Self::Init(Errno::ENOSYS) => {
                "this kernel has no inotify, or a sandbox hides it: enable CONFIG_INOTIFY_USER"
            }
            Self::Init(Errno::EPERM) => "a seccomp filter forbids it: allow inotify_init1",
            Self::AddWatch(Errno::ENOSPC) => {
                "no disk is full: this user's limit of inotify watches is reached; remove watches, \
                 or raise the sysctl fs.inotify.max_user_watches (in a user namespace: \
                 user.max_inotify_watches)"
            }
            Self::AddWatch(Errno::EACCES) => {
                "watching needs permission to read the file, and to search each directory on the way"
            }
            Self::AddWatch(Errno::EEXIST) => {
                "the inode is watched already, perhaps by another path, and MASK_CREATE was asked \
                 for"
            }
            Self::AddWatch(Errno::ENOENT) => {
                "to wait for a path that does not exist yet, watch its parent directory for CREATE \
                 and MOVED_TO"
            }
            Self::AddWatch(Errno::EINVAL) => "is the descriptor an inotify instance?",
            Self::RmWatch(Errno::EINVAL) => {
                "the watch is gone already (its file was deleted or unmounted, or it was one-shot), \
                 or is of another instance"
            }
            Self::Read { errno: Errno::EINVAL, room: 0..MAX_RECORD_SIZE } => {
                "the buffer is too small for the next event, which stays queued: 272 bytes are \
                 enough for names of 255 bytes, 4112 for the longer ones of some file systems"
            }
            Self::QueuedBytes(Errno::ENOTTY | Errno::EINVAL)
            | Self::Read { errno: Errno::EINVAL, .. } => "is the descriptor an inotify instance?",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Mask(error) => return write!(f, "cannot watch: {error}"),
            Self::Init(_) => "cannot make an inotify instance",
            Self::AddWatch(_) => "cannot watch",
            Self::RmWatch(_) => "cannot remove a watch",
            Self::Read { .. } => "cannot read events",
            Self::Poll(_) => "cannot wait for events",
            Self::QueuedBytes(_) => "cannot ask how much is queued",
            Self::Close(_) => "cannot close the inotify instance",
            Self::Call { name, .. } => {
                f.write_str("cannot make a watcher: ")?;
                name
            }
        };
        f.write_str(what)?;
        if let Some(errno) = self.errno() {
            write!(f, ": {errno}")?;
        }
        if let Some(remedy) = self.remedy() {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    /// Keeps the error number: `raw_os_error` returns it. An error without one stays inside, of the kind
    /// `InvalidInput`. The message names no call and no remedy then; `std::io::Error::other(error)` keeps it.
    fn from(error: Error) -> Self {
        match error.errno() {
            Some(errno) => errno.into(),
            None => Self::new(std::io::ErrorKind::InvalidInput, error),
        }
    }
}

/// Why [`Inotify::fill`] put nothing into the ring. Nothing is lost: the events stay queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FillError {
    /// There is no room for the next event: pop some.
    Full,
    /// The ring holds bytes that are no event, and has stopped.
    Stopped(DecodeError),
    /// Reading failed.
    Read(Error),
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the ring has no room for the next event; pop some first"),
            Self::Stopped(fault) => write!(f, "the ring has stopped; clear it to go on: {fault}"),
            Self::Read(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for FillError {}

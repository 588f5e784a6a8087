//! An inotify instance: create it, add and remove watches, wait for events, and read them.
//!
//! [`Inotify`] is the thin layer over the system calls, for programs without `std` or with their own
//! event loop. It does not know paths: `Watcher` (with the feature `std`) does.
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

/// An inotify instance. Dropping it closes it, which removes all its watches.
///
/// All methods take `&self`, so one thread can add and remove watches while another reads. Each method
/// makes one system call, except that [`fill`](Self::fill) may read twice if the next name is long. No
/// method allocates. If a signal handler interrupts a call, the method returns an error instead of
/// repeating the call: see [`Error::is_interrupted`].
#[derive(Debug)]
pub struct Inotify {
    fd: Fd,
}

impl Inotify {
    /// Creates an instance: inotify_init1(2), Linux 2.6.27. Does not block.
    ///
    /// `CLOEXEC` is always set. With [`InitFlags::NONBLOCK`], [`read`](Self::read) fails with `EAGAIN`
    /// instead of waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Init`] with
    ///
    /// - `EMFILE`: this user has too many inotify instances (`fs.inotify.max_user_instances`), or this
    ///   process has too many open files;
    /// - `ENFILE`: the system has too many open files;
    /// - `ENOMEM`: the kernel has no memory left;
    /// - `ENOSYS`: the kernel has no inotify;
    /// - `EINVAL`: `flags` has unknown bits.
    #[doc(alias = "inotify_init")]
    #[doc(alias = "inotify_init1")]
    pub fn init(flags: InitFlags) -> Result<Self, Error> {
        match Fd::inotify_init(flags | InitFlags::CLOEXEC) {
            Ok(fd) => Ok(Self { fd }),
            Err(errno) => Err(Error::Init(errno)),
        }
    }

    /// Watches a file or directory: inotify_add_watch(2). Blocks only to resolve the path.
    ///
    /// The kernel watches the inode, not the path. A second call for the same inode, by any path (hard
    /// link, symbolic link, bind mount), returns the same descriptor and silently replaces the mask.
    /// [`WatchMask::MASK_ADD`] adds to the mask instead, and [`WatchMask::MASK_CREATE`] fails.
    ///
    /// # Errors
    ///
    /// [`Error::Mask`] if [`WatchMask::check`] refuses the mask; no system call is made.
    /// [`Error::AddWatch`] with
    ///
    /// - `ENOSPC`: this user has too many watches (`fs.inotify.max_user_watches`);
    /// - `EACCES`: no permission to read the file, or to search a directory on the path;
    /// - `ENOENT`: the path does not exist, or is empty;
    /// - `ENOTDIR`: a component of the path is not a directory, or with `ONLYDIR` the path is not one;
    /// - `ELOOP`: too many symbolic links on the path;
    /// - `ENAMETOOLONG`: the path has 4,096 bytes or more, or a component is too long;
    /// - `EEXIST`: the mask has `MASK_CREATE`, and the inode is already watched;
    /// - `EINVAL`: the descriptor is not an inotify instance;
    /// - `ENOMEM`: the kernel has no memory left.
    #[doc(alias = "inotify_add_watch")]
    pub fn add_watch(&self, path: &CStr, mask: WatchMask) -> Result<Wd, Error> {
        let mask = mask.check().map_err(Error::Mask)?;
        self.fd.inotify_add_watch(path, mask).map_err(Error::AddWatch)
    }

    /// Removes a watch: inotify_rm_watch(2). Does not block.
    ///
    /// Events that are already queued are still read. The last one is
    /// [`EventMask::IGNORED`](crate::EventMask::IGNORED): forget the descriptor after it, not earlier. If
    /// the queue overflows, that event can be lost too.
    ///
    /// # Errors
    ///
    /// [`Error::RmWatch`] with
    ///
    /// - `EINVAL`: the kernel never returned this descriptor, or it has already removed the watch, for
    ///   example because the file was deleted. A program can ignore the second case;
    /// - `EBADF`: the instance's descriptor is closed.
    #[doc(alias = "inotify_rm_watch")]
    pub fn rm_watch(&self, wd: Wd) -> Result<(), Error> {
        self.fd.inotify_rm_watch(wd).map_err(Error::RmWatch)
    }

    /// Reads queued events into `buffer`: read(2).
    ///
    /// Reads as many complete events as fit. A buffer of [`RECORD_SIZE`] bytes holds one event of an
    /// ordinary file system, and [`MAX_RECORD_SIZE`] bytes one event of any file system. A larger
    /// buffer needs fewer calls. The buffer may have any alignment and any contents.
    ///
    /// If no event is queued, this blocks until one is. With [`InitFlags::NONBLOCK`] it fails instead.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] loses no event. It has
    ///
    /// - `EAGAIN`: no event is queued ([`Error::is_would_block`]);
    /// - `EINTR`: a signal handler ran first ([`Error::is_interrupted`]);
    /// - `EINVAL`: the buffer is too small for the next event, which stays queued.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Events<'b>, Error> {
        match self.fd.read(buffer) {
            Ok(len) => Ok(Events::new(buffer.get(..len).unwrap_or_default())),
            Err(errno) => Err(Error::Read { errno, room: buffer.len() }),
        }
    }

    /// Reads queued events into the free space of a ring, after the events that it already has:
    /// read(2). Returns the number of bytes read.
    ///
    /// If no event is queued, this blocks or fails as [`read`](Self::read) does.
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
    /// - [`FillError::Full`]: the ring has no room for the next event, or no room at all. Pop events
    ///   first.
    /// - [`FillError::Stopped`]: an invalid record stopped the ring.
    /// - [`FillError::Read`]: the errors of [`read`](Self::read). `EINVAL` means that the next event is
    ///   larger than the whole ring.
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
                // The name is long, and the free space is in two pieces: join them.
                Err(Errno::EINVAL) if room < ring.free() => want = usize::MAX,
                Err(Errno::EINVAL) if room < ring.capacity() => return Err(FillError::Full),
                Err(errno) => return Err(FillError::Read(Error::Read { errno, room })),
            }
        }
    }

    /// Waits until a read would not block: ppoll(2). Returns `false` on timeout.
    ///
    /// A timeout of zero returns at once. `None` waits without a limit. Only the kernel's queue counts:
    /// events in an [`EventRing`] do not end the wait.
    ///
    /// # Errors
    ///
    /// [`Error::Poll`] with
    ///
    /// - `EINTR`: a signal handler ran first ([`Error::is_interrupted`]);
    /// - `EBADF`: the instance's descriptor is closed;
    /// - `ENOMEM`: the kernel has no memory left.
    #[doc(alias = "ppoll")]
    pub fn poll(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.fd.poll(timeout).map_err(Error::Poll)
    }

    /// Returns the number of bytes in the kernel's queue: `FIONREAD` of ioctl(2). Does not block, but
    /// the kernel takes time in proportion to the number of queued events.
    ///
    /// This number is a fence: a program that reads that many bytes has read every event that was queued
    /// before this call.
    ///
    /// # Errors
    ///
    /// [`Error::QueuedBytes`] with `ENOTTY` or `EINVAL`: the descriptor is not an inotify instance. Some
    /// other files return a number too.
    #[doc(alias = "FIONREAD")]
    #[doc(alias = "ioctl")]
    pub fn queued_bytes(&self) -> Result<usize, Error> {
        self.fd.queued_bytes().map_err(Error::QueuedBytes)
    }

    /// Closes the instance, which removes all its watches: close(2). Dropping does the same, but ignores
    /// errors.
    ///
    /// # Errors
    ///
    /// [`Error::Close`] with `EBADF`: other code has already closed the descriptor. This is a bug of the
    /// program.
    pub fn close(self) -> Result<(), Error> {
        self.fd.close().map_err(Error::Close)
    }

    /// Returns the descriptor, for calls that this type has no method for.
    #[cfg(feature = "alloc")]
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
    pub(crate) const fn fd(&self) -> &Fd {
        &self.fd
    }

    /// Clears `FD_CLOEXEC`, so that programs started by this process inherit the descriptor.
    #[cfg(feature = "std")]
    pub(crate) fn set_inheritable(&self) -> Result<(), Errno> {
        self.fd.set_cloexec(false)
    }

    /// Returns the number of the descriptor, for other system calls. The instance still owns it.
    #[must_use]
    pub const fn as_raw(&self) -> core::ffi::c_int {
        self.fd.as_raw()
    }
}

impl From<Fd> for Inotify {
    /// Takes a descriptor that was created elsewhere. If it is not an inotify instance,
    /// [`add_watch`](Self::add_watch) fails with `EINVAL`.
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

/// The call that failed, and why. Prints the cause and, if one is known, the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// inotify_init1(2) failed: no instance was created.
    Init(Errno),
    /// The mask is invalid. No system call was made.
    Mask(MaskError),
    /// inotify_add_watch(2) failed: the path is not watched.
    AddWatch(Errno),
    /// inotify_rm_watch(2) failed.
    RmWatch(Errno),
    /// read(2) failed: no events were read.
    Read {
        /// The error of the call.
        errno: Errno,
        /// The size of the buffer, in bytes.
        room: usize,
    },
    /// ppoll(2) failed.
    Poll(Errno),
    /// ioctl(2) with `FIONREAD` failed.
    QueuedBytes(Errno),
    /// close(2) failed.
    Close(Errno),
    /// Another system call that a watcher needs failed.
    Call {
        /// The name of the call.
        name: &'static str,
        /// The error of the call.
        errno: Errno,
    },
}

impl Error {
    /// Returns the error number of the kernel, or `None` if no system call was made.
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

    /// Returns `true` for `EAGAIN`: no event is queued, and the instance has `NONBLOCK`.
    #[must_use]
    pub fn is_would_block(&self) -> bool {
        self.errno() == Some(Errno::EAGAIN)
    }

    /// Returns `true` for `EINTR`: a signal handler ran first. Handle the signal, then call again.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.errno() == Some(Errno::EINTR)
    }

    /// Returns what to do about the error, if that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match *self {
            Self::Init(Errno::EMFILE) => {
                "this user has too many inotify instances: close some, or raise the sysctl \
                 fs.inotify.max_user_instances (in a user namespace: user.max_inotify_instances); \
                 or this process has too many open files: raise its limit (ulimit -n)"
            }
            Self::Call { errno: Errno::EMFILE, .. } => {
                "this process has too many open files: raise its limit (ulimit -n)"
            }
            Self::Call { errno: Errno::EPERM | Errno::ENOSYS, .. } => {
                "a seccomp filter may forbid the call: allow it"
            }
            Self::Init(Errno::ENFILE) | Self::Call { errno: Errno::ENFILE, .. } => {
                "the system has too many open files: raise the sysctl fs.file-max"
            }
            Self::Init(Errno::ENOSYS) => {
                "the kernel has no inotify, or a sandbox hides it: enable CONFIG_INOTIFY_USER"
            }
            Self::Init(Errno::EPERM) => "a seccomp filter forbids the call: allow inotify_init1",
            Self::AddWatch(Errno::ENOSPC) => {
                "the disk is not full, but this user has reached the limit of inotify watches: remove \
                 watches, or raise the sysctl fs.inotify.max_user_watches (in a user namespace: \
                 user.max_inotify_watches)"
            }
            Self::AddWatch(Errno::EACCES) => {
                "a watch needs permission to read the file, and to search each directory on the path"
            }
            Self::AddWatch(Errno::EEXIST) => {
                "the inode is already watched, perhaps by another path: remove MASK_CREATE from the \
                 mask to replace that watch"
            }
            Self::AddWatch(Errno::ENOENT) => {
                "to wait for a path that does not exist yet, watch its parent directory for CREATE \
                 and MOVED_TO"
            }
            Self::RmWatch(Errno::EINVAL) => {
                "the kernel has already removed the watch (the file was deleted or unmounted, or the \
                 mask had ONESHOT), or another instance has it"
            }
            Self::Read { errno: Errno::EINVAL, room: 0..MAX_RECORD_SIZE } => {
                "the buffer is too small for the next event, which stays queued: use 272 bytes for \
                 names of up to 255 bytes, or 4112 for the longer names of some file systems"
            }
            Self::AddWatch(Errno::EINVAL)
            | Self::QueuedBytes(Errno::ENOTTY | Errno::EINVAL)
            | Self::Read { errno: Errno::EINVAL, .. } => {
                "check that the descriptor is an inotify instance"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Mask(error) => return write!(f, "cannot watch: {error}"),
            Self::Init(_) => "cannot create an inotify instance",
            Self::AddWatch(_) => "cannot watch",
            Self::RmWatch(_) => "cannot remove a watch",
            Self::Read { .. } => "cannot read events",
            Self::Poll(_) => "cannot wait for events",
            Self::QueuedBytes(_) => "cannot read the size of the queue",
            Self::Close(_) => "cannot close the inotify instance",
            Self::Call { name, .. } => {
                f.write_str("cannot create a watcher: ")?;
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

/// Why [`Inotify::fill`] read nothing. No event is lost: the events stay queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FillError {
    /// The ring has no room for the next event. Pop events first.
    Full,
    /// An invalid record stopped the ring.
    Stopped(DecodeError),
    /// read(2) failed.
    Read(Error),
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the ring has no room for the next event; pop events first"),
            Self::Stopped(fault) => write!(f, "the ring is stopped: {fault}; clear the ring"),
            Self::Read(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for FillError {}

//! Error numbers of failed system calls.

use core::fmt;

/// An error number of the kernel: errno(3).
///
/// Prints as `ENOSPC (No space left on device)`. [`Error`](crate::Error) adds the call that failed and
/// what to do. The constants and names use the numbers of most architectures. Some numbers mean another
/// error on mips and sparc.
///
/// ```
/// use tinotify::Errno;
///
/// assert_eq!(Errno::ENOSPC.to_string(), "ENOSPC (No space left on device)");
/// assert_eq!(Errno::from_raw(Errno::ENOSPC.as_raw()), Errno::ENOSPC);
/// ```
#[doc(alias = "errno")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Errno(syscalls::Errno);

macro_rules! errnos {
    ($($name:ident: $what:literal,)*) => {
        impl Errno {
            $(#[doc = $what] pub const $name: Self = Self(syscalls::Errno::$name);)*
        }
    };
}

errnos! {
    EACCES: "No permission to read the file, or to search a directory on the path.",
    EAGAIN: "No event is queued, and the descriptor is non-blocking.",
    EBADF: "Not an open descriptor.",
    EEXIST: "The inode is already watched, and the mask has `MASK_CREATE`.",
    EFAULT: "An address outside the process.",
    EINTR: "A signal handler ran first.",
    EINVAL: "An invalid argument.",
    EIO: "Reading or writing failed, or returned invalid data.",
    ELOOP: "Too many symbolic links on the path.",
    EMFILE: "This user or process has reached a limit.",
    ENAMETOOLONG: "The path or a name in it is too long.",
    ENFILE: "The system has reached its limit of open files.",
    ENODEV: "No such device.",
    ENOENT: "No such file or directory.",
    ENOMEM: "The kernel has no memory left.",
    ENOSPC: "This user has reached the limit of watches.",
    ENOSYS: "The kernel does not have the system call.",
    ENOTDIR: "Not a directory.",
    ENOTTY: "The descriptor does not support the request.",
    EPERM: "Not permitted, often by a seccomp filter.",
    ESTALE: "The entry was removed or replaced by another.",
}

impl Errno {
    /// Returns the error with this number.
    #[must_use]
    pub fn from_raw(raw: i32) -> Self {
        Self(syscalls::Errno::new(raw))
    }

    /// Converts the error of a system call. A `From` would make the type of a dependency part of the public
    /// API.
    pub(super) const fn of(errno: syscalls::Errno) -> Self {
        Self(errno)
    }

    /// Returns the number, which is positive.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0.into_raw()
    }

    /// Returns the name, such as `"ENOSPC"`, or `None` for an unknown number.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.0.name()
    }

    /// Returns the general meaning, such as `"No space left on device"`, or `None` for an unknown
    /// number.
    #[must_use]
    pub fn description(self) -> Option<&'static str> {
        self.0.description()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.as_raw()),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.description()) {
            (Some(name), Some(description)) => write!(f, "{name} ({description})"),
            _ => write!(f, "error number {}", self.as_raw()),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.as_raw())
    }
}

/// Repeats a call while signal handlers interrupt it.
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
pub(crate) fn retry_on_eintr<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

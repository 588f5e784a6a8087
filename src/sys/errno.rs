//! What the kernel says when a call fails.

use core::fmt;

/// An error number of the kernel (errno(3)).
///
/// Prints as `ENOSPC (No space left on device)`; what that means for a call, and what helps, is in
/// [`Error`](crate::Error). Names and numbers are those of most architectures; mips and sparc number
/// some in their own way.
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
    EACCES: "No permission to read the path, or to search a directory on the way.",
    EAGAIN: "Nothing is queued, and the descriptor does not block.",
    EBADF: "Not an open descriptor.",
    EEXIST: "The inode is watched already, and the mask said `MASK_CREATE`.",
    EFAULT: "An address outside of the process.",
    EINTR: "A signal handler ran first.",
    EINVAL: "An argument that makes no sense to the call.",
    EIO: "Reading or writing failed, or gave what makes no sense.",
    ELOOP: "Too many symbolic links on the way.",
    EMFILE: "A limit of this user or process is reached.",
    ENAMETOOLONG: "A path or a name that is too long.",
    ENFILE: "The limit of open files of the whole system is reached.",
    ENODEV: "No such device.",
    ENOENT: "No such file or directory.",
    ENOMEM: "The kernel has no memory left.",
    ENOSPC: "The limit of watches is reached.",
    ENOSYS: "The kernel has no such system call.",
    ENOTDIR: "Not a directory.",
    ENOTTY: "The descriptor is not of a kind that knows the request.",
    EPERM: "Not permitted, often by a seccomp filter.",
    ESTALE: "What was looked for is not there any more; something else may be.",
}

impl Errno {
    /// The error of that number.
    #[must_use]
    pub fn from_raw(raw: i32) -> Self {
        Self(syscalls::Errno::new(raw))
    }

    /// Returns the error of a system call. No `From`, which would make the type of a dependency a part
    /// of the public API.
    pub(super) const fn of(errno: syscalls::Errno) -> Self {
        Self(errno)
    }

    /// The number, which is positive.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0.into_raw()
    }

    /// The name, such as `"ENOSPC"`; `None` if it has none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.0.name()
    }

    /// The general meaning, such as `"No space left on device"`; `None` if the number has none.
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

/// Repeats a call as long as signal handlers interrupt it.
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
pub(crate) fn retry_on_eintr<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

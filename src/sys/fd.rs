//! The owner of a descriptor, and the calls for any descriptor.

use core::ffi::c_int;
use core::mem::ManuallyDrop;

use syscalls::{Sysno, syscall1, syscall3};

use super::errno::Errno;

/// A file descriptor that is closed on drop, like `OwnedFd`, but without `std`.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{Fd, InitFlags, Inotify};
///
/// // Pass an instance through an interface that takes only plain numbers.
/// let raw = Fd::from(Inotify::init(InitFlags::empty())?).into_raw();
/// // SAFETY: `into_raw` released the ownership of `raw`, and no other code has the number.
/// let inotify = Inotify::from(unsafe { Fd::from_raw(raw) });
/// # drop(inotify);
/// # }
/// # Ok::<(), tinotify::Error>(())
/// ```
#[derive(Debug)]
pub struct Fd(c_int);

impl Fd {
    /// Takes ownership of a descriptor.
    ///
    /// # Safety
    ///
    /// `raw` must be open, no other owner may exist, and close(2) must be all the clean-up it needs.
    #[must_use]
    pub const unsafe fn from_raw(raw: c_int) -> Self {
        Self(raw)
    }

    /// Returns the number of the descriptor. This value still owns it.
    #[must_use]
    pub const fn as_raw(&self) -> c_int {
        self.0
    }

    /// Returns the number of the descriptor without closing it. The caller must close it.
    #[must_use]
    pub fn into_raw(self) -> c_int {
        ManuallyDrop::new(self).0
    }

    /// Takes a new descriptor from the result of a system call. The kernel's descriptors fit an int, and
    /// a new one has no other owner.
    pub(super) const fn new(fd: usize) -> Self {
        Self(fd as c_int)
    }

    /// Returns the argument for a system call: sign-extended, as in C.
    pub(super) const fn arg(&self) -> usize {
        self.0 as usize
    }

    /// Calls read(2). Returns the number of bytes read, at most `buffer.len()`.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (address, len) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the kernel writes at most `len` bytes from `address` on. `buffer` lends these bytes
        // for writing, and any values are valid there.
        let len = unsafe { syscall3(Sysno::read, self.arg(), address, len) }.map_err(Errno::of)?;
        Ok(len)
    }

    /// Calls fcntl(2) with `F_SETFD`: sets whether execve(2) closes the descriptor.
    #[cfg(feature = "std")]
    pub(crate) fn set_cloexec(&self, cloexec: bool) -> Result<(), Errno> {
        const F_SETFD: usize = 2;
        // SAFETY: all arguments are numbers, and the kernel accesses no memory of this process.
        // FD_CLOEXEC is 1.
        unsafe { syscall3(FCNTL, self.arg(), F_SETFD, usize::from(cloexec)) }.map_err(Errno::of)?;
        Ok(())
    }

    /// Calls close(2). On Linux the descriptor is closed even if the call returns an error.
    pub(crate) fn close(self) -> Result<(), Errno> {
        let fd = ManuallyDrop::new(self);
        // SAFETY: `self` owned the descriptor, and nothing uses it after this call.
        unsafe { syscall1(Sysno::close, fd.arg()) }.map_err(Errno::of)?;
        Ok(())
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: `self` owns the descriptor, and this is its last use. An error needs no action: the
        // descriptor is closed in any case.
        let _ = unsafe { syscall1(Sysno::close, self.arg()) };
    }
}

#[cfg(all(feature = "std", target_pointer_width = "64"))]
pub(super) const FCNTL: Sysno = Sysno::fcntl;
#[cfg(all(feature = "std", target_pointer_width = "32"))]
pub(super) const FCNTL: Sysno = Sysno::fcntl64;

#[cfg(feature = "std")]
mod owned {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

    use super::Fd;

    impl AsFd for Fd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: `self` owns the descriptor, which stays open for the lifetime of the borrow.
            unsafe { BorrowedFd::borrow_raw(self.0) }
        }
    }

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    impl From<OwnedFd> for Fd {
        fn from(fd: OwnedFd) -> Self {
            Self(fd.into_raw_fd())
        }
    }

    impl From<Fd> for OwnedFd {
        fn from(fd: Fd) -> Self {
            // SAFETY: `fd` owned the open descriptor, and `into_raw` releases it.
            unsafe { Self::from_raw_fd(fd.into_raw()) }
        }
    }
}

//! The owner of a descriptor, and the calls that any descriptor takes.

use core::ffi::c_int;
use core::mem::ManuallyDrop;

use syscalls::{Sysno, syscall1, syscall3};

use super::errno::Errno;

/// A file descriptor that is closed on drop: what `OwnedFd` is, where there is no `std`.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{Fd, InitFlags, Inotify};
///
/// // Hand an instance over a boundary that knows plain numbers only.
/// let raw = Fd::from(Inotify::init(InitFlags::empty())?).into_raw();
/// // SAFETY: `raw` was given up one line above, and nobody else has it.
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
    /// `raw` is open, nobody else owns it, and closing it is all the clean-up it needs.
    #[must_use]
    pub const unsafe fn from_raw(raw: c_int) -> Self {
        Self(raw)
    }

    /// The descriptor's number; it stays owned here.
    #[must_use]
    pub const fn as_raw(&self) -> c_int {
        self.0
    }

    /// The descriptor's number; closing it is the caller's business now.
    #[must_use]
    pub fn into_raw(self) -> c_int {
        ManuallyDrop::new(self).0
    }

    /// Takes what a system call returned as a new descriptor. The kernel's descriptors fit an int, and
    /// nobody else owns a new one.
    pub(super) const fn new(fd: usize) -> Self {
        Self(fd as c_int)
    }

    /// As a system call wants it: sign-extended, as C does.
    pub(super) const fn arg(&self) -> usize {
        self.0 as usize
    }

    /// read(2): the number of bytes, at most `buffer.len()`.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (address, len) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the kernel writes at most `len` bytes from `address` on, which `buffer` lends for
        // writing; any bytes are valid there.
        let len = unsafe { syscall3(Sysno::read, self.arg(), address, len) }.map_err(Errno::of)?;
        Ok(len)
    }

    /// `F_SETFD` of fcntl(2): whether execve(2) closes the descriptor.
    #[cfg(feature = "std")]
    pub(crate) fn set_cloexec(&self, cloexec: bool) -> Result<(), Errno> {
        const F_SETFD: usize = 2;
        // SAFETY: takes numbers, and touches no memory of ours. FD_CLOEXEC is 1.
        unsafe { syscall3(FCNTL, self.arg(), F_SETFD, usize::from(cloexec)) }.map_err(Errno::of)?;
        Ok(())
    }

    /// close(2). On Linux the descriptor is gone whatever the answer.
    pub(crate) fn close(self) -> Result<(), Errno> {
        let fd = ManuallyDrop::new(self);
        // SAFETY: the descriptor is owned here, and used no more.
        unsafe { syscall1(Sysno::close, fd.arg()) }.map_err(Errno::of)?;
        Ok(())
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is owned here, and this is its last use. The answer tells nothing
        // that could be acted on: the descriptor is gone either way.
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
            // SAFETY: the descriptor is owned by `self`, and open as long as that lives.
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
            // SAFETY: the descriptor was owned by `fd`, and is given up here.
            unsafe { Self::from_raw_fd(fd.into_raw()) }
        }
    }
}

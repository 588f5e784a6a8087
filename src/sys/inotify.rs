//! The calls of inotify(7).

use core::ffi::{CStr, c_int};

use syscalls::{Sysno, syscall1, syscall2, syscall3};

use super::errno::Errno;
use super::fd::Fd;
use crate::event::Wd;
use crate::flags::{InitFlags, WatchMask};

impl Fd {
    /// Calls inotify_init1(2).
    pub(crate) fn inotify_init(flags: InitFlags) -> Result<Self, Errno> {
        // SAFETY: the argument is a number, and the kernel accesses no memory of this process.
        let fd =
            unsafe { syscall1(Sysno::inotify_init1, flags.bits() as usize) }.map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// Calls inotify_add_watch(2).
    pub(crate) fn inotify_add_watch(&self, path: &CStr, mask: WatchMask) -> Result<Wd, Errno> {
        let (path, mask) = (path.as_ptr() as usize, mask.bits() as usize);
        // SAFETY: the kernel reads `path` up to its NUL, which every CStr has, and writes nothing.
        let wd = unsafe { syscall3(Sysno::inotify_add_watch, self.arg(), path, mask) }
            .map_err(Errno::of)?;
        Ok(Wd::from_raw(wd as c_int))
    }

    /// Calls inotify_rm_watch(2).
    pub(crate) fn inotify_rm_watch(&self, wd: Wd) -> Result<(), Errno> {
        let wd = wd.as_raw() as usize;
        // SAFETY: all arguments are numbers, and the kernel accesses no memory of this process.
        unsafe { syscall2(Sysno::inotify_rm_watch, self.arg(), wd) }.map_err(Errno::of)?;
        Ok(())
    }

    /// Calls ioctl(2) with `FIONREAD`. Returns the number of bytes that can be read without waiting.
    pub(crate) fn queued_bytes(&self) -> Result<usize, Errno> {
        let mut queued: c_int = 0;
        let address = (&raw mut queued) as usize;
        // SAFETY: FIONREAD writes one int at `address`, and `queued` is an int (ioctl_fionread(2);
        // put_user of an int in fs/notify/inotify/inotify_user.c).
        unsafe { syscall3(Sysno::ioctl, self.arg(), FIONREAD, address) }.map_err(Errno::of)?;
        Ok(usize::try_from(queued).unwrap_or(0))
    }
}

/// The `FIONREAD` request: arch/*/include/uapi/asm/ioctls.h.
const FIONREAD: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x467F
} else if cfg!(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc",
    target_arch = "sparc64"
)) {
    0x4004_667F
} else {
    0x541B
};

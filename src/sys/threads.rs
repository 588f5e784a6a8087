//! A working directory for one thread.

use syscalls::{Sysno, syscall1};

use super::errno::Errno;

/// include/uapi/linux/sched.h.
const CLONE_FS: usize = 0x200;

/// Calls chdir(2) with `/`, for this thread and all threads that share its working directory.
pub(crate) fn leave_working_dir() -> Result<(), Errno> {
    // SAFETY: the kernel reads the path up to its NUL, which a CStr has, and writes nothing.
    unsafe { syscall1(Sysno::chdir, c"/".as_ptr() as usize) }.map_err(Errno::of)?;
    Ok(())
}

/// Calls unshare(2) with `CLONE_FS`: gives this thread its own working directory, root and umask.
pub(crate) fn unshare_working_dir() -> Result<(), Errno> {
    // SAFETY: the argument is a number, and the kernel accesses no memory of this process.
    unsafe { syscall1(Sysno::unshare, CLONE_FS) }.map_err(Errno::of)?;
    Ok(())
}

//! What a thread can have for itself.

use syscalls::{Sysno, syscall1};

use super::errno::Errno;

/// include/uapi/linux/sched.h.
const CLONE_FS: usize = 0x200;

/// chdir(2) to `/`: of all that share the working directory with this thread.
pub(crate) fn leave_working_dir() -> Result<(), Errno> {
    // SAFETY: the kernel reads the path up to its NUL.
    unsafe { syscall1(Sysno::chdir, c"/".as_ptr() as usize) }.map_err(Errno::of)?;
    Ok(())
}

/// `CLONE_FS` of unshare(2): from now on this thread has a working directory (and a root and a
/// umask) of its own.
pub(crate) fn unshare_working_dir() -> Result<(), Errno> {
    // SAFETY: takes a number, and touches no memory of ours.
    unsafe { syscall1(Sysno::unshare, CLONE_FS) }.map_err(Errno::of)?;
    Ok(())
}

//! Leases of fcntl(2), which show whether a file is open for writing.

use std::os::fd::{AsFd, AsRawFd};

use syscalls::syscall3;

use super::errno::Errno;
use super::fd::FCNTL;

const F_SETSIG: usize = 10;
const F_SETLEASE: usize = 1024;
/// The kinds of a lease: `F_RDLCK` and `F_UNLCK`.
const READ: usize = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 1 } else { 0 };
const NONE: usize = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 3 } else { 2 };
/// `SIGURG`, which is ignored by default.
const SIGURG: usize = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    16
} else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    21
} else {
    23
};

/// Returns `true` if a file is open for writing, in any process. The kernel grants a read lease of a file
/// only if it is not (`check_conflicting_open`, Linux 6.18).
pub(crate) fn has_writers(file: impl AsFd) -> Result<bool, Errno> {
    // The kernel extends an int in the same way.
    let fd = file.as_fd().as_raw_fd() as usize;
    let fcntl = |command, argument| {
        // SAFETY: the three commands take numbers, and access no memory of this process. `file` keeps the
        // descriptor open.
        unsafe { syscall3(FCNTL, fd, command, argument) }.map_err(Errno::of)
    };
    // A writer that opens the file during the lease has a signal sent to this process. The default one,
    // SIGIO, would end it.
    fcntl(F_SETSIG, SIGURG)?;
    match fcntl(F_SETLEASE, READ) {
        Ok(_) => fcntl(F_SETLEASE, NONE).map(|_| false),
        Err(Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno),
    }
}

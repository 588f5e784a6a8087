//! A counter that wakes the thread that polls it.

use syscalls::{Sysno, syscall2, syscall3};

use super::errno::Errno;
use super::fd::Fd;
use crate::flags::InitFlags;

impl Fd {
    /// Calls eventfd2(2). Returns a counter that is readable while it is not zero.
    pub(crate) fn eventfd() -> Result<Self, Errno> {
        // EFD_CLOEXEC and EFD_NONBLOCK are the same bits as IN_CLOEXEC and IN_NONBLOCK (eventfd.h).
        let flags = InitFlags::CLOEXEC.union(InitFlags::NONBLOCK).bits() as usize;
        // SAFETY: all arguments are numbers, and the kernel accesses no memory of this process.
        let fd = unsafe { syscall2(Sysno::eventfd2, 0, flags) }.map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// Adds one to the counter of an eventfd: write(2).
    #[cfg(feature = "std")]
    pub(crate) fn signal(&self) -> Result<(), Errno> {
        self.add_to_counter(1)
    }

    /// Adds `value` to the counter of an eventfd: write(2).
    pub(super) fn add_to_counter(&self, value: u64) -> Result<(), Errno> {
        let address = (&raw const value) as usize;
        loop {
            // SAFETY: the kernel reads the eight bytes of `value`, which lives until the call returns.
            match unsafe { syscall3(Sysno::write, self.arg(), address, size_of::<u64>()) } {
                Ok(_) => return Ok(()),
                Err(syscalls::Errno::EINTR) => {}
                Err(errno) => return Err(Errno::of(errno)),
            }
        }
    }
}

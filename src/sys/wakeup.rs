//! A counter that wakes the thread that polls it.

use syscalls::{Sysno, syscall2, syscall3};

use super::errno::Errno;
use super::fd::Fd;
use crate::flags::InitFlags;

impl Fd {
    /// eventfd2(2): a counter that becomes readable when something is added to it.
    pub(crate) fn eventfd() -> Result<Self, Errno> {
        // EFD_CLOEXEC and EFD_NONBLOCK are the same bits as those of inotify (eventfd.h).
        let flags = InitFlags::CLOEXEC.union(InitFlags::NONBLOCK).bits() as usize;
        // SAFETY: takes numbers, and touches no memory of ours.
        let fd = unsafe { syscall2(Sysno::eventfd2, 0, flags) }.map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// write(2) of one to an eventfd.
    #[cfg(feature = "std")]
    pub(crate) fn signal(&self) -> Result<(), Errno> {
        self.add_to_counter(1)
    }

    /// write(2) to an eventfd.
    pub(super) fn add_to_counter(&self, value: u64) -> Result<(), Errno> {
        let address = (&raw const value) as usize;
        loop {
            // SAFETY: the kernel reads the eight bytes of `value`.
            match unsafe { syscall3(Sysno::write, self.arg(), address, size_of::<u64>()) } {
                Ok(_) => return Ok(()),
                Err(syscalls::Errno::EINTR) => {}
                Err(errno) => return Err(Errno::of(errno)),
            }
        }
    }
}

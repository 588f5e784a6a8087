//! Combines several descriptors into one, which is readable when one of them is.

use syscalls::{Sysno, syscall1, syscall4};

use super::errno::Errno;
use super::fd::Fd;
use crate::flags::InitFlags;

/// include/uapi/linux/eventpoll.h.
const EPOLL_CTL_ADD: usize = 1;
const EPOLLIN: u32 = 1;

/// `struct epoll_event`. It is packed on x86-64 only.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
struct EpollEvent {
    events: u32,
    data: u64,
}

impl Fd {
    /// Calls epoll_create1(2) and epoll_ctl(2). Returns an epoll(7) instance that is readable when one of
    /// `fds` is.
    pub(crate) fn epoll<const N: usize>(fds: [&Self; N]) -> Result<Self, Errno> {
        // EPOLL_CLOEXEC is the same bit as IN_CLOEXEC (eventpoll.h).
        let flags = InitFlags::CLOEXEC.bits() as usize;
        // SAFETY: the argument is a number, and the kernel accesses no memory of this process.
        let epoll = Self::new(unsafe { syscall1(Sysno::epoll_create1, flags) }.map_err(Errno::of)?);
        for fd in fds {
            let event = EpollEvent { events: EPOLLIN, data: 0 };
            let address = (&raw const event) as usize;
            // SAFETY: the kernel reads one `struct epoll_event` at `address`. `event` has that layout
            // and lives until the call returns.
            unsafe { syscall4(Sysno::epoll_ctl, epoll.arg(), EPOLL_CTL_ADD, fd.arg(), address) }
                .map_err(Errno::of)?;
        }
        Ok(epoll)
    }
}

//! One descriptor that is readable when one of several is.

use syscalls::{Sysno, syscall1, syscall4};

use super::errno::Errno;
use super::fd::Fd;
use crate::flags::InitFlags;

/// include/uapi/linux/eventpoll.h.
const EPOLL_CTL_ADD: usize = 1;
const EPOLLIN: u32 = 1;

/// `struct epoll_event`, which has no padding on x86-64.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
struct EpollEvent {
    events: u32,
    data: u64,
}

impl Fd {
    /// epoll_create1(2) and epoll_ctl(2): an epoll(7) instance that is readable when one of the
    /// descriptors is.
    pub(crate) fn epoll<const N: usize>(of: [&Self; N]) -> Result<Self, Errno> {
        // EPOLL_CLOEXEC is the same bit as inotify's (eventpoll.h).
        let flags = InitFlags::CLOEXEC.bits() as usize;
        // SAFETY: takes a number, and touches no memory of ours.
        let epoll = Self::new(unsafe { syscall1(Sysno::epoll_create1, flags) }.map_err(Errno::of)?);
        for fd in of {
            let event = EpollEvent { events: EPOLLIN, data: 0 };
            let address = (&raw const event) as usize;
            // SAFETY: the kernel reads one `struct epoll_event` at `event`, which has its layout and lives
            // until the call returns.
            unsafe { syscall4(Sysno::epoll_ctl, epoll.arg(), EPOLL_CTL_ADD, fd.arg(), address) }
                .map_err(Errno::of)?;
        }
        Ok(epoll)
    }
}

//! Waits for descriptors to become readable.

use core::ffi::{c_int, c_short};
use core::time::Duration;

use syscalls::{Sysno, syscall5};

use super::errno::Errno;
use super::fd::Fd;

impl Fd {
    /// Waits until a read would not block: ppoll(2). Returns `false` on timeout.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        let [ready] = poll([self], timeout)?;
        Ok(ready)
    }
}

/// `struct pollfd` of poll(2).
#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 0x1;
const POLLNVAL: c_short = 0x20;

/// `struct __kernel_timespec`: used by all calls on 64-bit architectures, and by the `time64` calls on
/// 32-bit ones.
#[repr(C)]
struct Timespec64 {
    sec: i64,
    nsec: i64,
}

#[cfg(target_pointer_width = "64")]
const PPOLL: Sysno = Sysno::ppoll;
#[cfg(target_pointer_width = "32")]
const PPOLL: Sysno = Sysno::ppoll_time64;

/// Waits until one of the descriptors can be read without blocking, at most for `timeout`. Returns which
/// ones can. `None` waits without a limit.
pub(crate) fn poll<const N: usize>(
    fds: [&Fd; N],
    timeout: Option<Duration>,
) -> Result<[bool; N], Errno> {
    let mut polls = fds.map(|fd| PollFd { fd: fd.as_raw(), events: POLLIN, revents: 0 });
    ppoll(&mut polls, timeout)?;
    if polls.iter().any(|poll| poll.revents & POLLNVAL != 0) {
        return Err(Errno::EBADF);
    }
    Ok(polls.map(|poll| poll.revents != 0))
}

/// Calls ppoll(2) without changing the signal mask.
fn ppoll(polls: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    let mut time = timeout.map(|timeout| Timespec64 {
        // The kernel limits longer timeouts to its own maximum.
        sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nsec: i64::from(timeout.subsec_nanos()),
    });
    let time = time.as_mut().map_or(0, |time| (time as *mut Timespec64) as usize);
    let (fds, len) = (polls.as_mut_ptr() as usize, polls.len());
    // SAFETY: the kernel reads and writes `len` elements of `struct pollfd` at `fds`. It reads the
    // timeout, unless that is null, and writes the remaining time to it. All have the kernel's layout
    // and live until the call returns. The kernel does not read a null signal mask.
    let ready = unsafe { syscall5(PPOLL, fds, len, time, 0, 0) };
    #[cfg(all(target_pointer_width = "32", not(target_arch = "riscv32")))]
    if ready == Err(syscalls::Errno::ENOSYS) {
        return ppoll_time32(polls, timeout);
    }
    ready.map_err(Errno::of)
}

/// Calls the ppoll(2) of 32-bit kernels before 5.1, which have no `ppoll_time64`.
#[cfg(all(target_pointer_width = "32", not(target_arch = "riscv32")))]
fn ppoll_time32(polls: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    /// `struct old_timespec32`.
    #[repr(C)]
    struct Timespec32 {
        sec: i32,
        nsec: i32,
    }
    let mut time = timeout.map(|timeout| Timespec32 {
        sec: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX),
        // Less than 10^9, which fits.
        nsec: timeout.subsec_nanos() as i32,
    });
    let time = time.as_mut().map_or(0, |time| (time as *mut Timespec32) as usize);
    let (fds, len) = (polls.as_mut_ptr() as usize, polls.len());
    // SAFETY: as in `ppoll`, with the `struct old_timespec32` that this call reads and writes.
    unsafe { syscall5(Sysno::ppoll, fds, len, time, 0, 0) }.map_err(Errno::of)
}

//! Waiting for descriptors.

use core::ffi::{c_int, c_short};
use core::time::Duration;

use syscalls::{Sysno, syscall5};

use super::errno::Errno;
use super::fd::Fd;

impl Fd {
    /// ppoll(2) for reading: whether a read would not block, after at most `timeout`.
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

/// `struct __kernel_timespec`: the time of the 64-bit calls, and of the `time64` ones elsewhere.
#[repr(C)]
struct Timespec64 {
    sec: i64,
    nsec: i64,
}

#[cfg(target_pointer_width = "64")]
const PPOLL: Sysno = Sysno::ppoll;
#[cfg(target_pointer_width = "32")]
const PPOLL: Sysno = Sysno::ppoll_time64;

/// Which of the descriptors can be read without blocking, after at most `timeout`; no timeout waits for
/// ever.
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

/// ppoll(2), signal mask unchanged.
fn ppoll(polls: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    let mut time = timeout.map(|timeout| Timespec64 {
        // The kernel cuts longer ones to the end of its own time.
        sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nsec: i64::from(timeout.subsec_nanos()),
    });
    let time = time.as_mut().map_or(0, |time| (time as *mut Timespec64) as usize);
    let (fds, len) = (polls.as_mut_ptr() as usize, polls.len());
    // SAFETY: the kernel reads and writes `len` of `struct pollfd` at `fds`; it reads the time, if
    // there is one, and writes what is left of it there. All are of the kernel's layout and live
    // until the call returns. A null signal mask is not looked at.
    let ready = unsafe { syscall5(PPOLL, fds, len, time, 0, 0) };
    #[cfg(all(target_pointer_width = "32", not(target_arch = "riscv32")))]
    if ready == Err(syscalls::Errno::ENOSYS) {
        return ppoll_time32(polls, timeout);
    }
    ready.map_err(Errno::of)
}

/// The same for 32-bit kernels before 5.1, which have no `ppoll_time64`.
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
        // Below a thousand million.
        nsec: timeout.subsec_nanos() as i32,
    });
    let time = time.as_mut().map_or(0, |time| (time as *mut Timespec32) as usize);
    let (fds, len) = (polls.as_mut_ptr() as usize, polls.len());
    // SAFETY: as in `ppoll`, with the layout of time that the older call has.
    unsafe { syscall5(Sysno::ppoll, fds, len, time, 0, 0) }.map_err(Errno::of)
}

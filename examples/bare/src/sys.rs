//! System calls that tinotify does not need.

use core::ffi::{CStr, c_int, c_short};
use core::time::Duration;

use syscalls::{Sysno, syscall2, syscall3, syscall5};
use tinotify::{Errno, Fd};

/// Ends the process: exit_group(2).
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: the argument is a number, and the call does not return.
        let _ = unsafe { syscalls::syscall1(Sysno::exit_group, usize::from(status)) };
    }
}

/// Converts the error of a system call.
pub(crate) fn errno(error: syscalls::Errno) -> Errno {
    Errno::from_raw(error.into_raw())
}

/// Returns the number of bytes that were written: write(2). Repeats the call if a signal interrupts it.
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: the kernel reads `len` bytes at the address, which are those of `bytes`.
        match unsafe { syscall3(Sysno::write, fd as usize, bytes.as_ptr() as usize, bytes.len()) } {
            Err(syscalls::Errno::EINTR) => {}
            written => return written.map_err(errno),
        }
    }
}

/// Relative paths begin at the working directory.
pub(crate) const AT_FDCWD: usize = -100_isize as usize;

/// Returns an error if the path does not exist, after following all links: faccessat(2).
pub fn check_exists(path: &CStr) -> Result<(), Errno> {
    const F_OK: usize = 0;
    // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
    unsafe { syscall3(Sysno::faccessat, AT_FDCWD, path.as_ptr() as usize, F_OK) }.map_err(errno)?;
    Ok(())
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timespec {
    sec: i64,
    nsec: i64,
}

/// Returns the time since the machine was started, on the monotonic clock: clock_gettime(2).
#[must_use]
pub fn now() -> Duration {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = Timespec { sec: 0, nsec: 0 };
    // SAFETY: the kernel writes one `struct __kernel_timespec`. Every kernel has this clock.
    let _ = unsafe { syscall2(Sysno::clock_gettime, CLOCK_MONOTONIC, (&raw mut time) as usize) };
    Duration::new(time.sec as u64, time.nsec as u32)
}

/// Returns which of the descriptors can be read without blocking, after at most `timeout`: ppoll(2).
/// Without a timeout it waits for ever.
pub fn poll<const N: usize>(
    fds: [c_int; N],
    timeout: Option<Duration>,
) -> Result<[bool; N], Errno> {
    /// `struct pollfd`.
    #[repr(C)]
    struct PollFd {
        fd: c_int,
        events: c_short,
        revents: c_short,
    }
    const POLLIN: c_short = 1;
    let mut polls = fds.map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
    let mut time = timeout.map(|timeout| Timespec {
        sec: timeout.as_secs() as i64,
        nsec: i64::from(timeout.subsec_nanos()),
    });
    let time = time.as_mut().map_or(0, |time| (time as *mut Timespec) as usize);
    // SAFETY: the kernel reads and writes `N` of `struct pollfd`. It reads the time, if any, and writes the
    // remaining time to it. It ignores a null signal mask.
    unsafe { syscall5(Sysno::ppoll, polls.as_mut_ptr() as usize, N, time, 0, 0) }.map_err(errno)?;
    Ok(polls.map(|poll| poll.revents != 0))
}

// Equal on x86-64 and aarch64: include/uapi/asm-generic/fcntl.h.
pub(crate) const O_NONBLOCK: u32 = 0o4000;
pub(crate) const O_CLOEXEC: u32 = 0o200_0000;
const O_PATH: u32 = 0o1000_0000;

fn open(path: &CStr, flags: u32) -> Result<Fd, Errno> {
    let (path, flags) = (path.as_ptr() as usize, flags as usize);
    // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
    let fd = unsafe { syscall3(Sysno::openat, AT_FDCWD, path, flags) }.map_err(errno)?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { Fd::from_raw(fd as c_int) })
}

/// Opens `/` with `O_PATH` as standard input, output and error if they are closed, as they may be in the
/// first process of a machine. Otherwise messages would be written to the next descriptor that is opened.
pub fn fill_standard_descriptors() {
    while let Ok(fd) = open(c"/", O_PATH) {
        if fd.as_raw() > 2 {
            return;
        }
        let _ = fd.into_raw();
    }
}

/// Reads as much of a file as `buffer` can hold: openat(2), read(2), close(2).
pub fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    // Do not wait if it is a pipe.
    let fd = open(path, O_CLOEXEC | O_NONBLOCK)?;
    let mut filled = 0;
    while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
        let (to, len) = (rest.as_mut_ptr() as usize, rest.len());
        // SAFETY: the kernel writes at most `len` bytes to `rest`; any bytes are valid there.
        match unsafe { syscall3(Sysno::read, fd.as_raw() as usize, to, len) }.map_err(errno)? {
            0 => break,
            len => filled += len,
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// Calls `each` for every name in a directory, in any order: openat(2), getdents64(2), close(2).
pub fn list(path: &CStr, mut each: impl FnMut(&CStr)) -> Result<(), Errno> {
    /// Aligned like the records of the kernel.
    #[repr(align(8))]
    struct Buffer([u8; 1024]);
    const RECORD_LEN: usize = 16;
    const NAME: usize = 19;
    let fd = open(path, O_CLOEXEC)?;
    let mut buffer = Buffer([0; 1024]);
    loop {
        let (to, len) = (buffer.0.as_mut_ptr() as usize, buffer.0.len());
        // SAFETY: the kernel writes at most `len` bytes to the buffer; any bytes are valid there.
        let len =
            unsafe { syscall3(Sysno::getdents64, fd.as_raw() as usize, to, len) }.map_err(errno)?;
        let mut rest = buffer.0.get(..len).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while let Some(&[low, high]) = rest.get(RECORD_LEN..RECORD_LEN + 2) {
            let len = usize::from(u16::from_ne_bytes([low, high]));
            let (Some(record), Some(after)) = (rest.get(NAME..len), rest.get(len..)) else { break };
            match CStr::from_bytes_until_nul(record) {
                Ok(name) if name != c"." && name != c".." => each(name),
                _ => {}
            }
            rest = after;
        }
    }
}

/// Removes a file: unlinkat(2).
pub fn remove(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
    unsafe { syscall3(Sysno::unlinkat, AT_FDCWD, path.as_ptr() as usize, 0) }.map_err(errno)?;
    Ok(())
}

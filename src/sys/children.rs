//! A child process that adds watches, with a working directory of its own.
//!
//! ```text
//! parent: request → pipe ──→ child: fchdir, inotify_add_watch
//! parent: result  ← eventfd ←─┘
//! ```
//!
//! The child is a copy of this process, made by clone(2), and shares its descriptors. It runs no signal
//! handler, accesses no memory but its stack, and executes one request at a time. It sends no signal when it
//! ends, so no `SIGCHLD` handler and no wait for all children sees it.
//!
//! It ends when its owner drops it, and in any case when no request came for [`IDLE`]: it shares the
//! descriptors, so it would not see that the process was killed, or executed another program.

use core::ffi::{CStr, c_int};
use core::mem::ManuallyDrop;
use core::time::Duration;

use syscalls::{Sysno, syscall0, syscall1, syscall2, syscall3, syscall4, syscall5};

use super::errno::Errno;
use super::fd::Fd;
use crate::event::Wd;
use crate::flags::{InitFlags, WatchMask};

/// include/uapi/linux/sched.h.
const CLONE_FILES: usize = 0x400;
/// include/uapi/linux/wait.h.
const WNOHANG: usize = 1;
const WALL: usize = 0x4000_0000;
/// arch/*/include/uapi/asm/signal.h.
const SIG_SETMASK: usize = if MIPS { 3 } else { 2 };
/// The size of the kernel's `sigset_t`, in bytes.
const SIGNALS: usize = if MIPS { 16 } else { 8 };
const MIPS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

/// How long the child waits for a request before it ends.
const IDLE: Duration = Duration::from_secs(1);
/// How often the parent checks that the child has not ended, while it waits for a result.
const CHECK: Duration = Duration::from_millis(20);
/// How often each side tries to read before it sleeps. The other side takes a few microseconds, and the wake-up
/// of an idle processor about thirty.
const TRIES: u32 = 200;

/// Set in the result if the call failed. The lower half is the error, or else the watch.
const FAILED: u64 = 1 << 63;
/// Set in every result, so that the counter is never zero.
const EXECUTED: u64 = 1 << 32;

/// A child process that adds watches. It has ended when the drop returns.
#[derive(Debug)]
pub(crate) struct Child {
    /// `None` once it was waited for.
    pid: Option<usize>,
    requests: Fd,
    results: Fd,
    /// The end of the pipe from which the child reads.
    _read_end: Fd,
}

/// The child was killed, perhaps by a seccomp filter, or has waited too long for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// A call for the child to make.
#[repr(C)]
struct Request {
    /// [`Request::END`] in the last request.
    inotify: c_int,
    /// The new working directory, or [`Request::STAY`].
    dir: c_int,
    mask: u32,
    /// With its NUL.
    name: [u8; Self::NAME],
}

impl Request {
    const END: c_int = -1;
    const STAY: c_int = -1;
    const HEADER: usize = 12;
    /// A page together with the rest. No file system has names as long as that.
    const NAME: usize = 4096 - Self::HEADER;
    const EMPTY: Self =
        Self { inotify: Self::END, dir: Self::STAY, mask: 0, name: [0; Self::NAME] };

    /// Writes the request, without the unused bytes of the name. The pipe is empty, so it has room.
    fn send(&self, name: usize, to: &Fd) -> Result<(), Errno> {
        let len = Self::HEADER.saturating_add(name).min(size_of::<Self>());
        let from = (&raw const *self) as usize;
        // SAFETY: the kernel reads at most `size_of::<Self>()` bytes of `self`, which has no padding.
        unsafe { syscall3(Sysno::write, to.arg(), from, len) }.map_err(Errno::of)?;
        Ok(())
    }

    /// Reads the next request. Returns `false` if none came in time, or if it asks the child to end.
    fn receive(&mut self, from: &Fd) -> bool {
        let read = try_often(|| self.read(from)).or_else(|_| {
            from.poll(Some(IDLE))?;
            self.read(from)
        });
        read.is_ok_and(|len| len >= Self::HEADER) && self.inotify != Self::END
    }

    fn read(&mut self, from: &Fd) -> Result<usize, Errno> {
        let to = (&raw mut *self) as usize;
        // SAFETY: the kernel writes at most `size_of::<Self>()` bytes of `self`, and all its fields may have any
        // value.
        unsafe { syscall3(Sysno::read, from.arg(), to, size_of::<Self>()) }.map_err(Errno::of)
    }

    /// Makes the call.
    fn execute(&self) -> Result<Wd, Errno> {
        let name = CStr::from_bytes_until_nul(&self.name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the parent borrows the descriptors until it has the result or the child has ended, so they stay
        // open. `ManuallyDrop` does not close them.
        let borrow = |fd| ManuallyDrop::new(unsafe { Fd::from_raw(fd) });
        if self.dir != Self::STAY {
            borrow(self.dir).change_dir()?;
        }
        borrow(self.inotify).inotify_add_watch(name, WatchMask::from_bits_retain(self.mask))
    }
}

impl Child {
    /// Starts a child process, in the working directory of this thread.
    ///
    /// # Errors
    ///
    /// Those of pipe2(2), eventfd2(2) and clone(2).
    pub(crate) fn start() -> Result<Self, Errno> {
        let [read_end, requests] = pipe()?;
        let results = Fd::eventfd()?;
        // Otherwise a signal handler of this process could also run in the child.
        let before = set_signals([u64::MAX; 2])?;
        let child = fork();
        if child == Ok(0) {
            serve(&read_end, &results);
            exit();
        }
        let restored = set_signals(before);
        let child = Self { pid: Some(child?), requests, results, _read_end: read_end };
        restored?;
        Ok(child)
    }

    /// Has the child call inotify_add_watch(2) with a path relative to `dir`, or to the `dir` of the last call
    /// if that succeeded. Blocks until it has made the call.
    ///
    /// # Errors
    ///
    /// [`Ended`] if it did not make the call. The errors of fchdir(2) and inotify_add_watch(2) are in the inner
    /// result.
    pub(crate) fn add_watch(
        &mut self,
        inotify: &Fd,
        dir: Option<&Fd>,
        path: &CStr,
        mask: WatchMask,
    ) -> Result<Result<Wd, Errno>, Ended> {
        let path = path.to_bytes_with_nul();
        let mut request = Request {
            inotify: inotify.as_raw(),
            dir: dir.map_or(Request::STAY, Fd::as_raw),
            mask: mask.bits(),
            ..Request::EMPTY
        };
        match request.name.get_mut(..path.len()) {
            Some(name) => name.copy_from_slice(path),
            None => return Ok(Err(Errno::ENAMETOOLONG)),
        }
        request.send(path.len(), &self.requests).map_err(|_| Ended)?;
        let mut bytes = [0; 8];
        if try_often(|| self.results.read(&mut bytes)).is_err() {
            self.wait_for_result();
            self.results.read(&mut bytes).map_err(|_| Ended)?;
        }
        let result = u64::from_ne_bytes(bytes);
        let low = result as u32 as i32;
        Ok(if result & FAILED == 0 { Ok(Wd::from_raw(low)) } else { Err(Errno::from_raw(low)) })
    }

    /// Waits until there is a result, or the child has ended.
    fn wait_for_result(&mut self) {
        loop {
            match self.results.poll(Some(CHECK)) {
                Ok(true) => return,
                Ok(false) if self.reap(WNOHANG) => return,
                Ok(false) | Err(Errno::EINTR) => {}
                Err(_) => {
                    self.reap(0);
                    return;
                }
            }
        }
    }

    /// Waits for the end of the child, unless `options` has `WNOHANG`. Returns `true` if it has ended.
    fn reap(&mut self, options: usize) -> bool {
        let Some(pid) = self.pid else { return true };
        loop {
            match wait(pid, options) {
                Ok(false) => return false,
                Err(syscalls::Errno::EINTR) => {}
                // With an error, other code has already waited for it.
                Ok(true) | Err(_) => {
                    self.pid = None;
                    return true;
                }
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // If that fails, it ends later, since no other request comes.
        let _ = Request::EMPTY.send(0, &self.requests);
        self.reap(0);
    }
}

/// Executes requests until the last one, in the child.
fn serve(requests: &Fd, results: &Fd) {
    let mut request = Request::EMPTY;
    while request.receive(requests) {
        let result = match request.execute() {
            Ok(wd) => u64::from(wd.as_raw() as u32),
            Err(errno) => FAILED | u64::from(errno.as_raw() as u32),
        };
        if results.add_to_counter(EXECUTED | result).is_err() {
            return;
        }
    }
}

/// Calls `read`, which does not block, until it returns anything but `EAGAIN`, but not for long.
fn try_often<T>(mut read: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..TRIES {
        match read() {
            // With one processor, the other process needs it now.
            Err(Errno::EAGAIN) => yield_now(),
            done => return done,
        }
    }
    read()
}

/// Calls sched_yield(2).
fn yield_now() {
    // SAFETY: the kernel accesses no memory of this process.
    let _ = unsafe { syscall0(Sysno::sched_yield) };
}

/// Calls pipe2(2). Returns the end for reading and the end for writing, which do not block.
fn pipe() -> Result<[Fd; 2], Errno> {
    let mut fds: [c_int; 2] = [0; 2];
    // O_CLOEXEC and O_NONBLOCK are IN_CLOEXEC and IN_NONBLOCK: include/linux/inotify.h.
    let flags = InitFlags::CLOEXEC.union(InitFlags::NONBLOCK).bits() as usize;
    let to = (&raw mut fds) as usize;
    // SAFETY: the kernel writes two numbers to `fds`, which has room for them.
    unsafe { syscall2(Sysno::pipe2, to, flags) }.map_err(Errno::of)?;
    Ok(fds.map(|fd| Fd::new(fd as usize)))
}

/// Calls clone(2) with a copy of the memory. Returns zero in the child.
fn fork() -> Result<usize, Errno> {
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        // A second register distinguishes child and parent there.
        return Err(Errno::ENOSYS);
    }
    // Without a new stack, the child continues on its copy of this one. It sends no signal at its end.
    let (first, second) =
        if cfg!(target_arch = "s390x") { (0, CLONE_FILES) } else { (CLONE_FILES, 0) };
    // SAFETY: without CLONE_VM the child works on a copy of the memory, so it changes no memory of this
    // process. It shares the descriptors, but closes none: it ends by `exit`, which drops nothing.
    unsafe { syscall5(Sysno::clone, first, second, 0, 0, 0) }.map_err(Errno::of)
}

/// Calls exit_group(2).
fn exit() -> ! {
    loop {
        // SAFETY: the argument is a number, and the kernel accesses no memory of this process.
        let _ = unsafe { syscall1(Sysno::exit_group, 0) };
    }
}

/// Waits for a child: wait4(2). Returns `false` if it has not ended. `WALL` includes children that send no
/// signal.
#[cfg(not(target_arch = "riscv32"))]
fn wait(child: usize, options: usize) -> Result<bool, syscalls::Errno> {
    // SAFETY: the pointers for the status and the usage are null, so the kernel writes no memory of this
    // process. The other arguments are numbers.
    Ok(unsafe { syscall4(Sysno::wait4, child, 0, WALL | options, 0) }? != 0)
}

/// Waits for a child: waitid(2), because riscv32 has no wait4(2). Returns `false` if it has not ended.
#[cfg(target_arch = "riscv32")]
fn wait(child: usize, options: usize) -> Result<bool, syscalls::Errno> {
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    // `siginfo_t`. Its first field is the signal number, zero if no child has ended.
    let mut info = [0_u64; 16];
    let (to, options) = ((&raw mut info) as usize, WEXITED | WALL | options);
    // SAFETY: the kernel writes one `siginfo_t` (128 bytes) to `info`, which has that size. The pointer for the
    // usage is null. The other arguments are numbers.
    unsafe { syscall5(Sysno::waitid, P_PID, child, to, options, 0) }?;
    Ok(info[0] != 0)
}

/// Sets the signals that this thread blocks, and returns the previous ones: rt_sigprocmask(2).
fn set_signals(blocked: [u64; 2]) -> Result<[u64; 2], Errno> {
    let mut before = [0; 2];
    let (to, from) = ((&raw const blocked) as usize, (&raw mut before) as usize);
    // SAFETY: the kernel reads `SIGNALS` bytes of `blocked` and writes `SIGNALS` bytes of `before`. That
    // is at most 16 bytes, and both have 16.
    unsafe { syscall4(Sysno::rt_sigprocmask, SIG_SETMASK, to, from, SIGNALS) }
        .map_err(Errno::of)?;
    Ok(before)
}

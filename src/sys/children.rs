//! Adds a watch in a child process, which has its own working directory.

use core::ffi::CStr;

use syscalls::{Sysno, syscall1, syscall4, syscall5};

use super::errno::Errno;
use super::fd::Fd;
use crate::event::Wd;
use crate::flags::WatchMask;

/// include/uapi/linux/sched.h.
const CLONE_FILES: usize = 0x400;
/// include/uapi/linux/wait.h.
const WALL: usize = 0x4000_0000;
/// arch/*/include/uapi/asm/signal.h.
const SIG_SETMASK: usize = if MIPS { 3 } else { 2 };
/// The size of the kernel's `sigset_t`, in bytes.
const SIGNALS: usize = if MIPS { 16 } else { 8 };
const MIPS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

/// Set in the answer if the child's call failed. The lower half is the error, or else the watch.
const FAILED: u64 = 1 << 63;
/// Set in every answer, because a counter of zero means that there is no answer.
const ANSWERED: u64 = 1 << 32;

impl Fd {
    /// Calls inotify_add_watch(2) with a path relative to `dir`, without changing the working directory
    /// of any thread of this process.
    ///
    /// A child process makes the call, and has ended when this returns. It shares the descriptors of this
    /// process. It sends no signal when it ends, so no `SIGCHLD` handler and no wait for all children
    /// sees it. It runs no signal handler, accesses no memory but its stack, and answers through an
    /// eventfd.
    pub(crate) fn add_watch_in_child(
        &self,
        dir: &Self,
        path: &CStr,
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        let answer = Self::eventfd()?;
        // Otherwise a signal handler of this process could also run in the child.
        let before = set_signals([u64::MAX; 2])?;
        let child = fork();
        if child == Ok(0) {
            let added = dir.change_dir().and_then(|()| self.inotify_add_watch(path, mask));
            // If this fails, the parent finds no answer.
            let _ = answer.add_to_counter(
                ANSWERED
                    | match added {
                        Ok(wd) => u64::from(wd.as_raw() as u32),
                        Err(errno) => FAILED | u64::from(errno.as_raw() as u32),
                    },
            );
            exit();
        }
        let restored = set_signals(before);
        wait(child?);
        restored?;
        let mut bytes = [0; 8];
        // No answer: the child was killed, perhaps by a seccomp filter.
        answer.read(&mut bytes).map_err(|_| Errno::EPERM)?;
        let answer = u64::from_ne_bytes(bytes);
        let low = answer as u32 as i32;
        if answer & FAILED == 0 { Ok(Wd::from_raw(low)) } else { Err(Errno::from_raw(low)) }
    }
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

/// Waits until the child has ended. Any error but EINTR means that other code has already waited for it.
fn wait(child: usize) {
    while wait_once(child) == Err(syscalls::Errno::EINTR) {}
}

/// Calls wait4(2). `WALL` includes children that send no signal.
#[cfg(not(target_arch = "riscv32"))]
fn wait_once(child: usize) -> Result<usize, syscalls::Errno> {
    // SAFETY: the pointers for the status and the usage are null, so the kernel writes no memory of this
    // process. The other arguments are numbers.
    unsafe { syscall4(Sysno::wait4, child, 0, WALL, 0) }
}

/// Calls waitid(2), because riscv32 has no wait4(2).
#[cfg(target_arch = "riscv32")]
fn wait_once(child: usize) -> Result<usize, syscalls::Errno> {
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    // SAFETY: the pointers for the information and the usage are null, so the kernel writes no memory of
    // this process. The other arguments are numbers.
    unsafe { syscall5(Sysno::waitid, P_PID, child, 0, WEXITED | WALL, 0) }
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

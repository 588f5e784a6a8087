//! Calls in a process of their own.

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

/// Set in the answer of a child whose call failed; the lower half is the error, or the watch.
const FAILED: u64 = 1 << 63;
/// Set in each answer, so that none is zero, which is no answer.
const ANSWERED: u64 = 1 << 32;

impl Fd {
    /// inotify_add_watch(2), of a path that begins at `dir`, without changing the working directory
    /// of any thread of this process.
    ///
    /// That is done by a child process, which is gone when this returns. It shares the descriptors
    /// of this process, sends no signal when it ends (so that no `SIGCHLD` handler, and no wait for
    /// all children, sees it), runs no signal handler, and touches no memory but its stack. It
    /// answers through an eventfd.
    pub(crate) fn add_watch_in_child(
        &self,
        dir: &Self,
        path: &CStr,
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        let answer = Self::eventfd()?;
        // A handler of this process would run in the child, too.
        let before = set_signals([u64::MAX; 2])?;
        let child = fork();
        if child == Ok(0) {
            let added = dir.change_dir().and_then(|()| self.inotify_add_watch(path, mask));
            // Without an answer this was no way to add a watch.
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
        // Nothing there: the child was killed, perhaps by a seccomp filter.
        answer.read(&mut bytes).map_err(|_| Errno::EPERM)?;
        let answer = u64::from_ne_bytes(bytes);
        let low = answer as u32 as i32;
        if answer & FAILED == 0 { Ok(Wd::from_raw(low)) } else { Err(Errno::from_raw(low)) }
    }
}

/// clone(2) with a copy of the memory: zero in the child.
fn fork() -> Result<usize, Errno> {
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        // Parent and child are told apart by a second register there.
        return Err(Errno::ENOSYS);
    }
    // Without a new stack the child goes on with its copy of this one. No signal at its end.
    let (first, second) =
        if cfg!(target_arch = "s390x") { (0, CLONE_FILES) } else { (CLONE_FILES, 0) };
    // SAFETY: without CLONE_VM the child's memory is a copy, so nothing of ours is touched. Of
    // the descriptors, which are shared, the child closes none: it ends by `exit`, in which
    // nothing is dropped.
    unsafe { syscall5(Sysno::clone, first, second, 0, 0, 0) }.map_err(Errno::of)
}

/// exit_group(2).
fn exit() -> ! {
    loop {
        // SAFETY: takes a number, and touches no memory of ours.
        let _ = unsafe { syscall1(Sysno::exit_group, 0) };
    }
}

/// Waits until that child is gone. An error but EINTR says that it was waited for already.
fn wait(child: usize) {
    while wait_once(child) == Err(syscalls::Errno::EINTR) {}
}

/// wait4(2).
#[cfg(not(target_arch = "riscv32"))]
fn wait_once(child: usize) -> Result<usize, syscalls::Errno> {
    // SAFETY: takes numbers: where to put the status and the usage is null. `WALL` is for children that
    // send no signal.
    unsafe { syscall4(Sysno::wait4, child, 0, WALL, 0) }
}

/// waitid(2), where there is no wait4(2).
#[cfg(target_arch = "riscv32")]
fn wait_once(child: usize) -> Result<usize, syscalls::Errno> {
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    // SAFETY: as above.
    unsafe { syscall5(Sysno::waitid, P_PID, child, 0, WEXITED | WALL, 0) }
}

/// rt_sigprocmask(2): sets which signals this thread blocks, and gives those before.
fn set_signals(blocked: [u64; 2]) -> Result<[u64; 2], Errno> {
    let mut before = [0; 2];
    let (to, from) = ((&raw const blocked) as usize, (&raw mut before) as usize);
    // SAFETY: the kernel reads `SIGNALS` bytes of `blocked` and writes as many of `before`, which
    // both have 16.
    unsafe { syscall4(Sysno::rt_sigprocmask, SIG_SETMASK, to, from, SIGNALS) }
        .map_err(Errno::of)?;
    Ok(before)
}

//! Starts programs, sends signals, and reaps processes.

use core::ffi::{CStr, c_int};
use core::ptr;

use heapless::Vec;
use syscalls::{Sysno, syscall0, syscall2, syscall3, syscall4, syscall5};
use tinotify::{Errno, Fd};

use crate::Args;
use crate::sys::{self, errno};

/// A signal, by its number on x86-64 and aarch64 (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(pub u32);

impl Signal {
    pub const HUP: Self = Self(1);
    pub const INT: Self = Self(2);
    pub const KILL: Self = Self(9);
    pub const USR2: Self = Self(12);
    pub const TERM: Self = Self(15);
    pub const CHLD: Self = Self(17);
}

/// Blocks signals and reads them from a descriptor (signalfd(2)).
#[derive(Debug)]
pub struct Signals(Fd);

impl Signals {
    /// Blocks these signals, and makes them readable: rt_sigprocmask(2), signalfd4(2).
    pub fn block(signals: &[Signal]) -> Result<Self, Errno> {
        let mask = signals.iter().fold(0_u64, |mask, signal| mask | 1 << (signal.0 - 1));
        set_blocked(mask)?;
        let (mask, flags) =
            ((&raw const mask) as usize, (sys::O_CLOEXEC | sys::O_NONBLOCK) as usize);
        // SAFETY: the kernel reads eight bytes of the mask. -1 asks for a new descriptor.
        let fd = unsafe { syscall4(Sysno::signalfd4, -1_isize as usize, mask, 8, flags) }
            .map_err(errno)?;
        // SAFETY: the descriptor is new, and nothing else owns it.
        Ok(Self(unsafe { Fd::from_raw(fd as c_int) }))
    }

    /// Returns the next signal, or `None` if none is pending: read(2).
    pub fn next(&self) -> Option<Signal> {
        // `struct signalfd_siginfo`, whose first field is the number.
        let mut info = [0_u32; 32];
        let (to, len) = (info.as_mut_ptr() as usize, size_of_val(&info));
        // SAFETY: the kernel writes at most `len` bytes to `info`; any bytes are valid there.
        let got = unsafe { syscall3(Sysno::read, self.0.as_raw() as usize, to, len) };
        let [signal, ..] = info;
        (got == Ok(len)).then_some(Signal(signal))
    }

    /// Returns the descriptor, to poll it.
    #[must_use]
    pub fn as_raw(&self) -> c_int {
        self.0.as_raw()
    }
}

/// Sets the mask of blocked signals: rt_sigprocmask(2) with `SIG_SETMASK`.
fn set_blocked(mask: u64) -> Result<(), Errno> {
    const SIG_SETMASK: usize = 2;
    // SAFETY: the kernel reads eight bytes of the mask. The process has no signal handlers.
    unsafe { syscall4(Sysno::rt_sigprocmask, SIG_SETMASK, (&raw const mask) as usize, 0, 8) }
        .map_err(errno)?;
    Ok(())
}

/// Sends a signal to the process group of a process from [`spawn`](Command::spawn): kill(2).
pub fn kill(pid: c_int, signal: Signal) {
    // SAFETY: the arguments are numbers, and the call accesses no memory of this process.
    let _ = unsafe { syscall2(Sysno::kill, -pid as usize, signal.0 as usize) };
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit status.
    Status(u8),
    /// By this signal.
    Signal(Signal),
}

/// Returns the number of a child that has ended, and how it ended; `None` if there is none: wait4(2).
#[must_use]
pub fn reap() -> Option<(c_int, Exit)> {
    const WNOHANG: usize = 1;
    let mut status: c_int = 0;
    let to = (&raw mut status) as usize;
    // SAFETY: the kernel writes an int to `status`. With a null it writes no resource usage.
    let pid = unsafe { syscall4(Sysno::wait4, -1_isize as usize, to, WNOHANG, 0) };
    let pid = pid.ok().filter(|&pid| pid != 0)?;
    let exit = match status & 0x7F {
        0 => Exit::Status((status >> 8) as u8),
        signal => Exit::Signal(Signal(signal as u32)),
    };
    Some((pid as c_int, exit))
}

/// The maximum number of words of a command.
const MAX_WORDS: usize = 32;

/// A program and its arguments.
#[derive(Debug)]
pub struct Command {
    /// All words, each with a NUL after it.
    bytes: Vec<u8, 1024>,
}

impl Command {
    /// Splits a line at its blanks. Returns `None` if it does not begin with a slash, or is too long.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut bytes = Vec::new();
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let words = line.split(is_blank).filter(|word| !word.is_empty());
        for (number, word) in words.enumerate() {
            if number >= MAX_WORDS || word.contains(&0) {
                return None;
            }
            bytes.extend_from_slice(word).ok()?;
            bytes.push(0).ok()?;
        }
        bytes.starts_with(b"/").then_some(Self { bytes })
    }

    /// Starts the program in a new session, with the environment of this process and no signal blocked:
    /// clone(2), then setsid(2) and execve(2) in the child. Returns the number of the process. It exits
    /// with 127 if the program can't be run.
    pub fn spawn(&self, args: Args) -> Result<c_int, Errno> {
        let mut words = [ptr::null::<u8>(); MAX_WORDS + 1];
        let starts = self.bytes.split_inclusive(|&byte| byte == 0).map(<[u8]>::as_ptr);
        for (word, start) in words.iter_mut().zip(starts) {
            *word = start;
        }
        // Continue after the child has called execve: it then leads a process group, to which signals can be
        // sent.
        const CLONE_VFORK: usize = 0x4000;
        let flags = CLONE_VFORK | Signal::CHLD.0 as usize;
        // SAFETY: like fork(2): without CLONE_VM the child has a copy of all memory. This process has no
        // other thread.
        let pid = unsafe { syscall5(Sysno::clone, flags, 0, 0, 0, 0) }.map_err(errno)?;
        if pid != 0 {
            return Ok(pid as c_int);
        }
        // SAFETY: no arguments. It does not fail, because a new process leads no group.
        let _ = unsafe { syscall0(Sysno::setsid) };
        let _ = set_blocked(0);
        let (words, environment) = (words.as_ptr() as usize, args.environment() as usize);
        let program = self.bytes.as_ptr() as usize;
        // SAFETY: the words and the environment are strings with a NUL, and both lists end with a null. The
        // call returns only if it fails.
        let failed = unsafe { syscall3(Sysno::execve, program, words, environment) };
        if let (Err(errno), Ok(program)) = (failed, CStr::from_bytes_until_nul(&self.bytes)) {
            crate::say!("{}: {}", program.to_bytes().escape_ascii(), sys::errno(errno));
        }
        sys::exit(127)
    }
}

/// What to do with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Machine {
    Restart = 0x0123_4567,
    PowerOff = 0x4321_FEDC,
}

/// Restarts the machine or switches it off: sync(2), reboot(2). Returns only if it is not permitted.
pub fn reboot(what: Machine) -> Errno {
    const MAGIC: (usize, usize) = (0xFEE1_DEAD, 672_274_793);
    // SAFETY: no arguments.
    let _ = unsafe { syscall0(Sysno::sync) };
    // SAFETY: the arguments are numbers. If it succeeds, this process ends.
    match unsafe { syscall3(Sysno::reboot, MAGIC.0, MAGIC.1, what as usize) } {
        Ok(_) => Errno::EINTR,
        Err(error) => errno(error),
    }
}

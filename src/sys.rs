//! The raw system calls, and the only `unsafe` in this crate.
//!
//! Each function here is one system call (`poll` may be two on 32-bit kernels before 5.1), wrapped so
//! that no caller can break memory safety through it.

#![allow(unsafe_code)]

use core::ffi::{CStr, c_int, c_short};
use core::fmt;
use core::mem::ManuallyDrop;
use core::time::Duration;

use syscalls::{Sysno, syscall1, syscall2, syscall3, syscall5};

use crate::event::Wd;
use crate::flags::{InitFlags, WatchMask};

/// An error number of the kernel (errno(3)).
///
/// Prints as `ENOSPC (No space left on device)`; what that means for a call, and what helps, is in
/// [`Error`](crate::Error). Names and numbers are those of most architectures; mips and sparc number
/// some in their own way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Errno(syscalls::Errno);

macro_rules! errnos {
    ($($name:ident: $what:literal,)*) => {
        impl Errno {
            $(#[doc = $what] pub const $name: Self = Self(syscalls::Errno::$name);)*
        }
    };
}

errnos! {
    EACCES: "No permission to read the path, or to search a directory on the way.",
    EAGAIN: "Nothing is queued, and the descriptor does not block.",
    EBADF: "Not an open descriptor.",
    EEXIST: "The inode is watched already, and the mask said `MASK_CREATE`.",
    EFAULT: "An address outside of the process.",
    EINTR: "A signal handler ran first.",
    EINVAL: "An argument that makes no sense to the call.",
    EIO: "Reading or writing failed, or gave what makes no sense.",
    ELOOP: "Too many symbolic links on the way.",
    EMFILE: "A limit of this user or process is reached.",
    ENAMETOOLONG: "A path or a name that is too long.",
    ENFILE: "The limit of open files of the whole system is reached.",
    ENODEV: "No such device.",
    ENOENT: "No such file or directory.",
    ENOMEM: "The kernel has no memory left.",
    ENOSPC: "The limit of watches is reached.",
    ENOSYS: "The kernel has no such system call.",
    ENOTDIR: "Not a directory.",
    ENOTTY: "The descriptor is not of a kind that knows the request.",
    EPERM: "Not permitted, often by a seccomp filter.",
    ESTALE: "What was looked for is not there any more; something else may be.",
}

impl Errno {
    /// The error of that number.
    #[must_use]
    pub fn from_raw(raw: i32) -> Self {
        Self(syscalls::Errno::new(raw))
    }

    /// The number, which is positive.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0.into_raw()
    }

    /// The name, such as `"ENOSPC"`; `None` if it has none.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.0.name()
    }

    /// The general meaning, such as `"No space left on device"`; `None` if the number has none.
    #[must_use]
    pub fn description(self) -> Option<&'static str> {
        self.0.description()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.as_raw()),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.description()) {
            (Some(name), Some(description)) => write!(f, "{name} ({description})"),
            _ => write!(f, "error number {}", self.as_raw()),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.as_raw())
    }
}

impl From<syscalls::Errno> for Errno {
    fn from(errno: syscalls::Errno) -> Self {
        Self(errno)
    }
}

/// A file descriptor that is closed on drop: what `OwnedFd` is, where there is no `std`.
///
/// ```
/// # #[cfg(not(miri))] {
/// use tinotify::{Fd, InitFlags, Inotify};
///
/// // Hand an instance over a boundary that knows plain numbers only.
/// let raw = Fd::from(Inotify::init(InitFlags::empty())?).into_raw();
/// // SAFETY: `raw` was given up one line above, and nobody else has it.
/// let inotify = Inotify::from(unsafe { Fd::from_raw(raw) });
/// # drop(inotify);
/// # }
/// # Ok::<(), tinotify::Error>(())
/// ```
#[derive(Debug)]
pub struct Fd(c_int);

impl Fd {
    /// Takes ownership of a descriptor.
    ///
    /// # Safety
    ///
    /// `raw` is open, nobody else owns it, and closing it is all the clean-up it needs.
    #[must_use]
    pub const unsafe fn from_raw(raw: c_int) -> Self {
        Self(raw)
    }

    /// The descriptor's number; it stays owned here.
    #[must_use]
    pub const fn as_raw(&self) -> c_int {
        self.0
    }

    /// The descriptor's number; closing it is the caller's business now.
    #[must_use]
    pub fn into_raw(self) -> c_int {
        ManuallyDrop::new(self).0
    }

    /// As a system call wants it: sign-extended, as C does.
    const fn arg(&self) -> usize {
        self.0 as usize
    }

    /// inotify_init1(2).
    pub(crate) fn inotify_init(flags: InitFlags) -> Result<Self, Errno> {
        // SAFETY: takes a number, and touches no memory of ours.
        let fd = unsafe { syscall1(Sysno::inotify_init1, flags.bits() as usize) }?;
        // The kernel's descriptors fit an int, and this one is new: nobody else owns it.
        Ok(Self(fd as c_int))
    }

    /// inotify_add_watch(2).
    pub(crate) fn inotify_add_watch(&self, path: &CStr, mask: WatchMask) -> Result<Wd, Errno> {
        let (path, mask) = (path.as_ptr() as usize, mask.bits() as usize);
        // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
        let wd = unsafe { syscall3(Sysno::inotify_add_watch, self.arg(), path, mask) }?;
        Ok(Wd::from_raw(wd as c_int))
    }

    /// inotify_rm_watch(2).
    pub(crate) fn inotify_rm_watch(&self, wd: Wd) -> Result<(), Errno> {
        let wd = wd.as_raw() as usize;
        // SAFETY: takes numbers, and touches no memory of ours.
        unsafe { syscall2(Sysno::inotify_rm_watch, self.arg(), wd) }?;
        Ok(())
    }

    /// read(2): the number of bytes, at most `buffer.len()`.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (address, len) = (buffer.as_mut_ptr() as usize, buffer.len());
        // SAFETY: the kernel writes at most `len` bytes from `address` on, which `buffer` lends for
        // writing; any bytes are valid there.
        let len = unsafe { syscall3(Sysno::read, self.arg(), address, len) }?;
        Ok(len)
    }

    /// `FIONREAD` of ioctl(2): the bytes that can be read at once.
    pub(crate) fn queued_bytes(&self) -> Result<usize, Errno> {
        let mut queued: c_int = 0;
        let address = (&raw mut queued) as usize;
        // SAFETY: FIONREAD writes an int, and `queued` is one (ioctl_fionread(2), put_user of an int
        // in fs/notify/inotify/inotify_user.c).
        unsafe { syscall3(Sysno::ioctl, self.arg(), FIONREAD, address) }?;
        Ok(usize::try_from(queued).unwrap_or(0))
    }

    /// ppoll(2) for reading: whether a read would not block, after at most `timeout`.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> Result<bool, Errno> {
        let [ready] = poll([self], timeout)?;
        Ok(ready)
    }

    /// eventfd2(2): a counter that becomes readable when something is added to it.
    #[cfg(feature = "alloc")]
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
    pub(crate) fn eventfd() -> Result<Self, Errno> {
        // EFD_CLOEXEC and EFD_NONBLOCK are the same bits as those of inotify (eventfd.h).
        let flags = InitFlags::CLOEXEC.union(InitFlags::NONBLOCK).bits() as usize;
        // SAFETY: takes numbers, and touches no memory of ours.
        let fd = unsafe { syscall2(Sysno::eventfd2, 0, flags) }?;
        Ok(Self(fd as c_int))
    }

    /// write(2) of one to an eventfd.
    #[cfg(feature = "std")]
    pub(crate) fn signal(&self) -> Result<(), Errno> {
        self.add_to_counter(1)
    }

    /// write(2) to an eventfd.
    #[cfg(feature = "alloc")]
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
    fn add_to_counter(&self, value: u64) -> Result<(), Errno> {
        let address = (&raw const value) as usize;
        loop {
            // SAFETY: the kernel reads the eight bytes of `value`.
            match unsafe { syscall3(Sysno::write, self.arg(), address, size_of::<u64>()) } {
                Ok(_) => return Ok(()),
                Err(syscalls::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// `F_SETFD` of fcntl(2): whether execve(2) closes the descriptor.
    #[cfg(feature = "std")]
    pub(crate) fn set_cloexec(&self, cloexec: bool) -> Result<(), Errno> {
        const F_SETFD: usize = 2;
        // SAFETY: takes numbers, and touches no memory of ours. FD_CLOEXEC is 1.
        unsafe { syscall3(FCNTL, self.arg(), F_SETFD, usize::from(cloexec)) }?;
        Ok(())
    }

    /// close(2). On Linux the descriptor is gone whatever the answer.
    pub(crate) fn close(self) -> Result<(), Errno> {
        let fd = ManuallyDrop::new(self);
        // SAFETY: the descriptor is owned here, and used no more.
        unsafe { syscall1(Sysno::close, fd.arg()) }?;
        Ok(())
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is owned here, and this is its last use. The answer tells nothing
        // that could be acted on: the descriptor is gone either way.
        let _ = unsafe { syscall1(Sysno::close, self.arg()) };
    }
}

/// The `FIONREAD` request: arch/*/include/uapi/asm/ioctls.h.
const FIONREAD: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x467F
} else if cfg!(any(
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc",
    target_arch = "sparc64"
)) {
    0x4004_667F
} else {
    0x541B
};

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
    let mut polls = fds.map(|fd| PollFd { fd: fd.0, events: POLLIN, revents: 0 });
    ppoll(&mut polls, timeout)?;
    if polls.iter().any(|poll| poll.revents & POLLNVAL != 0) {
        return Err(Errno::EBADF);
    }
    Ok(polls.map(|poll| poll.revents != 0))
}

#[cfg(all(feature = "std", target_pointer_width = "64"))]
const FCNTL: Sysno = Sysno::fcntl;
#[cfg(all(feature = "std", target_pointer_width = "32"))]
const FCNTL: Sysno = Sysno::fcntl64;

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
    Ok(ready?)
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
    Ok(unsafe { syscall5(Sysno::ppoll, fds, len, time, 0, 0) }?)
}

/// What trees need to look at directories: paths beneath descriptors, listing, identity.
///
/// A path is resolved beneath `dir`, or beneath the working directory where that is `None`.
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod directories {
    use core::ffi::{CStr, c_int};
    use core::mem::MaybeUninit;

    use syscalls::{Sysno, syscall1, syscall3, syscall4, syscall5};

    use super::{Errno, Fd};
    use crate::flags::InitFlags;

    // How a directory is opened: arch/*/include/uapi/asm/fcntl.h.
    const O_DIRECTORY: u32 = if NUMBERED_AS_ARM { 0x4000 } else { 0x1_0000 };
    const O_NOFOLLOW: u32 = if NUMBERED_AS_ARM { 0x8000 } else { 0x2_0000 };
    const O_PATH: u32 = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        0x100_0000
    } else {
        0x20_0000
    };
    // The same bit, says include/linux/inotify.h.
    const O_CLOEXEC: u32 = InitFlags::CLOEXEC.bits();

    const NUMBERED_AS_ARM: bool = cfg!(any(
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "m68k",
        target_arch = "powerpc",
        target_arch = "powerpc64"
    ));

    // The same on each architecture: include/uapi/linux/{fcntl,openat2,stat,sched}.h.
    const AT_FDCWD: usize = -100_isize as usize;
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    const AT_NO_AUTOMOUNT: usize = 0x800;
    const AT_EMPTY_PATH: usize = 0x1000;
    const RESOLVE_NO_MAGICLINKS: u64 = 0x2;
    const RESOLVE_NO_SYMLINKS: u64 = 0x4;
    const RESOLVE_BENEATH: u64 = 0x8;
    const STATX_BASIC_STATS: usize = 0x7FF;
    #[cfg(feature = "std")]
    const CLONE_FS: usize = 0x200;

    pub(super) const S_IFMT: u16 = 0o17_0000;
    pub(super) const S_IFDIR: u16 = 0o4_0000;

    fn at(dir: Option<&Fd>) -> usize {
        dir.map_or(AT_FDCWD, Fd::arg)
    }

    /// `struct open_how` of openat2(2).
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }

    /// `struct statx_timestamp`.
    #[repr(C)]
    struct StatxTime {
        sec: i64,
        nsec: u32,
        spare: i32,
    }

    /// `struct statx` of statx(2).
    #[repr(C)]
    struct Statx {
        mask: u32,
        blksize: u32,
        attributes: u64,
        nlink: u32,
        uid: u32,
        gid: u32,
        mode: u16,
        spare0: u16,
        ino: u64,
        size: u64,
        blocks: u64,
        attributes_mask: u64,
        atime: StatxTime,
        btime: StatxTime,
        ctime: StatxTime,
        mtime: StatxTime,
        rdev_major: u32,
        rdev_minor: u32,
        dev_major: u32,
        dev_minor: u32,
        spare: [u64; 14],
    }

    const _: () = assert!(size_of::<Statx>() == 256);

    /// What [`Fd::stat`] tells.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Status {
        pub(crate) is_dir: bool,
        /// Zero where the file system does not say.
        pub(crate) nlink: u32,
        pub(crate) dev: u64,
        pub(crate) ino: u64,
        pub(crate) size: u64,
        /// Seconds since 1970, and nanoseconds.
        pub(crate) mtime: (i64, u32),
    }

    /// Room for what [`Fd::entries`] gives, aligned as the kernel's records are.
    #[repr(C, align(8))]
    pub(crate) struct EntryBuffer<const N: usize>(pub(crate) [u8; N]);

    /// What [`Fd::stat`] is to do where the last name is a symbolic link.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Links {
        Follow,
        Keep,
    }

    impl Fd {
        /// openat(2) with `O_PATH`: a directory, to look beneath. Makes no event, and needs no
        /// permission to read.
        pub(crate) fn open_dir(
            dir: Option<&Self>,
            path: &CStr,
            links: Links,
        ) -> Result<Self, Errno> {
            let last = if links == Links::Keep { O_NOFOLLOW } else { 0 };
            Self::openat(dir, path, O_PATH | last)
        }

        /// openat(2) of a directory, to list it.
        pub(crate) fn open_list(dir: Option<&Self>, path: &CStr) -> Result<Self, Errno> {
            Self::openat(dir, path, 0)
        }

        fn openat(dir: Option<&Self>, path: &CStr, flags: u32) -> Result<Self, Errno> {
            let flags = (flags | O_DIRECTORY | O_CLOEXEC) as usize;
            // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
            let fd = unsafe { syscall3(Sysno::openat, at(dir), path.as_ptr() as usize, flags) }?;
            // A new descriptor, which nobody else owns.
            Ok(Self(fd as c_int))
        }

        /// openat2(2) with `O_PATH`: a directory beneath this one, no link being followed. Linux 5.6.
        pub(crate) fn open_beneath(&self, path: &CStr) -> Result<Self, Errno> {
            let how = OpenHow {
                flags: u64::from(O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC),
                mode: 0,
                resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
            };
            let (path, how) = (path.as_ptr() as usize, (&raw const how) as usize);
            // SAFETY: the kernel reads `path` up to its NUL, and as many bytes of `how` as it has.
            let fd =
                unsafe { syscall4(Sysno::openat2, self.arg(), path, how, size_of::<OpenHow>()) }?;
            Ok(Self(fd as c_int))
        }

        /// getdents64(2): as many records as fit; none at the end.
        pub(crate) fn entries<'b, const N: usize>(
            &self,
            buffer: &'b mut EntryBuffer<N>,
        ) -> Result<&'b [u8], Errno> {
            let address = buffer.0.as_mut_ptr() as usize;
            // SAFETY: the kernel writes at most `N` bytes from `address` on, which `buffer` lends for
            // writing; any bytes are valid there.
            let len = unsafe { syscall3(Sysno::getdents64, self.arg(), address, N) }?;
            Ok(buffer.0.get(..len).unwrap_or_default())
        }

        /// statx(2), or fstatat(2) where that is missing; the empty path is `dir` itself.
        pub(crate) fn stat(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Status, Errno> {
            let empty = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
            let last = if links == Links::Keep { AT_SYMLINK_NOFOLLOW } else { 0 };
            let flags = AT_NO_AUTOMOUNT | empty | last;
            match Self::statx(dir, path, flags) {
                // A kernel before 4.11, or a seccomp filter from those days.
                Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => {
                    super::old_stat::stat(at(dir), path, flags).unwrap_or(Err(errno))
                }
                answer => answer,
            }
        }

        /// statx(2), Linux 4.11.
        fn statx(dir: Option<&Self>, path: &CStr, flags: usize) -> Result<Status, Errno> {
            let mut status = MaybeUninit::<Statx>::uninit();
            let (path, to) = (path.as_ptr() as usize, status.as_mut_ptr() as usize);
            // SAFETY: the kernel reads `path` up to its NUL, and writes one `struct statx`, of 256
            // bytes for ever, at `to`, which is of that size.
            unsafe { syscall5(Sysno::statx, at(dir), path, flags, STATX_BASIC_STATS, to) }?;
            // SAFETY: the call succeeded, so the kernel wrote all of it (cp_statx in fs/stat.c copies
            // a cleared one); any bytes are valid integers.
            let status = unsafe { status.assume_init_ref() };
            const STATX_NLINK: u32 = 0x4;
            Ok(Status {
                is_dir: status.mode & S_IFMT == S_IFDIR,
                nlink: if status.mask & STATX_NLINK != 0 { status.nlink } else { 0 },
                dev: u64::from(status.dev_major) << 32 | u64::from(status.dev_minor),
                ino: status.ino,
                size: status.size,
                mtime: (status.mtime.sec, status.mtime.nsec),
            })
        }

        /// fstatfs(2): the magic number of the file system (include/uapi/linux/magic.h).
        pub(crate) fn file_system(&self) -> Result<u32, Errno> {
            // More than any architecture writes; aligned as its longest field.
            let mut status = [0_u64; 32];
            let to = status.as_mut_ptr() as usize;
            #[cfg(target_pointer_width = "64")]
            // SAFETY: the kernel writes one `struct statfs` (120 bytes) at `to`, where 256 are.
            unsafe { syscalls::syscall2(Sysno::fstatfs, self.arg(), to) }?;
            #[cfg(target_pointer_width = "32")]
            // SAFETY: the kernel writes `STATFS64` bytes at `to`, where 256 are, or refuses.
            unsafe { syscall3(Sysno::fstatfs64, self.arg(), STATFS64, to) }?;
            // The first field: 32 bits, or 64 of which the higher say nothing.
            let [first, ..] = status;
            let halves = [first as u32, (first >> 32) as u32];
            let [low, high] = halves;
            let is_long = cfg!(target_pointer_width = "64") && !cfg!(target_arch = "s390x");
            Ok(if cfg!(target_endian = "little") || is_long { low } else { high })
        }

        /// fchdir(2): the working directory of all that share it with this thread.
        pub(crate) fn change_dir(&self) -> Result<(), Errno> {
            // SAFETY: takes a number, and touches no memory of ours.
            unsafe { syscall1(Sysno::fchdir, self.arg()) }?;
            Ok(())
        }
    }

    /// The size of `struct statfs64`, which the kernel wants to be told.
    #[cfg(target_pointer_width = "32")]
    const STATFS64: usize = if cfg!(target_arch = "x86") {
        84
    } else if cfg!(target_arch = "mips") {
        96
    } else {
        // arm packs it into 84, and takes this for the same.
        88
    };

    /// chdir(2) to `/`: of all that share the working directory with this thread.
    #[cfg(feature = "std")]
    pub(crate) fn leave_working_dir() -> Result<(), Errno> {
        // SAFETY: the kernel reads the path up to its NUL.
        unsafe { syscall1(Sysno::chdir, c"/".as_ptr() as usize) }?;
        Ok(())
    }

    /// `CLONE_FS` of unshare(2): from now on this thread has a working directory (and a root and a
    /// umask) of its own.
    #[cfg(feature = "std")]
    pub(crate) fn unshare_working_dir() -> Result<(), Errno> {
        // SAFETY: takes a number, and touches no memory of ours.
        unsafe { syscall1(Sysno::unshare, CLONE_FS) }?;
        Ok(())
    }
}

#[cfg(feature = "alloc")]
pub(crate) use directories::{EntryBuffer, Links, Status};
/// fstatat(2), for kernels before 4.11.
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod old_stat {
    use core::ffi::CStr;

    use syscalls::{Sysno, syscall4};

    use super::directories::{S_IFDIR, S_IFMT};
    use super::{EntryBuffer, Errno, Status};

    /// The call; `None` where no kernel is without statx(2), or none is known.
    const CALL: Option<Sysno> = call();

    #[cfg(target_arch = "aarch64")]
    const fn call() -> Option<Sysno> {
        Some(Sysno::fstatat)
    }

    #[cfg(any(
        target_arch = "x86_64",
        target_arch = "riscv64",
        target_arch = "powerpc64",
        target_arch = "s390x",
        target_arch = "mips64",
    ))]
    const fn call() -> Option<Sysno> {
        Some(Sysno::newfstatat)
    }

    #[cfg(any(
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "mips",
    ))]
    const fn call() -> Option<Sysno> {
        Some(Sysno::fstatat64)
    }

    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "powerpc64",
        target_arch = "s390x",
        target_arch = "mips64",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "mips",
    )))]
    const fn call() -> Option<Sysno> {
        None
    }

    /// Where the fields of `struct stat` are, on 32 bits of `struct stat64`:
    /// arch/*/include/uapi/asm/stat.h, include/uapi/asm-generic/stat.h.
    struct Layout {
        dev: Field,
        ino: Field,
        mode: Field,
        nlink: Field,
        size: Field,
        mtime: Field,
        mtime_nsec: Field,
    }

    /// The offset and the size of an integer, in bytes.
    #[derive(Clone, Copy)]
    struct Field(usize, usize);

    /// Of aarch64 and riscv64, and the start for the others.
    const GENERIC: Layout = Layout {
        dev: Field(0, 8),
        ino: Field(8, 8),
        mode: Field(16, 4),
        nlink: Field(20, 4),
        size: Field(48, 8),
        mtime: Field(88, 8),
        mtime_nsec: Field(96, 8),
    };

    const LAYOUT: Layout = if cfg!(any(target_arch = "x86_64", target_arch = "powerpc64")) {
        Layout { nlink: Field(16, 8), mode: Field(24, 4), ..GENERIC }
    } else if cfg!(target_arch = "s390x") {
        Layout {
            nlink: Field(16, 8),
            mode: Field(24, 4),
            mtime: Field(72, 8),
            mtime_nsec: Field(80, 8),
            ..GENERIC
        }
    } else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        Layout {
            dev: Field(0, 4),
            ino: Field(16, 8),
            mode: Field(24, 4),
            nlink: Field(28, 4),
            size: Field(56, 8),
            mtime: Field(72, 4),
            mtime_nsec: Field(76, 4),
        }
    } else if cfg!(target_arch = "x86") {
        // Eight bytes are aligned to four here.
        Layout {
            ino: Field(88, 8),
            size: Field(44, 8),
            mtime: Field(72, 4),
            mtime_nsec: Field(76, 4),
            ..GENERIC
        }
    } else if cfg!(target_arch = "arm") {
        Layout { ino: Field(96, 8), mtime: Field(80, 4), mtime_nsec: Field(84, 4), ..GENERIC }
    } else if cfg!(target_arch = "powerpc") {
        Layout { mtime: Field(80, 4), mtime_nsec: Field(84, 4), ..GENERIC }
    } else {
        GENERIC
    };

    impl Field {
        fn of(self, bytes: &[u8]) -> Option<i64> {
            let Self(at, len) = self;
            let bytes = bytes.get(at..)?;
            if len == 8 {
                bytes.first_chunk().map(|bytes| i64::from_ne_bytes(*bytes))
            } else {
                bytes.first_chunk().map(|bytes| i64::from(i32::from_ne_bytes(*bytes)))
            }
        }
    }

    /// `None` where there is no such call.
    pub(super) fn stat(dir: usize, path: &CStr, flags: usize) -> Option<Result<Status, Errno>> {
        let call = CALL?;
        // More than any architecture writes, which is 144 bytes at most.
        let mut buffer = EntryBuffer([0; 256]);
        let (path, to) = (path.as_ptr() as usize, buffer.0.as_mut_ptr() as usize);
        // SAFETY: the kernel reads `path` up to its NUL, and writes one `struct stat` at `to`, where
        // there is room for it, aligned for its longest field.
        let done = unsafe { syscall4(call, dir, path, to, flags) };
        let status = done.map_err(Errno::from).and_then(|_| status(&buffer.0).ok_or(Errno::EIO));
        Some(status)
    }

    fn status(bytes: &[u8]) -> Option<Status> {
        let mode = LAYOUT.mode.of(bytes)? as u32;
        // As the kernel packs it (new_encode_dev in include/linux/kdev_t.h).
        let dev = LAYOUT.dev.of(bytes)? as u32;
        let (major, minor) = (dev >> 8 & 0xFFF, dev & 0xFF | dev >> 12 & 0xF_FF00);
        Some(Status {
            is_dir: mode & u32::from(S_IFMT) == u32::from(S_IFDIR),
            nlink: u32::try_from(LAYOUT.nlink.of(bytes)?).unwrap_or(0),
            dev: u64::from(major) << 32 | u64::from(minor),
            ino: LAYOUT.ino.of(bytes)? as u64,
            size: LAYOUT.size.of(bytes)? as u64,
            mtime: (LAYOUT.mtime.of(bytes)?, LAYOUT.mtime_nsec.of(bytes)? as u32),
        })
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    mod tests {
        use super::super::{Fd, Links};
        use super::*;

        #[test]
        fn the_older_call_gives_the_same() {
            if CALL.is_none() {
                return;
            }
            const AT_FDCWD: usize = -100_isize as usize;
            const AT_SYMLINK_NOFOLLOW: usize = 0x100;
            for path in [c"/", c"/dev/null", c"/proc/self", c"Cargo.toml", c"src", c"/tmp"] {
                let old = stat(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).unwrap();
                assert_eq!(old, Fd::stat(None, path, Links::Keep), "{path:?}");
            }
            let none = stat(AT_FDCWD, c"/none", 0).unwrap();
            assert_eq!(none, Err(Errno::ENOENT));
        }
    }
}

/// Calls in a process of their own.
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod child {
    use core::ffi::CStr;

    use syscalls::{Sysno, syscall1, syscall4, syscall5};

    use super::{Errno, Fd};
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
        Ok(unsafe { syscall5(Sysno::clone, first, second, 0, 0, 0) }?)
    }

    /// exit_group(2).
    fn exit() -> ! {
        loop {
            // SAFETY: takes a number, and touches no memory of ours.
            let _ = unsafe { syscall1(Sysno::exit_group, 0) };
        }
    }

    /// wait4(2) until that child is gone.
    fn wait(child: usize) {
        // SAFETY: takes numbers: where to put the status and the usage is null. `WALL` is for
        // children that send no signal. An error but EINTR says that it was waited for already.
        while unsafe { syscall4(Sysno::wait4, child, 0, WALL, 0) } == Err(syscalls::Errno::EINTR) {}
    }

    /// rt_sigprocmask(2): sets which signals this thread blocks, and gives those before.
    fn set_signals(blocked: [u64; 2]) -> Result<[u64; 2], Errno> {
        let mut before = [0; 2];
        let (to, from) = ((&raw const blocked) as usize, (&raw mut before) as usize);
        // SAFETY: the kernel reads `SIGNALS` bytes of `blocked` and writes as many of `before`, which
        // both have 16.
        unsafe { syscall4(Sysno::rt_sigprocmask, SIG_SETMASK, to, from, SIGNALS) }?;
        Ok(before)
    }
}

#[cfg(feature = "std")]
pub(crate) use directories::{leave_working_dir, unshare_working_dir};

#[cfg(feature = "std")]
mod owned {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

    use super::Fd;

    impl AsFd for Fd {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: the descriptor is owned by `self`, and open as long as that lives.
            unsafe { BorrowedFd::borrow_raw(self.0) }
        }
    }

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0
        }
    }

    impl From<OwnedFd> for Fd {
        fn from(fd: OwnedFd) -> Self {
            Self(fd.into_raw_fd())
        }
    }

    impl From<Fd> for OwnedFd {
        fn from(fd: Fd) -> Self {
            // SAFETY: the descriptor was owned by `fd`, and is given up here.
            unsafe { Self::from_raw_fd(fd.into_raw()) }
        }
    }
}

//! What trees need of directories, and of /proc: opening, listing.
//!
//! A path is resolved beneath `dir`, or beneath the working directory where that is `None`.

use core::ffi::CStr;

use syscalls::{Sysno, syscall1, syscall3, syscall4};

use super::errno::Errno;
use super::fd::Fd;
use super::status::{Links, at};
use crate::flags::InitFlags;

// How a directory is opened: arch/*/include/uapi/asm/fcntl.h.
const O_DIRECTORY: u32 = if NUMBERED_AS_ARM { 0x4000 } else { 0x1_0000 };
const O_NOFOLLOW: u32 = if NUMBERED_AS_ARM { 0x8000 } else { 0x2_0000 };
const O_PATH: u32 =
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x100_0000 } else { 0x20_0000 };
// The same bit, says include/linux/inotify.h.
const O_CLOEXEC: u32 = InitFlags::CLOEXEC.bits();

const NUMBERED_AS_ARM: bool = cfg!(any(
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "m68k",
    target_arch = "powerpc",
    target_arch = "powerpc64"
));

// include/uapi/linux/openat2.h.
const RESOLVE_NO_MAGICLINKS: u64 = 0x2;
const RESOLVE_NO_SYMLINKS: u64 = 0x4;
const RESOLVE_BENEATH: u64 = 0x8;

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Room for what [`Fd::entries`] gives, aligned as the kernel's records are.
#[repr(C, align(8))]
pub(crate) struct EntryBuffer<const N: usize>(pub(crate) [u8; N]);

impl Fd {
    /// openat(2) with `O_PATH`: a directory, to look beneath. Makes no event, and needs no
    /// permission to read.
    pub(crate) fn open_dir(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Self, Errno> {
        let last = if links == Links::Keep { O_NOFOLLOW } else { 0 };
        Self::openat(dir, path, O_PATH | O_DIRECTORY | last)
    }

    /// openat(2) of a directory, to list it. Makes `OPEN` events, and needs the permission to read.
    pub(crate) fn open_list(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Self, Errno> {
        let last = if links == Links::Keep { O_NOFOLLOW } else { 0 };
        Self::openat(dir, path, O_DIRECTORY | last)
    }

    /// openat(2) of a file, to read it.
    pub(crate) fn open_file(path: &CStr) -> Result<Self, Errno> {
        Self::openat(None, path, 0)
    }

    fn openat(dir: Option<&Self>, path: &CStr, flags: u32) -> Result<Self, Errno> {
        let flags = (flags | O_CLOEXEC) as usize;
        // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes nothing.
        let fd = unsafe { syscall3(Sysno::openat, at(dir), path.as_ptr() as usize, flags) }
            .map_err(Errno::of)?;
        Ok(Self::new(fd))
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
        let fd = unsafe { syscall4(Sysno::openat2, self.arg(), path, how, size_of::<OpenHow>()) }
            .map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// getdents64(2): as many records as fit; none at the end.
    pub(crate) fn entries<'b, const N: usize>(
        &self,
        buffer: &'b mut EntryBuffer<N>,
    ) -> Result<&'b [u8], Errno> {
        let address = buffer.0.as_mut_ptr() as usize;
        // SAFETY: the kernel writes at most `N` bytes from `address` on, which `buffer` lends for
        // writing; any bytes are valid there.
        let len =
            unsafe { syscall3(Sysno::getdents64, self.arg(), address, N) }.map_err(Errno::of)?;
        Ok(buffer.0.get(..len).unwrap_or_default())
    }

    /// lseek(2) to the first entry. So the entries are read of what is there now: btrfs would else leave
    /// out what was made since it was opened (`btrfs_opendir`, Linux 6.18).
    pub(crate) fn rewind(&self) -> Result<(), Errno> {
        #[cfg(target_pointer_width = "64")]
        // SAFETY: takes numbers, and touches no memory of ours.
        unsafe { syscall3(Sysno::lseek, self.arg(), 0, 0) }.map_err(Errno::of)?;
        #[cfg(target_pointer_width = "32")]
        {
            let mut at = 0_u64;
            let to = (&raw mut at) as usize;
            // SAFETY: the kernel writes one 64-bit number at `to`, where `at` is.
            unsafe { syscalls::syscall5(Sysno::_llseek, self.arg(), 0, 0, to, 0) }
                .map_err(Errno::of)?;
        }
        Ok(())
    }

    /// fstatfs(2): the magic number of the file system (include/uapi/linux/magic.h).
    pub(crate) fn file_system(&self) -> Result<u32, Errno> {
        // More than any architecture writes; aligned as its longest field.
        let mut status = [0_u64; 32];
        let to = status.as_mut_ptr() as usize;
        #[cfg(target_pointer_width = "64")]
        // SAFETY: the kernel writes one `struct statfs` (120 bytes) at `to`, where 256 are.
        unsafe { syscalls::syscall2(Sysno::fstatfs, self.arg(), to) }.map_err(Errno::of)?;
        #[cfg(target_pointer_width = "32")]
        // SAFETY: the kernel writes `STATFS64` bytes at `to`, where 256 are, or refuses.
        unsafe { syscall3(Sysno::fstatfs64, self.arg(), STATFS64, to) }.map_err(Errno::of)?;
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
        unsafe { syscall1(Sysno::fchdir, self.arg()) }.map_err(Errno::of)?;
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

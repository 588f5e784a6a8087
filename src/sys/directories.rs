//! Opens and lists directories, for trees and for /proc.
//!
//! Each path is resolved relative to `dir`, or to the working directory if `dir` is `None`.

use core::ffi::CStr;

use syscalls::{Sysno, syscall1, syscall3, syscall4};

use super::errno::Errno;
use super::fd::Fd;
use super::status::{Links, at};
use crate::flags::InitFlags;

// Flags of openat(2): arch/*/include/uapi/asm/fcntl.h.
const O_DIRECTORY: u32 = if NUMBERED_AS_ARM { 0x4000 } else { 0x1_0000 };
const O_NOFOLLOW: u32 = if NUMBERED_AS_ARM { 0x8000 } else { 0x2_0000 };
const O_PATH: u32 =
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x100_0000 } else { 0x20_0000 };
// IN_CLOEXEC is O_CLOEXEC: include/linux/inotify.h.
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

/// The buffer of [`Fd::entries`], with the alignment of the kernel's records.
#[repr(C, align(8))]
pub(crate) struct EntryBuffer<const N: usize>(pub(crate) [u8; N]);

impl Fd {
    /// Opens a directory with `O_PATH`, to resolve paths relative to it: openat(2). Causes no event and
    /// needs no read permission.
    pub(crate) fn open_dir(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Self, Errno> {
        let last = if links == Links::Keep { O_NOFOLLOW } else { 0 };
        Self::openat(dir, path, O_PATH | O_DIRECTORY | last)
    }

    /// Opens a directory for listing: openat(2). Causes `OPEN` events and needs read permission.
    pub(crate) fn open_list(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Self, Errno> {
        let last = if links == Links::Keep { O_NOFOLLOW } else { 0 };
        Self::openat(dir, path, O_DIRECTORY | last)
    }

    /// Opens a file for reading: openat(2).
    pub(crate) fn open_file(path: &CStr) -> Result<Self, Errno> {
        Self::openat(None, path, 0)
    }

    fn openat(dir: Option<&Self>, path: &CStr, flags: u32) -> Result<Self, Errno> {
        let flags = (flags | O_CLOEXEC) as usize;
        // SAFETY: the kernel reads `path` up to its NUL, which every CStr has, and writes nothing.
        let fd = unsafe { syscall3(Sysno::openat, at(dir), path.as_ptr() as usize, flags) }
            .map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// Opens a directory beneath this one with `O_PATH`, and follows no link: openat2(2), Linux 5.6.
    pub(crate) fn open_beneath(&self, path: &CStr) -> Result<Self, Errno> {
        let how = OpenHow {
            flags: u64::from(O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC),
            mode: 0,
            resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        let (path, how) = (path.as_ptr() as usize, (&raw const how) as usize);
        // SAFETY: the kernel reads `path` up to its NUL, which every CStr has, and `size_of::<OpenHow>()`
        // bytes of `how`, which has that size and lives until the call returns. It writes nothing.
        let fd = unsafe { syscall4(Sysno::openat2, self.arg(), path, how, size_of::<OpenHow>()) }
            .map_err(Errno::of)?;
        Ok(Self::new(fd))
    }

    /// Reads as many directory records as fit: getdents64(2). Returns an empty slice at the end.
    pub(crate) fn entries<'b, const N: usize>(
        &self,
        buffer: &'b mut EntryBuffer<N>,
    ) -> Result<&'b [u8], Errno> {
        let address = buffer.0.as_mut_ptr() as usize;
        // SAFETY: the kernel writes at most `N` bytes from `address` on. `buffer` lends these bytes for
        // writing, and any values are valid there.
        let len =
            unsafe { syscall3(Sysno::getdents64, self.arg(), address, N) }.map_err(Errno::of)?;
        Ok(buffer.0.get(..len).unwrap_or_default())
    }

    /// Seeks to the first entry: lseek(2). Without it, btrfs would not list entries that were created
    /// after the directory was opened (`btrfs_opendir`, Linux 6.18).
    pub(crate) fn rewind(&self) -> Result<(), Errno> {
        #[cfg(target_pointer_width = "64")]
        // SAFETY: all arguments are numbers, and the kernel accesses no memory of this process.
        unsafe { syscall3(Sysno::lseek, self.arg(), 0, 0) }.map_err(Errno::of)?;
        #[cfg(target_pointer_width = "32")]
        {
            let mut at = 0_u64;
            let to = (&raw mut at) as usize;
            // SAFETY: the kernel writes one 64-bit number at `to`, the address of `at`, which is one.
            unsafe { syscalls::syscall5(Sysno::_llseek, self.arg(), 0, 0, to, 0) }
                .map_err(Errno::of)?;
        }
        Ok(())
    }

    /// Returns the magic number of the file system (include/uapi/linux/magic.h): fstatfs(2).
    pub(crate) fn file_system(&self) -> Result<u32, Errno> {
        // Larger than the struct of any architecture, with the alignment of its longest field.
        let mut status = [0_u64; 32];
        let to = status.as_mut_ptr() as usize;
        #[cfg(target_pointer_width = "64")]
        // SAFETY: the kernel writes one `struct statfs` (120 bytes) at `to`. `status` has 256 bytes.
        unsafe { syscalls::syscall2(Sysno::fstatfs, self.arg(), to) }.map_err(Errno::of)?;
        #[cfg(target_pointer_width = "32")]
        // SAFETY: the kernel writes `STATFS64` bytes at `to`, or refuses. `status` has 256 bytes.
        unsafe { syscall3(Sysno::fstatfs64, self.arg(), STATFS64, to) }.map_err(Errno::of)?;
        // The first field has 32 bits, or 64 bits of which the upper half is unused.
        let [first, ..] = status;
        let halves = [first as u32, (first >> 32) as u32];
        let [low, high] = halves;
        let is_long = cfg!(target_pointer_width = "64") && !cfg!(target_arch = "s390x");
        Ok(if cfg!(target_endian = "little") || is_long { low } else { high })
    }

    /// Calls fchdir(2), for this thread and all threads that share its working directory.
    pub(crate) fn change_dir(&self) -> Result<(), Errno> {
        // SAFETY: the argument is a number, and the kernel accesses no memory of this process.
        unsafe { syscall1(Sysno::fchdir, self.arg()) }.map_err(Errno::of)?;
        Ok(())
    }
}

/// The size of `struct statfs64`, an argument of the call.
#[cfg(target_pointer_width = "32")]
const STATFS64: usize = if cfg!(target_arch = "x86") {
    84
} else if cfg!(target_arch = "mips") {
    96
} else {
    // arm packs it into 84 bytes, and accepts 88 too.
    88
};

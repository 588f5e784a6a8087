//! Reads the status of an entry: statx(2), or fstatat(2) on older kernels.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use syscalls::{Sysno, syscall5};

use super::errno::Errno;
use super::fd::Fd;
use super::fstatat::fstatat;
use super::status::{
    AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, Links, Status, at, is_dir, is_link,
};

// include/uapi/linux/stat.h.
const STATX_BASIC_STATS: usize = 0x7FF;
const STATX_NLINK: u32 = 0x4;
const STATX_ATTR_NODUMP: u64 = 0x40;

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

impl Fd {
    /// Calls statx(2), or fstatat(2) if statx is missing. An empty path means `dir` itself.
    pub(crate) fn stat(dir: Option<&Self>, path: &CStr, links: Links) -> Result<Status, Errno> {
        let empty = if path.is_empty() { AT_EMPTY_PATH } else { 0 };
        let last = if links == Links::Keep { AT_SYMLINK_NOFOLLOW } else { 0 };
        let flags = AT_NO_AUTOMOUNT | empty | last;
        match Self::statx(dir, path, flags) {
            // A kernel before 4.11, or a seccomp filter that does not know statx.
            Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => {
                fstatat(dir, path, flags).unwrap_or(Err(errno))
            }
            answer => answer,
        }
    }

    /// Calls statx(2), Linux 4.11.
    fn statx(dir: Option<&Self>, path: &CStr, flags: usize) -> Result<Status, Errno> {
        let mut status = MaybeUninit::<Statx>::uninit();
        let (path, to) = (path.as_ptr() as usize, status.as_mut_ptr() as usize);
        // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes one `struct
        // statx` at `to`. Its size is 256 bytes in every version, and `status` has 256 bytes.
        unsafe { syscall5(Sysno::statx, at(dir), path, flags, STATX_BASIC_STATS, to) }
            .map_err(Errno::of)?;
        // SAFETY: the call succeeded, so the kernel wrote the whole struct (cp_statx in fs/stat.c
        // copies a zeroed one), and any bytes are valid integers.
        let status = unsafe { status.assume_init_ref() };
        Ok(Status {
            is_dir: is_dir(u32::from(status.mode)),
            is_link: is_link(u32::from(status.mode)),
            has_nodump: status.attributes_mask & STATX_ATTR_NODUMP != 0,
            nlink: if status.mask & STATX_NLINK != 0 { status.nlink } else { 0 },
            dev: u64::from(status.dev_major) << 32 | u64::from(status.dev_minor),
            ino: status.ino,
            size: status.size,
            mtime: (status.mtime.sec, status.mtime.nsec),
        })
    }
}

//! Reads the status of an entry with fstatat(2), for kernels before 4.11.

use core::ffi::CStr;

use syscalls::{Sysno, syscall4};

use super::directories::EntryBuffer;
use super::errno::Errno;
use super::fd::Fd;
use super::status::{Status, at, is_dir, is_link};

/// The number of the call. `None` if every kernel of the architecture has statx(2), or if no such call is
/// known.
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

/// The fields of `struct stat`, or of `struct stat64` on 32-bit architectures
/// (arch/*/include/uapi/asm/stat.h, include/uapi/asm-generic/stat.h).
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

/// The layout of aarch64 and riscv64. The other layouts change some of its fields.
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
    // The alignment of 64-bit integers is 4 here.
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

/// Calls fstatat(2). Returns `None` if the architecture has no such call.
pub(super) fn fstatat(
    dir: Option<&Fd>,
    path: &CStr,
    flags: usize,
) -> Option<Result<Status, Errno>> {
    let call = CALL?;
    // Every architecture writes at most 144 bytes.
    let mut buffer = EntryBuffer([0; 256]);
    let (path, to) = (path.as_ptr() as usize, buffer.0.as_mut_ptr() as usize);
    // SAFETY: the kernel reads `path` up to its NUL, which a CStr has, and writes one `struct stat` at
    // `to`. `buffer` has room for it, and the alignment of its longest field.
    let done = unsafe { syscall4(call, at(dir), path, to, flags) };
    let status = done.map_err(Errno::of).and_then(|_| status(&buffer.0).ok_or(Errno::EIO));
    Some(status)
}

fn status(bytes: &[u8]) -> Option<Status> {
    let mode = LAYOUT.mode.of(bytes)? as u32;
    // Packed by the kernel's new_encode_dev (include/linux/kdev_t.h).
    let dev = LAYOUT.dev.of(bytes)? as u32;
    let (major, minor) = (dev >> 8 & 0xFFF, dev & 0xFF | dev >> 12 & 0xF_FF00);
    Some(Status {
        is_dir: is_dir(mode),
        is_link: is_link(mode),
        has_nodump: false,
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
    use super::*;
    use crate::sys::Links;
    use crate::sys::status::AT_SYMLINK_NOFOLLOW;

    #[test]
    fn fstatat_returns_the_same_status_as_statx() {
        if CALL.is_none() {
            return;
        }
        for path in [c"/", c"/dev/null", c"/proc/self", c"Cargo.toml", c"src", c"/tmp"] {
            let old = fstatat(None, path, AT_SYMLINK_NOFOLLOW).unwrap();
            // It does not return the flags of the file system.
            let new = Fd::stat(None, path, Links::Keep)
                .map(|status| Status { has_nodump: false, ..status });
            assert_eq!(old, new, "{path:?}");
        }
        let missing = fstatat(None, c"/none", 0).unwrap();
        assert_eq!(missing, Err(Errno::ENOENT));
    }
}

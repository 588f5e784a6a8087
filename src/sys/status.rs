//! The status of a directory entry, and the constants for reading it.

use super::fd::Fd;

// The same on each architecture: include/uapi/linux/{fcntl,stat}.h.
pub(super) const AT_FDCWD: usize = -100_isize as usize;
pub(super) const AT_SYMLINK_NOFOLLOW: usize = 0x100;
pub(super) const AT_NO_AUTOMOUNT: usize = 0x800;
pub(super) const AT_EMPTY_PATH: usize = 0x1000;
const S_IFMT: u32 = 0o17_0000;
const S_IFDIR: u32 = 0o4_0000;
const S_IFLNK: u32 = 0o12_0000;

/// Returns `true` for the mode of a directory.
pub(super) const fn is_dir(mode: u32) -> bool {
    mode & S_IFMT == S_IFDIR
}

/// Returns `true` for the mode of a symbolic link.
pub(super) const fn is_link(mode: u32) -> bool {
    mode & S_IFMT == S_IFLNK
}

/// Returns the argument for the directory that a path starts at. `None` is the working directory.
pub(super) fn at(dir: Option<&Fd>) -> usize {
    dir.map_or(AT_FDCWD, Fd::arg)
}

/// The result of [`Fd::stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) is_dir: bool,
    pub(crate) is_link: bool,
    /// The number of links. Zero if the file system does not report it.
    pub(crate) nlink: u32,
    /// Whether the file system has the flag "do not dump". On overlayfs this is the file system of the layer.
    pub(crate) has_nodump: bool,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(crate) mtime: (i64, u32),
}

/// Whether a call follows the last component of a path if it is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    #[default]
    Keep,
}

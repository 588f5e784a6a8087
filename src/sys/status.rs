//! What an entry of a directory is, and how it is asked for.

use super::fd::Fd;

// The same on each architecture: include/uapi/linux/{fcntl,stat}.h.
pub(super) const AT_FDCWD: usize = -100_isize as usize;
pub(super) const AT_SYMLINK_NOFOLLOW: usize = 0x100;
pub(super) const AT_NO_AUTOMOUNT: usize = 0x800;
pub(super) const AT_EMPTY_PATH: usize = 0x1000;
const S_IFMT: u32 = 0o17_0000;
const S_IFDIR: u32 = 0o4_0000;
const S_IFLNK: u32 = 0o12_0000;

/// Whether that is the mode of a directory.
pub(super) const fn is_dir(mode: u32) -> bool {
    mode & S_IFMT == S_IFDIR
}

/// Whether that is the mode of a symbolic link.
pub(super) const fn is_link(mode: u32) -> bool {
    mode & S_IFMT == S_IFLNK
}

/// A number for the directory that a path begins at; `None` is the working directory.
pub(super) fn at(dir: Option<&Fd>) -> usize {
    dir.map_or(AT_FDCWD, Fd::arg)
}

/// What [`Fd::stat`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) is_dir: bool,
    pub(crate) is_link: bool,
    /// Zero where the file system does not say.
    pub(crate) nlink: u32,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(crate) mtime: (i64, u32),
}

/// What [`Fd::stat`] is to do where the last name is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    #[default]
    Keep,
}

//! The threads that change the tree.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::restore::OPEN;
use super::{Changes, INSIDE, LINKED, OUTSIDE};
use crate::trees::Random;

const DEPTH: u64 = 5;

/// A few names, so that threads meet at the same paths.
const NAMES_USED: [&[u8]; 6] =
    [b"a", b"b", b"c", b"d", b"a name of more than fifteen bytes", b"no\xFF\xFEutf-8"];

/// The modes of a directory for some time: none, and each of read, write and search alone or missing.
const MODES: [u32; 7] = [0o000, 0o000, 0o100, 0o300, 0o400, 0o500, 0o600];

/// A thread that changes the tree.
pub struct Changer {
    place: PathBuf,
    changes: Changes,
    random: Random,
    /// The paths of its mounts, at the time of the mount.
    mounted: Vec<PathBuf>,
    /// The inodes of directories that were beneath mounts.
    pub covered: Vec<u64>,
    /// Whether the mode of the root changes too.
    pub may_close_root: bool,
}

impl Changer {
    pub fn new(place: PathBuf, changes: Changes, random: Random) -> Self {
        let (mounted, covered) = (Vec::new(), Vec::new());
        Self { place, changes, random, mounted, covered, may_close_root: false }
    }

    fn name(&mut self) -> &'static OsStr {
        OsStr::from_bytes(NAMES_USED[self.random.below(NAMES_USED.len() as u64) as usize])
    }

    /// Returns a random path inside or outside, of a random depth. It may not exist.
    fn path(&mut self, within: &str, shallow: u64, deep: u64) -> PathBuf {
        let mut path = self.place.join(within);
        for _ in 0..shallow + self.random.below(deep - shallow + 1) {
            let name = self.name();
            path.push(name);
        }
        path
    }

    fn inside(&mut self) -> PathBuf {
        self.path(INSIDE, 1, DEPTH)
    }

    fn outside(&mut self) -> PathBuf {
        self.path(OUTSIDE, 1, 2)
    }

    fn write(&mut self, path: &Path) -> bool {
        let content = vec![b'x'; 1 + self.random.below(100) as usize];
        fs::write(path, content).is_ok()
    }

    /// Tries one operation. Returns `true` if it succeeded.
    pub fn change(&mut self) -> bool {
        match self.changes {
            Changes::Modes if self.random.below(10) == 0 => self.permit(),
            Changes::Mounts if self.random.below(16) == 0 => self.mount(),
            _ => self.rename(),
        }
    }

    /// Changes the mode of a directory, or restores all permissions.
    fn permit(&mut self) -> bool {
        let open = self.random.below(2) == 0;
        let may_be_root = self.may_close_root && self.random.below(if open { 4 } else { 32 }) == 0;
        let path = if may_be_root { self.place.join(INSIDE) } else { self.inside() };
        let mode = if open { OPEN } else { MODES[self.random.below(MODES.len() as u64) as usize] };
        // The target of a link has its own name.
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        is_dir && fs::set_permissions(path, fs::Permissions::from_mode(mode)).is_ok()
    }

    /// Mounts over a directory, or removes a mount.
    fn mount(&mut self) -> bool {
        let mounts = self.mounted.len() as u64;
        if mounts > 0 && self.random.below(8) < 2 + mounts.min(4) {
            let path = self.mounted.swap_remove(self.random.below(mounts) as usize);
            return unmount(path, UnmountFlags::NOFOLLOW).is_ok();
        }
        let path = self.inside();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(dir) = rustix::fs::open(&path, flags, Mode::empty()) else { return false };
        let ino = rustix::fs::fstat(&dir).unwrap().st_ino;
        // The directory that was opened, wherever it is by now.
        let at = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let done = mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).is_ok();
        if done {
            self.mounted.push(path);
            self.covered.push(ino);
        }
        done
    }

    /// Renames an entry, or changes a file.
    fn rename(&mut self) -> bool {
        let path = self.inside();
        match self.random.below(100) {
            0..16 => fs::create_dir(path).is_ok(),
            16..20 => {
                let path = self.path(INSIDE, 3, DEPTH);
                fs::create_dir_all(&path).is_ok() && self.write(&path.join("a"))
            }
            20..38 => self.write(&path),
            38..46 => fs::remove_file(path).is_ok(),
            46..52 => fs::remove_dir(path).is_ok(),
            52..66 => fs::rename(path, self.inside()).is_ok(),
            66..72 => fs::rename(&path, path.with_file_name(self.name())).is_ok(),
            // Directories with large subtrees.
            72..78 => {
                let (from, to) = (self.path(INSIDE, 1, 2), self.path(INSIDE, 1, 3));
                fs::rename(from, to).is_ok()
            }
            78..84 => fs::rename(path, self.outside()).is_ok(),
            84..90 => fs::rename(self.outside(), path).is_ok(),
            90..92 => fs::remove_dir_all(self.path(INSIDE, 2, DEPTH)).is_ok(),
            92 => fs::remove_dir_all(self.path(OUTSIDE, 1, 1)).is_ok(),
            93 => {
                let path = self.path(OUTSIDE, 1, 3);
                fs::create_dir_all(&path).is_ok() && self.write(&path.join("b"))
            }
            94 => {
                let path = self.path(OUTSIDE, 1, 3);
                self.write(&path)
            }
            95 => fs::hard_link(self.place.join(LINKED), path).is_ok(),
            96 => {
                let to = if self.random.below(2) == 0 { self.inside() } else { self.outside() };
                std::os::unix::fs::symlink(to, path).is_ok()
            }
            97 => {
                // Onto an existing entry, or not at all.
                let flags = RenameFlags::NOREPLACE;
                rustix::fs::renameat_with(CWD, path, CWD, self.inside(), flags).is_ok()
            }
            _ => {
                // Into the tree, onto an existing entry.
                let from = self.path(OUTSIDE, 1, 1);
                fs::rename(from, self.path(INSIDE, 1, 2)).is_ok()
            }
        }
    }
}

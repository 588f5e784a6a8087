//! Undoes changes of modes and mounts before a storm rests. By descriptors, since paths may be longer than
//! `PATH_MAX`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use crate::trees::Random;

/// All permissions for the owner.
pub const OPEN: u32 = 0o700;

const DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn dir(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, path, DIR, Mode::empty())
}

/// Returns the names of the subdirectories.
fn directories(dir: &OwnedFd) -> Vec<std::ffi::CString> {
    let items = Dir::new(dir.try_clone().unwrap()).unwrap().map(Result::unwrap);
    let names = items.filter(|item| item.file_type() == FileType::Directory);
    let names = names.map(|item| item.file_name().to_owned());
    names.filter(|name| ![c".", c".."].contains(&name.as_c_str())).collect()
}

/// Restores all permissions of directories, in this many of a hundred cases.
pub fn open(path: &Path, percent: u64, random: &mut Random) {
    let is_open = |mode: u32| mode & 0o777 == OPEN;
    let mode = rustix::fs::stat(path).unwrap().st_mode;
    if !is_open(mode) && random.below(100) < percent {
        rustix::fs::chmod(path, Mode::from_raw_mode(OPEN)).unwrap();
    }
    if let Ok(dir) = dir(path) {
        open_beneath(&dir, percent, random);
    }

    fn open_beneath(dir: &OwnedFd, percent: u64, random: &mut Random) {
        for name in directories(dir) {
            // It can't be reached if the directory above is not searchable.
            let Ok(stat) = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.st_mode & 0o777 != OPEN && random.below(100) < percent {
                let mode = Mode::from_raw_mode(OPEN);
                rustix::fs::chmodat(dir, &name, mode, AtFlags::empty()).unwrap();
            }
            if let Ok(child) = rustix::fs::openat(dir, &name, DIR, Mode::empty()) {
                open_beneath(&child, percent, random);
            }
        }
    }
}

/// Unmounts everything beneath a directory.
pub fn unmount_all(path: &Path) {
    unmount_beneath(&dir(path).unwrap());

    fn unmount_beneath(dir: &OwnedFd) {
        let dev = rustix::fs::fstat(dir).unwrap().st_dev;
        for name in directories(dir) {
            let at = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
            let at = [&at, name.to_bytes()].concat();
            loop {
                let child = rustix::fs::openat(dir, &name, DIR, Mode::empty()).unwrap();
                unmount_beneath(&child);
                if rustix::fs::fstat(&child).unwrap().st_dev == dev {
                    break;
                }
                drop(child);
                match unmount(&at[..], UnmountFlags::NOFOLLOW) {
                    // Another mount may be beneath it, and the reader may be in it for a moment.
                    Ok(()) => {}
                    Err(Errno::BUSY) => std::thread::yield_now(),
                    Err(error) => panic!("{error}: unmount {}", at.escape_ascii()),
                }
            }
        }
    }
}

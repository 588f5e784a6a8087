//! The fewest system calls for the set-up of a tree, without what a tree remembers: what the kernel alone takes.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch};
use rustix::fs::{AtFlags, CWD, Mode as Access, OFlags, StatxFlags, openat, statx};
use rustix::process::fchdir;

use crate::rivals::{MASK, push_subdirectories};

/// Watches a tree as this crate does: each directory by its name in the working directory of a thread, and
/// only those with subdirectories are opened. `counts_links`: the link count of a directory says whether it
/// has any. Returns the inotify instance.
pub fn set_up(root: &Path, counts_links: bool) -> OwnedFd {
    let work = || {
        unshare(CloneFlags::CLONE_FS).unwrap();
        let mut floor = Floor {
            inotify: rustix::fs::inotify::init(CreateFlags::CLOEXEC).unwrap(),
            flags: WatchFlags::from_bits_retain(MASK.bits()) | WatchFlags::ONLYDIR,
            counts_links,
            buffer: vec![MaybeUninit::uninit(); 32 * 1024],
            names: Vec::new(),
        };
        let root = [root.as_os_str().as_bytes(), b"\0"].concat();
        floor.enter(CStr::from_bytes_with_nul(&root).unwrap());
        fchdir(openat(CWD, "/", OFlags::DIRECTORY, Access::empty()).unwrap()).unwrap();
        floor.inotify
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

struct Floor {
    inotify: OwnedFd,
    flags: WatchFlags,
    counts_links: bool,
    buffer: Vec<MaybeUninit<u8>>,
    /// The names of subdirectories that are not visited yet, each with its NUL.
    names: Vec<u8>,
}

impl Floor {
    /// Opens, watches and lists a directory in the working directory, and visits everything beneath it.
    fn enter(&mut self, name: &CStr) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, name, flags, Access::empty()).unwrap();
        fchdir(&dir).unwrap();
        add_watch(&self.inotify, ".", self.flags).unwrap();

        let mine = self.names.len();
        push_subdirectories(&dir, &mut self.buffer, &mut self.names);

        let names = self.names.split_off(mine);
        for name in names.split_inclusive(|&byte| byte == 0) {
            let name = CStr::from_bytes_with_nul(name).unwrap();
            if self.counts_links {
                add_watch(&self.inotify, name, self.flags).unwrap();
                let status = statx(CWD, name, AtFlags::empty(), StatxFlags::NLINK).unwrap();
                if status.stx_nlink == 2 {
                    continue;
                }
            }
            self.enter(name);
            fchdir(&dir).unwrap();
        }
    }
}

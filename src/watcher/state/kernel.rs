//! Adds watches by paths, and checks what the paths lead to.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::error::{WatchError, errno_of};
use super::super::root_path::c_path;
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::follow::{Entry, Kernel};
use crate::inotify::Inotify;
use crate::sys::{Errno, retry_on_eintr};

/// Has the kernel watch what a path leads to, beside what it watches already.
///
/// # Errors
///
/// [`WatchError::Nul`] and [`WatchError::Path`].
pub(super) fn watch_path(
    inotify: &Inotify,
    path: &Path,
    mask: WatchMask,
) -> Result<Wd, WatchError> {
    let name = c_path(path)?;
    // One-shot is per subscriber, so it is not the kernel's business.
    let mut mask = mask.difference(WatchMask::ONESHOT);
    if !mask.contains(WatchMask::MASK_CREATE) {
        mask |= WatchMask::MASK_ADD;
    }
    inotify.add_watch(&name, mask).map_err(|error| WatchError::at(path, error))
}

/// Implements the follower's [`Kernel`] with Linux system calls.
pub(super) struct Paths<'a> {
    inotify: &'a Inotify,
    /// The watches that the follower no longer needs.
    pub unneeded: Vec<Wd>,
}

impl<'a> Paths<'a> {
    pub const fn new(inotify: &'a Inotify) -> Self {
        Self { inotify, unneeded: Vec::new() }
    }
}

impl Kernel for Paths<'_> {
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        retry_on_eintr(|| {
            let added = self.inotify.add_watch(&path, mask | WatchMask::MASK_ADD);
            added.map_err(|error| error.errno().unwrap_or(Errno::EINVAL))
        })
    }

    fn unwatch(&mut self, wd: Wd) {
        self.unneeded.push(wd);
    }

    fn stat(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        let path = Path::new(OsStr::from_bytes(path));
        loop {
            let metadata = fs::symlink_metadata(path).map_err(|error| errno_of(&error))?;
            if !metadata.is_symlink() {
                return Ok(Entry::File { dev: metadata.dev(), ino: metadata.ino() });
            }
            match fs::read_link(path).map_err(|error| errno_of(&error)) {
                Ok(target) => return Ok(Entry::Link(target.into_os_string().into_vec())),
                // The link was replaced by something else since.
                Err(Errno::EINVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

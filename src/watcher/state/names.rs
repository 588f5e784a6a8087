//! The names that are followed, and those of them that have to be walked again.
//!
//! A name is pending from the event that may have changed its way until its next walk. One whose walk
//! failed waits until something was read again.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::id::WatchId;
use crate::event::{Event, Wd};
use crate::flags::WatchMask;
use crate::follow::{Entry, Follower, Kernel, NameChange};
use crate::inotify::Inotify;
use crate::sys::{Errno, retry_on_eintr};

#[derive(Debug, Default)]
pub(super) struct Names {
    followers: HashMap<WatchId, Follower>,
    pending: BTreeSet<WatchId>,
    failed: BTreeSet<WatchId>,
}

impl Names {
    pub fn add(&mut self, id: WatchId, follower: Follower) {
        self.followers.insert(id, follower);
    }

    /// Removes a name. Returns the descriptors that it needed.
    pub fn remove(&mut self, id: WatchId) -> BTreeSet<Wd> {
        let wds = self.wds(id);
        self.pending.remove(&id);
        self.failed.remove(&id);
        self.followers.remove(&id);
        wds
    }

    /// Returns the descriptors that a name needs.
    pub fn wds(&self, id: WatchId) -> BTreeSet<Wd> {
        self.get(id).into_iter().flat_map(|name| name.watches().map(|(wd, ..)| wd)).collect()
    }

    pub fn get(&self, id: WatchId) -> Option<&Follower> {
        self.followers.get(&id)
    }

    pub fn get_mut(&mut self, id: WatchId) -> Option<&mut Follower> {
        self.followers.get_mut(&id)
    }

    /// Has a follower take an event of one of its watches.
    pub fn feed(&mut self, id: WatchId, event: &Event<'_>) -> Option<NameChange> {
        let follower = self.followers.get_mut(&id)?;
        let change = follower.feed(event);
        if follower.is_pending() {
            self.pending.insert(id);
        }
        change
    }

    /// Events were lost, so anything may have happened to every name.
    pub fn lost(&mut self) {
        for (id, follower) in &mut self.followers {
            follower.lost();
            self.pending.insert(*id);
        }
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn take_pending(&mut self) -> BTreeSet<WatchId> {
        std::mem::take(&mut self.pending)
    }

    /// Notes that a walk failed.
    pub fn set_failed(&mut self, id: WatchId) {
        self.failed.insert(id);
    }

    /// Something was read, so what failed may work now.
    pub fn retry(&mut self) {
        self.pending.append(&mut self.failed);
    }
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

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ENOENT.as_raw()))
}

impl Kernel for Paths<'_> {
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        let mask = mask.difference(WatchMask::ONESHOT | WatchMask::MASK_CREATE);
        retry_on_eintr(|| {
            let added = self.inotify.add_watch(&path, mask | WatchMask::MASK_ADD);
            added.map_err(|error| error.errno().unwrap_or(Errno::EINVAL))
        })
    }

    fn unwatch(&mut self, wd: Wd) {
        self.unneeded.push(wd);
    }

    fn look(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        let path = Path::new(OsStr::from_bytes(path));
        loop {
            let metadata = fs::symlink_metadata(path).map_err(|error| errno(&error))?;
            if !metadata.is_symlink() {
                return Ok(Entry::File { dev: metadata.dev(), ino: metadata.ino() });
            }
            match fs::read_link(path).map_err(|error| errno(&error)) {
                Ok(target) => return Ok(Entry::Link(target.into_os_string().into_vec())),
                // The link was replaced by something else since.
                Err(Errno::EINVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

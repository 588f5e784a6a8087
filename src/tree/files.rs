//! The known files of each directory: always if files are tracked, else only while events that are older than
//! the directory's listing may still come.
//!
//! A directory has a *window* from its listing until the stream has reached the position where the queue
//! ended at that time. An event in the window may be older than the listing or not.
//!
//! Invariant: if files are not tracked, a directory is in `of` only while its window is open.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::kernel::Stat;
use super::nodes::NodeRef;
use crate::keys::Table;

#[derive(Debug)]
struct File {
    /// Its status at the last `stat`; `None` if an event of it has come since.
    stat: Option<Stat>,
    /// Whether the last listing has shown it, or an event since.
    seen: bool,
}

#[derive(Debug, Default)]
struct Dir {
    files: BTreeMap<Box<[u8]>, File>,
    /// The number of listings whose window is open.
    open: u32,
}

#[derive(Debug)]
pub(super) struct Files {
    of: Table<NodeRef, Dir>,
    /// Whether files are tracked.
    track: bool,
}

/// How a listed file differs from the known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    New,
    Changed,
    Same,
}

impl Files {
    pub const fn new(track: bool) -> Self {
        Self { of: Table::new(), track }
    }

    /// Opens the window of a listing. If it is `whole`, known files that it does not show are gone.
    pub fn open(&mut self, dir: NodeRef, whole: bool) {
        self.of.change(dir, |dir| {
            dir.open = dir.open.saturating_add(1);
            if whole {
                for file in dir.files.values_mut() {
                    file.seen = false;
                }
            }
        });
    }

    /// Closes the window of a listing. Returns the names of the files that the listing has shown to be gone.
    pub fn close(&mut self, dir: NodeRef) -> Vec<Box<[u8]>> {
        let Some(files) = self.of.get_mut(dir) else { return Vec::new() };
        files.open = files.open.saturating_sub(1);
        if files.open > 0 {
            return Vec::new();
        }
        let gone = files.files.iter().filter(|(_, file)| !file.seen);
        let gone: Vec<Box<[u8]>> = gone.map(|(name, _)| name.clone()).collect();
        for name in &gone {
            files.files.remove(name);
        }
        if !self.track {
            self.of.remove(dir);
        }
        gone
    }

    pub fn forget(&mut self, dir: NodeRef) {
        self.of.remove(dir);
    }

    /// Closes all windows, since events were lost.
    pub fn close_all(&mut self) {
        if !self.track {
            self.of = Table::new();
        }
        for dir in self.of.values_mut() {
            dir.open = 0;
            for file in dir.files.values_mut() {
                file.seen = true;
            }
        }
    }

    /// Returns `true` if an event of the directory may be older than its listing.
    pub fn in_window(&self, dir: NodeRef) -> bool {
        self.of.get(dir).is_some_and(|dir| dir.open > 0)
    }

    /// Returns `true` if no directory's files are known.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Returns `true` if the files of the directory are known.
    pub fn knows(&self, dir: NodeRef) -> bool {
        self.of.contains(dir)
    }

    pub fn has(&self, dir: NodeRef, name: &[u8]) -> bool {
        self.of.get(dir).is_some_and(|dir| dir.files.contains_key(name))
    }

    /// Adds a file that an event reports to be there. Returns `false` if it was known.
    pub fn insert(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        let Some(dir) = self.of.get_mut(dir) else { return true };
        dir.files.insert(name.into(), File { stat: None, seen: true }).is_none()
    }

    /// Removes a file. Returns `false` if it was not known.
    pub fn remove(&mut self, dir: NodeRef, name: &[u8]) -> bool {
        self.of.get_mut(dir).is_some_and(|dir| dir.files.remove(name).is_some())
    }

    /// Forgets the status of a file that may have changed.
    pub fn touch(&mut self, dir: NodeRef, name: &[u8]) {
        if let Some(file) = self.of.get_mut(dir).and_then(|dir| dir.files.get_mut(name)) {
            file.stat = None;
        }
    }

    /// Marks a file that a listing has shown, without a `stat` of it.
    pub fn mark_seen(&mut self, dir: NodeRef, name: &[u8]) {
        if let Some(file) = self.of.get_mut(dir).and_then(|dir| dir.files.get_mut(name)) {
            file.seen = true;
        }
    }

    /// Compares a file that a listing has shown with the known one, and stores its status.
    pub fn compare(&mut self, dir: NodeRef, name: &[u8], stat: Option<Stat>) -> Compared {
        let Some(dir) = self.of.get_mut(dir) else { return Compared::New };
        let new = File { stat, seen: true };
        match dir.files.insert(name.into(), new) {
            None => Compared::New,
            Some(old) if old.stat.is_some() && old.stat == stat => Compared::Same,
            Some(_) => Compared::Changed,
        }
    }
}

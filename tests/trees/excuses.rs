//! Directories whose content a tree has reported as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{Entry, Note, NoteKind};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags};
use tinotify::EventMask;

/// The report about a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excuse {
    Unwatched,
    Unlisted,
}

#[derive(Clone, Debug, Default)]
pub struct Excuses(BTreeMap<PathBuf, Excuse>);

fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(beneath) if beneath.as_os_str().is_empty() => to.to_owned(),
        Ok(beneath) => to.join(beneath),
        Err(_) => path.to_owned(),
    }
}

impl Excuses {
    /// Returns `true` if a path need not be known, because of a directory above it.
    pub fn cover(&self, path: &Path) -> bool {
        !self.0.is_empty() && path.ancestors().skip(1).any(|above| self.0.contains_key(above))
    }

    /// Returns `true` if this directory itself was reported.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// Returns `true` if a directory is unlisted.
    pub fn has_unlisted(&self) -> bool {
        self.0.values().any(|excuse| *excuse == Excuse::Unlisted)
    }

    fn remove(&mut self, top: &Path) {
        self.0.retain(|path, _| !path.starts_with(top));
    }

    /// Applies an event, after the mirror.
    pub fn apply(&mut self, note: &Note) {
        let path = &note.path;
        match &note.kind {
            NoteKind::Unwatched(_) => {
                self.remove(path);
                self.0.insert(path.clone(), Excuse::Unwatched);
            }
            NoteKind::Unlisted(_) => drop(self.0.entry(path.clone()).or_insert(Excuse::Unlisted)),
            NoteKind::Watched => drop(self.0.remove(path)),
            NoteKind::Renamed(from) => {
                self.remove(path);
                let places = std::mem::take(&mut self.0).into_iter();
                self.0 = places.map(|(at, excuse)| (moved(&at, from, path), excuse)).collect();
            }
            NoteKind::Exchanged(with) => {
                let swapped = |at: PathBuf| match at.starts_with(with) {
                    true => moved(&at, with, path),
                    false => moved(&at, path, with),
                };
                let places = std::mem::take(&mut self.0).into_iter();
                self.0 = places.map(|(at, excuse)| (swapped(at), excuse)).collect();
            }
            NoteKind::Reported | NoteKind::Discovered if note.has(NAMED) => self.remove(path),
            NoteKind::Reported | NoteKind::Discovered if note.has(EventMask::UNMOUNT) => {
                self.0.retain(|at, _| at == path || !at.starts_with(path));
            }
            _ => {}
        }
    }

    /// Keeps only the excuses that hold while no more than `permitted` is permitted (`None`: everything).
    /// Returns the directories that are `Unwatched` though they could be watched.
    pub fn hold(&mut self, disk: &Entry, permitted: Option<&Permitted>) -> Vec<String> {
        let mut wrong = Vec::new();
        let outer = self.clone();
        self.0.retain(|path, excuse| {
            let Some(entry) = disk.get(path).filter(|entry| entry.is_dir()) else { return true };
            let may_be = permitted.is_some_and(|permitted| match excuse {
                Excuse::Unwatched => !permitted.listed.contains(&entry.ino),
                Excuse::Unlisted => !permitted.searched.contains(&entry.ino),
            });
            if !may_be && *excuse == Excuse::Unwatched && !outer.cover(path) {
                wrong.push(format!(
                    "it can be watched, but was last reported as unwatched: {path:?}"
                ));
            }
            may_be
        });
        wrong
    }
}

const NAMED: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

/// The inodes of directories that their owner can reach through directories that may be listed and searched.
#[derive(Debug, Default)]
pub struct Permitted {
    /// Those that may be listed.
    pub listed: BTreeSet<u64>,
    /// Those that may also be searched.
    pub searched: BTreeSet<u64>,
}

impl Permitted {
    /// Walks a directory at rest.
    pub fn walk(path: &Path) -> Self {
        let mut permitted = Self::default();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(root) = rustix::fs::openat(CWD, path, flags, Mode::empty()) {
            permitted.add(&root);
        }
        permitted
    }

    fn add(&mut self, dir: &OwnedFd) {
        let stat = rustix::fs::fstat(dir).unwrap();
        self.listed.insert(stat.st_ino);
        if !Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR) {
            return;
        }
        self.searched.insert(stat.st_ino);
        for item in Dir::new(dir.try_clone().unwrap()).unwrap().map(Result::unwrap) {
            let is_dir = item.file_type() == FileType::Directory;
            if !is_dir || [c".", c".."].contains(&item.file_name()) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(child) = rustix::fs::openat(dir, item.file_name(), flags, Mode::empty()) {
                self.add(&child);
            }
        }
    }
}

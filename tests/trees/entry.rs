//! The content of a directory, on the disk or in the mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

/// The values that show whether a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    ino: u64,
    size: i64,
    mtime: (i64, i64),
}

/// An entry: a directory with its entries, or anything else.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub(super) entries: Option<BTreeMap<OsString, Entry>>,
    /// The inode of a directory on the disk.
    pub(super) ino: u64,
    /// The version of a file. In the mirror: as at the last rest, if no event of it was reported since.
    pub(super) content: Option<Content>,
}

impl Entry {
    pub(super) fn new(is_dir: bool) -> Self {
        Self { entries: is_dir.then(BTreeMap::new), ..Self::default() }
    }

    pub fn is_dir(&self) -> bool {
        self.entries.is_some()
    }

    /// Walks a directory on the disk, which must be at rest. Descends by descriptors, so paths may be longer
    /// than `PATH_MAX`. A directory that can't be read counts as empty.
    pub fn walk(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self::walk_dir(rustix::fs::openat(CWD, path, flags, Mode::empty()).unwrap())
    }

    fn walk_dir(dir: OwnedFd) -> Self {
        let mut entries = BTreeMap::new();
        let ino = rustix::fs::fstat(&dir).unwrap().st_ino;
        // Not `read_from`, which would open it again by `.`, for which there may be no permission.
        for item in Dir::new(dir.try_clone().unwrap()).unwrap() {
            let item = item.unwrap();
            let name = OsStr::from_bytes(item.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(&dir, item.file_name(), AtFlags::SYMLINK_NOFOLLOW);
            let Ok(stat) = stat else {
                let is_dir = item.file_type() == FileType::Directory;
                entries.insert(name.to_owned(), Self::new(is_dir));
                continue;
            };
            let entry = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::openat(&dir, item.file_name(), flags, Mode::empty()) {
                    Ok(child) => Self::walk_dir(child),
                    Err(_) => Self { ino: stat.st_ino, ..Self::new(true) },
                }
            } else {
                // A write through another name of the file is reported only there.
                let content = (stat.st_nlink == 1).then_some(Content {
                    ino: stat.st_ino,
                    size: stat.st_size,
                    mtime: (stat.st_mtime, stat.st_mtime_nsec as i64),
                });
                Self { entries: None, ino: 0, content }
            };
            entries.insert(name.to_owned(), entry);
        }
        Self { entries: Some(entries), ino, content: None }
    }

    /// Walks a directory as [`walk`](Self::walk) does, and follows links to directories for which `inside`
    /// returns `true` for their path.
    pub fn walk_links(path: &Path, inside: &dyn Fn(&Path) -> bool) -> Self {
        let mut entries = BTreeMap::new();
        let listed = if inside(path) { std::fs::read_dir(path).ok() } else { None };
        for item in listed.into_iter().flatten().map(Result::unwrap) {
            let entry = if item.path().is_dir() {
                Self::walk_links(&item.path(), inside)
            } else {
                Self::new(false)
            };
            entries.insert(item.file_name(), entry);
        }
        Self { entries: Some(entries), ..Self::new(true) }
    }

    /// Returns the inodes of this directory and all directories beneath it, sorted.
    pub fn inodes(&self) -> Vec<u64> {
        fn add(entry: &Entry, inodes: &mut Vec<u64>) {
            if let Some(entries) = &entry.entries {
                inodes.push(entry.ino);
                entries.values().for_each(|entry| add(entry, inodes));
            }
        }
        let mut inodes = Vec::new();
        add(self, &mut inodes);
        inodes.sort_unstable();
        inodes
    }

    /// Returns the inodes of this directory and those beneath it, without directories in `covered`.
    pub fn inodes_beside(&self, covered: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut inodes = BTreeSet::new();
        let mut todo = vec![self];
        while let Some(entry) = todo.pop() {
            let dir = entry.entries.as_ref().filter(|_| !covered.contains(&entry.ino));
            inodes.extend(dir.map(|_| entry.ino));
            todo.extend(dir.into_iter().flat_map(BTreeMap::values));
        }
        inodes
    }

    /// Returns the numbers of directories, with this one, and of files.
    pub fn count(&self) -> (usize, usize) {
        match &self.entries {
            None => (0, 1),
            Some(entries) => entries
                .values()
                .map(Self::count)
                .fold((1, 0), |sum, entry| (sum.0 + entry.0, sum.1 + entry.1)),
        }
    }

    fn names(path: &Path) -> impl DoubleEndedIterator<Item = &OsStr> {
        path.components().map(|component| match component {
            Component::Normal(name) => name,
            other => panic!("{other:?} in a path beneath the root"),
        })
    }

    pub fn get(&self, path: &Path) -> Option<&Self> {
        Self::names(path).try_fold(self, |entry, name| entry.entries.as_ref()?.get(name))
    }

    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut Self> {
        Self::names(path).try_fold(self, |entry, name| entry.entries.as_mut()?.get_mut(name))
    }

    pub(super) fn parent_mut(&mut self, path: &Path) -> Option<&mut BTreeMap<OsString, Self>> {
        self.get_mut(path.parent()?)?.entries.as_mut()
    }

    pub(super) fn take(&mut self, path: &Path) -> Option<Self> {
        self.parent_mut(path)?.remove(path.file_name()?)
    }

    pub(super) fn forget_files(&mut self) {
        if let Some(entries) = &mut self.entries {
            entries.retain(|_, entry| entry.is_dir());
            entries.values_mut().for_each(Self::forget_files);
        }
    }

    /// Returns the differences from the disk, one line each. The versions of files are compared too if they
    /// are known. The content of an excused directory is not compared.
    pub(super) fn compare(
        &self,
        disk: &Self,
        with_files: bool,
        at: &Path,
        excused: &dyn Fn(&Path, &Self) -> bool,
        differences: &mut Vec<String>,
    ) {
        match (&self.entries, &disk.entries) {
            (Some(_), Some(_)) if excused(at, disk) => {}
            (Some(mine), Some(theirs)) => {
                for (name, entry) in mine {
                    if !theirs.contains_key(name) && (with_files || entry.is_dir()) {
                        differences
                            .push(format!("reported, but does not exist: {:?}", at.join(name)));
                    }
                }
                for (name, entry) in theirs {
                    match mine.get(name) {
                        Some(known) => {
                            let at = at.join(name);
                            known.compare(entry, with_files, &at, excused, differences);
                        }
                        None if with_files || entry.is_dir() => {
                            differences
                                .push(format!("exists, but was not reported: {:?}", at.join(name)));
                        }
                        None => {}
                    }
                }
            }
            (None, None) => {
                if let (true, Some(before), Some(now)) = (with_files, self.content, disk.content) {
                    if before != now {
                        differences.push(format!("changed, but was not reported: {at:?}"));
                    }
                }
            }
            _ if with_files || self.is_dir() || disk.is_dir() => differences.push(format!(
                "{at:?} was reported as {}, and is {}",
                if self.is_dir() { "a directory" } else { "a file" },
                if disk.is_dir() { "a directory" } else { "a file" },
            )),
            _ => {}
        }
    }
}

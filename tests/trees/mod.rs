//! What the tests of trees share: a mirror built from the events alone, the walk of the disk that it
//! must equal, and the kernel's list of what is watched.

#![allow(dead_code)] // Each test binary uses some of it.

pub mod excuses;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use excuses::Excuses;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use tempfile::TempDir;
use tinotify::{
    Barred, Errno, EventMask, TreeChange, TreeOptions, WatchEvent, WatchId, WatchMask, Watcher,
};

use crate::watching::kernel_watches;

/// What changes names, and what was written: no event that comes twice, of a directory from itself
/// and from its parent.
pub const NAMES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::CLOSE_WRITE);

/// What an event of a tree was, with the paths beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    Told,
    Found,
    Renamed(PathBuf),
    Exchanged(PathBuf),
    Unwatched(Barred),
    Unlisted(Errno),
    Watched,
    Established,
    Overflow,
    Resynced,
    RootMoved,
    RootRemoved,
    RootUnmounted,
    /// The end of the watch.
    Ignored,
}

/// An event of a tree, to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    pub how: How,
    pub mask: EventMask,
    pub path: PathBuf,
}

impl Note {
    /// An event of the tree with that root, or an overflow.
    pub fn of(event: &WatchEvent<'_>, root: &Path) -> Self {
        let beneath = |path: &Path| match path.strip_prefix(root) {
            Ok(path) => path.to_owned(),
            Err(_) => panic!("{path:?} is not beneath {root:?}: {event:?}"),
        };
        let mask = event.mask();
        if event.is_overflow() {
            assert_eq!(event.watch(), None, "an overflow is all watches'");
            return Self { how: How::Overflow, mask, path: PathBuf::new() };
        }
        let path = beneath(&event.path());
        let how = match event.tree_change().expect("an event of the tree") {
            TreeChange::Reported if event.is_ignored() => How::Ignored,
            TreeChange::Reported => How::Told,
            TreeChange::Discovered => How::Found,
            TreeChange::Renamed { from } => How::Renamed(beneath(from)),
            TreeChange::Exchanged { with } => How::Exchanged(beneath(with)),
            TreeChange::Unwatched(why) => How::Unwatched(why),
            TreeChange::Unlisted(why) => How::Unlisted(why),
            TreeChange::Watched => How::Watched,
            TreeChange::Established => How::Established,
            TreeChange::Resynced => How::Resynced,
            TreeChange::RootMoved => How::RootMoved,
            TreeChange::RootRemoved => How::RootRemoved,
            TreeChange::RootUnmounted => How::RootUnmounted,
            other => panic!("no test knows {other:?}"),
        };
        Self { how, mask, path }
    }

    fn has(&self, mask: EventMask) -> bool {
        self.mask.intersects(mask)
    }

    pub fn is_dir(&self) -> bool {
        self.has(EventMask::ISDIR)
    }
}

/// A line such as `create a/b/` or `rename a -> b`; what the mask calls a directory ends in a slash.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.is_dir() { "/" } else { "" };
        let path = format!("{}{slash}", self.path.as_os_str().as_bytes().escape_ascii());
        let has = |mask| self.has(mask);
        match &self.how {
            How::Found if has(EventMask::CREATE) => write!(f, "found {path}"),
            How::Found if has(EventMask::DELETE) => write!(f, "missing {path}"),
            How::Found if has(EventMask::MODIFY) => write!(f, "changed {path}"),
            How::Told if has(EventMask::CREATE) => write!(f, "create {path}"),
            How::Told if has(EventMask::DELETE) => write!(f, "delete {path}"),
            How::Told if has(EventMask::MOVED_FROM) => write!(f, "moved out {path}"),
            How::Told if has(EventMask::MOVED_TO) => write!(f, "moved in {path}"),
            How::Told if has(EventMask::CLOSE_WRITE) => write!(f, "written {path}"),
            How::Renamed(from) => {
                let from = from.as_os_str().as_bytes().escape_ascii();
                write!(f, "rename {from}{slash} -> {path}")
            }
            How::Exchanged(with) => {
                let with = with.as_os_str().as_bytes().escape_ascii();
                write!(f, "exchange {with}{slash} <-> {path}")
            }
            How::Unlisted(why) => write!(f, "unlisted {path}: {why:?}"),
            How::Watched => write!(f, "watched {path}"),
            How::Established => f.write_str("established"),
            How::Unwatched(why) => {
                let path = self.path.as_os_str().as_bytes().escape_ascii();
                match why {
                    Barred::Errno(why) => write!(f, "unwatched {path}: {why:?}"),
                    other => write!(f, "unwatched {path}: {other:?}"),
                }
            }
            How::Overflow => f.write_str("overflow"),
            How::Resynced => f.write_str("resynced"),
            How::RootMoved => f.write_str("root moved"),
            How::RootRemoved => f.write_str("root removed"),
            How::RootUnmounted => f.write_str("root unmounted"),
            How::Ignored => f.write_str("ignored"),
            How::Told | How::Found => write!(f, "{:?} {} {path}", self.how, self.mask),
        }
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// What tells whether a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    ino: u64,
    size: i64,
    mtime: (i64, i64),
}

/// What is at a name: a directory with its entries, or something else.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    entries: Option<BTreeMap<OsString, Entry>>,
    /// On the disk, the inode of a directory.
    ino: u64,
    /// Of a file. In the mirror: as it was when all was last quiet, if nothing was told of it since.
    content: Option<Content>,
}

impl Entry {
    fn new(is_dir: bool) -> Self {
        Self { entries: is_dir.then(BTreeMap::new), ..Self::default() }
    }

    pub fn is_dir(&self) -> bool {
        self.entries.is_some()
    }

    /// What is on the disk at a directory, which must rest meanwhile. Descends by descriptors, so paths
    /// may be longer than the kernel takes; what can't be read counts as empty.
    pub fn walk(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self::walk_dir(rustix::fs::openat(CWD, path, flags, Mode::empty()).unwrap())
    }

    fn walk_dir(dir: OwnedFd) -> Self {
        let mut entries = BTreeMap::new();
        let ino = rustix::fs::fstat(&dir).unwrap().st_ino;
        // Not `read_from`, which would open it again by `.`, as not everybody may.
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
                // What is written by another name of it is told nowhere else.
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

    /// The same where links to directories are followed, into those directories alone that are `inside`
    /// by the paths that lead to them.
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

    /// The inodes of this directory and all beneath it, sorted.
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

    /// The inodes of this directory and those beneath it that are in none of `covered`.
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

    /// The number of directories with this one, and of the files.
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

    fn get_mut(&mut self, path: &Path) -> Option<&mut Self> {
        Self::names(path).try_fold(self, |entry, name| entry.entries.as_mut()?.get_mut(name))
    }

    fn parent_mut(&mut self, path: &Path) -> Option<&mut BTreeMap<OsString, Self>> {
        self.get_mut(path.parent()?)?.entries.as_mut()
    }

    fn take(&mut self, path: &Path) -> Option<Self> {
        self.parent_mut(path)?.remove(path.file_name()?)
    }

    fn forget_files(&mut self) {
        if let Some(entries) = &mut self.entries {
            entries.retain(|_, entry| entry.is_dir());
            entries.values_mut().for_each(Self::forget_files);
        }
    }

    /// Where this differs from the disk, a line for each place. What it believes to know of files'
    /// content is compared too.
    /// Of an entry that is excused, nothing counts that is in it.
    fn compare(
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
                        differences.push(format!("told, but not there: {:?}", at.join(name)));
                    }
                }
                for (name, entry) in theirs {
                    match mine.get(name) {
                        Some(known) => {
                            let at = at.join(name);
                            known.compare(entry, with_files, &at, excused, differences);
                        }
                        None if with_files || entry.is_dir() => {
                            differences.push(format!("there, but not told: {:?}", at.join(name)));
                        }
                        None => {}
                    }
                }
            }
            (None, None) => {
                if let (true, Some(before), Some(now)) = (with_files, self.content, disk.content) {
                    if before != now {
                        differences.push(format!("changed, but not told: {at:?}"));
                    }
                }
            }
            _ if with_files || self.is_dir() || disk.is_dir() => differences.push(format!(
                "{at:?} was told as {}, and is {}",
                if self.is_dir() { "a directory" } else { "a file" },
                if disk.is_dir() { "a directory" } else { "a file" },
            )),
            _ => {}
        }
    }
}

/// So many events are kept to be shown with a difference.
const HISTORY: usize = 1000;
/// And so many with an event that must not be.
const CONTEXT: usize = 25;

/// What is in a tree, by what the events told.
#[derive(Clone)]
pub struct Mirror {
    root: Entry,
    /// Whether files are reported after an overflow.
    snapshot: bool,
    /// Links are followed: a link that was a file may be found to lead to a directory.
    links: bool,
    /// Where not every directory may be looked at: those of which that was said.
    excuses: Option<Excuses>,
    /// Events were lost since all was last quiet: what is told may have been known already.
    doubtful: bool,
    resyncing: bool,
    knows_files: bool,
    established: bool,
    /// What no event may tell, but did.
    wrong: Vec<String>,
    history: VecDeque<Note>,
    pub events: u64,
    pub overflows: u64,
    /// Reported as `Unwatched` or `Unlisted`.
    pub barred: u64,
    /// Reported as unmounted.
    pub unmounted: u64,
    pub over: bool,
}

impl Mirror {
    /// That of a tree of which nothing was told yet: for `TreeOptions::report_existing`.
    pub fn empty(snapshot: bool) -> Self {
        Self {
            root: Entry::new(true),
            snapshot,
            links: false,
            excuses: None,
            doubtful: false,
            resyncing: false,
            knows_files: true,
            established: false,
            wrong: Vec::new(),
            history: VecDeque::new(),
            events: 0,
            overflows: 0,
            barred: 0,
            unmounted: 0,
            over: false,
        }
    }

    /// That of a tree whose directory rests while the tree is set up.
    pub fn of(path: &Path) -> Self {
        Self { root: Entry::walk(path), ..Self::empty(false) }
    }

    pub fn with_snapshot(self, snapshot: bool) -> Self {
        Self { snapshot, ..self }
    }

    pub fn with_links(self) -> Self {
        Self { links: true, ..self }
    }

    fn wrong(&mut self, what: &str, note: &Note) {
        let mut said = format!("event {}, \"{note}\": {what}", self.events);
        if self.wrong.len() < 5 {
            // What else was told of that place, and of those above and below.
            let related = |path: &Path| path.starts_with(&note.path) || note.path.starts_with(path);
            let (first, mut lines) = (self.events - self.history.len() as u64 + 1, Vec::new());
            for (event, other) in (first..).zip(&self.history) {
                let from = matches!(&other.how,
                    How::Renamed(from) | How::Exchanged(from) if related(from));
                if !other.path.as_os_str().is_empty() && (from || related(&other.path)) {
                    lines.push(format!("\n        {event} {other}"));
                }
            }
            said.extend(lines.drain(lines.len().saturating_sub(CONTEXT)..));
            said.push_str("\n      and last of all");
            for other in self.history.iter().rev().take(CONTEXT).rev() {
                let _ = write!(said, "\n        {other}");
            }
        }
        self.wrong.push(said);
    }

    /// Whether nothing need be known of what is at a path.
    fn is_excused(&self, path: &Path) -> bool {
        self.excuses.as_ref().is_some_and(|excuses| excuses.cover(path))
    }

    /// Whether what is told of a path may be known already, or be of what is not known.
    fn is_doubtful(&self, path: &Path) -> bool {
        self.doubtful || self.is_excused(path)
    }

    /// Takes in one event.
    pub fn apply(&mut self, note: &Note) {
        self.take_in(note);
        self.barred += u64::from(matches!(note.how, How::Unwatched(_) | How::Unlisted(_)));
        self.unmounted += u64::from(note.has(EventMask::UNMOUNT));
        if let Some(excuses) = &mut self.excuses {
            excuses.apply(note);
            if let (How::Unwatched(_), Some(entry)) = (&note.how, self.root.get_mut(&note.path)) {
                // Nothing is known of what is in it, until that is found again.
                *entry = Entry::new(true);
            }
        }
    }

    fn take_in(&mut self, note: &Note) {
        self.events += 1;
        if self.over && note.how != How::Ignored {
            self.wrong("after the end of the tree", note);
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(note.clone());
        match &note.how {
            How::Renamed(from) => self.rename(from, note),
            How::Exchanged(with) => self.exchange(with, note),
            How::Told | How::Found if note.has(EventMask::CREATE) => self.create(note, false),
            How::Told | How::Found if note.has(EventMask::MOVED_TO) => self.create(note, true),
            How::Told | How::Found if note.has(EventMask::DELETE | EventMask::MOVED_FROM) => {
                self.remove(note);
            }
            How::Told | How::Found => {
                if let Some(entry) = self.root.get_mut(&note.path) {
                    entry.content = None;
                    if note.has(EventMask::UNMOUNT) {
                        // What it was mounted on is looked at anew.
                        entry.entries = Some(BTreeMap::new());
                    }
                }
            }
            How::Overflow => {
                self.overflows += 1;
                self.doubtful = true;
                self.resyncing = true;
            }
            How::Resynced => {
                if !self.resyncing {
                    self.wrong("nothing was lost", note);
                }
                self.resyncing = false;
                if !self.snapshot {
                    self.root.forget_files();
                    self.knows_files = false;
                }
            }
            How::RootRemoved | How::RootUnmounted => self.over = true,
            How::Established if self.established => self.wrong("it was set up before", note),
            How::Established => self.established = true,
            How::Unwatched(_) | How::Unlisted(_) | How::Watched => {}
            How::RootMoved | How::Ignored => {}
        }
    }

    fn create(&mut self, note: &Note, may_replace: bool) {
        let entry = Entry::new(note.is_dir());
        let doubtful = self.is_doubtful(&note.path);
        let Some(parent) = self.root.parent_mut(&note.path) else {
            if !self.is_excused(&note.path) {
                self.wrong("its parent was never announced", note);
            }
            return;
        };
        let name = note.path.file_name().unwrap();
        match parent.get(name) {
            Some(known) if doubtful && known.is_dir() == entry.is_dir() => {
                // Its content, if it is a directory, was not lost.
                parent.get_mut(name).unwrap().content = None;
            }
            known => {
                // A directory that is found may also have replaced a file by events that come later.
                let leads = (self.links || self.excuses.is_some() && !self.snapshot)
                    && (&note.how, note.is_dir()) == (&How::Found, true)
                    && known.is_some_and(|known| !known.is_dir());
                let again = known.is_some() && !may_replace && !doubtful && !leads;
                parent.insert(name.to_owned(), entry);
                if again {
                    self.wrong("it was there already", note);
                }
            }
        }
    }

    fn remove(&mut self, note: &Note) {
        let doubtful = self.is_doubtful(&note.path);
        match self.root.take(&note.path) {
            None if !doubtful => self.wrong("it was not there", note),
            None => {}
            Some(entry) if doubtful => drop(entry),
            Some(entry) if entry.is_dir() != note.is_dir() => self.wrong("it was no such", note),
            // With all beneath it: what was found there may not have been told to be gone.
            Some(_) => {}
        }
    }

    fn rename(&mut self, from: &Path, note: &Note) {
        let excused = self.is_excused(from) || self.is_excused(&note.path);
        let entry = match self.root.take(from) {
            Some(entry) if entry.is_dir() == note.is_dir() => entry,
            other => {
                if !self.doubtful && !excused {
                    let what = if other.is_some() { "it was no such" } else { "it was not there" };
                    self.wrong(what, note);
                }
                Entry::new(note.is_dir())
            }
        };
        let Some(parent) = self.root.parent_mut(&note.path) else {
            if !excused {
                self.wrong("its new parent was never announced", note);
            }
            return;
        };
        parent.insert(note.path.file_name().unwrap().to_owned(), entry);
    }

    fn exchange(&mut self, with: &Path, note: &Note) {
        let (Some(one), Some(other)) = (self.root.take(with), self.root.take(&note.path)) else {
            return self.wrong("one of both was not there", note);
        };
        if !one.is_dir() || !other.is_dir() {
            self.wrong("one of both was no directory", note);
        }
        for (path, entry) in [(with, other), (note.path.as_path(), one)] {
            match (self.root.parent_mut(path), path.file_name()) {
                (Some(parent), Some(name)) => drop(parent.insert(name.to_owned(), entry)),
                _ => self.wrong("one is beneath the other", note),
            }
        }
    }

    /// What is wrong now that all has been told of a tree at rest; then starts again from the disk,
    /// where files could not be told.
    pub fn differences(&mut self, disk: &Entry) -> Vec<String> {
        let mut differences = self.differences_but(disk, &|_, _| false);
        if let Some(excuses) = &mut self.excuses {
            // All may be looked at.
            differences.extend(excuses.hold(disk, None));
        }
        if differences.is_empty() {
            self.root = disk.clone();
            (self.doubtful, self.knows_files) = (false, true);
        }
        differences
    }

    /// What is wrong, but for what is in directories that are excused.
    fn differences_but(
        &mut self,
        disk: &Entry,
        excused: &dyn Fn(&Path, &Entry) -> bool,
    ) -> Vec<String> {
        let mut differences = std::mem::take(&mut self.wrong);
        if self.resyncing {
            differences.push("an overflow without an end".to_owned());
        }
        self.root.compare(disk, self.knows_files, Path::new(""), excused, &mut differences);
        differences
    }

    /// Takes the disk for what is known.
    pub fn start_from(&mut self, disk: &Entry) {
        self.root = disk.clone();
    }

    /// The last events, a line each.
    pub fn history(&self) -> String {
        self.history.iter().fold(String::new(), |mut lines, note| {
            let _ = writeln!(lines, "  {note}");
            lines
        })
    }
}

/// The inodes that the kernel watches.
pub fn watched(watcher: &impl AsRawFd) -> BTreeSet<u64> {
    kernel_watches(watcher).values().map(|watch| watch.ino).collect()
}

/// Where what the kernel watches is not each directory once, and nothing else.
pub fn watches_amiss(watcher: &impl AsRawFd, disk: &Entry) -> Option<String> {
    let mut watched: Vec<u64> = kernel_watches(watcher).values().map(|watch| watch.ino).collect();
    watched.sort_unstable();
    let wanted = disk.inodes();
    let lacking =
        |of: &[u64], but: &[u64]| of.iter().filter(|ino| but.binary_search(ino).is_err()).count();
    (watched != wanted).then(|| {
        format!(
            "{} inodes are watched for {} directories: {} of them not, and {} others",
            watched.len(),
            wanted.len(),
            lacking(&wanted, &watched),
            lacking(&watched, &wanted),
        )
    })
}

/// Reads up to the end of a tree's set-up, and returns what was reported before it.
pub fn established(watcher: &mut Watcher, watch: WatchId) -> Vec<Note> {
    let root = watcher.watches().info(watch).unwrap().path;
    let mut notes = Vec::new();
    loop {
        let event = watcher.try_recv().unwrap().expect("the end of the set-up");
        assert_eq!(event.watch(), Some(watch), "{event:?}");
        if event.tree_change() == Some(TreeChange::Established) {
            assert_eq!(event.path(), root);
            return notes;
        }
        notes.push(Note::of(&event, &root));
    }
}

/// Adds a tree, and reads up to the end of its set-up, before which nothing is to be reported.
pub fn watch_tree(
    watcher: &mut Watcher,
    root: &Path,
    mask: WatchMask,
    options: TreeOptions,
) -> WatchId {
    let watch = watcher.watch_tree(root, mask, options).unwrap();
    assert_eq!(established(watcher, watch), []);
    watch
}

/// A tree in a directory of its own, with a place beside it that is not watched.
pub struct Scene {
    place: TempDir,
    pub watcher: Watcher,
    pub watch: WatchId,
    pub root: PathBuf,
    pub mirror: Mirror,
    /// What the set-up reported.
    early: Vec<Note>,
}

impl Scene {
    pub fn new(prepare: impl FnOnce(&Path)) -> Self {
        Self::with(NAMES, TreeOptions::new(), prepare)
    }

    pub fn with(mask: WatchMask, options: TreeOptions, prepare: impl FnOnce(&Path)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(place.path().join("outside")).unwrap();
        prepare(&root);
        let mirror = Mirror::of(&root);
        let mut watcher = Watcher::new().unwrap();
        let watch = watcher.watch_tree(&root, mask, options).unwrap();
        let early = established(&mut watcher, watch);
        Self { place, watcher, watch, root, mirror, early }
    }

    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    pub fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.place.path().join("outside").join(path)
    }

    /// All that there is to tell now, without the end of the set-up.
    pub fn notes(&mut self) -> Vec<Note> {
        let mut notes = std::mem::take(&mut self.early);
        while let Some(event) = self.watcher.try_recv().unwrap() {
            if !event.is_overflow() {
                assert_eq!(event.watch(), Some(self.watch), "{event:?}");
            }
            notes.push(Note::of(&event, &self.root));
        }
        notes
    }

    /// As lines.
    pub fn lines(&mut self) -> Vec<String> {
        self.notes().iter().map(ToString::to_string).collect()
    }

    /// As [`lines`](Self::lines), of a tree at rest; and sees that the mirror equals the disk, and that
    /// each directory is watched once.
    pub fn told(&mut self) -> Vec<String> {
        let notes = self.notes();
        notes.iter().for_each(|note| self.mirror.apply(note));
        self.check();
        notes.iter().map(ToString::to_string).collect()
    }

    pub fn check(&mut self) {
        let disk = Entry::walk(&self.root);
        let mut wrong = self.mirror.differences(&disk);
        wrong.extend(watches_amiss(&self.watcher, &disk));
        assert!(wrong.is_empty(), "{}\nafter\n{}", wrong.join("\n"), self.mirror.history());
    }
}

/// xorshift64: the same seed, the same numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero, and neighbouring seeds would begin alike.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD120_0000_0000_7F4B | 1) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

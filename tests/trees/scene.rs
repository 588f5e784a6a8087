//! A watched tree, its set-up, and the watches that the kernel lists for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tinotify::{TreeChange, TreeOptions, WatchId, WatchMask, Watcher};

use super::{Entry, Mirror, NAMES, Note};
use crate::watching::kernel_watches;

/// Returns the inodes that the kernel watches.
pub fn watched(watcher: &Watcher) -> BTreeSet<u64> {
    kernel_watches(watcher).values().map(|watch| watch.ino).collect()
}

/// Returns a description of the difference, unless the kernel watches each directory once and nothing else.
pub fn watches_amiss(watcher: &Watcher, disk: &Entry) -> Option<String> {
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

/// Reads up to the end of a tree's set-up, and returns the reports before it.
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

/// Adds a tree, and reads up to the end of its set-up. Nothing may be reported before that.
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

/// A tree in its own directory, with a directory beside it that is not watched.
pub struct Scene {
    place: TempDir,
    pub watcher: Watcher,
    pub watch: WatchId,
    pub root: PathBuf,
    pub mirror: Mirror,
    /// The reports of the set-up.
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

    /// Returns all present reports, without the end of the set-up.
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

    /// Returns all present reports as lines.
    pub fn lines(&mut self) -> Vec<String> {
        self.notes().iter().map(ToString::to_string).collect()
    }

    /// Returns the [`lines`](Self::lines) of a tree at rest, and checks that the mirror equals the disk and
    /// that each directory is watched once.
    pub fn checked(&mut self) -> Vec<String> {
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

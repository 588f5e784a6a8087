//! Shared by the tests of followed links: a scene with links, and its walk of the disk.

#![allow(dead_code)] // Each test binary uses some of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::{TreeOptions, WatchMask};

use crate::trees::{Entry, Mirror, NAMES, Scene};
use crate::watching::kernel_watches;

pub fn follow() -> TreeOptions {
    TreeOptions::new().follow_links(true)
}

/// Returns a tree that follows links. `prepare` gets its root and the directory beside it.
pub fn scene(options: TreeOptions, prepare: impl FnOnce(&Path, &Path)) -> Scene {
    let mask = NAMES | WatchMask::ATTRIB;
    let mut tree = Scene::with(mask, options, |root| {
        prepare(root, &root.parent().unwrap().join("outside"));
    });
    tree.mirror = Mirror::empty(false);
    let early = tree.lines();
    tree.mirror = Mirror::of(&tree.root).with_links();
    restart(&mut tree);
    assert!(early.iter().all(|line| line.ends_with(": WatchedElsewhere")), "{early:?}");
    tree
}

pub fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

pub fn dir(path: impl AsRef<Path>) {
    fs::create_dir_all(path).unwrap();
}

/// Replaces a link atomically, as `ln -sfn` does.
pub fn retarget(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name(".new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

pub fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

pub fn ino(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Returns the directories of a tree by their paths, with the inode that is watched.
pub fn directories(tree: &Scene) -> BTreeMap<PathBuf, Option<u64>> {
    let watched = kernel_watches(&tree.watcher);
    let all = tree.watcher.watches().tree_directories(tree.watch).unwrap();
    let ino = |wd: tinotify::Wd| watched[&wd.as_raw()].ino;
    all.into_iter().map(|dir| (dir.path, dir.wd.map(ino))).collect()
}

/// Collects the inodes of all directories that can be reached from a path through links.
pub fn reached(path: &Path, found: &mut BTreeSet<u64>) {
    if found.insert(ino(path)) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                reached(&path, found);
            }
        }
    }
}

/// Walks the disk, in the directories that the tree watches.
pub fn disk(tree: &Scene) -> Entry {
    let known = directories(tree);
    Entry::walk_links(&tree.root, &|path| known.get(path).is_some_and(Option::is_some))
}

/// Sets the mirror to the present content of the disk.
pub fn restart(tree: &mut Scene) {
    let disk = disk(tree);
    tree.mirror.start_from(&disk);
}

/// Returns what is wrong with the watches of a tree at rest: each directory has to be watched once, by a path
/// that leads to it.
pub fn watches_amiss(tree: &Scene) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut reachable = BTreeSet::new();
    reached(&tree.root, &mut reachable);
    let watched: Vec<u64> = kernel_watches(&tree.watcher).values().map(|watch| watch.ino).collect();
    let distinct: BTreeSet<u64> = watched.iter().copied().collect();
    if watched.len() != distinct.len() || distinct != reachable {
        wrong.push(format!("{distinct:?} are watched, but {reachable:?} are reachable"));
    }
    for (path, watched) in directories(tree) {
        if !path.is_dir() {
            wrong.push(format!("{path:?} is not a directory"));
        } else if watched.is_some_and(|watched| watched != ino(&path)) {
            wrong.push(format!("{path:?} leads elsewhere"));
        }
    }
    wrong
}

/// Checks the watches of a tree at rest, and that the mirror equals the disk.
pub fn check(tree: &mut Scene) {
    let mut wrong = watches_amiss(tree);
    wrong.extend(tree.mirror.differences(&disk(tree)));
    assert!(wrong.is_empty(), "{}\nafter\n{}", wrong.join("\n"), tree.mirror.history());
}

/// Returns the present reports as lines, and checks the tree.
pub fn checked(tree: &mut Scene) -> Vec<String> {
    let notes = tree.notes();
    notes.iter().for_each(|note| tree.mirror.apply(note));
    check(tree);
    notes.iter().map(ToString::to_string).filter(|line| !line.contains("ATTRIB")).collect()
}

/// Checks that a file in a directory of the tree is reported by this path.
pub fn is_seen(tree: &mut Scene, at: &str) {
    let path = format!("{at}/file");
    write(tree.at(&path));
    assert_eq!(checked(tree), [format!("create {path}"), format!("written {path}")]);
    fs::remove_file(tree.at(&path)).unwrap();
    assert_eq!(checked(tree), [format!("delete {path}")]);
}

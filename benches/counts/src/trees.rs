//! The set-up of a tree, and its resynchronisation after an overflow.

use std::path::Path;

use tinotify::{TreeChange, TreeOptions, WatchMask, Watcher};

use crate::world::World;

const MASK: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO);

/// Sets up a tree.
pub fn watch_tree(root: &Path, mask: WatchMask) -> Watcher {
    let watcher = Watcher::new().unwrap();
    if let Err(error) = watcher.watch_tree(root, mask, TreeOptions::new()) {
        crate::skip(&format!("cannot watch the tree: {error}"));
    }
    watcher
}

/// Sets up a tree a number of times.
pub fn set_up(directories: usize, times: usize, root: Option<&Path>) {
    let world = root.is_none().then(|| World::start(&format!("forest/{directories}")));
    let root = world.as_ref().map_or_else(|| root.unwrap(), |world| &world.root);
    for _ in 0..times {
        drop(watch_tree(root, MASK));
    }
}

/// Overflows the queue of a tree and lets it resynchronise, a number of times.
pub fn resync(directories: usize, times: usize) {
    let mut world = World::start(&format!("forest/{directories}"));
    let mut watcher = watch_tree(&world.root, MASK);
    while watcher.try_recv().unwrap().is_some() {}
    for _ in 0..times {
        world.cause_events();
        let (mut lost, mut resynced) = (false, false);
        while let Some(event) = watcher.try_recv().unwrap() {
            lost |= event.is_overflow();
            resynced |= event.tree_change() == Some(TreeChange::Resynced);
        }
        assert!(lost && resynced, "no overflow, or no resynchronisation after it");
    }
}

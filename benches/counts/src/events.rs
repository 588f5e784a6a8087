//! Events of a watcher, with their paths.

use std::hint::black_box;

use tinotify::{TreeOptions, WatchMask, Watcher};

use crate::trees::watch_tree;
use crate::world::{EVENTS, World};

/// Drains the queue, and returns the number of events.
fn drain(watcher: &mut Watcher) -> usize {
    let mut seen = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        black_box((event.watch(), event.mask().bits(), event.cookie(), event.path()));
        seen += 1;
    }
    seen
}

fn drain_often(watcher: &mut Watcher, world: &mut World, drains: usize) {
    // The events of a tree's own scan.
    drain(watcher);
    for _ in 0..drains {
        world.cause_events();
        assert_eq!(drain(watcher), EVENTS);
    }
}

pub fn plain(drains: usize) {
    let mut world = World::start("flat");
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&world.root, WatchMask::MODIFY).unwrap();
    drain_often(&mut watcher, &mut world, drains);
}

pub fn tree(directories: usize, drains: usize) {
    let mut world = World::start(&format!("deep/{directories}"));
    let mut watcher = watch_tree(&world.root, WatchMask::MODIFY);
    drain_often(&mut watcher, &mut world, drains);
}

/// Creates a directory that all of several trees watch, a number of times.
pub fn overlap(trees: usize, times: usize) {
    let mut world = World::start("growing");
    let mut watcher = Watcher::new().unwrap();
    for _ in 0..trees {
        watcher.watch_tree(&world.root, WatchMask::CREATE, TreeOptions::new()).unwrap();
    }
    drain(&mut watcher);
    for _ in 0..times {
        world.cause_events();
        assert_eq!(drain(&mut watcher), trees);
    }
}

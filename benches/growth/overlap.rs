//! Trees of one watcher that watch the same directories.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;
use tinotify::{TreeOptions, Watcher};

use crate::files::numbered;
use crate::growth::{Report, sizes};
use crate::limit::WatchLimit;
use crate::rivals::MASK;

/// The directories beneath the root.
const DIRECTORIES: usize = 99;
const EVENTS: usize = 100;
const NEW: usize = 10;

fn watch(root: &Path, trees: usize) -> Watcher {
    let mut watcher = Watcher::new().unwrap();
    for _ in 0..trees {
        watcher.watch_tree(root, MASK, TreeOptions::new()).unwrap();
    }
    // Each tree reports that it is established.
    read(&mut watcher);
    watcher
}

fn read(watcher: &mut Watcher) -> usize {
    let mut seen = 0;
    while watcher.try_recv().unwrap().is_some() {
        seen += 1;
    }
    seen
}

pub fn measure(report: &mut Report, _limit: &WatchLimit) {
    let n = report.size(100, 10);
    let trees = sizes(n);
    let place = TempDir::new().unwrap();
    let root = place.path();
    (0..DIRECTORIES).map(numbered(root)).for_each(|path| fs::create_dir(path).unwrap());

    let what = "overlapping trees, set-up, per tree and directory";
    let items = trees.map(|trees| trees * (DIRECTORIES + 1));
    let set_up = |watcher: &mut Option<Watcher>, size: usize| {
        *watcher = Some(watch(root, trees[size]));
    };
    let growth = report.measure(what, items, |_| None, set_up);
    report.is_linear(what, &growth);

    let files = ["one", "two"].map(|name| File::create(root.join(name)).unwrap());
    let what = "overlapping trees, an event in each";
    let items = trees.map(|trees| trees * EVENTS);
    let growth = report.measure(
        what,
        items,
        |size| watch(root, trees[size]),
        |watcher, size| {
            for event in 0..EVENTS {
                files[event % 2].write_all_at(b"t", 0).unwrap();
            }
            assert_eq!(read(watcher), items[size]);
        },
    );
    report.is_linear(what, &growth);

    let what = "overlapping trees, a new directory in each";
    let items = trees.map(|trees| trees * NEW);
    let growth = report.measure(
        what,
        items,
        |size| watch(root, trees[size]),
        |watcher, size| {
            let new = |number: usize| root.join(format!("new-{number}"));
            (0..NEW).for_each(|number| fs::create_dir(new(number)).unwrap());
            let created = read(watcher);
            (0..NEW).for_each(|number| fs::remove_dir(new(number)).unwrap());
            assert_eq!([created, read(watcher)], [items[size]; 2]);
        },
    );
    report.is_linear(what, &growth);
}

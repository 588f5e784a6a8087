//! Separate watches of files, each with an alias, beside the bare calls.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init, remove_watch};
use tempfile::TempDir;
use tinotify::{WatchId, WatchMask, WatchOptions, Watcher};

use crate::files::numbered;
use crate::growth::{Report, sizes};
use crate::limit::WatchLimit;

/// The watches that are removed between two reads. Less than the limit of the queue, 16,384 events.
const BATCH: usize = 1_000;

fn alias(number: usize) -> String {
    format!("alias-{number}")
}

/// A watcher with a watch of each path.
struct Watched {
    watcher: Watcher,
    watches: Vec<WatchId>,
}

impl Watched {
    fn new(paths: &[PathBuf]) -> Self {
        let watcher = Watcher::new().unwrap();
        let add = |(number, path)| {
            let options = WatchOptions::new().alias(alias(number));
            watcher.watch_with(path, WatchMask::MODIFY, options).unwrap()
        };
        let watches = paths.iter().enumerate().map(add).collect();
        Self { watcher, watches }
    }
}

/// The same calls of the kernel.
struct Bare {
    inotify: OwnedFd,
    watches: Vec<i32>,
}

impl Bare {
    fn new(paths: &[PathBuf]) -> Self {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let add = |path| add_watch(&inotify, path, WatchFlags::MODIFY).unwrap();
        let watches = paths.iter().map(add).collect();
        Self { inotify, watches }
    }

    fn remove(&mut self) {
        let mut buffer = [0; 32 * 1024];
        for batch in self.watches.chunks(BATCH) {
            batch.iter().for_each(|watch| remove_watch(&self.inotify, *watch).unwrap());
            while rustix::io::read(&self.inotify, &mut buffer).is_ok() {}
        }
    }
}

pub fn measure(report: &mut Report, limit: &WatchLimit) {
    let n = limit.fit("separate watches", report.size(10_000, 500), 1);
    let items = sizes(n);
    let place = TempDir::new().unwrap();
    let path = numbered(place.path());
    (0..items[2]).for_each(|number| drop(File::create(path(number)).unwrap()));
    let paths: Vec<PathBuf> = (0..items[2]).map(path).collect();

    measure_adding(report, items, &paths);
    measure_look_up(report, items, &paths);
    measure_removal(report, items, &paths);
}

fn measure_adding(report: &mut Report, items: [usize; 3], paths: &[PathBuf]) {
    let what = "a watch with an alias";
    let growth = report.measure(
        what,
        items,
        |_| None,
        |added, size| *added = Some(Watched::new(&paths[..items[size]])),
    );
    let floor = report.measure(
        "bare inotify_add_watch",
        items,
        |_| None,
        |added, size| *added = Some(Bare::new(&paths[..items[size]])),
    );
    report.grows_as(what, &growth, &floor);
}

fn measure_look_up(report: &mut Report, items: [usize; 3], paths: &[PathBuf]) {
    let what = "look-up by alias";
    let watched = |size: usize| Watched::new(&paths[..items[size]]);
    let growth = report.measure(what, items, watched, |watched, _| {
        let watches = watched.watcher.watches();
        for (number, watch) in watched.watches.iter().enumerate() {
            assert_eq!(watches.with_alias(alias(number)).unwrap(), *watch);
        }
    });
    let map = |size: usize| -> HashMap<OsString, usize> {
        (0..items[size]).map(|number| (alias(number).into(), number)).collect()
    };
    let floor = report.measure("bare look-up in a HashMap", items, map, |map, _| {
        for number in 0..map.len() {
            assert_eq!(map[OsStr::new(&alias(number))], number);
        }
    });
    report.grows_as(what, &growth, &floor);
}

fn measure_removal(report: &mut Report, items: [usize; 3], paths: &[PathBuf]) {
    let floor = report.measure(
        "bare inotify_rm_watch, reading after each 1,000",
        items,
        |size| Bare::new(&paths[..items[size]]),
        |bare, _| bare.remove(),
    );
    let watched = |size: usize| Watched::new(&paths[..items[size]]);
    for (what, batch) in
        [("unwatch, reading after each 1,000", BATCH), ("unwatch of all, then reading", usize::MAX)]
    {
        let growth = report.measure(what, items, watched, |watched, _| {
            let watches = std::mem::take(&mut watched.watches);
            for batch in watches.chunks(batch) {
                batch.iter().for_each(|watch| watched.watcher.unwatch(*watch).unwrap());
                while watched.watcher.try_recv().unwrap().is_some() {}
            }
        });
        report.grows_as(what, &growth, &floor);
    }
}

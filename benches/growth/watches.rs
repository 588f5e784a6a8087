//! Separate watches of files, each with an alias.

use std::fs::File;
use std::path::PathBuf;

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

/// A watcher with some watches.
struct Watched {
    watcher: Watcher,
    watches: Vec<WatchId>,
}

impl Watched {
    fn new(count: usize, path: &impl Fn(usize) -> PathBuf) -> Self {
        let watcher = Watcher::new().unwrap();
        let add = |number| {
            let options = WatchOptions::new().alias(alias(number));
            watcher.watch_with(path(number), WatchMask::MODIFY, options).unwrap()
        };
        let watches = (0..count).map(add).collect();
        Self { watcher, watches }
    }

    fn read(&mut self) {
        while self.watcher.try_recv().unwrap().is_some() {}
    }
}

pub fn measure(report: &mut Report, limit: &WatchLimit) {
    let n = limit.fit("separate watches", report.size(10_000, 500), 1);
    let items = sizes(n);
    let place = TempDir::new().unwrap();
    let path = numbered(place.path());
    (0..items[2]).for_each(|number| drop(File::create(path(number)).unwrap()));
    let watched = |size: usize| Watched::new(items[size], &path);

    let what = "a watch with an alias";
    let growth = report.measure(what, items, |_| None, |added, size| *added = Some(watched(size)));
    report.is_linear(what, &growth);

    let what = "look-up by alias";
    let growth = report.measure(what, items, watched, |watched, _| {
        let watches = watched.watcher.watches();
        for (number, watch) in watched.watches.iter().enumerate() {
            assert_eq!(watches.with_alias(alias(number)).unwrap(), *watch);
        }
    });
    report.is_linear(what, &growth);

    let what = "unwatch, reading after each 1,000";
    let growth = report.measure(what, items, watched, |watched, _| {
        let watches = std::mem::take(&mut watched.watches);
        for batch in watches.chunks(BATCH) {
            batch.iter().for_each(|watch| watched.watcher.unwatch(*watch).unwrap());
            watched.read();
        }
    });
    report.is_linear(what, &growth);

    let what = "unwatch all, then read";
    let growth = report.measure(what, items, watched, |watched, _| {
        let watches = std::mem::take(&mut watched.watches);
        watches.iter().for_each(|watch| watched.watcher.unwatch(*watch).unwrap());
        watched.read();
    });
    report.is_linear(what, &growth);
}

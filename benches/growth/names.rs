//! Followed names (`watch_name`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tinotify::{WatchMask, Watcher};

use crate::files::numbered;
use crate::growth::{Growth, Report, sizes};
use crate::limit::WatchLimit;

/// The names that change between two reads.
const BATCH: usize = 100;

fn follow(count: usize, path: &impl Fn(usize) -> PathBuf) -> Watcher {
    let watcher = Watcher::new().unwrap();
    for number in 0..count {
        watcher.watch_name(path(number), WatchMask::MODIFY).unwrap();
    }
    watcher
}

pub fn measure(report: &mut Report, limit: &WatchLimit) {
    // Each name in a directory of its own takes two watches.
    let n = limit.fit("followed names", report.size(1_000, 100), 2);
    measure_in_one(report, n);
    measure_in_many(report, n);
}

/// Measures names that share their directory.
fn measure_in_one(report: &mut Report, n: usize) {
    let items = sizes(n);
    let place = TempDir::new().unwrap();
    let path = numbered(place.path());
    (0..items[2]).for_each(|number| fs::write(path(number), "text").unwrap());
    measure_set_up(report, "a followed name, all in one directory", items, &path);
    measure_changes(report, "a followed file is modified", items, &path, |path| {
        File::options().write(true).open(path).unwrap().set_len(0).unwrap();
        fs::write(path, "text").unwrap();
    });
    let new = place.path().join("new");
    measure_changes(report, "a followed file is replaced", items, &path, |path| {
        fs::write(&new, "text").unwrap();
        fs::rename(&new, path).unwrap();
    });
}

/// Measures names in one directory each.
fn measure_in_many(report: &mut Report, n: usize) {
    let items = sizes(n);
    let place = TempDir::new().unwrap();
    let directory = numbered(place.path());
    let path = |number| directory(number).join("name");
    for number in 0..items[2] {
        fs::create_dir(directory(number)).unwrap();
        fs::write(path(number), "text").unwrap();
    }
    measure_set_up(report, "a followed name in its own directory", items, &path);
    measure_changes(report, "a followed file there is replaced", items, &path, |path| {
        let new = path.with_extension("new");
        fs::write(&new, "text").unwrap();
        fs::rename(&new, path).unwrap();
    });
}

fn measure_set_up(
    report: &mut Report,
    what: &str,
    items: [usize; 3],
    path: &impl Fn(usize) -> PathBuf,
) {
    let set_up = |watcher: &mut Option<Watcher>, size: usize| {
        *watcher = Some(follow(items[size], path));
    };
    let growth = report.measure(what, items, |_| None, set_up);
    report.is_linear(what, &growth);
}

/// Measures a change of each followed name, until its event was read.
fn measure_changes(
    report: &mut Report,
    what: &str,
    items: [usize; 3],
    path: &impl Fn(usize) -> PathBuf,
    change: impl Fn(&Path),
) {
    let growth: Growth = report.measure(
        what,
        items,
        |size| follow(items[size], path),
        |watcher, size| {
            let mut seen = 0;
            for first in (0..items[size]).step_by(BATCH) {
                (first..items[size].min(first + BATCH)).for_each(|number| change(&path(number)));
                while let Some(event) = watcher.try_recv().unwrap() {
                    assert!(event.name_change().is_some());
                    seen += 1;
                }
            }
            assert!(seen >= items[size], "{seen} of {} changes came", items[size]);
        },
    );
    report.is_linear(what, &growth);
}

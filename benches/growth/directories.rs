//! One directory with many files, and one with many subdirectories.

use std::fs::{self, File};
use std::path::PathBuf;

use tinotify::{TreeOptions, Watcher};

use crate::files::create_three;
use crate::growth::{Report, sizes};
use crate::limit::WatchLimit;
use crate::rivals::{MASK, Naive};

pub fn measure(report: &mut Report, limit: &WatchLimit) {
    let n = report.size(62_500, 1_000);
    let (place, roots) = create_three(n, |path| drop(File::create(path).unwrap()));
    measure_files(report, n, &roots);
    place.close().unwrap();

    let n = limit.fit("one directory with subdirectories", report.size(25_000, 500), 1);
    let (place, roots) = create_three(n, |path| fs::create_dir(path).unwrap());
    measure_subdirectories(report, n, &roots);
    place.close().unwrap();
}

fn measure_files(report: &mut Report, n: usize, roots: &[PathBuf; 3]) {
    let watch = |options: fn() -> TreeOptions| {
        move |watcher: &mut Watcher, size: usize| {
            watcher.watch_tree(&roots[size], MASK, options()).unwrap();
        }
    };
    let what = "one directory with files, per file";
    let growth = report.measure(what, sizes(n), new_watcher, watch(TreeOptions::new));
    report.is_linear(what, &growth);

    let what = "the same, reporting existing files";
    let options = || TreeOptions::new().report_existing(true);
    let growth = report.measure(what, sizes(n), new_watcher, |watcher, size| {
        watch(options)(watcher, size);
        let mut seen = 0;
        while watcher.try_recv().unwrap().is_some() {
            seen += 1;
        }
        assert!(seen >= sizes(n)[size]);
    });
    report.is_linear(what, &growth);

    let what = "the same, tracking files";
    let options = || TreeOptions::new().track_files(true);
    let growth = report.measure(what, sizes(n), new_watcher, watch(options));
    report.is_linear(what, &growth);
}

fn measure_subdirectories(report: &mut Report, n: usize, roots: &[PathBuf; 3]) {
    // The root too.
    let items = sizes(n).map(|directories| directories + 1);
    let what = "one directory with subdirectories, per subdirectory";
    let growth = report.measure(what, items, new_watcher, |watcher, size| {
        watcher.watch_tree(&roots[size], MASK, TreeOptions::new()).unwrap();
    });
    report.is_linear(what, &growth);
    report.measure(
        "the naive loop there, per subdirectory",
        items,
        |_| None,
        |naive, size| {
            let naive = naive.insert(Naive::of(&roots[size]));
            assert_eq!(naive.watches, items[size]);
        },
    );
}

fn new_watcher(_: usize) -> Watcher {
    Watcher::new().unwrap()
}

//! Trees of directories, ten in each.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tinotify::{TreeOptions, Watcher};

use crate::growth::{Growth, Report};
use crate::limit::WatchLimit;
use crate::rivals::{MASK, Naive};

const BREADTH: usize = 10;
const QUARTERS: usize = 4;

/// Three trees, each within the next, of about n, 4n and 16n directories.
struct Nested {
    _place: TempDir,
    roots: [PathBuf; 3],
    directories: [usize; 3],
}

impl Nested {
    /// Creates directories whose names have `name` bytes.
    fn create(n: usize, name: usize) -> Self {
        let place = TempDir::new().unwrap();
        let name =
            |child: usize| format!("module-{child:0>digits$}", digits = name - "module-".len());
        let largest = place.path().join(name(0));
        fs::create_dir(&largest).unwrap();
        for quarter in (0..QUARTERS).map(|quarter| largest.join(name(quarter))) {
            fs::create_dir(&quarter).unwrap();
            (0..QUARTERS).for_each(|part| create_tree(quarter.join(name(part)), n, &name));
        }
        let middle = largest.join(name(0));
        let smallest = middle.join(name(0));
        Self {
            _place: place,
            roots: [smallest, middle, largest],
            directories: [n, QUARTERS * n + 1, QUARTERS * (QUARTERS * n + 1) + 1],
        }
    }

    fn root(&self, size: usize) -> &Path {
        &self.roots[size]
    }
}

/// Creates directories level by level.
fn create_tree(root: PathBuf, directories: usize, name: &impl Fn(usize) -> String) {
    fs::create_dir(&root).unwrap();
    let mut all = vec![root];
    for parent in 0..directories {
        for child in 0..BREADTH.min(directories - all.len()) {
            let path = all[parent].join(name(child));
            fs::create_dir(&path).unwrap();
            all.push(path);
        }
    }
}

pub fn measure(report: &mut Report, limit: &WatchLimit) {
    let n = limit.fit("trees", report.size(50_000, 1_000), 1);
    measure_large(report, &Nested::create(n, 8));
    let n = n.min(report.size(12_500, 250));
    for name in [20, 255] {
        measure_named(report, &Nested::create(n, name), name);
    }
}

/// Measures the largest trees, beside the naive loop.
fn measure_large(report: &mut Report, nested: &Nested) {
    // Warm up.
    drop(Naive::of(nested.root(2)));
    let what = "set-up of a tree, per directory";
    let growth = measure_set_up(report, what, nested);
    report.is_linear(what, &growth);
    report.is_linear_in_time(what, &growth);
    report.takes_at_most(what, 55.0, &growth);
    report.measure(
        "the naive loop, per directory",
        nested.directories,
        |_| None,
        |naive, size| {
            let naive = naive.insert(Naive::of(nested.root(size)));
            assert_eq!(naive.watches, nested.directories[size]);
        },
    );
}

fn measure_named(report: &mut Report, nested: &Nested, name: usize) {
    let what = format!("set-up, names of {name} bytes, per directory");
    let growth = measure_set_up(report, &what, nested);
    report.is_linear(&what, &growth);
    if name > 20 {
        return;
    }
    let what = "unwatch of a tree, and reading, per directory";
    let growth = report.measure(
        what,
        nested.directories,
        |size| {
            let watcher = Watcher::new().unwrap();
            let tree = watcher.watch_tree(nested.root(size), MASK, TreeOptions::new()).unwrap();
            (watcher, tree)
        },
        |(watcher, tree), _| {
            watcher.unwatch(*tree).unwrap();
            while watcher.try_recv().unwrap().is_some() {}
        },
    );
    report.is_linear(what, &growth);
}

fn measure_set_up(report: &mut Report, what: &str, nested: &Nested) -> Growth {
    report.measure(
        what,
        nested.directories,
        |_| Watcher::new().unwrap(),
        |watcher, size| {
            watcher.watch_tree(nested.root(size), MASK, TreeOptions::new()).unwrap();
        },
    )
}

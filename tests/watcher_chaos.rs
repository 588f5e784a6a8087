//! Many threads use one watcher at random: nothing hangs or leaks, and permanent watches get each event
//! once and in order.

mod watching;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tinotify::{
    EventKind, TreeOptions, WatchError, WatchEventBuf, WatchId, WatchMask, WatchOptions, Watcher,
    Watches,
};
use watching::{Place, Watchdog, drained, kernel_watches};

const CREATE: WatchMask = WatchMask::CREATE;
const DIRS: usize = 4;
const THREADS: u64 = 3;
const FILES: u32 = 1500;

/// xorshift64*: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

/// Makes random calls of a handle until `done` is set. It changes `trees` only in ways that do not affect the
/// events of files, since the test reads them.
fn use_handles(watches: &Watches, trees: [WatchId; 2], root: &Path, seed: u64, done: &AtomicBool) {
    let mut random = Random(seed);
    let mut ids: Vec<WatchId> = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let dir = root.join(random.below(DIRS).to_string());
        let id = (!ids.is_empty()).then(|| ids[random.below(ids.len())]);
        let tree = trees[random.below(2)];
        match (random.below(12), id) {
            (9, _) => watches.exclude(tree, root.join("nowhere")).unwrap(),
            (10, _) => watches.include(tree, root.join("nowhere")).unwrap(),
            (11, _) => {
                let more = [WatchMask::empty(), WatchMask::DELETE, WatchMask::MOVE];
                watches.set_mask(tree, CREATE | more[random.below(3)]).unwrap();
            }
            (0, _) => ids.push(watches.watch(dir, CREATE | WatchMask::ATTRIB).unwrap()),
            (1, _) => ids.push(watches.watch_name(dir.join("name"), CREATE).unwrap()),
            (2 | 3, _) => {
                // The condition uses a handle too, and watches a directory that others watch.
                let (handles, path) = (watches.clone(), dir.clone());
                let options = TreeOptions::new().exclude(move |beneath| {
                    let watch = handles.watch(&path, WatchMask::DELETE_SELF).unwrap();
                    handles.unwatch(watch).unwrap();
                    beneath.ends_with("excluded")
                });
                let at = if random.below(2) == 0 { root } else { &dir };
                ids.push(watches.watch_tree(at, CREATE, options).unwrap());
            }
            (4, Some(watch)) => watches.set_mask(watch, CREATE | WatchMask::DELETE).unwrap(),
            (5, Some(watch)) => match watches.exclude(watch, dir) {
                Ok(()) | Err(WatchError::NoSuchWatch(_) | WatchError::NotBeneath { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            (6, Some(watch)) => match watches.include(watch, dir) {
                Ok(()) | Err(WatchError::NoSuchWatch(_) | WatchError::NotBeneath { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            (_, Some(_)) => {
                let watch = ids.swap_remove(random.below(ids.len()));
                watches.unwatch(watch).unwrap();
            }
            (_, None) => assert!(!watches.list().is_empty()),
        }
        while ids.len() > 6 {
            watches.unwatch(ids.swap_remove(random.below(ids.len()))).unwrap();
        }
    }
    ids.into_iter().for_each(|watch| watches.unwatch(watch).unwrap());
}

/// Makes numbered files in all directories, and some subdirectories.
fn make_files(root: &Path) {
    for number in 0..FILES {
        let dir = root.join((number as usize % DIRS).to_string());
        fs::write(dir.join(format!("file {number}")), "").unwrap();
        if number % 20 == 0 {
            let sub = dir.join(format!("sub {number}"));
            fs::create_dir(&sub).unwrap();
            fs::write(sub.join("inside"), "").unwrap();
        }
    }
}

/// Returns the files that a watch has reported, by directory and in order.
fn files(events: &[WatchEventBuf], watch: WatchId) -> BTreeMap<PathBuf, Vec<String>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.watch() == Some(watch)) {
        let name = event.name().map(|name| name.to_str().unwrap().to_owned());
        if let Some(name) = name.filter(|name| name.starts_with("file")) {
            assert_eq!(event.kind(), EventKind::Create);
            files.entry(event.directory().unwrap().to_owned()).or_default().push(name);
        }
    }
    files
}

/// Returns the files of [`make_files`] by directory and in order.
fn expected_files(root: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for number in 0..FILES {
        let dir = root.join((number as usize % DIRS).to_string());
        files.entry(dir).or_default().push(format!("file {number}"));
    }
    files
}

#[test]
fn permanent_watches_get_all_events_while_other_threads_change_watches() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let root = place.path().to_owned();
    for dir in 0..DIRS {
        place.dir(dir.to_string());
    }
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(&root, CREATE, TreeOptions::new()).unwrap();
    let yielding = |_: &Path| {
        thread::yield_now();
        false
    };
    let options = TreeOptions::new().exclude(yielding).watch(WatchOptions::new().filter(|_| true));
    let filtered = watcher.watch_tree(&root, CREATE, options).unwrap();
    let plain = watcher.watch(root.join("0"), CREATE).unwrap();
    let before = kernel_watches(&watcher).len();
    assert_eq!(before, DIRS + 1);

    let done = Arc::new(AtomicBool::new(false));
    let trees = [tree, filtered];
    let threads: Vec<_> = (1..=THREADS)
        .map(|seed| {
            let (watches, root, done) = (watcher.watches(), root.clone(), Arc::clone(&done));
            thread::spawn(move || use_handles(&watches, trees, &root, seed * 77_777, &done))
        })
        .collect();
    let maker = thread::spawn({
        let root = root.clone();
        move || make_files(&root)
    });
    let mut events = Vec::new();
    while !maker.is_finished() {
        events.extend(drained(&mut watcher));
    }
    maker.join().unwrap();
    done.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    events.extend(drained(&mut watcher));
    assert!(!events.iter().any(WatchEventBuf::is_overflow), "the reader is too slow here");

    let mut expected = expected_files(&root);
    assert_eq!(files(&events, tree), expected, "the tree");
    assert_eq!(files(&events, filtered), expected, "the tree with a filter");
    let expected = expected.remove(&root.join("0")).unwrap();
    assert_eq!(files(&events, plain).remove(&root.join("0")), Some(expected), "the watch");

    // The watches of the other threads are gone, and the permanent ones remain.
    assert_eq!(watcher.watches().list().len(), 3);
    let subdirectories = FILES.div_ceil(20) as usize;
    assert_eq!(kernel_watches(&watcher).len(), before + subdirectories);
    for watch in [tree, filtered, plain] {
        watcher.unwatch(watch).unwrap();
    }
    assert!(kernel_watches(&watcher).is_empty());
}

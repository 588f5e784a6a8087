//! The option `exclude`, also if it panics, and including and excluding directories at run time.

mod support;
mod trees;
mod watching;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tinotify::{TreeOptions, WatchError, WatchMask, Watcher};
use trees::{NAMES, Scene, watch_tree};
use watching::{Place, Watchdog, asleep, kernel_watches, say};

/// Returns the message of a panic, without output on stderr.
fn panics<T>(what: impl FnOnce() -> T) -> Option<String> {
    let result = panic::catch_unwind(AssertUnwindSafe(what));
    result.err().map(|payload| (*payload.downcast_ref::<&str>().unwrap()).to_owned())
}

#[test]
fn a_panic_in_exclude_at_set_up_leaves_no_watch() {
    let place = Place::new();
    for path in ["a/b", "c/d", "e/f"] {
        fs::create_dir_all(place.at(path)).unwrap();
    }
    let mut watcher = Watcher::new().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    for at in 1..=6 {
        calls.store(0, Ordering::Relaxed);
        let counter = Arc::clone(&calls);
        let options = TreeOptions::new().exclude(move |_| {
            assert!(counter.fetch_add(1, Ordering::Relaxed) + 1 != at, "no");
            false
        });
        let added = panics(|| watcher.watch_tree(place.path(), NAMES, options));
        assert_eq!(added.as_deref(), Some("no"), "call {at}");
        assert!(kernel_watches(&watcher).is_empty());
        assert!(watcher.watches().is_empty());
        assert!(watcher.try_recv().unwrap().is_none());
    }
    // The watcher still works.
    let tree = watch_tree(&mut watcher, place.path(), NAMES, TreeOptions::new());
    fs::create_dir(place.at("e/new")).unwrap();
    let event = watcher.recv().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(tree), &*place.at("e/new")));
}

#[test]
fn a_later_panic_in_exclude_leaves_the_tree_complete() {
    let panic_now = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&panic_now);
    let options = TreeOptions::new().exclude(move |_| {
        assert!(!now.load(Ordering::Relaxed), "no");
        false
    });
    let mut tree = Scene::with(NAMES, options, |root| fs::create_dir(root.join("a")).unwrap());
    fs::create_dir_all(tree.at("a/b/c")).unwrap();
    fs::create_dir_all(tree.at("d/e")).unwrap();
    panic_now.store(true, Ordering::Relaxed);
    let mut panicked = 0;
    let mut notes = Vec::new();
    loop {
        let root = tree.root.clone();
        let read = panic::catch_unwind(AssertUnwindSafe(|| {
            tree.watcher.try_recv().unwrap().map(|event| trees::Note::of(&event, &root))
        }));
        match read {
            Ok(Some(note)) => notes.push(note),
            Ok(None) => break,
            Err(_) => panicked += 1,
        }
        assert!(panicked < 100, "for ever");
    }
    assert!(panicked > 0);
    panic_now.store(false, Ordering::Relaxed);
    notes.iter().for_each(|note| tree.mirror.apply(note));
    tree.checked();
    fs::create_dir_all(tree.at("a/b/c/new/er")).unwrap();
    assert_eq!(tree.checked(), ["create a/b/c/new/", "found a/b/c/new/er/"]);
}

// ---- At run time.

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

/// Checks the number of watched directories, if /proc shows it.
fn assert_watched(tree: &Scene, count: usize) {
    if Path::new("/proc/self/fdinfo").exists() {
        assert_eq!(kernel_watches(&tree.watcher).len(), count);
    } else {
        say("SKIPPED: the number of watches: there is no /proc/self/fdinfo");
    }
}

#[test]
fn an_excluded_directory_is_reported_by_its_parent_only_until_it_is_included() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir_all(root.join("other")).unwrap();
    });
    let watches = tree.watcher.watches();
    assert_watched(&tree, 5);
    // Queued before the call.
    write(tree.at("a/b/c/queued"));
    watches.exclude(tree.watch, tree.at("a/b")).unwrap();
    assert!(tree.lines().is_empty());
    assert_watched(&tree, 3);
    write(tree.at("a/b/c/file"));
    fs::create_dir_all(tree.at("a/b/d/e")).unwrap();
    write(tree.at("a/beside"));
    assert_eq!(tree.lines(), ["create a/beside", "written a/beside"]);
    // A second call changes nothing.
    watches.exclude(tree.watch, tree.at("a/./b/")).unwrap();
    assert!(tree.lines().is_empty());

    watches.include(tree.watch, tree.at("a/b")).unwrap();
    let mut lines = tree.lines();
    lines.sort_unstable();
    let expected = [
        "found a/b/c/",
        "found a/b/c/file",
        "found a/b/c/queued",
        "found a/b/d/",
        "found a/b/d/e/",
    ];
    assert_eq!(lines, expected);
    assert_watched(&tree, 7);
    write(tree.at("a/b/d/e/new"));
    assert_eq!(tree.lines(), ["create a/b/d/e/new", "written a/b/d/e/new"]);
    watches.include(tree.watch, tree.at("a/b")).unwrap();
    assert!(tree.lines().is_empty());
}

#[test]
fn exclude_gets_the_path_of_the_directory() {
    let mut tree = Scene::new(|root| fs::create_dir_all(root.join("a/b")).unwrap());
    let watches = tree.watcher.watches();
    watches.exclude(tree.watch, tree.at("a")).unwrap();
    watches.exclude(tree.watch, tree.at("later")).unwrap();
    assert!(tree.lines().is_empty());
    fs::create_dir_all(tree.at("later/deep")).unwrap();
    assert_eq!(tree.lines(), ["create later/"]);
    fs::rename(tree.at("a"), tree.at("a2")).unwrap();
    assert_eq!(tree.lines(), ["rename a/ -> a2/", "found a2/b/"]);
    write(tree.at("a2/b/file"));
    assert_eq!(tree.lines(), ["create a2/b/file", "written a2/b/file"]);
    fs::remove_dir_all(tree.at("later")).unwrap();
    assert_eq!(tree.lines(), ["delete later/"]);
    assert_watched(&tree, 3);
}

#[test]
fn directories_excluded_by_the_option_stay_excluded() {
    let options = TreeOptions::new().exclude(|path| path.ends_with("excluded"));
    let mut tree = Scene::with(NAMES, options, |root| {
        fs::create_dir_all(root.join("a/excluded/x")).unwrap();
    });
    let watches = tree.watcher.watches();
    watches.include(tree.watch, tree.at("a/excluded")).unwrap();
    watches.exclude(tree.watch, tree.at("a")).unwrap();
    assert!(tree.lines().is_empty());
    assert_watched(&tree, 1);
    watches.include(tree.watch, tree.at("a")).unwrap();
    assert_eq!(tree.lines(), ["found a/excluded/"]);
    assert_watched(&tree, 2);
}

#[test]
fn only_directories_beneath_the_root_of_a_tree_are_excluded() {
    let tree = Scene::new(|root| fs::create_dir(root.join("a")).unwrap());
    let watches = tree.watcher.watches();
    let outside = tree.outside("");
    let wrong = [&*tree.root, &*outside, Path::new("a"), &tree.at("a/.."), &tree.at("../root2")];
    for path in wrong {
        for result in [watches.exclude(tree.watch, path), watches.include(tree.watch, path)] {
            assert!(matches!(result, Err(WatchError::NotBeneath { .. })), "{path:?}");
        }
    }
    let plain = tree.watcher.watch(&outside, WatchMask::CREATE).unwrap();
    let error = watches.exclude(plain, outside.join("a"));
    assert!(matches!(error, Err(WatchError::NoSuchWatch(_))));
    watches.unwatch(tree.watch).unwrap();
    let error = watches.exclude(tree.watch, tree.at("a"));
    assert!(matches!(error, Err(WatchError::NoSuchWatch(_))));
}

#[test]
fn a_relative_root_accepts_relative_and_absolute_paths() {
    let place = tempfile::tempdir_in(".").unwrap();
    let root = Path::new(".").join(place.path().file_name().unwrap());
    fs::create_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(root.join("b")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let watch = watch_tree(&mut watcher, &root, NAMES, TreeOptions::new());
    watcher.watches().exclude(watch, root.join("a")).unwrap();
    if Path::new("/proc/self/fd").exists() {
        let absolute = root.canonicalize().unwrap();
        watcher.watches().exclude(watch, absolute.join("b")).unwrap();
    } else {
        say("SKIPPED: an absolute path for a relative root: there is no /proc");
        watcher.watches().exclude(watch, root.join("b")).unwrap();
    }
    assert!(watcher.try_recv().unwrap().is_none());
    write(root.join("a/file"));
    write(root.join("b/file"));
    assert!(watcher.try_recv().unwrap().is_none());
}

#[test]
fn an_included_directory_wakes_a_waiting_reader() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|root| fs::create_dir(root.join("a")).unwrap());
    let watches = tree.watcher.watches();
    watches.exclude(tree.watch, tree.at("a")).unwrap();
    assert!(tree.lines().is_empty());
    write(tree.at("a/file"));
    let (watch, dir) = (tree.watch, tree.at("a"));
    let reader = asleep(tree.watcher, |watcher| watcher.recv().unwrap().path().to_owned());
    watches.include(watch, &dir).unwrap();
    assert_eq!(reader.join().unwrap().0, dir.join("file"));
}

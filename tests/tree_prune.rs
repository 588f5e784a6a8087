//! Conditions of users never leave a tree half made.

mod support;
mod trees;
mod watching;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tinotify::{TreeOptions, Watcher};
use trees::{NAMES, Scene, watch_tree};
use watching::{Place, kernel_watches};

/// What something panics with, and nothing on standard error.
fn panics<T>(what: impl FnOnce() -> T) -> Option<String> {
    let result = panic::catch_unwind(AssertUnwindSafe(what));
    result.err().map(|payload| (*payload.downcast_ref::<&str>().unwrap()).to_owned())
}

#[test]
fn a_condition_that_panics_at_the_set_up_leaves_nothing() {
    let place = Place::new();
    for path in ["a/b", "c/d", "e/f"] {
        fs::create_dir_all(place.at(path)).unwrap();
    }
    let mut watcher = Watcher::new().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    for at in 1..=6 {
        calls.store(0, Ordering::Relaxed);
        let counter = Arc::clone(&calls);
        let options = TreeOptions::new().prune(move |_| {
            assert!(counter.fetch_add(1, Ordering::Relaxed) + 1 != at, "no");
            false
        });
        let added = panics(|| watcher.watch_tree(place.path(), NAMES, options));
        assert_eq!(added.as_deref(), Some("no"), "call {at}");
        assert!(kernel_watches(&watcher).is_empty());
        assert!(watcher.watches().is_empty());
        assert!(watcher.try_next().unwrap().is_none());
    }
    // And the watcher works as before.
    let tree = watch_tree(&mut watcher, place.path(), NAMES, TreeOptions::new());
    fs::create_dir(place.at("e/new")).unwrap();
    let event = watcher.next().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(tree), place.at("e/new")));
}

#[test]
fn a_condition_that_panics_later_leaves_the_tree_whole() {
    let panic_now = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&panic_now);
    let options = TreeOptions::new().prune(move |_| {
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
            tree.watcher.try_next().unwrap().map(|event| trees::Note::of(&event, &root))
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
    tree.told();
    fs::create_dir_all(tree.at("a/b/c/new/er")).unwrap();
    assert_eq!(tree.told(), ["create a/b/c/new/", "found a/b/c/new/er/"]);
}

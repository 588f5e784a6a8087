//! What is better than in notify's own backend: the rows of the table in README.md.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use notify::event::Flag;
use notify::{Config, Event, EventKind, RecursiveMode, Result, Watcher as _};
use support::{
    Backend, DEADLINE, FILE_CREATED, FILE_REMOVED, FOLDER_CREATED, FOLDER_REMOVED, Watched, scratch,
};

#[test]
fn everything_in_new_directories_is_reported_once() {
    let root = scratch();
    let mut watched = Watched::tree(root.path());
    let deep = root.path().join("a/b/c/d/e");
    for round in 0..20 {
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "").unwrap();
        assert_eq!(watched.wait(FILE_CREATED, deep.join("file")), 1, "round {round}");
        for depth in deep.ancestors().take(5) {
            assert_eq!(
                watched.count(FOLDER_CREATED, depth),
                1,
                "round {round}: {}",
                depth.display()
            );
        }
        fs::remove_dir_all(root.path().join("a")).unwrap();
        watched.wait(FOLDER_REMOVED, root.path().join("a"));
        watched.seen.clear();
    }
}

#[test]
fn events_right_after_a_rename_have_the_true_path() {
    let root = scratch();
    let beneath = "x/".repeat(30);
    let mut old = root.path().join("old0");
    fs::create_dir_all(old.join(&beneath)).unwrap();
    let mut watched = Watched::tree(root.path());
    for round in 1..30 {
        let new = root.path().join(format!("old{round}"));
        fs::rename(&old, &new).unwrap();
        let file = new.join(&beneath).join("file");
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
        watched.wait(FILE_REMOVED, &file);
        assert_eq!(watched.count(FILE_CREATED, &file), 1, "round {round}");
        assert_eq!(watched.both(), [[old, new.clone()]], "round {round}");
        watched.seen.clear();
        old = new;
    }
}

#[test]
fn a_directory_that_is_moved_in_is_reported_with_its_contents() {
    let (root, outside) = (scratch(), scratch());
    let made = outside.path().join("made");
    fs::create_dir_all(made.join("a")).unwrap();
    fs::write(made.join("a/file"), "").unwrap();
    let mut watched = Watched::tree(root.path());
    fs::rename(&made, root.path().join("moved")).unwrap();
    assert_eq!(watched.wait(FILE_CREATED, root.path().join("moved/a/file")), 1);
    assert_eq!(watched.count(FOLDER_CREATED, root.path().join("moved/a")), 1);
}

#[test]
fn links_that_are_created_later_are_followed() {
    let (root, outside) = (scratch(), scratch());
    let mut watched = Watched::tree(root.path());
    let link = root.path().join("link");
    symlink(outside.path(), &link).unwrap();
    watched.settle(root.path());
    fs::write(outside.path().join("file"), "").unwrap();
    watched.wait(FILE_CREATED, link.join("file"));
}

/// Returns a watcher whose handler blocks at each event until the sender sends or is dropped. The first
/// receiver reports each such event, the second one has the delivered events.
fn blocked_handler() -> (Backend, mpsc::Sender<()>, Receiver<()>, Receiver<Result<Event>>) {
    let (resume, is_resumed) = mpsc::channel();
    let (blocked, is_blocked) = mpsc::channel();
    let (sender, events) = mpsc::channel();
    let handler = move |event| {
        let _ = blocked.send(());
        let _ = is_resumed.recv();
        let _ = sender.send(event);
    };
    (Backend::new(handler, Config::default()).unwrap(), resume, is_blocked, events)
}

#[test]
fn lost_changes_are_reported_after_an_overflow() {
    let root = scratch();
    let old = root.path().join("old");
    fs::write(&old, "").unwrap();
    let (mut watcher, resume, is_blocked, events) = blocked_handler();
    watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
    fs::write(root.path().join("first"), "").unwrap();
    is_blocked.recv().unwrap();
    let max = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let max: u32 = max.trim().parse().unwrap();
    let noise = root.path().join("noise");
    for _ in 0..max {
        // Makes at least three events.
        fs::write(&noise, "text").unwrap();
    }
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    fs::write(root.path().join("a/b/file"), "").unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    fs::remove_file(&old).unwrap();
    drop(resume);

    let mut watched = Watched { watcher, events, seen: Vec::new() };
    assert_eq!(watched.wait(FILE_CREATED, root.path().join("a/b/file")), 1);
    assert_eq!(watched.wait(FILE_CREATED, root.path().join("file")), 1);
    assert_eq!(watched.wait(FILE_REMOVED, &old), 1);
    assert_eq!(watched.count(FOLDER_CREATED, root.path().join("a/b")), 1);
    let lost: Vec<_> = watched.seen.iter().filter(|event| event.need_rescan()).collect();
    assert_eq!(lost, [&Event::new(EventKind::Other).set_flag(Flag::Rescan)]);
}

#[test]
fn calls_do_not_wait_for_the_handler() {
    let (first, second) = (scratch(), scratch());
    let (mut watcher, resume, is_blocked, events) = blocked_handler();
    watcher.watch(first.path(), RecursiveMode::NonRecursive).unwrap();
    fs::write(first.path().join("file"), "").unwrap();
    is_blocked.recv().unwrap();
    let (done, is_done) = mpsc::channel();
    let path = second.path().to_owned();
    std::thread::spawn(move || {
        watcher.watch(&path, RecursiveMode::Recursive).unwrap();
        watcher.unwatch(&path).unwrap();
        done.send(watcher).unwrap();
    });
    is_done.recv_timeout(DEADLINE).unwrap();
    drop((resume, events));
}

#[test]
fn a_handler_can_watch_and_unwatch() {
    let root = scratch();
    let late = root.path().join("late");
    let (sender, events) = mpsc::channel();
    let slot = Arc::new(Mutex::new(None::<Backend>));
    let (slot_of_handler, late_of_handler, root_of_handler) =
        (slot.clone(), late.clone(), root.path().to_owned());
    let handler = move |event: Result<Event>| {
        if event.as_ref().is_ok_and(|event| event.kind == FOLDER_CREATED) {
            let mut slot = slot_of_handler.lock().unwrap();
            let watcher = slot.as_mut().unwrap();
            watcher.watch(&late_of_handler, RecursiveMode::NonRecursive).unwrap();
            watcher.unwatch(&root_of_handler).unwrap();
        }
        let _ = sender.send(event);
    };
    let mut watcher = Backend::new(handler, Config::default()).unwrap();
    watcher.watch(root.path(), RecursiveMode::NonRecursive).unwrap();
    *slot.lock().unwrap() = Some(watcher);
    fs::create_dir(&late).unwrap();

    let wait = |kind| loop {
        let event = events.recv_timeout(DEADLINE).unwrap().unwrap();
        if event.kind == kind {
            return event.paths;
        }
    };
    assert_eq!(wait(FOLDER_CREATED), std::slice::from_ref(&late));
    fs::write(root.path().join("unseen"), "").unwrap();
    fs::write(late.join("file"), "").unwrap();
    assert_eq!(wait(FILE_CREATED), [late.join("file")]);
}

#[test]
fn each_path_to_a_directory_is_a_separate_watch() {
    let root = scratch();
    let (real, link) = (root.path().join("real"), root.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let mut watched = Watched::new(Config::default());
    watched.directory(&real);
    watched.directory(&link);
    fs::write(real.join("file"), "").unwrap();
    assert_eq!(watched.wait(FILE_CREATED, real.join("file")), 1);
    assert_eq!(watched.wait(FILE_CREATED, link.join("file")), 1);
    watched.watcher.unwatch(&link).unwrap();
    watched.seen.clear();
    fs::write(real.join("other"), "").unwrap();
    watched.wait(FILE_CREATED, real.join("other"));
    assert_eq!(watched.count(FILE_CREATED, link.join("other")), 0);
}

/// Watches a tree and a directory in it, ends one of the watches, and expects the other one to report.
fn one_outlives_the_other(ends_the_tree: bool) {
    let root = scratch();
    let child = root.path().join("child");
    fs::create_dir(&child).unwrap();
    let mut watched = Watched::tree(root.path());
    watched.directory(&child);
    fs::write(child.join("before"), "").unwrap();
    assert_eq!(watched.wait(FILE_CREATED, child.join("before")), 1);
    watched.watcher.unwatch(if ends_the_tree { root.path() } else { &child }).unwrap();
    fs::write(child.join("after"), "").unwrap();
    assert_eq!(watched.wait(FILE_CREATED, child.join("after")), 1);
}

#[test]
fn a_watch_in_a_tree_outlives_the_tree() {
    one_outlives_the_other(true);
}

#[test]
fn a_tree_outlives_a_watch_in_it() {
    one_outlives_the_other(false);
}

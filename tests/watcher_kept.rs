//! Records that are read during the set-up of a tree are kept for it, up to a limit. Past the limit the tree
//! resynchronises and misses nothing.

mod watching;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use tinotify::{TreeChange, TreeOptions, WatchEventBuf, WatchId, WatchMask, Watcher};
use watching::{Place, Watchdog, drained, touch};

/// The memory for kept records, and the memory of one record without its name, in bytes.
const LIMIT: usize = 16 * 1024 * 1024;
const RECORD: usize = 48;

/// Returns an exclude condition that sends each path it is called with, then waits for a message.
fn blocking_condition() -> (TreeOptions, Receiver<PathBuf>, SyncSender<()>) {
    let (call, called) = mpsc::sync_channel(100);
    let (answer, answers) = mpsc::sync_channel::<()>(100);
    let answers = Mutex::new(answers);
    let options = TreeOptions::new().track_files(true).exclude(move |path| {
        call.send(path.to_owned()).unwrap();
        // Returns an error at once after the sender was dropped.
        let _ = answers.lock().unwrap().recv();
        false
    });
    (options, called, answer)
}

/// Keeps `count` records of two files with long names during the set-up of a tree, and returns the events of
/// the tree. One file is created before these records and one after them.
fn events_with(count: usize, place: &Place) -> (Vec<WatchEventBuf>, WatchId) {
    let names = ["a", "b"].map(|name| name.repeat(239));
    let [a, b] = names.each_ref().map(|name| place.file(name));
    place.dir("directory");
    let mut watcher = Watcher::new().unwrap();
    let (options, called, answer) = blocking_condition();
    let (watches, root) = (watcher.watches(), place.path().to_owned());
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ATTRIB;
    let setting_up = thread::spawn(move || watches.watch_tree(&root, mask, options).unwrap());
    assert_eq!(called.recv().unwrap(), Path::new("directory"));

    place.file("early");
    let mut events = Vec::new();
    for change in 0..count {
        // Two files in turn, since identical events would merge.
        touch(if change % 2 == 0 { &a } else { &b });
        // Reads before the queue of the kernel is full.
        if change % 4000 == 0 {
            events.extend(drained(&mut watcher));
        }
    }
    place.file("late");
    events.extend(drained(&mut watcher));
    // Events of the tree wait for its set-up.
    assert!(events.iter().all(WatchEventBuf::is_overflow), "{events:?}");
    drop(answer);
    let tree = setting_up.join().unwrap();
    events.extend(drained(&mut watcher));
    (events, tree)
}

/// Returns the relative paths of created files.
fn created(events: &[WatchEventBuf], place: &Place) -> Vec<PathBuf> {
    let created = events.iter().filter(|event| event.mask().contains(tinotify::EventMask::CREATE));
    created.map(|event| event.path().strip_prefix(place.path()).unwrap().to_owned()).collect()
}

#[test]
fn every_record_is_reported_up_to_the_limit() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let count = LIMIT / (RECORD + 240) - 100;
    let (events, tree) = events_with(count, &place);
    assert!(events.iter().all(|event| event.watch() == Some(tree)));
    let attributes = |event: &&WatchEventBuf| event.mask().contains(tinotify::EventMask::ATTRIB);
    assert_eq!(events.iter().filter(attributes).count(), count);
    assert_eq!(created(&events, &place), ["early", "late"].map(PathBuf::from));
}

#[test]
fn past_the_limit_an_overflow_is_reported_once_and_nothing_is_missed() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let count = LIMIT / (RECORD + 240) + 3000;
    let (events, tree) = events_with(count, &place);
    let overflows = events.iter().filter(|event| event.is_overflow()).count();
    let resyncs = events.iter().filter(|event| event.tree_change() == Some(TreeChange::Resynced));
    assert_eq!((overflows, resyncs.count()), (1, 1), "{events:?}");
    let mut created = created(&events, &place);
    created.sort();
    assert_eq!(created, ["early", "late"].map(PathBuf::from));
    let established =
        events.iter().filter(|event| event.tree_change() == Some(TreeChange::Established));
    assert_eq!(established.count(), 1, "{events:?}");
    assert!(events.iter().all(|event| event.is_overflow() || event.watch() == Some(tree)));
}

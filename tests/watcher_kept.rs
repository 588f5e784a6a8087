//! Records that are read while a tree is being set up are kept for it, up to a limit. Past the limit the tree
//! resynchronises, and misses nothing.

mod watching;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use tinotify::{TreeChange, TreeOptions, WatchEventBuf, WatchId, WatchMask, Watcher};
use watching::{Place, Watchdog, drained, touch};

/// The memory for kept records, in bytes, and what one takes beside its name.
const LIMIT: usize = 16 * 1024 * 1024;
const RECORD: usize = 48;

/// Options whose exclude condition waits for an answer, and the channels of questions and answers.
fn gated() -> (TreeOptions, Receiver<PathBuf>, SyncSender<()>) {
    let (ask, asked) = mpsc::sync_channel(100);
    let (answer, answers) = mpsc::sync_channel::<()>(100);
    let answers = Mutex::new(answers);
    let options = TreeOptions::new().track_files(true).exclude(move |path| {
        ask.send(path.to_owned()).unwrap();
        // Once nobody answers, nothing waits.
        let _ = answers.lock().unwrap().recv();
        false
    });
    (options, asked, answer)
}

/// The events of a tree while it is set up and `count` records of two files with long names are kept. A file is
/// created before these, and one after them.
fn events_with(count: usize, place: &Place) -> (Vec<WatchEventBuf>, WatchId) {
    let names = ["a", "b"].map(|name| name.repeat(239));
    let [a, b] = names.each_ref().map(|name| place.file(name));
    place.dir("directory");
    let mut watcher = Watcher::new().unwrap();
    let (options, asked, answer) = gated();
    let (watches, root) = (watcher.watches(), place.path().to_owned());
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::ATTRIB;
    let setting_up = thread::spawn(move || watches.watch_tree(&root, mask, options).unwrap());
    assert_eq!(asked.recv().unwrap(), Path::new("directory"));

    place.file("early");
    for touched in 0..count {
        // Never the same twice, or they would merge.
        touch(if touched % 2 == 0 { &a } else { &b });
        // Read before the queue of the kernel is full.
        if touched % 4000 == 0 {
            assert!(drained(&mut watcher).is_empty());
        }
    }
    place.file("late");
    assert!(drained(&mut watcher).is_empty());
    drop(answer);
    let tree = setting_up.join().unwrap();
    (drained(&mut watcher), tree)
}

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
    assert!(events.iter().any(|event| event.watch() == Some(tree)));
}

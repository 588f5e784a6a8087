//! What is reported when a watch ends: by `unwatch`, with its file, or after its only event.

mod watching;

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tinotify::{
    EventKind, NameChange, WatchError, WatchEventBuf, WatchMask, WatchOptions, Watcher,
};
use watching::{Place, drained, kernel_watches, kinds, names, unread, until};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

#[test]
fn unwatch_discards_events_that_were_already_read() {
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    let mut watcher = Watcher::new().unwrap();
    let removed = watcher.watch(&one, CREATE).unwrap();
    let other = watcher.watch(&two, CREATE).unwrap();
    for i in 0..50 {
        fs::write(one.join(i.to_string()), "").unwrap();
        fs::write(two.join(i.to_string()), "").unwrap();
    }
    let first = watcher.try_recv().unwrap().unwrap().to_buf();
    assert_eq!(first.watch(), Some(removed));
    assert!(watcher.has_buffered());
    assert_eq!(unread(&watcher), 0, "all events are in the watcher's buffer");
    watcher.unwatch(removed).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, removed), []);
    assert_eq!(names(&events, other).len(), 50);
    assert_eq!(events.len(), 50, "its IGNORED is not reported either");
}

#[test]
fn unwatch_discards_events_that_are_queued() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("a");
    watcher.unwatch(watch).unwrap();
    place.file("b");
    assert!(unread(&watcher) > 0);
    assert!(drained(&mut watcher).is_empty());
    // A new watch of the same directory does not get them either.
    place.file("c");
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("d");
    assert_eq!(names(&drained(&mut watcher), watch), ["d"]);
}

#[test]
fn unwatch_takes_effect_within_the_delivery_of_one_event() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches: Vec<_> = (0..4).map(|_| watcher.watch(place.path(), CREATE).unwrap()).collect();
    place.file("a");
    place.file("b");
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(watches[0]));
    // The event was delivered to the first watch, and not yet to the others.
    watcher.unwatch(watches[1]).unwrap();
    watcher.unwatch(watches[0]).unwrap();
    assert!(watcher.has_buffered());
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(watches[2]));
    watcher.unwatch(watches[3]).unwrap();
    assert_eq!(names(&drained(&mut watcher), watches[2]), ["b"]);
}

#[test]
fn unwatch_discards_a_pending_name_change() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let first = watcher.watch_name(place.at("first"), WatchMask::MODIFY).unwrap();
    let second = watcher.watch_name(place.at("second"), WatchMask::MODIFY).unwrap();
    place.file("first");
    place.file("second");
    let event = watcher.try_recv().unwrap().unwrap();
    assert_eq!((event.watch(), event.name_change()), (Some(first), Some(NameChange::Appeared)));
    watcher.unwatch(second).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), second), []);
}

#[test]
fn the_end_of_a_watch_is_reported_with_path_and_alias_and_removes_it() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("it");
    let watch = watcher.watch_with(&file, WatchMask::DELETE_SELF, options).unwrap();
    fs::remove_file(&file).unwrap();
    let deleted = watcher.try_recv().unwrap().unwrap();
    assert_eq!((deleted.kind(), deleted.path()), (EventKind::DeleteSelf, &*file));
    assert_eq!(watcher.watches().list().len(), 1, "until its end is reported");

    let ignored = watcher.try_recv().unwrap().unwrap();
    assert_eq!((ignored.kind(), ignored.path()), (EventKind::Ignored, &*file));
    assert_eq!((ignored.watch(), ignored.alias()), (Some(watch), Some("it".as_ref())));
    assert!(ignored.is_ignored());
    assert!(watcher.watches().is_empty());
    assert_eq!(watcher.unwatch(watch), Err(WatchError::NoSuchWatch(watch)));
    assert!(watcher.try_recv().unwrap().is_none());
}

#[test]
fn the_end_is_reported_regardless_of_mask_and_filter() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().filter(|_| false);
    let watch = watcher.watch_with(&file, WatchMask::ACCESS, options).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Ignored]);
}

#[test]
fn a_deleted_open_file_reports_attrib_first_and_its_end_on_close() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(&file, ATTRIB | WatchMask::DELETE_SELF).unwrap();
    let open = File::open(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Attrib]);
    assert!(!watcher.watches().is_empty());
    drop(open);
    let end = [EventKind::DeleteSelf, EventKind::Ignored];
    assert_eq!(kinds(&drained(&mut watcher), watch), end);
}

#[test]
fn the_end_of_an_inode_is_reported_to_each_of_its_watches() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let masks = [ATTRIB, WatchMask::DELETE_SELF, WatchMask::MODIFY];
    let watches = masks.map(|mask| watcher.watch(&file, mask).unwrap());
    fs::remove_file(&file).unwrap();
    let events = drained(&mut watcher);
    use EventKind::{Attrib, DeleteSelf, Ignored};
    assert_eq!(kinds(&events, watches[0]), [Attrib, Ignored]);
    assert_eq!(kinds(&events, watches[1]), [DeleteSelf, Ignored]);
    assert_eq!(kinds(&events, watches[2]), [Ignored]);
    assert!(watcher.watches().is_empty());
}

/// Deletes the file at many different moments of the call. If the end were not reported, a program
/// would wait forever on a watch that does not exist.
#[test]
fn a_watch_added_while_its_file_is_deleted_reports_the_end() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let (turn, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let path = place.at("file");
    const TURNS: u32 = 1000;
    let deleter = thread::spawn({
        let (turn, done, path) = (Arc::clone(&turn), Arc::clone(&done), path.clone());
        move || {
            for this in 1..=TURNS {
                while turn.load(Ordering::Acquire) < this {
                    thread::yield_now();
                }
                // At a different moment of the second `watch` call each turn.
                for _ in 0..(this % 64) * 20 {
                    std::hint::spin_loop();
                }
                fs::remove_file(&path).unwrap();
                done.store(this, Ordering::Release);
            }
        }
    });
    let mut added = 0;
    for this in 1..=TURNS {
        place.file("file");
        let first = watcher.watch(&path, WatchMask::DELETE_SELF).unwrap();
        turn.store(this, Ordering::Release);
        let second = watcher.watch(&path, WatchMask::DELETE_SELF);
        // fdinfo is no use here: the watch disappears there just before the kernel queues IGNORED.
        until(|| done.load(Ordering::Acquire) == this);
        let events = drained(&mut watcher);
        let end = [EventKind::DeleteSelf, EventKind::Ignored];
        assert_eq!(kinds(&events, first), end);
        if let Ok(second) = second {
            added += 1;
            // DELETE_SELF may have been queued before the second watch was added.
            assert_eq!(kinds(&events, second).last(), Some(&EventKind::Ignored), "turn {this}");
        }
        assert!(watcher.watches().is_empty());
    }
    deleter.join().unwrap();
    eprintln!("{added} of {TURNS} watches were added in time");
    assert!(added > 0);
}

#[test]
fn a_one_shot_reports_one_event_and_its_end() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("once");
    let once = watcher.watch_with(place.path(), CREATE | WatchMask::ONESHOT, options).unwrap();
    place.file("a");
    place.file("b");
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, once), [EventKind::Create, EventKind::Ignored]);
    assert_eq!(events[0].name(), Some("a".as_ref()));
    assert_eq!((events[1].path(), events[1].alias()), (place.path(), Some("once".as_ref())));
    assert_eq!(watcher.unwatch(once), Err(WatchError::NoSuchWatch(once)));
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn a_one_shot_does_not_end_other_watches_of_its_inode() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let before = watcher.watch(place.path(), CREATE).unwrap();
    let once = watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
    let after = watcher.watch(place.path(), CREATE).unwrap();
    for name in ["a", "b", "c"] {
        place.file(name);
    }
    let events = drained(&mut watcher);
    assert_eq!(names(&events, before), ["a", "b", "c"]);
    assert_eq!(names(&events, after), ["a", "b", "c"]);
    assert_eq!(kinds(&events, once), [EventKind::Create, EventKind::Ignored]);
    // The same if the one-shot is the first watch of its inode.
    let mut watcher = Watcher::new().unwrap();
    let once = watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
    let other = watcher.watch(place.path(), CREATE).unwrap();
    place.file("d");
    place.file("e");
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, once), [EventKind::Create, EventKind::Ignored]);
    assert_eq!(names(&events, other), ["d", "e"]);
}

#[test]
fn a_one_shot_ends_only_after_an_event_that_passes_mask_and_filter() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), WatchMask::ALL_EVENTS).unwrap();
    let options = WatchOptions::new().filter(|event| event.name() == Some(b"c"));
    let once = watcher.watch_with(place.path(), CREATE | WatchMask::ONESHOT, options).unwrap();
    for name in ["a", "b", "c", "d"] {
        place.file(name);
    }
    let events = drained(&mut watcher);
    let reported: Vec<&WatchEventBuf> =
        events.iter().filter(|event| event.watch() == Some(once)).collect();
    assert_eq!(reported.len(), 2);
    assert_eq!(reported[0].path(), place.at("c"));
    assert!(reported[1].is_ignored());
}

#[test]
fn a_one_shot_whose_file_is_deleted_first_reports_its_end_once() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let once = watcher.watch(&file, WatchMask::MODIFY | WatchMask::ONESHOT).unwrap();
    let last = watcher.watch(&file, WatchMask::DELETE_SELF | WatchMask::ONESHOT).unwrap();
    fs::remove_file(&file).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, once), [EventKind::Ignored]);
    assert_eq!(kinds(&events, last), [EventKind::DeleteSelf, EventKind::Ignored]);
}

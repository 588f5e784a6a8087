//! What the watcher promises of events: what they carry, who gets them, and who no longer does.

mod watching;

use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tinotify::{
    EventKind, EventMask, NameChange, WatchError, WatchEventBuf, WatchMask, WatchOptions, Watcher,
};
use watching::{Place, drained, kernel_watches, kinds, names, touch, unread};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

#[test]
fn an_event_carries_watch_mask_kind_name_and_paths() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("logs");
    let watch = watcher.watch_with(place.path(), WatchMask::ALL_EVENTS, options).unwrap();
    place.dir("dir");
    let event = watcher.try_recv().unwrap().unwrap();
    assert_eq!(event.watch(), Some(watch));
    assert_eq!(event.alias(), Some("logs".as_ref()));
    assert_eq!(event.watched_path(), Some(place.path()));
    assert_eq!(event.mask(), EventMask::CREATE | EventMask::ISDIR);
    assert_eq!(event.kind(), EventKind::Create);
    assert_eq!(event.name_change(), None);
    assert_eq!(event.cookie(), 0);
    assert_eq!(event.name(), Some("dir".as_ref()));
    assert_eq!(event.path(), place.at("dir"));
    assert!(event.is_dir() && !event.is_overflow() && !event.is_ignored());
    let shown = format!("CREATE,ISDIR \"{}\"", place.at("dir").display());
    assert_eq!(event.to_string(), shown);
    assert_eq!(format!("{event:?}"), format!("WatchEvent {{ {shown} }}"));
}

#[test]
fn every_change_has_its_kind_and_its_path() {
    use EventKind::*;
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), WatchMask::ALL_EVENTS).unwrap();
    let (a, b) = (place.at("a"), place.at("b"));
    fs::write(&a, "text").unwrap();
    fs::read(&a).unwrap();
    touch(&a);
    fs::rename(&a, &b).unwrap();
    fs::remove_file(&b).unwrap();
    let events = drained(&mut watcher);
    let told: Vec<(EventKind, PathBuf)> =
        events.iter().map(|event| (event.kind(), event.path())).collect();
    let on_a = [Create, Open, Modify, CloseWrite, Open, Access, CloseNoWrite, Attrib, MovedFrom];
    let expected: Vec<_> = on_a
        .map(|kind| (kind, a.clone()))
        .into_iter()
        .chain([(MovedTo, b.clone()), (Delete, b)])
        .collect();
    assert_eq!(told, expected);
    assert!(events.iter().all(|event| event.watch() == Some(watch)));
}

#[test]
fn the_halves_of_a_rename_have_one_cookie_across_watches() {
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    let mut watcher = Watcher::new().unwrap();
    let from = watcher.watch(&one, WatchMask::MOVE).unwrap();
    let to = watcher.watch(&two, WatchMask::MOVE).unwrap();
    let both = watcher.watch(&one, WatchMask::MOVE).unwrap();
    fs::write(one.join("a"), "").unwrap();
    fs::rename(one.join("a"), two.join("b")).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, from), [EventKind::MovedFrom]);
    assert_eq!(kinds(&events, both), [EventKind::MovedFrom]);
    assert_eq!(kinds(&events, to), [EventKind::MovedTo]);
    let cookie = events[0].cookie();
    assert_ne!(cookie, 0);
    assert!(events.iter().all(|event| event.cookie() == cookie));
}

#[test]
fn an_owned_event_is_equal_in_all_parts_and_lives_in_other_threads() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let file = place.file("file");
    let options = WatchOptions::new().alias("it");
    watcher.watch_with(place.path(), WatchMask::ALL_EVENTS, options).unwrap();
    watcher.watch(&file, WatchMask::ALL_EVENTS).unwrap();
    watcher.watch_name(place.at("name"), WatchMask::CLOSE_WRITE).unwrap();
    fs::rename(&file, place.at("name")).unwrap();
    fs::write(place.at("name"), "text").unwrap();
    fs::remove_file(place.at("name")).unwrap();

    let mut kept: Vec<WatchEventBuf> = Vec::new();
    let mut path = PathBuf::from("something longer than nothing");
    while let Some(event) = watcher.try_recv().unwrap() {
        let owned = event.to_buf();
        event.path_into(&mut path);
        assert_eq!(event.path(), path);
        assert_eq!(owned.path(), path);
        assert_eq!(owned.watch(), event.watch());
        assert_eq!(owned.alias(), event.alias());
        assert_eq!(owned.watched_path(), event.watched_path());
        assert_eq!(owned.mask(), event.mask());
        assert_eq!(owned.kind(), event.kind());
        assert_eq!(owned.name_change(), event.name_change());
        assert_eq!(owned.cookie(), event.cookie());
        assert_eq!(owned.name(), event.name());
        assert_eq!(owned.is_dir(), event.is_dir());
        assert_eq!(owned.is_ignored(), event.is_ignored());
        assert_eq!(owned.to_string(), event.to_string());
        owned.as_event().path_into(&mut path);
        assert_eq!(path, event.path());
        kept.push(event.into());
    }
    let text: Vec<String> = kept.iter().map(ToString::to_string).collect();
    assert!(text.len() > 10, "{text:?}");
    drop(watcher);
    let there = std::thread::spawn(move || kept.iter().map(ToString::to_string).collect());
    let there: Vec<String> = there.join().unwrap();
    assert_eq!(there, text, "as it was, whatever became of the watcher");
}

#[test]
fn an_owned_event_keeps_the_path_that_was_true_for_it() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("a");
    let kept = watcher.try_recv().unwrap().unwrap().to_buf();
    watcher.watches().set_path(watch, "/elsewhere").unwrap();
    assert_eq!(kept.path(), place.at("a"));
    place.file("b");
    assert_eq!(drained(&mut watcher)[0].path(), Path::new("/elsewhere/b"));
}

#[test]
fn names_of_any_length_and_bytes_come_whole() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let mut names: Vec<OsString> =
        [1, 15, 16, 17, 31, 32, 255].map(|len| "n".repeat(len).into()).into();
    names.push(OsString::from_vec(b"\xff\xfe not UTF-8".to_vec()));
    let mut path = PathBuf::new();
    for name in &names {
        place.file(name);
        let event = watcher.try_recv().unwrap().unwrap();
        assert_eq!(event.name(), Some(name.as_os_str()));
        event.path_into(&mut path);
        assert_eq!(path, place.at(name));
    }
}

#[test]
fn an_event_about_the_watched_thing_itself_has_its_path_and_no_name() {
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&dir, ATTRIB | WatchMask::MOVE_SELF).unwrap();
    touch(&dir);
    fs::rename(&dir, place.at("moved")).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.name().is_none() && event.path() == dir));
    assert_eq!(events[1].kind(), EventKind::MoveSelf);
}

#[test]
fn nothing_of_a_watch_is_given_after_unwatch_though_it_was_read_already() {
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    let mut watcher = Watcher::new().unwrap();
    let gone = watcher.watch(&one, CREATE).unwrap();
    let stays = watcher.watch(&two, CREATE).unwrap();
    for i in 0..50 {
        fs::write(one.join(i.to_string()), "").unwrap();
        fs::write(two.join(i.to_string()), "").unwrap();
    }
    let first = watcher.try_recv().unwrap().unwrap().to_buf();
    assert_eq!(first.watch(), Some(gone));
    assert!(watcher.has_buffered());
    assert_eq!(unread(&watcher), 0, "all of it is in the watcher");
    watcher.unwatch(gone).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, gone), []);
    assert_eq!(names(&events, stays).len(), 50);
    assert_eq!(events.len(), 50, "nor its IGNORED");
}

#[test]
fn nothing_of_a_watch_is_given_after_unwatch_though_it_was_queued() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("a");
    watcher.unwatch(watch).unwrap();
    place.file("b");
    assert!(unread(&watcher) > 0);
    assert!(drained(&mut watcher).is_empty());
    // And a new watch of the same does not inherit it.
    place.file("c");
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("d");
    assert_eq!(names(&drained(&mut watcher), watch), ["d"]);
}

#[test]
fn the_second_of_two_watches_is_not_given_the_event_that_the_first_one_has() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let all: Vec<_> = (0..4).map(|_| watcher.watch(place.path(), CREATE).unwrap()).collect();
    place.file("a");
    place.file("b");
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(all[0]));
    // In the middle of a record.
    watcher.unwatch(all[1]).unwrap();
    watcher.unwatch(all[0]).unwrap();
    assert!(watcher.has_buffered());
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(all[2]));
    watcher.unwatch(all[3]).unwrap();
    assert_eq!(names(&drained(&mut watcher), all[2]), ["b"]);
}

#[test]
fn what_became_of_a_name_is_not_given_after_unwatch() {
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
fn the_end_of_a_watch_is_told_with_path_and_alias_and_retires_it() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("it");
    let watch = watcher.watch_with(&file, WatchMask::DELETE_SELF, options).unwrap();
    fs::remove_file(&file).unwrap();
    let deleted = watcher.try_recv().unwrap().unwrap();
    assert_eq!((deleted.kind(), deleted.path()), (EventKind::DeleteSelf, file.clone()));
    assert_eq!(watcher.watches().list().len(), 1, "until it is told");

    let ignored = watcher.try_recv().unwrap().unwrap();
    assert_eq!((ignored.kind(), ignored.path()), (EventKind::Ignored, file.clone()));
    assert_eq!((ignored.watch(), ignored.alias()), (Some(watch), Some("it".as_ref())));
    assert!(ignored.is_ignored());
    assert!(watcher.watches().is_empty());
    assert_eq!(watcher.unwatch(watch), Err(WatchError::NoSuchWatch(watch)));
    assert!(watcher.try_recv().unwrap().is_none());
}

#[test]
fn the_end_is_told_whatever_the_mask_and_the_filter_say() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().filter(|_| false);
    let watch = watcher.watch_with(&file, WatchMask::ACCESS, options).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Ignored]);
}

#[test]
fn a_file_that_is_held_open_tells_attrib_first_and_its_end_when_it_is_closed() {
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
fn every_watch_of_an_inode_is_told_of_its_end() {
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

/// A watch that was taken while its file went away, at whatever moment, is told of its end: else its
/// user waits for ever on a watch that is not there.
#[test]
fn a_watch_that_joins_while_its_file_is_deleted_is_told_of_the_end() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let (turn, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let path = place.at("file");
    const TURNS: u32 = 1000;
    let deleter = std::thread::spawn({
        let (turn, done, path) = (Arc::clone(&turn), Arc::clone(&done), path.clone());
        move || {
            for this in 1..=TURNS {
                while turn.load(Ordering::Acquire) < this {
                    std::thread::yield_now();
                }
                // Somewhere along the joining.
                for _ in 0..(this % 64) * 20 {
                    std::hint::spin_loop();
                }
                fs::remove_file(&path).unwrap();
                done.store(this, Ordering::Release);
            }
        }
    });
    let mut joined = 0;
    for this in 1..=TURNS {
        place.file("file");
        let first = watcher.watch(&path, WatchMask::DELETE_SELF).unwrap();
        turn.store(this, Ordering::Release);
        let second = watcher.watch(&path, WatchMask::DELETE_SELF);
        // Not when /proc shows it no more: that is a moment before the kernel queues IGNORED.
        watching::until(|| done.load(Ordering::Acquire) == this);
        let events = drained(&mut watcher);
        let end = [EventKind::DeleteSelf, EventKind::Ignored];
        assert_eq!(kinds(&events, first), end);
        if let Ok(second) = second {
            joined += 1;
            // DELETE_SELF may have been there before it was.
            assert_eq!(kinds(&events, second).last(), Some(&EventKind::Ignored), "turn {this}");
        }
        assert!(watcher.watches().is_empty());
    }
    deleter.join().unwrap();
    eprintln!("{joined} of {TURNS} watches joined in time");
    assert!(joined > 0);
}

#[test]
fn one_shot_gives_one_event_then_its_end() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("once");
    let once = watcher.watch_with(place.path(), CREATE | WatchMask::ONESHOT, options).unwrap();
    place.file("a");
    place.file("b");
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, once), [EventKind::Create, EventKind::Ignored]);
    assert_eq!(events[0].name(), Some("a".as_ref()));
    assert_eq!(
        (events[1].path().as_path(), events[1].alias()),
        (place.path(), Some("once".as_ref()))
    );
    assert_eq!(watcher.unwatch(once), Err(WatchError::NoSuchWatch(once)));
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn one_shot_leaves_the_others_on_the_same_inode() {
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
    // The first of them too.
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
fn one_shot_waits_for_an_event_that_meets_its_mask_and_filter() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), WatchMask::ALL_EVENTS).unwrap();
    let options = WatchOptions::new().filter(|event| event.name() == Some(b"c"));
    let once = watcher.watch_with(place.path(), CREATE | WatchMask::ONESHOT, options).unwrap();
    for name in ["a", "b", "c", "d"] {
        place.file(name);
    }
    let events = drained(&mut watcher);
    let mine: Vec<&WatchEventBuf> =
        events.iter().filter(|event| event.watch() == Some(once)).collect();
    assert_eq!(mine.len(), 2);
    assert_eq!(mine[0].path(), place.at("c"));
    assert!(mine[1].is_ignored());
}

#[test]
fn one_shot_of_a_file_that_ends_first_tells_its_end_once() {
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

#[test]
fn a_closure_filters_by_the_event_and_several_must_all_agree() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new()
        .filter(|event| !event.is_dir())
        .filter(|event| event.name().is_some_and(|name| name.starts_with(b"a")));
    let filtered = watcher.watch_with(place.path(), CREATE, options).unwrap();
    let all = watcher.watch(place.path(), CREATE).unwrap();
    place.dir("a dir");
    place.file("a file");
    place.file("b file");
    place.file("another");
    let events = drained(&mut watcher);
    assert_eq!(names(&events, filtered), ["a file", "another"]);
    assert_eq!(names(&events, all), ["a dir", "a file", "b file", "another"]);
}

#[test]
fn a_filter_may_use_the_handles_of_its_watcher() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let options = WatchOptions::new().filter(move |_| watches.list().len() == 1);
    let watch = watcher.watch_with(place.path(), CREATE, options).unwrap();
    place.file("a");
    let events = drained(&mut watcher);
    assert_eq!(names(&events, watch), ["a"]);
    watcher.unwatch(watch).unwrap(); // The filter held a handle.
}

#[test]
fn a_filter_of_a_name_sees_what_happens_in_the_file() {
    let place = Place::new();
    let file = place.at("file");
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().filter(|event| event.mask().contains(EventMask::MODIFY));
    let mask = WatchMask::MODIFY | WatchMask::CLOSE_WRITE;
    let watch = watcher.watches().watch_name_with(&file, mask, options).unwrap();
    place.file("file");
    assert_eq!(drained(&mut watcher)[0].name_change(), Some(NameChange::Appeared));
    fs::write(&file, "text").unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, watch), [EventKind::Modify]);
    assert_eq!(events[0].name_change(), Some(NameChange::Changed));
}

#[cfg(feature = "glob")]
#[test]
fn a_glob_filters_by_the_name() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let conf = WatchOptions::new().glob("*.conf").unwrap();
    let conf = watcher.watch_with(place.path(), CREATE | ATTRIB, conf).unwrap();
    let braces = WatchOptions::new().glob("{a,b}?").unwrap();
    let braces = watcher.watch_with(place.path(), CREATE, braces).unwrap();
    let both = WatchOptions::new().glob("a*").unwrap().filter(|event| event.is_dir());
    let both = watcher.watch_with(place.path(), CREATE, both).unwrap();
    for name in ["x.conf", "a1", "b2", "c3", "conf", ".conf"] {
        place.file(name);
    }
    let not_utf8 = OsString::from_vec(b"\xff.conf".to_vec());
    place.file(&not_utf8);
    place.dir("ad");
    touch(place.path());
    let events = drained(&mut watcher);
    let conf: Vec<_> = events.iter().filter(|e| e.watch() == Some(conf)).collect();
    let conf: Vec<_> = conf.iter().map(|event| event.name().unwrap()).collect();
    assert_eq!(conf, ["x.conf".as_ref(), ".conf".as_ref(), not_utf8.as_os_str()]);
    assert_eq!(names(&events, braces), ["a1", "b2", "ad"]);
    assert_eq!(names(&events, both), ["ad"]);
}

#[cfg(feature = "glob")]
#[test]
fn a_glob_that_makes_no_sense_is_an_error_that_says_why() {
    let error = WatchOptions::new().glob("a[").unwrap_err();
    assert!(matches!(&error, WatchError::Glob(_)));
    assert!(error.to_string().contains("a["), "{error}");
}

#[test]
fn a_predicate_ends_the_loop_and_leaves_what_comes_after() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    for name in ["a", "b", "done", "after"] {
        place.file(name);
    }
    let mut seen = Vec::new();
    let done = watcher
        .try_for_each(|event| {
            seen.push(event.name().unwrap().to_owned());
            match event.name() {
                Some(name) if name == "done" => ControlFlow::Break(event.path()),
                _ => ControlFlow::Continue(()),
            }
        })
        .unwrap();
    assert_eq!(done, Some(place.at("done")));
    assert_eq!(seen, ["a", "b", "done"]);
    assert_eq!(drained(&mut watcher)[0].name(), Some("after".as_ref()));
}

//! What the watcher promises of events: what they carry, and which of them pass filters.

mod watching;

use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use tinotify::{EventKind, EventMask, NameChange, WatchEventBuf, WatchMask, WatchOptions, Watcher};
use watching::{Place, drained, kinds, names, touch};

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
    let reported: Vec<(EventKind, PathBuf)> =
        events.iter().map(|event| (event.kind(), event.path().to_owned())).collect();
    let on_a = [Create, Open, Modify, CloseWrite, Open, Access, CloseNoWrite, Attrib, MovedFrom];
    let expected: Vec<_> = on_a
        .map(|kind| (kind, a.clone()))
        .into_iter()
        .chain([(MovedTo, b.clone()), (Delete, b)])
        .collect();
    assert_eq!(reported, expected);
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
fn an_owned_event_equals_the_lent_event_and_can_be_sent_to_another_thread() {
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
    while let Some(event) = watcher.try_recv().unwrap() {
        let owned = event.to_buf();
        assert_eq!(owned.path(), event.path());
        assert_eq!(owned.directory(), event.directory());
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
        assert_eq!(owned.into_path(), event.path());
        kept.push(event.into());
    }
    let text: Vec<String> = kept.iter().map(ToString::to_string).collect();
    assert!(text.len() > 10, "{text:?}");
    drop(watcher);
    let in_thread = std::thread::spawn(move || kept.iter().map(ToString::to_string).collect());
    let in_thread: Vec<String> = in_thread.join().unwrap();
    assert_eq!(in_thread, text, "unchanged after the watcher was dropped");
}

#[test]
fn an_owned_event_keeps_its_path_after_set_path() {
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
fn names_of_any_length_and_bytes_are_complete() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let mut names: Vec<OsString> =
        [1, 15, 16, 17, 31, 32, 255].map(|len| "n".repeat(len).into()).into();
    names.push(OsString::from_vec(b"\xff\xfe not UTF-8".to_vec()));
    for name in &names {
        place.file(name);
        let event = watcher.try_recv().unwrap().unwrap();
        assert_eq!(event.name(), Some(name.as_os_str()));
        assert_eq!(event.path(), place.at(name));
    }
}

#[test]
fn an_event_of_the_watched_directory_itself_has_its_path_and_no_name() {
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
fn an_event_must_pass_all_filters() {
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
    watcher.unwatch(watch).unwrap(); // The filter owned a handle.
}

#[test]
fn a_filter_of_a_name_gets_the_events_of_the_file() {
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
fn a_glob_filters_by_name() {
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
fn an_invalid_glob_is_an_error_that_contains_the_glob() {
    let error = WatchOptions::new().glob("a[").unwrap_err();
    assert!(matches!(&error, tinotify::WatchError::Glob(_)));
    assert!(error.to_string().contains("a["), "{error}");
}

#[test]
fn try_for_each_stops_at_a_break_and_keeps_later_events() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    for name in ["a", "b", "done", "after"] {
        place.file(name);
    }
    let mut seen = Vec::new();
    let found = watcher
        .try_for_each(|event| {
            seen.push(event.name().unwrap().to_owned());
            match event.name() {
                Some(name) if name == "done" => ControlFlow::Break(event.path().to_owned()),
                _ => ControlFlow::Continue(()),
            }
        })
        .unwrap();
    assert_eq!(found, Some(place.at("done")));
    assert_eq!(seen, ["a", "b", "done"]);
    assert_eq!(drained(&mut watcher)[0].name(), Some("after".as_ref()));
}

//! Several watches of one inode: each has its own mask, path, alias and events.

mod watching;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tinotify::{Errno, Error, EventKind, WatchError, WatchId, WatchMask, WatchOptions, Watcher};
use watching::{Place, drained, kernel_watches, kinds, names, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

/// Returns four paths of one file: the same path twice, a hard link and a symbolic link.
fn four_paths(place: &Place) -> [PathBuf; 4] {
    let file = place.file("file");
    fs::hard_link(&file, place.at("hard")).unwrap();
    symlink("file", place.at("soft")).unwrap();
    [file.clone(), file, place.at("hard"), place.at("soft")]
}

#[test]
fn each_watch_of_an_inode_has_its_own_mask_path_alias_and_events() {
    let place = Place::new();
    let paths = four_paths(&place);
    let masks = [WatchMask::MODIFY, ATTRIB, WatchMask::MODIFY | ATTRIB, WatchMask::CLOSE_WRITE];
    let mut watcher = Watcher::new().unwrap();
    let mut watches = Vec::new();
    for (i, (path, mask)) in paths.iter().zip(masks).enumerate() {
        watches.push(
            watcher.watch_with(path, mask, WatchOptions::new().alias(i.to_string())).unwrap(),
        );
    }
    assert_eq!(kernel_watches(&watcher).len(), 1, "one inode, one descriptor");
    for (info, (path, mask)) in watcher.watches().list().iter().zip(paths.iter().zip(masks)) {
        assert_eq!((&info.path, info.mask), (path, mask));
    }

    fs::write(&paths[0], "text").unwrap();
    touch(&paths[0]);
    let events = drained(&mut watcher);
    use EventKind::{Attrib, CloseWrite, Modify};
    let expected: [&[EventKind]; 4] = [&[Modify], &[Attrib], &[Modify, Attrib], &[CloseWrite]];
    for (i, watch) in watches.iter().enumerate() {
        assert_eq!(kinds(&events, *watch), expected[i]);
        for event in events.iter().filter(|event| event.watch() == Some(*watch)) {
            assert_eq!(event.path(), paths[i]);
            assert_eq!(event.alias(), Some(OsStr::new(&i.to_string())));
        }
    }
    assert_eq!(events.len(), 5);
}

#[test]
fn a_symbolic_link_that_is_not_followed_is_another_inode() {
    let place = Place::new();
    let file = place.file("file");
    let link = place.at("link");
    symlink("file", &link).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let the_file = watcher.watch(&link, WatchMask::DELETE_SELF).unwrap();
    let mask = WatchMask::DELETE_SELF | WatchMask::DONT_FOLLOW;
    let the_link = watcher.watch(&link, mask).unwrap();
    assert_eq!(kernel_watches(&watcher).len(), 2);
    fs::remove_file(&link).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, the_link), [EventKind::DeleteSelf, EventKind::Ignored]);
    assert_eq!(kinds(&events, the_file), []);
    fs::remove_file(&file).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, the_file), [EventKind::DeleteSelf, EventKind::Ignored]);
}

#[test]
fn removing_one_watch_of_an_inode_keeps_the_others() {
    let place = Place::new();
    let paths = four_paths(&place);
    let mut watcher = Watcher::new().unwrap();
    let mut watches: Vec<WatchId> =
        paths.iter().map(|path| watcher.watch(path, ATTRIB).unwrap()).collect();
    while !watches.is_empty() {
        touch(&paths[0]);
        let events = drained(&mut watcher);
        assert_eq!(events.len(), watches.len());
        for watch in &watches {
            assert_eq!(kinds(&events, *watch), [EventKind::Attrib]);
        }
        // From the middle, then from both ends.
        watcher.unwatch(watches.remove(watches.len() / 2)).unwrap();
        assert_eq!(kernel_watches(&watcher).len(), usize::from(!watches.is_empty()));
    }
    touch(&paths[0]);
    assert!(drained(&mut watcher).is_empty());
}

#[test]
fn a_second_watch_gets_no_event_that_was_queued_before_it() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let first = watcher.watch(place.path(), CREATE).unwrap();
    place.file("a");
    place.file("b");
    // In the user's buffer, and in the kernel's queue.
    assert_eq!(watcher.try_recv().unwrap().unwrap().name().unwrap(), "a");
    assert!(watcher.has_buffered());
    place.file("c");
    let second = watcher.watch(place.path(), CREATE).unwrap();
    place.file("d");
    let events = drained(&mut watcher);
    assert_eq!(names(&events, first), ["b", "c", "d"]);
    assert_eq!(names(&events, second), ["d"]);
}

#[test]
fn a_second_watch_gets_an_event_that_would_merge_into_an_earlier_one() {
    let place = Place::new();
    let paths = four_paths(&place);
    let mut watcher = Watcher::new().unwrap();
    let mut watches = Vec::new();
    for path in &paths {
        watches.push(watcher.watch(path, ATTRIB).unwrap());
        touch(path);
        // Merges with the event before, which every watch so far gets.
        touch(path);
    }
    let events = drained(&mut watcher);
    for (i, watch) in watches.iter().enumerate() {
        assert_eq!(kinds(&events, *watch), vec![EventKind::Attrib; paths.len() - i]);
    }
}

#[test]
fn a_second_watch_gets_no_earlier_event_if_system_directories_are_watched() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    for root in ["/", "/proc", "/dev", "/tmp"] {
        watcher.watch(root, WatchMask::DELETE_SELF).unwrap();
    }
    let watched = kernel_watches(&watcher);
    let first = watcher.watch(&file, ATTRIB).unwrap();
    touch(&file);
    let second = watcher.watch(&file, ATTRIB).unwrap();
    touch(&file);
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, first), [EventKind::Attrib; 2]);
    assert_eq!(kinds(&events, second), [EventKind::Attrib]);
    let mut now = kernel_watches(&watcher);
    now.retain(|wd, _| watched.contains_key(wd));
    assert_eq!(now, watched, "the other watches are unchanged");
}

#[test]
fn mask_create_refuses_an_inode_that_is_already_watched() {
    let place = Place::new();
    let paths = four_paths(&place);
    let mut watcher = Watcher::new().unwrap();
    let strict = ATTRIB | WatchMask::MASK_CREATE;
    let first = watcher.watch(&paths[0], strict).unwrap();
    for path in &paths {
        let error = watcher.watch(path, strict).unwrap_err();
        let expected = Error::AddWatch(Errno::EEXIST);
        assert_eq!(error, WatchError::Path { path: path.clone(), error: expected });
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("EEXIST"), "{text}");
    }
    // The existing watch is not affected.
    touch(&paths[0]);
    assert_eq!(kinds(&drained(&mut watcher), first), [EventKind::Attrib]);
    // Its mask can be changed, and watches without `MASK_CREATE` can be added.
    watcher.watches().set_mask(first, WatchMask::MODIFY | WatchMask::MASK_CREATE).unwrap();
    let second = watcher.watch(&paths[0], ATTRIB).unwrap();
    watcher.unwatch(first).unwrap();
    watcher.unwatch(second).unwrap();
    watcher.watch(&paths[0], strict).unwrap();
}

//! What the watcher promises of watches: paths, aliases, masks, and one inode watched many times.

mod watching;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::Hash;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use tinotify::{
    Errno, Error, EventKind, MaskError, WatchError, WatchId, WatchMask, WatchOptions, Watcher,
};
use watching::{Place, drained, kernel_watches, kinds, names, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

fn alias(alias: &str) -> WatchOptions {
    WatchOptions::new().alias(alias)
}

#[test]
fn a_watch_is_a_copyable_key() {
    fn is_key<T: Copy + Eq + Hash + Ord + Send + Sync + 'static>() {}
    is_key::<WatchId>();
}

/// All that can be done with a watch says that it is gone.
fn is_refused(watcher: &Watcher, watch: WatchId) {
    let gone = WatchError::NoSuchWatch(watch);
    let watches = watcher.watches();
    assert_eq!(watcher.unwatch(watch), Err(gone.clone()));
    assert_eq!(watches.unwatch(watch), Err(gone.clone()));
    assert_eq!(watches.set_mask(watch, CREATE), Err(gone.clone()));
    assert_eq!(watches.set_path(watch, "/"), Err(gone));
    assert!(watches.list().iter().all(|info| info.watch != watch));
}

#[test]
fn a_stale_watch_is_refused() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    watcher.unwatch(watch).unwrap();
    is_refused(&watcher, watch);
}

#[test]
fn a_watch_of_another_watcher_is_refused_and_does_nothing_to_ones_own() {
    let place = Place::new();
    let (mine, other) = (Watcher::new().unwrap(), Watcher::new().unwrap());
    let watch = mine.watch(place.path(), CREATE).unwrap();
    // The first watch of each, so all but the watcher is the same.
    let theirs = other.watch(place.path(), CREATE).unwrap();
    assert_ne!(watch, theirs);
    is_refused(&mine, theirs);
    is_refused(&other, watch);
    assert_eq!(mine.watches().list()[0].mask, CREATE);
    assert_eq!(mine.watches().list()[0].path, place.path());
}

#[test]
fn a_slot_used_again_does_not_bring_an_old_watch_back() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let mut all = HashSet::new();
    for _ in 0..100 {
        let watch = watcher.watch(place.path(), CREATE).unwrap();
        for old in &all {
            is_refused(&watcher, *old);
        }
        assert_eq!(watcher.watches().list().len(), 1);
        assert!(all.insert(watch));
        watcher.unwatch(watch).unwrap();
    }
    assert!(drained(&mut watcher).is_empty());
}

#[test]
fn the_list_tells_path_alias_and_mask() {
    let place = Place::new();
    let (dir, file) = (place.dir("dir"), place.file("file"));
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    assert!(watches.is_empty());

    let first = watcher.watch(&dir, CREATE | WatchMask::ONLYDIR).unwrap();
    let second = watcher.watch_with(&file, WatchMask::MODIFY, alias("log")).unwrap();
    let name = watcher.watch_name(place.at("none"), WatchMask::CLOSE_WRITE).unwrap();
    let list = watches.list();
    let info = |watch| list.iter().find(|info| info.watch == watch).unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!((&info(first).path, &info(first).alias), (&dir, &None));
    assert_eq!(info(first).mask, CREATE | WatchMask::ONLYDIR);
    assert_eq!((&info(second).path, &info(second).alias), (&file, &Some("log".into())));
    assert_eq!(info(second).mask, WatchMask::MODIFY);
    assert_ne!(info(first).wd, info(second).wd);
    assert!(info(first).wd.is_some());
    assert_eq!((&info(name).path, info(name).wd), (&place.at("none"), None));

    assert_eq!(watches.with_path(&dir), [first]);
    assert_eq!(watches.with_path(place.at("none")), [name]);
    assert!(watches.with_path(place.path()).is_empty(), "watched out of sight only");
    for watch in [first, second, name] {
        watcher.unwatch(watch).unwrap();
    }
    assert!(watches.is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn a_relative_path_stays_relative() {
    let mut watcher = Watcher::new().unwrap();
    watcher.watch("src", WatchMask::OPEN).unwrap();
    fs::read_dir("src").unwrap();
    let events = drained(&mut watcher);
    let own = events.iter().find(|event| event.name().is_none()).unwrap();
    assert_eq!(own.path(), Path::new("src"));
    assert_eq!(own.watched_path(), Some(Path::new("src")));
}

#[test]
fn a_path_that_ends_with_a_slash_gets_no_second_one() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let with_slash = PathBuf::from(format!("{}/", place.path().display()));
    watcher.watch(&with_slash, CREATE).unwrap();
    place.file("new");
    let events = drained(&mut watcher);
    assert_eq!(events[0].path().as_os_str(), place.at("new").as_os_str());
    assert_eq!(events[0].watched_path().unwrap().as_os_str(), with_slash.as_os_str());
}

#[test]
fn what_can_not_be_watched_is_an_error_that_names_the_path_and_leaves_nothing() {
    let place = Place::new();
    let file = place.file("file");
    let long = PathBuf::from("x/".repeat(2048));
    let watcher = Watcher::new().unwrap();
    let none = place.at("none\n\x1b[2J");
    for (path, mask, errno) in [
        (none.as_path(), CREATE, Errno::ENOENT),
        (Path::new(""), CREATE, Errno::ENOENT),
        (&long, CREATE, Errno::ENAMETOOLONG),
        (&file, CREATE | WatchMask::ONLYDIR, Errno::ENOTDIR),
    ] {
        let error = watcher.watch(path, mask).unwrap_err();
        assert_eq!(error, WatchError::Path { path: path.into(), error: Error::AddWatch(errno) });
        assert!(error.to_string().chars().all(|c| !c.is_control()), "{error}");
    }
    let error = watcher.watch(&none, CREATE).unwrap_err().to_string();
    assert!(error.contains(r"none\n\u{1b}[2J") && error.contains("ENOENT"), "{error}");

    let nul = PathBuf::from("a\0b");
    assert_eq!(watcher.watch(&nul, CREATE), Err(WatchError::Nul(nul.clone())));
    assert_eq!(watcher.watch_name(&nul, CREATE), Err(WatchError::Nul(nul)));
    for (mask, error) in [
        (WatchMask::empty(), MaskError::NoEvents),
        (WatchMask::all(), MaskError::AddAndCreate),
        (WatchMask::from_bits_retain(0x2000), MaskError::Unknown(0x2000)),
    ] {
        let error = WatchError::Path { path: file.clone(), error: Error::Mask(error) };
        assert_eq!(watcher.watch(&file, mask), Err(error.clone()));
        assert_eq!(watcher.watch_name(&file, mask), Err(error));
    }
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn a_path_may_hold_any_bytes() {
    let place = Place::new();
    let name = OsString::from_vec(b"new\nline \xff\x1b".to_vec());
    let dir = place.dir(&name);
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(&dir, CREATE).unwrap();
    fs::write(dir.join(&name), "").unwrap();
    let events = drained(&mut watcher);
    assert_eq!(events[0].watch(), Some(watch));
    assert_eq!(events[0].name(), Some(name.as_os_str()));
    assert_eq!(events[0].path(), dir.join(&name));
    assert!(format!("{0} {0:?}", events[0]).chars().all(|c| !c.is_control()));
}

#[test]
fn a_mask_can_grow_and_shrink() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    let file = place.file("a");
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Create]);

    watches.set_mask(watch, CREATE | WatchMask::DELETE).unwrap();
    assert_eq!(watches.list()[0].mask, CREATE | WatchMask::DELETE);
    place.file("a");
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Create, EventKind::Delete]);

    watches.set_mask(watch, WatchMask::DELETE).unwrap();
    assert_eq!(watches.list()[0].mask, WatchMask::DELETE);
    place.file("a");
    fs::remove_file(&file).unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Delete]);
    assert_eq!(kernel_watches(&watcher).len(), 1);
}

#[test]
fn a_mask_that_makes_no_sense_leaves_the_watch_as_it_was() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    let error = Error::Mask(MaskError::NoEvents);
    let error = WatchError::Path { path: place.path().into(), error };
    assert_eq!(watcher.watches().set_mask(watch, WatchMask::ONLYDIR), Err(error));
    assert_eq!(watcher.watches().list()[0].mask, CREATE);
}

#[test]
fn a_mask_is_not_changed_on_another_file_that_has_come_to_the_path() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(&file, WatchMask::MODIFY).unwrap();
    fs::rename(&file, place.at("old")).unwrap();
    place.file("file");

    let moved = watcher.watches().set_mask(watch, ATTRIB);
    assert_eq!(moved, Err(WatchError::Moved(file.clone())));
    assert_eq!(watcher.watches().list()[0].mask, WatchMask::MODIFY);
    let kernel: Vec<u64> = kernel_watches(&watcher).values().map(|watch| watch.ino).collect();
    assert_eq!(kernel, [fs::metadata(place.at("old")).unwrap().ino()], "nothing leaks");
    touch(&file);
    fs::write(place.at("old"), "text").unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Modify]);

    fs::remove_file(&file).unwrap();
    let error = WatchError::Path { path: file, error: Error::AddWatch(Errno::ENOENT) };
    assert_eq!(watcher.watches().set_mask(watch, ATTRIB), Err(error));
}

#[test]
fn a_wrong_path_takes_nothing_from_who_watches_what_it_leads_to() {
    let place = Place::new();
    let (one, two) = (place.file("one"), place.file("two"));
    let mut watcher = Watcher::new().unwrap();
    let first = watcher.watch(&one, ATTRIB).unwrap();
    let second = watcher.watch(&two, ATTRIB).unwrap();
    fs::rename(&one, place.at("away")).unwrap();
    fs::rename(&two, &one).unwrap();
    let moved = watcher.watches().set_mask(first, WatchMask::MODIFY);
    assert_eq!(moved, Err(WatchError::Moved(one.clone())));
    drained(&mut watcher);
    fs::write(&one, "text").unwrap();
    touch(&one);
    touch(place.at("away"));
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, second), [EventKind::Attrib]);
    assert_eq!(kinds(&events, first), [EventKind::Attrib]);
}

#[test]
fn who_knows_better_can_set_the_path() {
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch_with(&dir, CREATE, alias("it")).unwrap();
    let moved = place.at("moved");
    fs::rename(&dir, &moved).unwrap();
    fs::write(moved.join("a"), "").unwrap();
    assert_eq!(drained(&mut watcher)[0].path(), dir.join("a"), "nobody said better");

    watcher.watches().set_path(watch, &moved).unwrap();
    fs::write(moved.join("b"), "").unwrap();
    let events = drained(&mut watcher);
    assert_eq!(events[0].path(), moved.join("b"));
    assert_eq!((events[0].watched_path(), events[0].alias()), (Some(&*moved), Some("it".as_ref())));
    let list = watcher.watches().list();
    assert_eq!((&list[0].path, list[0].mask), (&moved, CREATE));
    // And then the mask can be changed again.
    watcher.watches().set_mask(watch, WatchMask::DELETE).unwrap();
}

/// One file by a path, the same again, a hard link and a symbolic link.
fn four_ways(place: &Place) -> [PathBuf; 4] {
    let file = place.file("file");
    fs::hard_link(&file, place.at("hard")).unwrap();
    symlink("file", place.at("soft")).unwrap();
    [file.clone(), file, place.at("hard"), place.at("soft")]
}

#[test]
fn each_watch_of_one_inode_keeps_its_own_mask_path_and_alias_and_gets_its_own_events() {
    let place = Place::new();
    let ways = four_ways(&place);
    let masks = [WatchMask::MODIFY, ATTRIB, WatchMask::MODIFY | ATTRIB, WatchMask::CLOSE_WRITE];
    let mut watcher = Watcher::new().unwrap();
    let mut watches = Vec::new();
    for (i, (way, mask)) in ways.iter().zip(masks).enumerate() {
        watches.push(watcher.watch_with(way, mask, alias(&i.to_string())).unwrap());
    }
    assert_eq!(kernel_watches(&watcher).len(), 1, "one inode, one descriptor");
    for (info, (way, mask)) in watcher.watches().list().iter().zip(ways.iter().zip(masks)) {
        assert_eq!((&info.path, info.mask), (way, mask));
    }

    fs::write(&ways[0], "text").unwrap();
    touch(&ways[0]);
    let events = drained(&mut watcher);
    use EventKind::{Attrib, CloseWrite, Modify};
    let expected: [&[EventKind]; 4] = [&[Modify], &[Attrib], &[Modify, Attrib], &[CloseWrite]];
    for (i, watch) in watches.iter().enumerate() {
        assert_eq!(kinds(&events, *watch), expected[i]);
        for event in events.iter().filter(|event| event.watch() == Some(*watch)) {
            assert_eq!(event.path(), ways[i]);
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
fn removing_one_watch_of_an_inode_leaves_the_others() {
    let place = Place::new();
    let ways = four_ways(&place);
    let mut watcher = Watcher::new().unwrap();
    let mut watches: Vec<WatchId> =
        ways.iter().map(|way| watcher.watch(way, ATTRIB).unwrap()).collect();
    while !watches.is_empty() {
        touch(&ways[0]);
        let events = drained(&mut watcher);
        assert_eq!(events.len(), watches.len());
        for watch in &watches {
            assert_eq!(kinds(&events, *watch), [EventKind::Attrib]);
        }
        // From the middle, then from both ends.
        watcher.unwatch(watches.remove(watches.len() / 2)).unwrap();
        assert_eq!(kernel_watches(&watcher).len(), usize::from(!watches.is_empty()));
    }
    touch(&ways[0]);
    assert!(drained(&mut watcher).is_empty());
}

#[test]
fn a_second_watch_gets_nothing_that_was_queued_before_it() {
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
fn a_second_watch_gets_what_the_kernel_would_merge_into_an_event_of_before() {
    let place = Place::new();
    let ways = four_ways(&place);
    let mut watcher = Watcher::new().unwrap();
    let mut watches = Vec::new();
    for way in &ways {
        watches.push(watcher.watch(way, ATTRIB).unwrap());
        touch(way);
        // Merges with the one before, which all have already.
        touch(way);
    }
    let events = drained(&mut watcher);
    for (i, watch) in watches.iter().enumerate() {
        assert_eq!(kinds(&events, *watch), vec![EventKind::Attrib; ways.len() - i]);
    }
}

#[test]
fn a_second_watch_is_exact_where_the_roots_of_the_system_are_watched_too() {
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
    assert_eq!(now, watched, "they stay as they were");
}

#[test]
fn strict_adding_refuses_an_inode_that_is_watched_already() {
    let place = Place::new();
    let ways = four_ways(&place);
    let mut watcher = Watcher::new().unwrap();
    let strict = ATTRIB | WatchMask::MASK_CREATE;
    let first = watcher.watch(&ways[0], strict).unwrap();
    for way in &ways {
        let error = watcher.watch(way, strict).unwrap_err();
        let expected = Error::AddWatch(Errno::EEXIST);
        assert_eq!(error, WatchError::Path { path: way.clone(), error: expected });
        let text = error.to_string();
        assert!(text.contains(way.to_str().unwrap()) && text.contains("EEXIST"), "{text}");
    }
    // The one that is there is none the worse.
    touch(&ways[0]);
    assert_eq!(kinds(&drained(&mut watcher), first), [EventKind::Attrib]);
    // Its mask can be changed, and others can join without strictness.
    watcher.watches().set_mask(first, WatchMask::MODIFY | WatchMask::MASK_CREATE).unwrap();
    let second = watcher.watch(&ways[0], ATTRIB).unwrap();
    watcher.unwatch(first).unwrap();
    watcher.unwatch(second).unwrap();
    watcher.watch(&ways[0], strict).unwrap();
}

#[test]
fn a_double_alias_and_an_unknown_one_are_errors() {
    let place = Place::new();
    let (one, two) = (place.file("one"), place.file("two"));
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let first = watcher.watch_with(&one, ATTRIB, alias("logs")).unwrap();
    let taken = WatchError::AliasTaken("logs".into());
    assert_eq!(watcher.watch_with(&two, ATTRIB, alias("logs")), Err(taken.clone()));
    assert_eq!(watches.watch_name_with(&two, ATTRIB, alias("logs")), Err(taken));
    assert_eq!(watches.list().len(), 1, "the refused ones left nothing");
    assert_eq!(kernel_watches(&watcher).len(), 1);

    assert_eq!(watches.with_alias("logs"), Ok(first));
    let unknown = WatchError::NoSuchAlias("none".into());
    assert_eq!(watches.with_alias("none"), Err(unknown.clone()));
    assert_eq!(watcher.unwatch_alias("none"), Err(unknown));
    watcher.unwatch_alias("logs").unwrap();
    is_refused(&watcher, first);
    assert_eq!(watches.with_alias("logs"), Err(WatchError::NoSuchAlias("logs".into())));
}

#[test]
fn an_alias_is_free_again_after_its_watch() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let first = watcher.watch_with(&file, ATTRIB, alias("it")).unwrap();
    watcher.unwatch(first).unwrap();
    let second = watcher.watch_with(&file, WatchMask::DELETE_SELF, alias("it")).unwrap();
    fs::remove_file(&file).unwrap();
    // The end was not read yet, and its events are named still.
    assert_eq!(watches.with_alias("it"), Ok(second));
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, second), [EventKind::DeleteSelf, EventKind::Ignored]);
    assert!(events.iter().all(|event| event.alias() == Some("it".as_ref())));
    assert_eq!(watches.with_alias("it"), Err(WatchError::NoSuchAlias("it".into())));
    place.file("file");
    let third = watcher.watch_with(&file, ATTRIB, alias("it")).unwrap();
    // A change of mask or path changes no alias.
    watches.set_mask(third, WatchMask::MODIFY).unwrap();
    watches.set_path(third, "elsewhere").unwrap();
    assert_eq!(watches.with_alias("it"), Ok(third));
}

#[test]
fn an_alias_may_be_any_bytes_and_is_printed_safely() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let name = OsString::from_vec(b"\x1b[2J\xff".to_vec());
    let options = || WatchOptions::new().alias(&name);
    let watch = watcher.watch_with(place.path(), CREATE, options()).unwrap();
    assert_eq!(watcher.watches().with_alias(&name), Ok(watch));
    let taken = watcher.watch_with(place.path(), CREATE, options()).unwrap_err();
    assert!(taken.to_string().contains(r"\u{1b}[2J\xff"), "{taken}");
}

#[test]
fn removing_a_watch_that_the_kernel_has_dropped_is_no_error() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let first = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    let second = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(kernel_watches(&watcher).is_empty());
    watcher.unwatch(first).unwrap();
    is_refused(&watcher, first);
    assert_eq!(
        kinds(&drained(&mut watcher), second),
        [EventKind::DeleteSelf, EventKind::Ignored],
        "the other one hears of it"
    );

    place.file("file");
    let last = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    watcher.unwatch(last).unwrap();
    assert!(drained(&mut watcher).is_empty());
    // And nothing of it stays behind to spoil the next.
    place.file("file");
    let next = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    let kinds = kinds(&drained(&mut watcher), next);
    assert_eq!(kinds, [EventKind::DeleteSelf, EventKind::Ignored]);
}

//! What the watcher promises of watches: their keys, paths, masks and aliases.

mod watching;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::hash::Hash;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tinotify::{
    Errno, Error, EventKind, MaskError, WatchError, WatchId, WatchMask, WatchOptions, Watcher,
};
use watching::{Place, drained, kernel_watches, kinds, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

/// Returns options with an alias.
fn alias(alias: &str) -> WatchOptions {
    WatchOptions::new().alias(alias)
}

#[test]
fn a_watch_id_is_a_copyable_key() {
    fn is_key<T: Copy + Eq + Hash + Ord + Send + Sync + 'static>() {}
    is_key::<WatchId>();
}

/// Asserts that every method refuses a watch that is gone.
fn assert_refused(watcher: &Watcher, watch: WatchId) {
    let gone = WatchError::NoSuchWatch(watch);
    let watches = watcher.watches();
    assert_eq!(watcher.unwatch(watch), Err(gone.clone()));
    assert_eq!(watches.unwatch(watch), Err(gone.clone()));
    assert_eq!(watches.set_mask(watch, CREATE), Err(gone.clone()));
    assert_eq!(watches.set_path(watch, "/"), Err(gone));
    assert!(watches.list().iter().all(|info| info.watch != watch));
}

#[test]
fn a_removed_watch_is_refused() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    watcher.unwatch(watch).unwrap();
    assert_refused(&watcher, watch);
}

#[test]
fn a_watch_of_another_watcher_is_refused_and_changes_nothing() {
    let place = Place::new();
    let (watcher, other) = (Watcher::new().unwrap(), Watcher::new().unwrap());
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    // Each is the first watch of its watcher, so the keys differ only in the watcher.
    let foreign = other.watch(place.path(), CREATE).unwrap();
    assert_ne!(watch, foreign);
    assert_refused(&watcher, foreign);
    assert_refused(&other, watch);
    assert_eq!(watcher.watches().list()[0].mask, CREATE);
    assert_eq!(watcher.watches().list()[0].path, place.path());
}

#[test]
fn a_reused_slot_does_not_revive_an_old_watch() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let mut old_watches = HashSet::new();
    for _ in 0..100 {
        let watch = watcher.watch(place.path(), CREATE).unwrap();
        for old in &old_watches {
            assert_refused(&watcher, *old);
        }
        assert_eq!(watcher.watches().list().len(), 1);
        assert!(old_watches.insert(watch));
        watcher.unwatch(watch).unwrap();
    }
    assert!(drained(&mut watcher).is_empty());
}

#[test]
fn the_list_contains_path_alias_and_mask() {
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
    assert!(watches.with_path(place.path()).is_empty(), "only watched internally");
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
fn a_trailing_slash_is_not_doubled() {
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
fn a_failed_watch_names_its_path_and_leaves_no_watch() {
    let place = Place::new();
    let file = place.file("file");
    let long = PathBuf::from("x/".repeat(2048));
    let watcher = Watcher::new().unwrap();
    let missing = place.at("none\n\x1b[2J");
    for (path, mask, errno) in [
        (missing.as_path(), CREATE, Errno::ENOENT),
        (Path::new(""), CREATE, Errno::ENOENT),
        (&long, CREATE, Errno::ENAMETOOLONG),
        (&file, CREATE | WatchMask::ONLYDIR, Errno::ENOTDIR),
    ] {
        let error = watcher.watch(path, mask).unwrap_err();
        assert_eq!(error, WatchError::Path { path: path.into(), error: Error::AddWatch(errno) });
        assert!(error.to_string().chars().all(|c| !c.is_control()), "{error}");
    }
    let error = watcher.watch(&missing, CREATE).unwrap_err().to_string();
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
fn a_path_may_contain_any_bytes() {
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
fn an_invalid_mask_leaves_the_watch_unchanged() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    let error = Error::Mask(MaskError::NoEvents);
    let error = WatchError::Path { path: place.path().into(), error };
    assert_eq!(watcher.watches().set_mask(watch, WatchMask::ONLYDIR), Err(error));
    assert_eq!(watcher.watches().list()[0].mask, CREATE);
}

#[test]
fn set_mask_fails_if_the_path_leads_to_another_file() {
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
    assert_eq!(kernel, [fs::metadata(place.at("old")).unwrap().ino()], "no other watch is left");
    touch(&file);
    fs::write(place.at("old"), "text").unwrap();
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Modify]);

    fs::remove_file(&file).unwrap();
    let error = WatchError::Path { path: file, error: Error::AddWatch(Errno::ENOENT) };
    assert_eq!(watcher.watches().set_mask(watch, ATTRIB), Err(error));
}

#[test]
fn a_failed_set_mask_leaves_other_watches_unchanged() {
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
fn the_path_of_a_watch_can_be_set() {
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch_with(&dir, CREATE, alias("it")).unwrap();
    let moved = place.at("moved");
    fs::rename(&dir, &moved).unwrap();
    fs::write(moved.join("a"), "").unwrap();
    assert_eq!(drained(&mut watcher)[0].path(), dir.join("a"), "the old path, until set_path");

    watcher.watches().set_path(watch, &moved).unwrap();
    fs::write(moved.join("b"), "").unwrap();
    let events = drained(&mut watcher);
    assert_eq!(events[0].path(), moved.join("b"));
    assert_eq!((events[0].watched_path(), events[0].alias()), (Some(&*moved), Some("it".as_ref())));
    let list = watcher.watches().list();
    assert_eq!((&list[0].path, list[0].mask), (&moved, CREATE));
    // The mask can be changed again now.
    watcher.watches().set_mask(watch, WatchMask::DELETE).unwrap();
}

#[test]
fn a_duplicate_alias_and_an_unknown_alias_are_errors() {
    let place = Place::new();
    let (one, two) = (place.file("one"), place.file("two"));
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let first = watcher.watch_with(&one, ATTRIB, alias("logs")).unwrap();
    let taken = WatchError::AliasTaken("logs".into());
    assert_eq!(watcher.watch_with(&two, ATTRIB, alias("logs")), Err(taken.clone()));
    assert_eq!(watches.watch_name_with(&two, ATTRIB, alias("logs")), Err(taken));
    assert_eq!(watches.list().len(), 1, "the refused watches left nothing");
    assert_eq!(kernel_watches(&watcher).len(), 1);

    assert_eq!(watches.with_alias("logs"), Ok(first));
    let unknown = WatchError::NoSuchAlias("none".into());
    assert_eq!(watches.with_alias("none"), Err(unknown.clone()));
    assert_eq!(watcher.unwatch_alias("none"), Err(unknown));
    watcher.unwatch_alias("logs").unwrap();
    assert_refused(&watcher, first);
    assert_eq!(watches.with_alias("logs"), Err(WatchError::NoSuchAlias("logs".into())));
}

#[test]
fn an_alias_is_free_after_its_watch_ends() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let first = watcher.watch_with(&file, ATTRIB, alias("it")).unwrap();
    watcher.unwatch(first).unwrap();
    let second = watcher.watch_with(&file, WatchMask::DELETE_SELF, alias("it")).unwrap();
    fs::remove_file(&file).unwrap();
    // The end is not read yet, so the alias is still in use.
    assert_eq!(watches.with_alias("it"), Ok(second));
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, second), [EventKind::DeleteSelf, EventKind::Ignored]);
    assert!(events.iter().all(|event| event.alias() == Some("it".as_ref())));
    assert_eq!(watches.with_alias("it"), Err(WatchError::NoSuchAlias("it".into())));
    place.file("file");
    let third = watcher.watch_with(&file, ATTRIB, alias("it")).unwrap();
    // A new mask or path keeps the alias.
    watches.set_mask(third, WatchMask::MODIFY).unwrap();
    watches.set_path(third, "elsewhere").unwrap();
    assert_eq!(watches.with_alias("it"), Ok(third));
}

#[test]
fn an_alias_may_contain_any_bytes_and_is_printed_escaped() {
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
fn removing_a_watch_that_the_kernel_removed_is_not_an_error() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::new().unwrap();
    let first = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    let second = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(kernel_watches(&watcher).is_empty());
    watcher.unwatch(first).unwrap();
    assert_refused(&watcher, first);
    assert_eq!(
        kinds(&drained(&mut watcher), second),
        [EventKind::DeleteSelf, EventKind::Ignored],
        "the end is reported to the other watch"
    );

    place.file("file");
    let last = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    watcher.unwatch(last).unwrap();
    assert!(drained(&mut watcher).is_empty());
    // The next watch of this path is not affected.
    place.file("file");
    let next = watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
    fs::remove_file(&file).unwrap();
    let kinds = kinds(&drained(&mut watcher), next);
    assert_eq!(kinds, [EventKind::DeleteSelf, EventKind::Ignored]);
}

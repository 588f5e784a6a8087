//! User code that a watcher calls may use the watcher, and may panic: filters, exclude conditions, `AsRef`
//! of paths, and `Drop` of captured values.

mod watching;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tinotify::{
    EventKind, TreeChange, TreeOptions, WatchError, WatchEventBuf, WatchId, WatchMask,
    WatchOptions, Watcher, Watches,
};
use watching::{Place, Watchdog, drained, kernel_watches, names, overflow, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

/// Calls each method of a handle.
fn use_all_methods(watches: &Watches, path: &Path) {
    let watch = watches.watch(path, ATTRIB).unwrap();
    watches.set_mask(watch, ATTRIB | CREATE).unwrap();
    watches.set_path(watch, "another").unwrap();
    assert_eq!(watches.info(watch).unwrap().path, Path::new("another"));
    let name = watches.watch_name(path.join("name"), ATTRIB).unwrap();
    let tree = watches.watch_tree(path, ATTRIB, TreeOptions::new()).unwrap();
    watches.exclude(tree, path.join("no")).unwrap();
    watches.include(tree, path.join("no")).unwrap();
    assert!(watches.list().len() >= 3 && !watches.is_empty());
    assert!(!watches.with_path(path).is_empty());
    assert!(matches!(watches.with_alias("none"), Err(WatchError::NoSuchAlias(_))));
    for watch in [watch, name, tree] {
        watches.unwatch(watch).unwrap();
    }
}

/// Uses a watcher when it is dropped.
struct UsesOnDrop {
    watches: Watches,
    path: PathBuf,
    dropped: Arc<AtomicU32>,
}

/// The values of a test, which it drops in different ways.
#[derive(Default)]
struct Values(Vec<(&'static str, Arc<AtomicU32>)>);

impl Values {
    fn add(&mut self, case: &'static str, watcher: &Watcher, place: &Place) -> UsesOnDrop {
        let dropped = Arc::new(AtomicU32::new(0));
        self.0.push((case, Arc::clone(&dropped)));
        UsesOnDrop { watches: watcher.watches(), path: place.path().to_owned(), dropped }
    }

    fn assert_each_dropped_once(&self) {
        for (case, dropped) in &self.0 {
            assert_eq!(dropped.load(Ordering::Relaxed), 1, "{case}");
        }
    }
}

impl Drop for UsesOnDrop {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        match self.watches.watch(&self.path, ATTRIB) {
            Ok(_) => use_all_methods(&self.watches, &self.path),
            Err(error) => assert_eq!(error, WatchError::Closed),
        }
    }
}

/// Returns options whose filter owns a value.
fn options_with(uses: UsesOnDrop) -> WatchOptions {
    WatchOptions::new().filter(move |_| !uses.path.as_os_str().is_empty())
}

/// Returns options whose exclude condition owns a value.
fn tree_options_with(uses: UsesOnDrop) -> TreeOptions {
    TreeOptions::new().exclude(move |_| uses.path.as_os_str().is_empty())
}

/// A path whose `as_ref` uses a watcher.
struct UsesAsPath<'a>(&'a Watches, &'a Path);

impl AsRef<Path> for UsesAsPath<'_> {
    fn as_ref(&self) -> &Path {
        use_all_methods(self.0, self.1);
        self.1
    }
}

#[test]
fn a_filter_may_use_every_method_of_the_handles() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let path = place.path().to_owned();
    let options = WatchOptions::new().filter(move |_| {
        use_all_methods(&watches, &path);
        true
    });
    let watch = watcher.watch_with(&dir, CREATE, options.clone()).unwrap();
    let options = TreeOptions::new().watch(options);
    watcher.watch_tree(&dir, CREATE, options).unwrap();
    fs::write(dir.join("a"), "").unwrap();
    let events = drained(&mut watcher);
    assert_eq!(names(&events, watch), ["a"]);
    let created = events.iter().filter(|event| event.kind() == EventKind::Create).count();
    assert_eq!(created, 2, "{events:?}");
}

#[test]
fn a_filter_may_remove_its_own_watch_and_later_ones() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let ids = Arc::new(Mutex::new(Vec::<WatchId>::new()));
    let (watches, all) = (watcher.watches(), Arc::clone(&ids));
    let filter = move |_: &tinotify::Event<'_>| {
        for id in all.lock().unwrap().drain(..) {
            watches.unwatch(id).unwrap();
        }
        false
    };
    let first =
        watcher.watch_with(place.path(), CREATE, WatchOptions::new().filter(filter)).unwrap();
    let second = watcher.watch(place.path(), CREATE).unwrap();
    ids.lock().unwrap().extend([first, second]);
    place.file("a");
    assert_eq!(drained(&mut watcher).len(), 0);
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn as_ref_of_a_path_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let path = || UsesAsPath(&watches, place.path());
    let watch = watches.watch(path(), CREATE).unwrap();
    watches.watch_name(path(), CREATE).unwrap();
    let tree = watches.watch_tree(path(), CREATE, TreeOptions::new()).unwrap();
    watches.set_path(watch, path()).unwrap();
    watches.set_path(tree, path()).unwrap();
    assert!(matches!(watches.exclude(tree, path()), Err(WatchError::NotBeneath { .. })));
    assert_eq!(watches.with_path(path()).len(), 3);
    drained(&mut watcher);
    assert_eq!(watcher.watches().list().len(), 3);
}

#[test]
fn a_value_dropped_by_unwatch_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let dir = place.dir("dir");
    let watcher = Watcher::new().unwrap();
    let mut values = Values::default();
    let mut value = |case| values.add(case, &watcher, &place);

    let id = watcher.watch_with(&dir, CREATE, options_with(value("a watch"))).unwrap();
    watcher.unwatch(id).unwrap();
    let options = options_with(value("a name"));
    let id = watcher.watches().watch_name_with(dir.join("a"), CREATE, options).unwrap();
    watcher.unwatch(id).unwrap();
    let options = TreeOptions::new().watch(options_with(value("a filter of a tree")));
    let id = watcher.watch_tree(&dir, CREATE, options).unwrap();
    watcher.unwatch(id).unwrap();
    let id = watcher.watch_tree(&dir, CREATE, tree_options_with(value("a condition"))).unwrap();
    watcher.unwatch(id).unwrap();
    values.assert_each_dropped_once();
}

#[test]
fn a_value_dropped_by_a_failed_watch_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let dir = place.dir("dir");
    let watcher = Watcher::new().unwrap();
    let mut values = Values::default();
    let mut value = |case| values.add(case, &watcher, &place);

    let missing = place.at("missing");
    watcher.watch_with(&missing, CREATE, options_with(value("no such file"))).unwrap_err();
    watcher.watch_with(&dir, CREATE, WatchOptions::new().alias("taken")).unwrap();
    let options = options_with(value("alias taken")).alias("taken");
    watcher.watch_with(&dir, CREATE, options).unwrap_err();
    watcher.watch_tree(&missing, CREATE, tree_options_with(value("no such tree"))).unwrap_err();
    values.assert_each_dropped_once();
}

#[test]
fn a_value_dropped_at_the_end_of_its_watch_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (dir, gone) = (place.dir("dir"), place.dir("gone"));
    let mut watcher = Watcher::new().unwrap();
    let mut values = Values::default();
    let mut value = |case| values.add(case, &watcher, &place);

    watcher.watch_with(&gone, CREATE, options_with(value("removed"))).unwrap();
    let options = TreeOptions::new().watch(options_with(value("the root of a tree removed")));
    watcher.watch_tree(&gone, CREATE, options).unwrap();
    let options = options_with(value("one-shot"));
    watcher.watch_with(&dir, CREATE | WatchMask::ONESHOT, options).unwrap();
    fs::write(dir.join("a"), "").unwrap();
    fs::remove_dir(&gone).unwrap();
    drained(&mut watcher);
    // The reader drops its cached routes with the next events.
    for _ in 0..3 {
        touch(place.path());
        drained(&mut watcher);
    }
    let options = options_with(values.add("the watcher dropped", &watcher, &place));
    watcher.watch_with(&dir, CREATE, options).unwrap();
    drop(watcher);
    values.assert_each_dropped_once();
}

#[test]
fn a_value_dropped_after_an_overflow_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (noise, gone) = (place.dir("noise"), place.dir("gone"));
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&noise, ATTRIB).unwrap();
    let mut values = Values::default();
    let value = values.add("an overflow", &watcher, &place);
    watcher.watch_with(&gone, CREATE, options_with(value)).unwrap();
    if !overflow(&noise) {
        return;
    }
    fs::remove_dir(&gone).unwrap();
    drained(&mut watcher);
    drop(watcher);
    values.assert_each_dropped_once();
}

#[test]
fn a_filter_that_owns_a_handle_does_not_leak() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let alive = Arc::new(());
    let value = (watcher.watches(), Arc::clone(&alive));
    let options = WatchOptions::new().filter(move |_| Arc::strong_count(&value.1) > 0);
    watcher.watch_with(place.path(), CREATE, options).unwrap();
    let value = (watcher.watches(), Arc::clone(&alive));
    let options = TreeOptions::new().exclude(move |_| Arc::strong_count(&value.1) == 0);
    watcher.watch_tree(place.path(), CREATE, options).unwrap();
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(watcher);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_of_a_filter_skips_one_delivery_only() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = || {
        WatchOptions::new().filter(|event| {
            assert_ne!(event.name_os().unwrap(), "b", "the test needs a panic");
            true
        })
    };
    let first = watcher.watch_with(place.path(), CREATE, options()).unwrap();
    let second = watcher.watch(place.path(), CREATE).unwrap();
    let third =
        watcher.watch_tree(place.path(), CREATE, TreeOptions::new().watch(options())).unwrap();
    for name in ["a", "b", "c"] {
        place.file(name);
    }
    let mut events: Vec<WatchEventBuf> = Vec::new();
    let mut panics = 0;
    loop {
        let next = AssertUnwindSafe(|| watcher.try_recv().unwrap().map(|event| event.to_buf()));
        match catch_unwind(next) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    let created = |watch| -> Vec<WatchEventBuf> {
        let is_created = |event: &&WatchEventBuf| event.kind() == EventKind::Create;
        let events = events.iter().filter(is_created);
        events.filter(|event| event.watch() == Some(watch)).cloned().collect()
    };
    assert_eq!(panics, 2);
    assert_eq!(names(&created(first), first), ["a", "c"]);
    assert_eq!(names(&created(second), second), ["a", "b", "c"]);
    assert_eq!(names(&created(third), third), ["a", "c"]);
}

#[test]
fn a_panic_in_drop_or_as_ref_leaves_the_watcher_usable() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(thread::panicking(), "the test needs a panic");
        }
    }
    impl AsRef<Path> for Panics {
        fn as_ref(&self) -> &Path {
            panic!("the test needs a panic");
        }
    }
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let value = Panics;
    let options = WatchOptions::new().filter(move |_| size_of_val(&value) == 0);
    let watch = watcher.watch_with(place.path(), CREATE, options).unwrap();
    catch_unwind(AssertUnwindSafe(|| watcher.unwatch(watch))).unwrap_err();
    assert_eq!(watcher.unwatch(watch), Err(WatchError::NoSuchWatch(watch)));
    for call in [
        &(|| drop(watcher.watch(Panics, CREATE))) as &dyn Fn(),
        &|| drop(watcher.watch_name(Panics, CREATE)),
        &|| drop(watcher.watch_tree(Panics, CREATE, TreeOptions::new())),
    ] {
        catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    }
    assert!(watcher.watches().is_empty() && kernel_watches(&watcher).is_empty());
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    place.file("a");
    assert_eq!(names(&drained(&mut watcher), watch), ["a"]);
}

/// Returns an exclude condition that sends each path it is called with, then waits for a message.
fn blocking_condition() -> (TreeOptions, Receiver<PathBuf>, SyncSender<()>) {
    let (call, called) = mpsc::sync_channel(100);
    let (answer, answers) = mpsc::sync_channel(100);
    let answers = Mutex::new(answers);
    let options = TreeOptions::new().exclude(move |path| {
        call.send(path.to_owned()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        false
    });
    (options, called, answer)
}

/// Returns the masks and relative paths that a tree has reported.
fn reported(events: &[WatchEventBuf], tree: WatchId, root: &Path) -> Vec<String> {
    let events = events.iter().filter(|event| event.watch() == Some(tree));
    let events = events.filter(|event| event.tree_change() != Some(TreeChange::Established));
    let line = |event: &WatchEventBuf| {
        let path = event.path();
        format!("{} {}", event.mask(), path.strip_prefix(root).unwrap().display())
    };
    events.map(line).collect()
}

#[test]
fn an_exclude_condition_may_use_every_method_of_the_handles() {
    let _watchdog = Watchdog::new();
    let (place, other) = (Place::new(), Place::new());
    place.dir("a");
    let mut watcher = Watcher::new().unwrap();
    let (watches, path) = (watcher.watches(), other.path().to_owned());
    let called = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&called);
    let options = TreeOptions::new().exclude(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        use_all_methods(&watches, &path);
        let tree = watches.list()[0].watch;
        assert_eq!(watches.tree_directories(tree), Err(WatchError::InExclude(tree)));
        watches.set_mask(tree, CREATE | WatchMask::DELETE).unwrap();
        false
    });
    let tree = watcher.watch_tree(place.path(), CREATE, options).unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 1);
    place.dir("b");
    place.file("b/c");
    let events = drained(&mut watcher);
    assert_eq!(called.load(Ordering::Relaxed), 2);
    assert_eq!(reported(&events, tree, place.path()), ["CREATE,ISDIR b", "CREATE b/c"]);
    fs::remove_file(place.at("b/c")).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(reported(&events, tree, place.path()), ["DELETE b/c"]);
    assert_eq!(watcher.watches().tree_directories(tree).unwrap().len(), 3);
}

#[test]
fn an_exclude_condition_may_unwatch_its_own_tree() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let id = Arc::new(Mutex::new(None));
    let own = Arc::clone(&id);
    let options = TreeOptions::new().exclude(move |_| {
        watches.unwatch(own.lock().unwrap().unwrap()).unwrap();
        false
    });
    let tree = watcher.watch_tree(place.path(), CREATE, options).unwrap();
    *id.lock().unwrap() = Some(tree);
    drained(&mut watcher);
    place.dir("a");
    let events = drained(&mut watcher);
    assert_eq!(reported(&events, tree, place.path()), [""; 0]);
    assert!(watcher.watches().is_empty() && kernel_watches(&watcher).is_empty());
}

#[test]
fn a_tree_is_set_up_beside_the_reader_and_misses_nothing() {
    let _watchdog = Watchdog::new();
    let (place, other) = (Place::new(), Place::new());
    place.dir("a");
    let mut watcher = Watcher::new().unwrap();
    let beside = watcher.watch(other.path(), CREATE).unwrap();
    let (options, called, answer) = blocking_condition();
    let (watches, root) = (watcher.watches(), place.path().to_owned());
    let setting_up = thread::spawn(move || watches.watch_tree(&root, CREATE, options).unwrap());
    assert_eq!(called.recv().unwrap(), Path::new("a"));

    // The root is watched, but the set-up of the tree is not finished.
    other.file("x");
    place.file("early");
    assert_eq!(watcher.recv().unwrap().watch(), Some(beside));
    assert!(watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
    place.file("later");
    assert!(watcher.try_recv().unwrap().is_none());
    answer.send(()).unwrap();
    let tree = setting_up.join().unwrap();
    place.file("last");
    let events = drained(&mut watcher);
    let expected = ["CREATE early", "CREATE later", "CREATE last"];
    assert_eq!(reported(&events, tree, place.path()), expected);
}

#[test]
fn a_busy_tree_can_be_changed_without_waiting() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let (options, called, answer) = blocking_condition();
    let tree = watcher.watch_tree(place.path(), CREATE, options).unwrap();
    drained(&mut watcher);
    place.dir("a");
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let reader = thread::spawn(move || {
        let events = drained(&mut watcher);
        done.store(true, Ordering::Release);
        (watcher, events)
    });
    assert_eq!(called.recv().unwrap(), Path::new("a"));
    // None of these calls waits for the tree.
    watches.set_mask(tree, CREATE | WatchMask::DELETE).unwrap();
    watches.exclude(tree, place.at("b")).unwrap();
    use_all_methods(&watches, place.path());
    assert!(!is_done.load(Ordering::Acquire));
    for _ in 0..3 {
        answer.send(()).unwrap();
    }
    let (mut watcher, mut events) = reader.join().unwrap();
    // An exclusion makes the tree check its directories again.
    place.dir("b");
    place.file("b/not watched");
    for _ in 0..3 {
        answer.send(()).unwrap();
    }
    events.extend(drained(&mut watcher));
    fs::remove_dir(place.at("a")).unwrap();
    events.extend(drained(&mut watcher));
    let expected = ["CREATE,ISDIR a", "CREATE,ISDIR b", "DELETE,ISDIR a"];
    assert_eq!(reported(&events, tree, place.path()), expected);
    watches.unwatch(tree).unwrap();
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn a_tree_that_is_unwatched_during_its_set_up_leaves_no_watch() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    place.dir("a");
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let (options, called, answer) = blocking_condition();
    let (others, root) = (watcher.watches(), place.path().to_owned());
    let setting_up = thread::spawn(move || others.watch_tree(&root, CREATE, options));
    called.recv().unwrap();
    // A watch of the same directory begins and ends during the set-up.
    let own = watches.watch(place.path(), ATTRIB).unwrap();
    watches.unwatch(own).unwrap();
    let tree = watches.list()[0].watch;
    watches.unwatch(tree).unwrap();
    answer.send(()).unwrap();
    assert_eq!(setting_up.join().unwrap(), Err(WatchError::NoSuchWatch(tree)));
    assert!(watches.is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

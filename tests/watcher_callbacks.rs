//! User code that a watcher runs may use the watcher, and may panic: filters, exclude conditions, `AsRef`
//! and `Drop` of what they captured.

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

/// Uses each method that a handle has.
fn use_all(watches: &Watches, path: &Path) {
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

/// A value that uses a watcher when it is dropped.
struct Uses {
    watches: Watches,
    path: PathBuf,
    dropped: Arc<AtomicU32>,
}

impl Uses {
    fn new(watcher: &Watcher, place: &Place) -> (Self, Arc<AtomicU32>) {
        let dropped = Arc::new(AtomicU32::new(0));
        let path = place.path().to_owned();
        (Self { watches: watcher.watches(), path, dropped: Arc::clone(&dropped) }, dropped)
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        match self.watches.watch(&self.path, ATTRIB) {
            Ok(_) => use_all(&self.watches, &self.path),
            Err(error) => assert_eq!(error, WatchError::Closed),
        }
    }
}

/// Options whose filter owns a value.
fn owning(uses: Uses) -> WatchOptions {
    WatchOptions::new().filter(move |_| !uses.path.as_os_str().is_empty())
}

/// Uses a watcher when it is asked for its path.
struct Asks<'a>(&'a Watches, &'a Path);

impl AsRef<Path> for Asks<'_> {
    fn as_ref(&self) -> &Path {
        use_all(self.0, self.1);
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
        use_all(&watches, &path);
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
fn a_filter_may_end_its_own_watch_and_those_that_come_after_it() {
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
fn paths_are_asked_for_before_anything_is_locked() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let asks = || Asks(&watches, place.path());
    let watch = watches.watch(asks(), CREATE).unwrap();
    watches.watch_name(asks(), CREATE).unwrap();
    let tree = watches.watch_tree(asks(), CREATE, TreeOptions::new()).unwrap();
    watches.set_path(watch, asks()).unwrap();
    watches.set_path(tree, asks()).unwrap();
    assert!(matches!(watches.exclude(tree, asks()), Err(WatchError::NotBeneath { .. })));
    assert_eq!(watches.with_path(asks()).len(), 3);
    drained(&mut watcher);
    assert_eq!(watcher.watches().list().len(), 3);
}

#[test]
fn a_value_that_is_dropped_with_its_watch_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    let uses = || Uses::new(&watcher, &place);
    let mut counts = Vec::new();

    // Ended by the user, each kind of watch.
    let (value, count) = uses();
    counts.push(("unwatch", count));
    let id = watcher.watch_with(&dir, CREATE, owning(value)).unwrap();
    watcher.unwatch(id).unwrap();
    let (value, count) = uses();
    counts.push(("unwatch a name", count));
    let id = watcher.watches().watch_name_with(dir.join("a"), CREATE, owning(value)).unwrap();
    watcher.unwatch(id).unwrap();
    let (value, count) = uses();
    counts.push(("unwatch a tree", count));
    let options = TreeOptions::new().watch(owning(value));
    let id = watcher.watch_tree(&dir, CREATE, options).unwrap();
    watcher.unwatch(id).unwrap();
    let (value, count) = uses();
    counts.push(("unwatch a tree with a condition", count));
    let options = TreeOptions::new().exclude(move |_| value.path.as_os_str().is_empty());
    let id = watcher.watch_tree(&dir, CREATE, options).unwrap();
    watcher.unwatch(id).unwrap();

    // Never begun.
    let (value, count) = uses();
    counts.push(("no such file", count));
    watcher.watch_with(place.at("none"), CREATE, owning(value)).unwrap_err();
    let taken = watcher.watch_with(&dir, CREATE, WatchOptions::new().alias("taken")).unwrap();
    let (value, count) = uses();
    counts.push(("alias taken", count));
    watcher.watch_with(&dir, CREATE, owning(value).alias("taken")).unwrap_err();
    let (value, count) = uses();
    counts.push(("no such tree", count));
    let options = TreeOptions::new().exclude(move |_| value.path.as_os_str().is_empty());
    watcher.watch_tree(place.at("none"), CREATE, options).unwrap_err();
    watcher.unwatch(taken).unwrap();

    // Ended by the kernel, by its own first event, by a lost event.
    let (value, count) = uses();
    counts.push(("removed", count));
    let gone = place.dir("gone");
    watcher.watch_with(&gone, CREATE, owning(value)).unwrap();
    let (value, count) = uses();
    counts.push(("a tree's root removed", count));
    let options = TreeOptions::new().watch(owning(value));
    watcher.watch_tree(&gone, CREATE, options).unwrap();
    let (value, count) = uses();
    counts.push(("one-shot", count));
    watcher.watch_with(&dir, CREATE | WatchMask::ONESHOT, owning(value)).unwrap();
    fs::write(dir.join("a"), "").unwrap();
    fs::remove_dir(&gone).unwrap();
    drained(&mut watcher);
    // Routes that the reader has kept go with the next events.
    for _ in 0..3 {
        touch(place.path());
        drained(&mut watcher);
    }
    let (value, count) = Uses::new(&watcher, &place);
    counts.push(("the watcher dropped", count));
    watcher.watch_with(&dir, CREATE, owning(value)).unwrap();
    drop(watcher);
    for (way, count) in counts {
        assert_eq!(count.load(Ordering::Relaxed), 1, "{way}");
    }
}

#[test]
fn a_value_of_a_watch_whose_end_was_lost_may_use_the_watcher() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (noise, gone) = (place.dir("noise"), place.dir("gone"));
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&noise, ATTRIB).unwrap();
    let (value, count) = Uses::new(&watcher, &place);
    watcher.watch_with(&gone, CREATE, owning(value)).unwrap();
    if !overflow(&noise) {
        return;
    }
    fs::remove_dir(&gone).unwrap();
    drained(&mut watcher);
    drop(watcher);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn a_filter_that_owns_a_handle_is_no_leak() {
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
fn a_panic_of_a_filter_skips_one_delivery_and_nothing_else() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = || {
        WatchOptions::new().filter(|event| {
            assert_ne!(event.name_os().unwrap(), "b", "as asked");
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
fn a_panic_of_a_dropped_value_or_of_a_path_leaves_the_watcher_usable() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(thread::panicking(), "as asked");
        }
    }
    impl AsRef<Path> for Panics {
        fn as_ref(&self) -> &Path {
            panic!("as asked");
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

/// A condition that says when it is asked, and waits until it may answer.
fn gated() -> (TreeOptions, Receiver<PathBuf>, SyncSender<()>) {
    let (ask, asked) = mpsc::sync_channel(100);
    let (answer, answers) = mpsc::sync_channel(100);
    let answers = Mutex::new(answers);
    let options = TreeOptions::new().exclude(move |path| {
        ask.send(path.to_owned()).unwrap();
        answers.lock().unwrap().recv().unwrap();
        false
    });
    (options, asked, answer)
}

/// The paths of what a tree has reported, with what is known of each.
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
fn a_condition_may_use_every_method_of_the_handles_at_set_up_and_later() {
    let _watchdog = Watchdog::new();
    let (place, other) = (Place::new(), Place::new());
    place.dir("a");
    let mut watcher = Watcher::new().unwrap();
    let (watches, path) = (watcher.watches(), other.path().to_owned());
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let options = TreeOptions::new().exclude(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        use_all(&watches, &path);
        let tree = watches.list()[0].watch;
        assert_eq!(watches.tree_directories(tree), Err(WatchError::InExclude(tree)));
        watches.set_mask(tree, CREATE | WatchMask::DELETE).unwrap();
        false
    });
    let tree = watcher.watch_tree(place.path(), CREATE, options).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    place.dir("b");
    place.file("b/c");
    let events = drained(&mut watcher);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(reported(&events, tree, place.path()), ["CREATE,ISDIR b", "CREATE b/c"]);
    fs::remove_file(place.at("b/c")).unwrap();
    let events = drained(&mut watcher);
    assert_eq!(reported(&events, tree, place.path()), ["DELETE b/c"]);
    assert_eq!(watcher.watches().tree_directories(tree).unwrap().len(), 3);
}

#[test]
fn a_condition_may_end_its_own_tree() {
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
fn a_reader_goes_on_while_a_tree_is_set_up_and_the_tree_misses_nothing() {
    let _watchdog = Watchdog::new();
    let (place, other) = (Place::new(), Place::new());
    place.dir("a");
    let mut watcher = Watcher::new().unwrap();
    let beside = watcher.watch(other.path(), CREATE).unwrap();
    let (options, asked, answer) = gated();
    let (watches, root) = (watcher.watches(), place.path().to_owned());
    let setting_up = thread::spawn(move || watches.watch_tree(&root, CREATE, options).unwrap());
    assert_eq!(asked.recv().unwrap(), Path::new("a"));

    // The root is watched by now, and the tree is not set up.
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
    let want = ["CREATE early", "CREATE later", "CREATE last"];
    assert_eq!(reported(&events, tree, place.path()), want);
}

#[test]
fn a_tree_at_work_can_be_changed_and_ended_by_others_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let (options, asked, answer) = gated();
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
    assert_eq!(asked.recv().unwrap(), Path::new("a"));
    // None of these waits for the tree.
    watches.set_mask(tree, CREATE | WatchMask::DELETE).unwrap();
    watches.exclude(tree, place.at("b")).unwrap();
    use_all(&watches, place.path());
    assert!(!is_done.load(Ordering::Acquire));
    for _ in 0..3 {
        answer.send(()).unwrap();
    }
    let (mut watcher, mut events) = reader.join().unwrap();
    // The directories that are there are looked at anew once paths were excluded.
    place.dir("b");
    place.file("b/not watched");
    for _ in 0..3 {
        answer.send(()).unwrap();
    }
    events.extend(drained(&mut watcher));
    fs::remove_dir(place.at("a")).unwrap();
    events.extend(drained(&mut watcher));
    let want = ["CREATE,ISDIR a", "CREATE,ISDIR b", "DELETE,ISDIR a"];
    assert_eq!(reported(&events, tree, place.path()), want);
    watches.unwatch(tree).unwrap();
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn a_tree_that_is_ended_while_it_is_at_work_leaves_nothing() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    place.dir("a");
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let (options, asked, answer) = gated();
    let (others, root) = (watcher.watches(), place.path().to_owned());
    let setting_up = thread::spawn(move || others.watch_tree(&root, CREATE, options));
    asked.recv().unwrap();
    // A watch of the same directory, too, that begins and ends meanwhile.
    let own = watches.watch(place.path(), ATTRIB).unwrap();
    watches.unwatch(own).unwrap();
    let tree = watches.list()[0].watch;
    watches.unwatch(tree).unwrap();
    answer.send(()).unwrap();
    assert_eq!(setting_up.join().unwrap(), Err(WatchError::NoSuchWatch(tree)));
    assert!(watches.is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

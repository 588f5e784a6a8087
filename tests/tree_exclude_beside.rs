//! A directory that a tree excludes can be watched by itself. The tree and the watch do not disturb each other.

mod watching;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tinotify::{TreeChange, TreeOptions, WatchEventBuf, WatchId, WatchMask, Watcher};
use watching::{Place, drained, kernel_watches};

const MASK: WatchMask = WatchMask::CREATE.union(WatchMask::MOVE).union(WatchMask::DELETE);

/// How the directory comes to be excluded, and in what order the watches are added.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    /// By a condition; the tree first.
    ConditionTree,
    /// By a condition; the watch first.
    ConditionWatch,
    /// By a call; the watch before the call.
    CallWatch,
    /// By a call; the watch after the call.
    CallLast,
}

const ORDERS: [Order; 4] =
    [Order::ConditionTree, Order::ConditionWatch, Order::CallWatch, Order::CallLast];

struct Scene {
    place: Place,
    watcher: Watcher,
    tree: WatchId,
    beside: WatchId,
}

impl Scene {
    fn new(order: Order) -> Self {
        let place = Place::new();
        let excluded = place.dir("excluded");
        place.dir("excluded/inner");
        let mut watcher = Watcher::new().unwrap();
        let is_condition = matches!(order, Order::ConditionTree | Order::ConditionWatch);
        let options = TreeOptions::new().exclude(move |path| is_condition && path == "excluded");
        let watch = |watcher: &Watcher| watcher.watch(&excluded, MASK).unwrap();
        let early = (order == Order::ConditionWatch).then(|| watch(&watcher));
        let tree = watcher.watch_tree(place.path(), MASK, options).unwrap();
        let middle = (order == Order::CallWatch).then(|| watch(&watcher));
        if !is_condition {
            watcher.watches().exclude(tree, &excluded).unwrap();
            drained(&mut watcher);
        }
        let beside = early.or(middle).unwrap_or_else(|| watch(&watcher));
        drained(&mut watcher);
        Self { place, watcher, tree, beside }
    }

    /// Takes the events that are queued: which watch, the mask, and the path beneath the root.
    fn events(&mut self) -> Vec<(WatchId, String)> {
        let root = self.place.path().to_owned();
        let line = |event: &WatchEventBuf| {
            let path = event.path();
            format!("{} {}", event.mask(), path.strip_prefix(&root).unwrap().display())
        };
        let events = drained(&mut self.watcher);
        let events = events.iter().filter(|event| {
            !matches!(event.tree_change(), Some(TreeChange::Established | TreeChange::Watched))
        });
        events.map(|event| (event.watch().unwrap(), line(event))).collect()
    }

    fn is_watched(&self, path: impl AsRef<Path>) -> bool {
        let ino = fs::metadata(self.place.at(path)).unwrap().ino();
        kernel_watches(&self.watcher).values().any(|watch| watch.ino == ino)
    }
}

#[test]
fn what_happens_in_the_directory_is_reported_to_its_own_watch_alone() {
    for order in ORDERS {
        let mut scene = Scene::new(order);
        scene.place.file("excluded/file");
        scene.place.file("excluded/inner/file");
        scene.place.file("file");
        let expected =
            [(scene.beside, "CREATE excluded/file"), (scene.tree, "CREATE file")].map(own);
        assert_eq!(scene.events(), expected, "{order:?}");
        assert!(!scene.is_watched("excluded/inner"), "{order:?}");
    }
}

fn own((watch, line): (WatchId, &str)) -> (WatchId, String) {
    (watch, line.to_owned())
}

#[test]
fn ending_the_watch_leaves_the_directory_unwatched_and_the_tree_in_place() {
    for order in ORDERS {
        let mut scene = Scene::new(order);
        scene.watcher.unwatch(scene.beside).unwrap();
        scene.place.file("excluded/file");
        scene.place.file("file");
        assert_eq!(scene.events(), [own((scene.tree, "CREATE file"))], "{order:?}");
        // The kernel's watch ends when the queue is empty.
        assert!(!scene.is_watched("excluded"), "{order:?}");
        assert!(scene.is_watched(""), "{order:?}");
    }
}

#[test]
fn ending_the_tree_leaves_the_watch_in_place() {
    for order in ORDERS {
        let mut scene = Scene::new(order);
        scene.watcher.unwatch(scene.tree).unwrap();
        scene.place.file("excluded/file");
        scene.place.file("file");
        let expected = [own((scene.beside, "CREATE excluded/file"))];
        assert_eq!(scene.events(), expected, "{order:?}");
    }
}

#[test]
fn a_directory_that_is_included_again_is_reported_to_both() {
    for order in [Order::CallWatch, Order::CallLast] {
        let mut scene = Scene::new(order);
        scene.watcher.watches().include(scene.tree, scene.place.at("excluded")).unwrap();
        scene.events();
        scene.place.file("excluded/file");
        scene.place.file("excluded/inner/file");
        let mut events = scene.events();
        events.sort();
        let mut expected = [
            (scene.beside, "CREATE excluded/file"),
            (scene.tree, "CREATE excluded/file"),
            (scene.tree, "CREATE excluded/inner/file"),
        ]
        .map(own);
        expected.sort();
        assert_eq!(events, expected, "{order:?}");
    }
}

#[test]
fn a_rename_of_the_directory_is_reported_by_the_tree_and_its_contents_by_the_watch() {
    for order in ORDERS {
        let mut scene = Scene::new(order);
        fs::rename(scene.place.at("excluded"), scene.place.at("renamed")).unwrap();
        let events = scene.events();
        let of_tree: Vec<_> = events.iter().filter(|(watch, _)| *watch == scene.tree).collect();
        // At its new path it is not excluded, so what is in it is reported as well.
        assert_eq!(of_tree[0].1, "MOVED_TO,ISDIR renamed", "{order:?} {events:?}");
        assert!(events.iter().all(|(watch, _)| *watch == scene.tree), "{order:?} {events:?}");
        scene.place.file("renamed/file");
        let mut events = scene.events();
        events.sort();
        // The path of a watch is the one that was given.
        let mut expected =
            [(scene.beside, "CREATE excluded/file"), (scene.tree, "CREATE renamed/file")].map(own);
        expected.sort();
        assert_eq!(events, expected, "{order:?}");
    }
}

//! Overlapping trees, in one watcher and in two: each reports each event once, and no overflow is caused by
//! the trees alone.

mod support;
mod trees;
mod watching;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::thread::Pid;
use tempfile::TempDir;
use tinotify::{
    EventMask, StopHandle, TreeChange, TreeOptions, WatchError, WatchId, WatchMask, Watcher,
};
use trees::{NAMES, Note, Scene, established, watch_tree};
use watching::{Place, Watchdog, kernel_watches, overflow, say, unread, unread_of};

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

/// Returns the present reports by tree.
fn lines(watcher: &mut Watcher, trees: &[(WatchId, &Path)]) -> Vec<Vec<String>> {
    let mut lines = vec![Vec::new(); trees.len()];
    while let Some(event) = watcher.try_recv().unwrap() {
        let tree = trees.iter().position(|(watch, _)| event.watch() == Some(*watch)).unwrap();
        lines[tree].push(Note::of(&event, trees[tree].1).to_string());
    }
    lines
}

#[test]
fn each_of_two_overlapping_trees_reports_each_event_once_with_its_own_path() {
    for inner_first in [true, false] {
        let place = Place::new();
        let outer = place.dir("d");
        let inner = outer.join("s");
        fs::create_dir_all(inner.join("deep")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        let mut add = |root: &Path| watch_tree(&mut watcher, root, NAMES, TreeOptions::new());
        let (of_outer, of_inner) = if inner_first {
            let of_inner = add(&inner);
            (add(&outer), of_inner)
        } else {
            (add(&outer), add(&inner))
        };
        let trees = [(of_outer, &*outer), (of_inner, &*inner)];
        write(inner.join("deep/before"));
        let expected = [
            vec!["create s/deep/before", "written s/deep/before"],
            vec!["create deep/before", "written deep/before"],
        ];
        assert_eq!(lines(&mut watcher, &trees), expected, "{inner_first}");

        fs::rename(&inner, outer.join("s2")).unwrap();
        let expected = [vec!["rename s/ -> s2/"], vec!["root moved"]];
        assert_eq!(lines(&mut watcher, &trees), expected, "{inner_first}");
        write(outer.join("s2/deep/file"));
        let expected = [
            vec!["create s2/deep/file", "written s2/deep/file"],
            vec!["create deep/file", "written deep/file"],
        ];
        assert_eq!(lines(&mut watcher, &trees), expected, "{inner_first}");
        fs::create_dir(outer.join("s2/new")).unwrap();
        let expected = [vec!["create s2/new/"], vec!["create new/", "unwatched new: RootMoved"]];
        assert_eq!(lines(&mut watcher, &trees), expected, "{inner_first}");

        // The inner tree follows once its new path is set.
        let moved = outer.join("s2");
        watcher.watches().set_path(of_inner, &moved).unwrap();
        let trees = [(of_outer, &*outer), (of_inner, &*moved)];
        assert_eq!(lines(&mut watcher, &trees), [vec![], vec!["watched new/"]], "{inner_first}");
        write(moved.join("new/file"));
        let expected = [
            vec!["create s2/new/file", "written s2/new/file"],
            vec!["create new/file", "written new/file"],
        ];
        assert_eq!(lines(&mut watcher, &trees), expected, "{inner_first}");
    }
}

// ---- Big trees.

/// Returns a tree on tmpfs with this many directories, each with a directory in it. `None`, with a message,
/// if that is not possible.
fn big(test: &str, outer: usize, inner: usize) -> Option<(TempDir, PathBuf)> {
    let place = match tempfile::tempdir_in("/dev/shm") {
        Ok(place) => place,
        Err(error) => {
            say(format_args!("SKIPPED: {test}: no tmpfs in /dev/shm: {error}"));
            return None;
        }
    };
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap();
    let wanted = 3 * outer * (inner + 1);
    if limit.trim().parse::<usize>().unwrap() < wanted {
        say(format_args!("SKIPPED: {test}: fs.inotify.max_user_watches is less than {wanted}"));
        return None;
    }
    let root = place.path().join("root");
    for directory in 0..outer {
        for within in 0..inner {
            fs::create_dir_all(root.join(format!("{directory}/{within}"))).unwrap();
        }
    }
    Some((place, root))
}

const QUEUE: usize = 16_384;

/// Reads all events, and returns the number of overflows.
fn overflows(watcher: &mut Watcher) -> usize {
    let mut overflows = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        overflows += usize::from(event.is_overflow());
    }
    assert_eq!(unread(&*watcher), 0);
    overflows
}

/// Each directory is listed for each tree, and each listing queues six events in a watcher with all events:
/// seven times the default limit of a queue.
#[test]
fn two_trees_of_one_watcher_with_all_events_cause_no_overflow() {
    let _watchdog = Watchdog::new();
    let Some((_place, root)) =
        big("two_trees_of_one_watcher_with_all_events_cause_no_overflow", 10_000, 1)
    else {
        return;
    };
    let mut watcher = Watcher::new().unwrap();
    let options = || TreeOptions::new().report_existing(true);
    let first = watcher.watch_tree(&root, WatchMask::ALL_EVENTS, options()).unwrap();
    let second = watcher.watch_tree(&root, WatchMask::ALL_EVENTS, options()).unwrap();
    let mut found = [0, 0];
    while let Some(event) = watcher.try_recv().unwrap() {
        assert!(!event.is_overflow());
        let tree = usize::from(event.watch() == Some(second));
        found[tree] += usize::from(event.tree_change() == Some(TreeChange::Discovered));
    }
    assert_eq!(found, [20_000, 20_000]);
    assert_eq!(unread(&watcher), 0);
    assert_eq!(overflows(&mut watcher), 0);

    // After an overflow that others have caused, both come to rest.
    write(root.join("a"));
    write(root.join("b"));
    overflows(&mut watcher);
    if !overflow(&root) {
        return;
    }
    let (mut overflows, mut resynced) = (0, Vec::new());
    while let Some(event) = watcher.try_recv().unwrap() {
        overflows += usize::from(event.is_overflow());
        if event.tree_change() == Some(TreeChange::Resynced) {
            resynced.extend(event.watch());
        }
        assert_ne!(event.tree_change(), Some(TreeChange::Discovered), "{event:?}");
    }
    resynced.sort_unstable();
    assert_eq!(resynced, [first, second]);
    assert_eq!(overflows, 1);
    assert_eq!(kernel_watches(&watcher).len(), 20_001);
}

/// On a file system that counts subdirectories, directories without any are not listed.
#[test]
fn two_watchers_of_one_tree_cause_each_other_no_overflow() {
    let _watchdog = Watchdog::new();
    let Some((_place, root)) =
        big("two_watchers_of_one_tree_cause_each_other_no_overflow", 100, 200)
    else {
        return;
    };
    let mut watchers = [Watcher::new().unwrap(), Watcher::new().unwrap()];
    for watcher in &watchers {
        watcher.watch_tree(&root, WatchMask::ALL_EVENTS, TreeOptions::new()).unwrap();
    }
    for _ in 0..3 {
        for watcher in &mut watchers {
            assert_eq!(overflows(watcher), 0);
        }
    }
    // After an overflow both compare their trees, since both watch the files for the overflow.
    write(root.join("a"));
    write(root.join("b"));
    watchers.iter_mut().for_each(|watcher| assert_eq!(overflows(watcher), 0));
    if !overflow(&root) {
        return;
    }
    let mut all = [0, 0];
    for _ in 0..3 {
        for (watcher, all) in watchers.iter_mut().zip(&mut all) {
            *all += overflows(watcher);
        }
    }
    assert_eq!(all, [1, 1]);
    for watcher in &mut watchers {
        assert!(watcher.try_recv().unwrap().is_none());
        assert_eq!(kernel_watches(watcher).len(), 20_101);
    }
}

/// Reads in its own thread until it is stopped. Returns the numbers of overflows and of the scans that ended
/// after them.
fn read_along(mut watcher: Watcher) -> (JoinHandle<(usize, usize)>, Pid) {
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        sender.send(rustix::thread::gettid()).unwrap();
        let mut seen = (0, 0);
        while let Ok(event) = watcher.recv() {
            seen.0 += usize::from(event.is_overflow());
            seen.1 += usize::from(event.tree_change() == Some(TreeChange::Resynced));
        }
        seen
    });
    (reader, receiver.recv().unwrap())
}

fn is_asleep(thread: Pid) -> bool {
    let path = format!("/proc/self/task/{}/stat", thread.as_raw_nonzero());
    let stat = fs::read_to_string(path).unwrap();
    stat.rsplit(") ").next().unwrap().starts_with('S')
}

/// Each of them lists each directory, which queues six events for the other. So an overflow of one may cause
/// one of the other, but that must end.
#[test]
fn two_watchers_come_to_rest_after_an_overflow_of_one() {
    const NAME: &str = "two_watchers_come_to_rest_after_an_overflow_of_one";
    let _watchdog = Watchdog::new();
    let Some((place, root)) = big(NAME, 10_000, 1) else { return };
    let noise = place.path().join("noise");
    fs::create_dir(&noise).unwrap();
    let watchers = [Watcher::new().unwrap(), Watcher::new().unwrap()];
    for watcher in &watchers {
        watcher.watch_tree(&root, WatchMask::ALL_EVENTS, TreeOptions::new()).unwrap();
    }
    watchers[0].watch(&noise, WatchMask::ATTRIB).unwrap();
    if !overflow(&noise) {
        return;
    }
    let stoppers = watchers.each_ref().map(Watcher::stop_handle);
    let fds = watchers.each_ref().map(|watcher| watcher.inotify_fd().try_clone_to_owned().unwrap());
    let readers = watchers.map(read_along);
    let rest = || {
        fds.iter().all(|fd| unread_of(fd) == 0) && readers.iter().all(|reader| is_asleep(reader.1))
    };
    // A thread may sleep for a moment while it waits for the thread that scans.
    watching::until(|| (0..100).all(|_| rest()));
    stoppers.iter().for_each(StopHandle::stop);
    let seen = readers.map(|(reader, _)| reader.join().unwrap());
    say(format_args!("{NAME}: overflows and scans: {seen:?}"));
    assert!(seen[0].0 >= 1);
    assert!(
        seen.iter().all(|(overflows, looks)| looks <= overflows && *looks >= 1.min(*overflows))
    );
}

/// A watch and a tree beside a big one, with a file in each after each step.
struct Beside {
    watcher: Watcher,
    place: Place,
    watch: WatchId,
    tree: WatchId,
    number: u32,
}

impl Beside {
    fn new() -> Self {
        let place = Place::new();
        fs::create_dir_all(place.at("tree/deep")).unwrap();
        let plain = place.dir("plain");
        let mut watcher = Watcher::new().unwrap();
        let watch = watcher.watch(&plain, WatchMask::CREATE).unwrap();
        let options = TreeOptions::new();
        let tree = watch_tree(&mut watcher, &place.at("tree"), WatchMask::CREATE, options);
        Self { watcher, place, watch, tree, number: 0 }
    }

    fn change(&mut self) {
        write(self.place.at(format!("plain/{}", self.number)));
        write(self.place.at(format!("tree/deep/{}", self.number)));
        self.number += 1;
    }

    /// Checks that each file is reported once, in order, and no overflow.
    fn check(&mut self) {
        let mut seen = [Vec::<u32>::new(), Vec::new()];
        while let Some(event) = self.watcher.try_recv().unwrap() {
            assert!(!event.is_overflow());
            let which = match event.watch() {
                Some(watch) if watch == self.watch => 0,
                Some(watch) if watch == self.tree => 1,
                _ => continue,
            };
            seen[which].push(event.name().unwrap().to_str().unwrap().parse().unwrap());
        }
        let all: Vec<u32> = (0..self.number).collect();
        assert_eq!(seen, [all.clone(), all]);
    }
}

#[test]
fn unwatching_a_big_tree_loses_no_event_of_anything_else() {
    let _watchdog = Watchdog::new();
    let Some((_place, root)) =
        big("unwatching_a_big_tree_loses_no_event_of_anything_else", 100, 250)
    else {
        return;
    };
    let mut beside = Beside::new();
    let watch = watch_tree(&mut beside.watcher, &root, NAMES, TreeOptions::new());
    assert!(kernel_watches(&beside.watcher).len() > QUEUE);
    for _ in 0..1000 {
        beside.change();
    }
    beside.watcher.unwatch(watch).unwrap();
    assert_eq!(kernel_watches(&beside.watcher).len(), 3);
    for _ in 0..1000 {
        beside.change();
    }
    beside.check();
}

#[test]
fn a_big_directory_that_leaves_a_tree_loses_no_event_of_anything_else() {
    let _watchdog = Watchdog::new();
    let Some((place, root)) =
        big("a_big_directory_that_leaves_a_tree_loses_no_event_of_anything_else", 100, 250)
    else {
        return;
    };
    let mut beside = Beside::new();
    fs::create_dir(place.path().join("top")).unwrap();
    fs::rename(&root, place.path().join("top/root")).unwrap();
    watch_tree(&mut beside.watcher, &place.path().join("top"), NAMES, TreeOptions::new());
    for _ in 0..500 {
        beside.change();
    }
    fs::rename(place.path().join("top/root"), &root).unwrap();
    for _ in 0..500 {
        beside.change();
    }
    beside.check();
    assert_eq!(kernel_watches(&beside.watcher).len(), 4);
}

// ---- Other promises.

#[test]
fn established_comes_after_existing_and_before_new_entries() {
    for existing in [false, true] {
        let place = Place::new();
        fs::create_dir_all(place.at("a/b")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        let options = TreeOptions::new().report_existing(existing);
        let tree = watcher.watch_tree(place.path(), WatchMask::CREATE, options).unwrap();
        fs::create_dir(place.at("a/new")).unwrap();
        let before = established(&mut watcher, tree);
        let expected: &[&str] = if existing { &["found a/", "found a/b/"] } else { &[] };
        assert_eq!(before.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        let event = watcher.try_recv().unwrap().unwrap();
        assert_eq!(
            (event.tree_change(), event.path()),
            (Some(TreeChange::Reported), &*place.at("a/new"))
        );
        assert!(watcher.try_recv().unwrap().is_none());
    }
}

#[test]
fn after_plain_renames_no_modification_is_discovered() {
    let options = TreeOptions::new().track_files(true);
    let mask = NAMES | WatchMask::MODIFY | WatchMask::ATTRIB;
    let mut tree = Scene::with(mask, options, |root| {
        for path in ["a/inner", "b", "c/deep/er"] {
            fs::create_dir_all(root.join(path)).unwrap();
            write(root.join(path).join("file"));
        }
    });
    let renames = [
        ("a", "a2"),
        ("a2/inner/file", "b/file2"),
        ("b", "c/b"),
        ("c/b/file2", "c/b/file3"),
        ("c/deep", "deep"),
        ("c/b/file", "deep/er/file2"),
        ("deep/er/file", "file"),
        ("c", "deep/c"),
    ];
    for unread in [1, 2, renames.len()] {
        for renames in renames.chunks(unread) {
            for (from, to) in renames {
                fs::rename(tree.at(from), tree.at(to)).unwrap();
            }
            let lines = tree.checked();
            assert_eq!(lines.len(), renames.len(), "{lines:?}");
            assert!(lines.iter().all(|line| line.starts_with("rename ")), "{lines:?}");
        }
        for (from, to) in renames.iter().rev() {
            fs::rename(tree.at(to), tree.at(from)).unwrap();
        }
        let lines = tree.checked();
        assert!(lines.iter().all(|line| line.starts_with("rename ")), "{lines:?}");
    }
}

#[test]
fn a_tree_lists_its_directories_with_their_current_paths() {
    let options = TreeOptions::new().exclude(|path| path.ends_with("excluded"));
    let mut tree = Scene::with(NAMES, options, |root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join("excluded/x")).unwrap();
    });
    fs::rename(tree.at("a"), tree.at("c")).unwrap();
    tree.lines();
    let list = tree.watcher.watches().tree_directories(tree.watch).unwrap();
    let mut paths: Vec<_> = list.iter().map(|dir| (&*dir.path, dir.wd.is_some())).collect();
    assert_eq!(paths[0], (&*tree.root, true));
    paths.sort_unstable();
    let beneath = ["c", "c/b", "excluded"].map(|path| tree.at(path));
    let expected: Vec<_> = [(&tree.root, true)]
        .into_iter()
        .chain(beneath.iter().zip([true, true, false]))
        .map(|(path, watched)| (&**path, watched))
        .collect();
    assert_eq!(paths, expected);
    let wds = kernel_watches(&tree.watcher);
    let known = |wd: &i32| list.iter().any(|dir| dir.wd.is_some_and(|own| own.as_raw() == *wd));
    assert!(wds.keys().all(known));
    // Other watches have no directories.
    let plain = tree.watcher.watch(tree.at("c"), WatchMask::CREATE).unwrap();
    let error = tree.watcher.watches().tree_directories(plain);
    assert!(matches!(error, Err(WatchError::NoSuchWatch(_))));
}

#[test]
fn the_mask_of_a_tree_can_be_narrowed_and_widened() {
    let mut tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    let watches = tree.watcher.watches();
    watches.set_mask(tree.watch, WatchMask::CREATE).unwrap();
    write(tree.at("dir/one"));
    assert_eq!(tree.lines(), ["create dir/one"]);
    watches.set_mask(tree.watch, NAMES).unwrap();
    write(tree.at("dir/two"));
    assert_eq!(tree.lines(), ["create dir/two", "written dir/two"]);
    fs::remove_file(tree.at("dir/two")).unwrap();
    let event = tree.watcher.try_recv().unwrap().unwrap();
    assert_eq!(event.mask(), EventMask::DELETE);
}

#[test]
fn a_wider_mask_of_a_tree_applies_to_all_directories_at_once() {
    let added = WatchMask::CREATE;
    for wider in [WatchMask::CLOSE_WRITE, WatchMask::CLOSE_WRITE | WatchMask::OPEN] {
        let prepare = |root: &Path| {
            fs::create_dir_all(root.join("a/b")).unwrap();
            write(root.join("a/b/old"));
        };
        let mut tree = Scene::with(added, TreeOptions::new(), prepare);
        write(tree.at("a/b/old"));
        assert!(tree.lines().is_empty());
        // Queued at the time of the call.
        write(tree.at("a/b/queued"));
        tree.watcher.watches().set_mask(tree.watch, added | wider).unwrap();
        write(tree.at("a/b/old"));
        fs::create_dir(tree.at("a/b/new")).unwrap();
        let mut lines = tree.lines();
        lines.retain(|line| !line.contains("OPEN"));
        let expected = ["create a/b/queued", "written a/b/old", "create a/b/new/"];
        assert_eq!(lines, expected, "{wider}");
        // Also for directories that come later.
        write(tree.at("a/b/new/file"));
        let mut lines = tree.lines();
        lines.retain(|line| !line.contains("OPEN"));
        assert_eq!(lines, ["create a/b/new/file", "written a/b/new/file"], "{wider}");
        assert_eq!(trees::watches_amiss(&tree.watcher, &trees::Entry::walk(&tree.root)), None);
    }
}

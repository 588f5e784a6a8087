//! Trees beside other trees, watches, threads and tasks, on the real kernel.

mod trees;
mod watching;

use std::fs;
use std::path::PathBuf;

use tinotify::{EventMask, TreeChange, TreeOptions, WatchMask, Watcher};
use trees::disk::{inodes, watched_inodes, write};
use trees::{NAMES, Note, Scene, watch_tree};
use watching::{Place, Watchdog, asleep, kernel_watches, touch};

#[test]
fn overlapping_trees_and_a_watch_inside_each_report_their_events() {
    let place = Place::new();
    let (outer, inner) = (place.dir("outer"), place.at("outer/inner"));
    let deep = inner.join("deep");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(outer.join("other")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let of_outer = watch_tree(&mut watcher, &outer, WatchMask::CREATE, TreeOptions::new());
    let of_inner = watch_tree(&mut watcher, &inner, WatchMask::DELETE, TreeOptions::new());
    let plain = watcher.watch(&deep, WatchMask::ATTRIB).unwrap();
    assert_eq!(watcher.watches().list().len(), 3);
    assert_eq!(watched_inodes(&watcher), inodes(&[&outer, &inner, &deep, &outer.join("other")]));

    let change = |watcher: &mut Watcher, name: &str| {
        let path = deep.join(name);
        write(&path);
        touch(&path);
        fs::remove_file(&path).unwrap();
        let mut reported = Vec::new();
        while let Some(event) = watcher.try_recv().unwrap() {
            assert_eq!(event.path(), path);
            reported.push((event.watch().unwrap(), event.mask()));
        }
        reported
    };
    let create = (of_outer, EventMask::CREATE);
    let delete = (of_inner, EventMask::DELETE);
    let attrib = (plain, EventMask::ATTRIB);
    assert_eq!(change(&mut watcher, "one"), [create, attrib, delete]);

    // A directory that is created in both is watched once, and reported by each.
    fs::create_dir_all(inner.join("new/newer")).unwrap();
    fs::remove_dir(inner.join("new/newer")).unwrap();
    let mut reported = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        reported.push(event.watch().unwrap());
    }
    assert!(reported.contains(&of_outer), "{reported:?}");
    let new = inner.join("new");
    let all = inodes(&[&outer, &inner, &deep, &outer.join("other"), &new]);
    assert_eq!(watched_inodes(&watcher), all);

    watcher.unwatch(of_outer).unwrap();
    assert_eq!(watched_inodes(&watcher), inodes(&[&inner, &deep, &new]));
    assert_eq!(change(&mut watcher, "two"), [attrib, delete]);
    watcher.unwatch(plain).unwrap();
    assert_eq!(watched_inodes(&watcher), inodes(&[&inner, &deep, &new]));
    assert_eq!(change(&mut watcher, "three"), [delete]);
    watcher.unwatch(of_inner).unwrap();
    assert!(kernel_watches(&watcher).is_empty());
    assert!(change(&mut watcher, "four").is_empty());
}

#[test]
fn an_inner_tree_ends_alone_and_a_watch_inside_outlives_both() {
    let place = Place::new();
    let (outer, inner) = (place.dir("outer"), place.at("outer/inner"));
    fs::create_dir_all(inner.join("deep")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let of_outer = watch_tree(&mut watcher, &outer, NAMES, TreeOptions::new());
    let of_inner = watch_tree(&mut watcher, &inner, NAMES, TreeOptions::new());
    let plain = watcher.watch(&inner, WatchMask::CREATE).unwrap();
    watcher.unwatch(of_inner).unwrap();
    let all = inodes(&[&outer, &inner, &inner.join("deep")]);
    assert_eq!(watched_inodes(&watcher), all);
    write(inner.join("deep/file"));
    let event = watcher.recv().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(of_outer), &*inner.join("deep/file")));
    watcher.unwatch(of_outer).unwrap();
    assert_eq!(watched_inodes(&watcher), inodes(&[&inner]));
    write(inner.join("file"));
    let event = watcher.recv().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(plain), &*inner.join("file")));
    assert_eq!(event.tree_change(), None);
}

#[test]
fn a_directory_moved_from_one_tree_to_another_is_reported_by_both() {
    let place = Place::new();
    let trees = ["one", "two"].map(|name| place.dir(name));
    fs::create_dir_all(trees[0].join("sub/inner")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let watches =
        trees.each_ref().map(|tree| watch_tree(&mut watcher, tree, NAMES, TreeOptions::new()));
    fs::rename(trees[0].join("sub"), trees[1].join("sub")).unwrap();
    let mut reported = [Vec::new(), Vec::new()];
    for round in 0..2 {
        while let Some(event) = watcher.try_recv().unwrap() {
            let index = watches.iter().position(|watch| event.watch() == Some(*watch)).unwrap();
            reported[index].push(Note::of(&event, &trees[index]).to_string());
        }
        let all = [&trees[0], &trees[1], &trees[1].join("sub"), &trees[1].join("sub/inner")];
        assert_eq!(watched_inodes(&watcher), inodes(&all.map(PathBuf::as_path)));
        if round == 0 {
            fs::create_dir(trees[1].join("sub/inner/new")).unwrap();
            fs::remove_dir(trees[1].join("sub/inner/new")).unwrap();
        }
    }
    assert_eq!(reported[0], ["moved out sub/"]);
    assert_eq!(reported[1][..2], ["moved in sub/", "found sub/inner/"]);
    assert_eq!(reported[1].last().unwrap(), "delete sub/inner/new/");
}

#[test]
fn an_unwatched_tree_reports_nothing() {
    let mut tree = Scene::new(|root| fs::create_dir_all(root.join("a/b")).unwrap());
    fs::create_dir_all(tree.at("a/b/c")).unwrap();
    write(tree.at("a/b/file"));
    fs::rename(tree.at("a"), tree.at("d")).unwrap();
    tree.watcher.unwatch(tree.watch).unwrap();
    assert!(tree.lines().is_empty());
    write(tree.at("d/b/file"));
    assert!(tree.lines().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
    assert!(tree.watcher.watches().is_empty());

    // Nor does a tree whose set-up was not reported yet.
    let options = TreeOptions::new().report_existing(true);
    let watch = tree.watcher.watch_tree(&tree.root, NAMES, options).unwrap();
    tree.watcher.unwatch(watch).unwrap();
    assert!(tree.lines().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
}

#[test]
fn a_tree_is_one_watch_in_the_list() {
    let mut tree = Scene::new(|root| fs::create_dir_all(root.join("a/b/c")).unwrap());
    let list = tree.watcher.watches().list();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].watch, &list[0].path), (tree.watch, &tree.root));
    fs::create_dir(tree.at("a/new")).unwrap();
    tree.checked();
    assert_eq!(tree.watcher.watches().list().len(), 1);
}

#[test]
fn another_thread_may_add_and_end_a_tree_while_one_waits() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    fs::create_dir_all(place.at("a/b")).unwrap();
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let reader = asleep(watcher, |watcher| {
        // The end of the set-up wakes it first.
        assert_eq!(watcher.recv().unwrap().tree_change(), Some(TreeChange::Established));
        watcher.recv().unwrap().path().to_owned()
    });
    let tree = watches.watch_tree(place.path(), WatchMask::CREATE, TreeOptions::new()).unwrap();
    let file = place.file("a/b/file");
    let (path, watcher) = reader.join().unwrap();
    assert_eq!(path, file);

    let reader = asleep(watcher, |watcher| watcher.recv_timeout(watching::LONG).unwrap().is_some());
    watches.unwatch(tree).unwrap();
    place.file("a/b/other");
    // The other tree wakes it, with a report at once.
    let options = TreeOptions::new().report_existing(true);
    watches.watch_tree(place.path(), WatchMask::CREATE, options).unwrap();
    let (came, mut watcher) = reader.join().unwrap();
    assert!(came);
    let mut found = 1;
    while let Some(TreeChange::Discovered) = watcher.try_recv().unwrap().unwrap().tree_change() {
        found += 1;
    }
    assert_eq!(found, 4);
    assert!(watcher.try_recv().unwrap().is_none());
}

/// No kernel event accompanies these reports.
#[test]
fn a_waiting_reader_gets_the_reports_of_a_tree_added_by_another_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    for _ in 0..100 {
        let watches = watcher.watches();
        let reader = asleep(watcher, |watcher| watcher.recv().unwrap().path().to_owned());
        let options = TreeOptions::new().report_existing(true);
        let tree = watches.watch_tree(place.path(), WatchMask::CREATE, options).unwrap();
        let path;
        (path, watcher) = reader.join().unwrap();
        assert_eq!(path, place.at("dir"));
        watches.unwatch(tree).unwrap();
        assert!(watcher.try_recv().unwrap().is_none());
    }
    let stopper = watcher.stop_handle();
    let reader = asleep(watcher, |watcher| watcher.recv().is_err());
    stopper.stop();
    assert!(reader.join().unwrap().0);
}

#[test]
fn a_thread_that_sleeps_on_a_tree_gets_its_events() {
    let _watchdog = Watchdog::new();
    let tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    let (root, out) = (tree.root.clone(), tree.outside("dir"));
    let reader = asleep(tree.watcher, |watcher| watcher.recv().unwrap().path().to_owned());
    fs::rename(root.join("dir"), out).unwrap();
    assert_eq!(reader.join().unwrap().0, root.join("dir"));
}

#[test]
fn a_watcher_that_ends_without_watches_ends_with_its_tree() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let root = place.dir("root");
    fs::create_dir(root.join("dir")).unwrap();
    let mut watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
    watcher.watch_tree(&root, NAMES, TreeOptions::new()).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let lines: Vec<String> = watcher.iter().map(|event| format!("{:?}", event.unwrap())).collect();
    assert!(lines.len() >= 2, "{lines:?}");
}

#[test]
fn a_batch_of_a_tree_equals_its_single_events() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|_| ());
    fs::create_dir_all(tree.at("a/b/c")).unwrap();
    let batch = tree.watcher.recv_batch().unwrap();
    let mut paths: Vec<PathBuf> = batch.iter().map(|event| event.path().to_owned()).collect();
    while let Some(event) = tree.watcher.try_recv().unwrap() {
        paths.push(event.path().to_owned());
    }
    assert_eq!(paths, ["a", "a/b", "a/b/c"].map(|path| tree.at(path)));
}

#[cfg(any(feature = "tokio", feature = "async-io"))]
mod in_async {
    use std::thread;

    use tinotify::stream::{AsyncWatcher, Runtime};

    use super::trees::{Entry, Mirror, NoteKind};
    use super::*;

    /// Reads all kinds of a tree's reports in a task.
    async fn live<R: Runtime>(mut watcher: AsyncWatcher<R>) {
        let place = Place::new();
        let root = place.dir("root");
        fs::create_dir_all(root.join("old/inner")).unwrap();
        let options = TreeOptions::new().report_existing(true);
        watcher.get_ref().watch_tree(&root, NAMES, options).unwrap();
        let expected = ["found old/", "found old/inner/", "established"];
        for line in expected {
            assert_eq!(Note::of(&watcher.recv().await.unwrap(), &root).to_string(), line);
        }
        let (there, out) = (root.clone(), place.at("out"));
        let changer = thread::spawn(move || {
            fs::create_dir_all(there.join("a/b/c")).unwrap();
            fs::rename(there.join("a/b"), there.join("d")).unwrap();
            fs::rename(there.join("d"), out).unwrap();
            fs::remove_dir_all(there).unwrap();
        });
        let mut mirror = Mirror::empty(false);
        mirror.apply(&Note {
            kind: NoteKind::Discovered,
            mask: EventMask::CREATE | EventMask::ISDIR,
            path: "old".into(),
        });
        mirror.apply(&Note {
            kind: NoteKind::Discovered,
            mask: EventMask::CREATE | EventMask::ISDIR,
            path: "old/inner".into(),
        });
        loop {
            let note = Note::of(&watcher.recv().await.unwrap(), &root);
            mirror.apply(&note);
            if note.kind == NoteKind::Ignored {
                break;
            }
        }
        changer.join().unwrap();
        assert!(mirror.over);
        let nothing = place.dir("nothing");
        assert_eq!(mirror.differences(&Entry::walk(&nothing)), Vec::<String>::new());
        assert!(kernel_watches(watcher.get_ref()).is_empty());
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_tree_in_tokio_is_the_same() {
        let _watchdog = Watchdog::new();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            live(tinotify::TokioWatcher::tokio(Watcher::new().unwrap()).unwrap()).await;
        });
    }

    #[cfg(feature = "async-io")]
    #[test]
    fn a_tree_in_async_io_is_the_same() {
        let _watchdog = Watchdog::new();
        async_io::block_on(async {
            live(tinotify::AsyncIoWatcher::async_io(Watcher::new().unwrap()).unwrap()).await;
        });
    }
}

#[test]
fn a_change_of_a_tree_applies_to_a_record_that_others_had_before_it() {
    for is_dir in [false, true] {
        let place = Place::new();
        let root = place.dir("d");
        let mut watcher = Watcher::new().unwrap();
        let add = |_| watch_tree(&mut watcher, &root, WatchMask::CREATE, TreeOptions::new());
        let [first, ended, moved, narrowed, last] = [(); 5].map(add);
        let new = root.join("new");
        if is_dir {
            fs::create_dir(&new).unwrap()
        } else {
            write(&new)
        }
        let watches = watcher.watches();
        let mut next = || {
            let event = watcher.try_recv().unwrap()?;
            Some((event.watch().unwrap(), event.path().to_owned()))
        };
        assert_eq!(next(), Some((first, new.clone())));
        let other = root.join("../d");
        watches.unwatch(ended).unwrap();
        watches.set_path(moved, &other).unwrap();
        watches.set_mask(narrowed, WatchMask::DELETE).unwrap();
        assert_eq!(next(), Some((moved, other.join("new"))));
        // All trees have looked at the new directory by now.
        let has_found = is_dir.then_some(narrowed);
        for tree in has_found.into_iter().chain([last]) {
            assert_eq!(next(), Some((tree, new.clone())), "{is_dir}");
        }
        assert_eq!(next(), None);
    }
}

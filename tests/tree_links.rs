//! Where links are followed, a tree watches each directory that they lead to once, and notices when they
//! lead elsewhere.

mod support;
mod trees;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::{TreeOptions, WatchMask, Watcher};
use trees::{Entry, Mirror, NAMES, Random, Scene, watch_tree};
use watching::{Watchdog, kernel_watches, overflow};

fn follow() -> TreeOptions {
    TreeOptions::new().follow_links(true)
}

/// A tree that follows links, with `prepare` given its root and the place beside it.
fn scene(options: TreeOptions, prepare: impl FnOnce(&Path, &Path)) -> Scene {
    let mask = NAMES | WatchMask::ATTRIB;
    let mut tree = Scene::with(mask, options, |root| {
        prepare(root, &root.parent().unwrap().join("outside"));
    });
    tree.mirror = Mirror::empty(false);
    let early = tree.lines();
    tree.mirror = Mirror::of(&tree.root).with_links();
    restart(&mut tree);
    assert!(early.iter().all(|line| line.ends_with(": Twice")), "{early:?}");
    tree
}

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

fn dir(path: impl AsRef<Path>) {
    fs::create_dir_all(path).unwrap();
}

/// As `ln -sfn`: the link is replaced at once.
fn retarget(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name(".new");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

fn ino(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// The directories of a tree by their paths, with the inode that is watched.
fn directories(tree: &Scene) -> BTreeMap<PathBuf, Option<u64>> {
    let watched = kernel_watches(&tree.watcher);
    let all = tree.watcher.watches().tree_directories(tree.watch).unwrap();
    let ino = |wd: tinotify::Wd| watched[&wd.as_raw()].ino;
    all.into_iter().map(|dir| (dir.path, dir.wd.map(ino))).collect()
}

/// The inodes of all directories that a path and the links beneath it lead to.
fn reached(path: &Path, found: &mut BTreeSet<u64>) {
    if found.insert(ino(path)) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                reached(&path, found);
            }
        }
    }
}

/// What is on the disk, in the directories that the tree watches.
fn disk(tree: &Scene) -> Entry {
    let known = directories(tree);
    Entry::walk_links(&tree.root, &|path| known.get(path).is_some_and(Option::is_some))
}

/// The mirror knows what is there now.
fn restart(tree: &mut Scene) {
    let disk = disk(tree);
    tree.mirror.start_from(&disk);
}

/// What is wrong with the watches of a tree at rest: each directory is to be watched once, and by a path
/// that leads to it.
fn watches_amiss(tree: &Scene) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut reachable = BTreeSet::new();
    reached(&tree.root, &mut reachable);
    let watched: Vec<u64> = kernel_watches(&tree.watcher).values().map(|watch| watch.ino).collect();
    let distinct: BTreeSet<u64> = watched.iter().copied().collect();
    if watched.len() != distinct.len() || distinct != reachable {
        wrong.push(format!("{distinct:?} are watched, and {reachable:?} are there"));
    }
    for (path, watched) in directories(tree) {
        if !path.is_dir() {
            wrong.push(format!("{path:?} is no directory"));
        } else if watched.is_some_and(|watched| watched != ino(&path)) {
            wrong.push(format!("{path:?} leads elsewhere"));
        }
    }
    wrong
}

/// Sees that the watches of a tree at rest are right, and that the mirror equals the disk.
fn check(tree: &mut Scene) {
    let mut wrong = watches_amiss(tree);
    wrong.extend(tree.mirror.differences(&disk(tree)));
    assert!(wrong.is_empty(), "{}\nafter\n{}", wrong.join("\n"), tree.mirror.history());
}

/// What is reported now, after which all is right.
fn told(tree: &mut Scene) -> Vec<String> {
    let notes = tree.notes();
    notes.iter().for_each(|note| tree.mirror.apply(note));
    check(tree);
    notes.iter().map(ToString::to_string).filter(|line| !line.contains("ATTRIB")).collect()
}

/// A file in a directory of the tree is reported by that path.
fn is_seen(tree: &mut Scene, at: &str) {
    let path = format!("{at}/file");
    write(tree.at(&path));
    assert_eq!(told(tree), [format!("create {path}"), format!("written {path}")]);
    fs::remove_file(tree.at(&path)).unwrap();
    assert_eq!(told(tree), [format!("delete {path}")]);
}

// ---- What links lead to.

#[test]
fn a_link_is_not_followed_unless_that_is_asked_for() {
    let mut tree = Scene::new(|root| symlink("../outside", root.join("link")).unwrap());
    symlink("../outside", tree.at("link2")).unwrap();
    assert_eq!(tree.told(), ["create link2"]);
    write(tree.outside("file"));
    assert!(tree.told().is_empty());
}

#[test]
fn a_linked_directory_is_watched_with_all_beneath_by_the_path_through_the_link() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub/deep"));
        symlink("../outside", root.join("link")).unwrap();
    });
    is_seen(&mut tree, "link");
    is_seen(&mut tree, "link/sub/deep");
    dir(tree.outside("new/inner"));
    assert_eq!(told(&mut tree), ["create link/new/", "found link/new/inner/"]);
    fs::rename(tree.outside("sub"), tree.at("sub")).unwrap();
    assert_eq!(told(&mut tree), ["rename link/sub/ -> sub/"]);
    is_seen(&mut tree, "sub/deep");
}

#[test]
fn a_link_in_a_directory_that_counts_no_subdirectories_is_found() {
    // Where tmpfs says so of a directory, that is not listed otherwise.
    let Ok(place) = tempfile::tempdir_in("/dev/shm") else {
        return support::skipped("on /dev/shm", "no place");
    };
    dir(place.path().join("root/leaf"));
    dir(place.path().join("outside"));
    symlink("../../outside", place.path().join("root/leaf/link")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let root = place.path().join("root");
    watch_tree(&mut watcher, &root, NAMES, follow());
    write(place.path().join("outside/file"));
    let event = watcher.try_recv().unwrap().unwrap();
    assert_eq!(event.path(), root.join("leaf/link/file"));
}

#[test]
fn a_link_that_comes_is_reported_as_a_directory_with_what_is_beneath() {
    let mut tree = scene(follow(), |_, outside| dir(outside.join("sub")));
    symlink("../outside", tree.at("link")).unwrap();
    assert_eq!(told(&mut tree), ["create link/", "found link/sub/"]);
    is_seen(&mut tree, "link/sub");
    symlink("../outside", tree.outside("other")).unwrap();
    fs::rename(tree.outside("other"), tree.at("moved")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines.last().unwrap(), "unwatched moved: Twice", "{lines:?}");
}

#[test]
fn what_is_there_at_the_beginning_is_reported_through_links_as_well() {
    let mut tree = Scene::with(NAMES, follow().report_existing(true), |root| {
        dir(root.join("../outside/sub"));
        symlink("../outside", root.join("link")).unwrap();
        write(root.join("../outside/sub/file"));
    });
    assert_eq!(tree.lines(), ["found link/", "found link/sub/", "found link/sub/file"]);
}

#[test]
fn a_link_to_a_file_and_one_to_nothing_are_files() {
    let mut tree = scene(follow(), |root, outside| {
        write(outside.join("file"));
        symlink("../outside/file", root.join("file")).unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink("itself", root.join("itself")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
    });
    symlink("../outside/file", tree.at("file2")).unwrap();
    symlink("nothing", tree.at("dangling2")).unwrap();
    symlink("itself2", tree.at("itself2")).unwrap();
    assert_eq!(told(&mut tree), ["create file2", "create dangling2", "create itself2"]);
    fs::rename(tree.at("dangling"), tree.at("dangling3")).unwrap();
    fs::remove_file(tree.at("dangling2")).unwrap();
    fs::remove_file(tree.at("a")).unwrap();
    assert_eq!(told(&mut tree), ["rename dangling -> dangling3", "delete dangling2", "delete a"]);
}

#[test]
fn a_file_that_is_made_or_renamed_is_reported_as_ever() {
    let mut tree = scene(follow(), |_, _| {});
    write(tree.at("a"));
    fs::rename(tree.at("a"), tree.at("b")).unwrap();
    fs::remove_file(tree.at("b")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines, ["create a", "written a", "rename a -> b", "delete b"]);
}

#[test]
fn a_chain_of_links_is_followed_to_its_end() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub"));
        symlink("b", root.join("a")).unwrap();
        symlink("c", root.join("b")).unwrap();
        symlink("../outside", root.join("c")).unwrap();
    });
    let watched = directories(&tree).values().flatten().count();
    assert_eq!(watched, 3);
    let first =
        ["a", "b", "c"].into_iter().find(|name| directories(&tree)[&tree.at(name)].is_some());
    is_seen(&mut tree, first.unwrap());
}

#[test]
fn more_links_in_a_path_than_the_kernel_follows_are_followed() {
    let depth = 60;
    let mut tree = scene(follow(), |root, outside| {
        for i in 0..depth {
            dir(outside.join(i.to_string()));
            symlink(format!("../{}", i + 1), outside.join(i.to_string()).join("l")).unwrap();
        }
        dir(outside.join(depth.to_string()));
        symlink("../outside/0", root.join("l")).unwrap();
    });
    assert_eq!(directories(&tree).len(), depth + 2);
    let end = tree.outside(depth.to_string());
    dir(end.join("new/inner"));
    let path = ["l"; 61].join("/");
    let lines = tree.lines();
    assert_eq!(lines, [format!("create {path}/new/"), format!("found {path}/new/inner/")]);
    write(end.join("new/inner/file"));
    assert_eq!(tree.lines().len(), 2);
}

// ---- Once.

#[test]
fn two_links_to_one_directory_are_one_watch_and_the_second_takes_over() {
    let mut tree = scene(follow(), |_, outside| dir(outside.join("sub")));
    symlink("../outside", tree.at("first")).unwrap();
    assert_eq!(told(&mut tree), ["create first/", "found first/sub/"]);
    symlink("../outside", tree.at("second")).unwrap();
    assert_eq!(told(&mut tree), ["create second/", "unwatched second: Twice"]);
    is_seen(&mut tree, "first/sub");
    fs::remove_file(tree.at("first")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines, ["delete first/", "watched second/", "found second/sub/"]);
    is_seen(&mut tree, "second/sub");
}

#[test]
fn a_loop_ends_where_it_comes_back() {
    let mut tree = scene(follow(), |root, outside| {
        dir(root.join("a/b"));
        symlink(".", root.join("self")).unwrap();
        symlink("../..", root.join("a/b/up")).unwrap();
        symlink("..", root.join("a/b/above")).unwrap();
        symlink("../root/a", outside.join("back")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("../root", outside.join("root")).unwrap();
    });
    is_seen(&mut tree, "a/b");
    is_seen(&mut tree, "out");
    symlink(".", tree.at("a/self")).unwrap();
    assert_eq!(told(&mut tree), ["create a/self/", "unwatched a/self: Twice"]);
    symlink("..", tree.at("a/root")).unwrap();
    assert_eq!(told(&mut tree), ["create a/root/", "unwatched a/root: Twice"]);
    fs::rename(tree.at("a"), tree.at("out/a")).unwrap();
    told(&mut tree);
    is_seen(&mut tree, "out/a/b");
}

#[test]
fn a_real_path_wins_over_links_whenever_it_is_found() {
    let mut tree = scene(follow(), |root, _| {
        symlink("releases/1", root.join("current")).unwrap();
        dir(root.join("releases/1/bin"));
        symlink("releases/1", root.join("zulu")).unwrap();
    });
    is_seen(&mut tree, "releases/1/bin");
    // What a link leads to comes into the tree.
    dir(tree.outside("2/bin"));
    retarget("../outside/2", &tree.at("current"));
    told(&mut tree);
    is_seen(&mut tree, "current/bin");
    fs::rename(tree.outside("2"), tree.at("releases/2")).unwrap();
    told(&mut tree);
    is_seen(&mut tree, "releases/2/bin");
    symlink("releases/2", tree.at("last")).unwrap();
    assert_eq!(told(&mut tree), ["create last/", "unwatched last: Twice"]);
    fs::rename(tree.at("releases/2"), tree.outside("3")).unwrap();
    let lines = told(&mut tree);
    assert!(lines.contains(&"missing last/".to_owned()), "{lines:?}");
}

// ---- What changes.

#[test]
fn a_link_that_is_retargeted_leads_to_the_new_directory() {
    for inside in [false, true] {
        let mut tree = scene(follow(), |root, outside| {
            let place = if inside { root } else { outside };
            dir(place.join("1/one"));
            dir(place.join("2/two"));
            symlink(place.join("1"), root.join("current")).unwrap();
        });
        let place = if inside { tree.root.clone() } else { tree.outside("") };
        for (target, sub) in [("2", "two"), ("1", "one"), ("1", "one"), ("2", "two")] {
            retarget(place.join(target), &tree.at("current"));
            told(&mut tree);
            is_seen(
                &mut tree,
                &if inside { format!("{target}/{sub}") } else { format!("current/{sub}") },
            );
            fs::remove_file(tree.at("current")).unwrap();
            symlink(place.join(target), tree.at("current")).unwrap();
            told(&mut tree);
        }
        retarget("nothing", &tree.at("current"));
        told(&mut tree);
        retarget(place.join("1"), &tree.at("current"));
        told(&mut tree);
        // By a file, and by a directory.
        write(tree.at("plain"));
        fs::rename(tree.at("plain"), tree.at("current")).unwrap();
        told(&mut tree);
        retarget(place.join("1"), &tree.at("current"));
        fs::remove_file(tree.at("current")).unwrap();
        dir(tree.at("current/real"));
        told(&mut tree);
        is_seen(&mut tree, "current/real");
    }
}

#[test]
fn a_link_that_is_removed_is_gone_with_all_beneath() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub"));
        symlink("../outside", root.join("link")).unwrap();
    });
    fs::remove_file(tree.at("link")).unwrap();
    assert_eq!(told(&mut tree), ["delete link/"]);
    symlink("../outside", tree.at("link")).unwrap();
    assert_eq!(told(&mut tree), ["create link/", "found link/sub/"]);
    fs::rename(tree.at("link"), tree.outside("link")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines.last().unwrap(), "moved out link/", "{lines:?}");
}

#[test]
fn a_link_is_renamed_as_a_directory_is() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub"));
        dir(root.join("dir"));
        symlink("../outside", root.join("a")).unwrap();
    });
    fs::rename(tree.at("a"), tree.at("b")).unwrap();
    assert_eq!(told(&mut tree), ["rename a/ -> b/"]);
    is_seen(&mut tree, "b/sub");
    fs::rename(tree.at("b"), tree.at("c")).unwrap();
    fs::rename(tree.at("c"), tree.at("d")).unwrap();
    fs::rename(tree.at("d"), tree.at("e")).unwrap();
    assert_eq!(told(&mut tree).first().unwrap(), "rename b/ -> c/");
    is_seen(&mut tree, "e/sub");
    // Relative, and so it leads nowhere from there.
    fs::rename(tree.at("e"), tree.at("dir/e")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines, ["rename e/ -> dir/e/", "missing dir/e/", "found dir/e"]);
    fs::rename(tree.at("dir/e"), tree.at("f")).unwrap();
    let lines = told(&mut tree);
    assert_eq!(lines, ["moved out dir/e", "moved in f/", "found f/sub/"]);
    is_seen(&mut tree, "f/sub");
}

#[test]
fn a_link_that_changes_places_with_anything_is_found_there() {
    let mut tree = scene(follow(), |root, outside| {
        for name in ["1/one", "2/two"] {
            dir(outside.join(name));
        }
        dir(root.join("dir/sub"));
        write(root.join("plain"));
        symlink("../outside/1", root.join("link")).unwrap();
        symlink("../outside/2", root.join("other")).unwrap();
        symlink("dir", root.join("alias")).unwrap();
        symlink("dir/sub", root.join("alias2")).unwrap();
    });
    let names = ["link", "other", "dir", "plain", "alias", "alias2"];
    for one in names {
        for other in names.into_iter().filter(|other| *other != one) {
            exchange(&tree.at(one), &tree.at(other));
            tree.notes().iter().for_each(|note| tree.mirror.apply(note));
            revive(tree.root.parent().unwrap());
            told(&mut tree);
        }
    }
}

#[test]
fn a_target_that_is_removed_leaves_a_link_that_is_a_file() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1"));
        dir(root.join("inside"));
        symlink("../outside/1", root.join("out")).unwrap();
        symlink("inside", root.join("in")).unwrap();
    });
    fs::remove_dir(tree.outside("1")).unwrap();
    assert_eq!(told(&mut tree), ["missing out/", "found out"]);
    fs::remove_dir(tree.at("inside")).unwrap();
    assert_eq!(told(&mut tree), ["delete inside/", "missing in/", "found in"]);
    fs::remove_file(tree.at("out")).unwrap();
    assert_eq!(told(&mut tree), ["delete out"]);
}

#[test]
fn a_target_that_is_replaced_at_its_path_is_followed() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1/one"));
        symlink("../outside/1", root.join("out")).unwrap();
    });
    fs::remove_dir_all(tree.outside("1")).unwrap();
    dir(tree.outside("1/two"));
    told(&mut tree);
    is_seen(&mut tree, "out/two");
    dir(tree.outside("2/three"));
    exchange(&tree.outside("1"), &tree.outside("2"));
    told(&mut tree);
    is_seen(&mut tree, "out/three");
}

#[test]
fn a_target_that_is_moved_is_no_longer_led_to() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1/sub"));
        dir(root.join("a/b/c"));
        symlink("../outside/1", root.join("out")).unwrap();
        symlink("a/b", root.join("in")).unwrap();
        symlink("a/b/c", root.join("in2")).unwrap();
    });
    fs::rename(tree.outside("1"), tree.outside("2")).unwrap();
    assert_eq!(told(&mut tree), ["missing out/", "found out"]);
    // And what is beneath it.
    fs::rename(tree.at("a/b"), tree.at("b")).unwrap();
    let mut lines = told(&mut tree);
    lines[1..].sort_unstable();
    let links = ["found in", "found in2", "missing in/", "missing in2/"];
    assert_eq!((&*lines[0], &lines[1..]), ("rename a/b/ -> b/", &links.map(str::to_owned)[..]));
    is_seen(&mut tree, "b/c");
}

#[test]
fn a_link_further_on_the_way_that_is_replaced_is_noticed() {
    let mut tree = scene(follow(), |root, outside| {
        for name in ["1/sub/one", "2/sub/two"] {
            dir(outside.join(name));
        }
        dir(root.join("dir"));
        symlink("../outside/1", root.join("way")).unwrap();
        symlink("../way/sub", root.join("dir/link")).unwrap();
        symlink("dir/link", root.join("chain")).unwrap();
    });
    retarget("../outside/2", &tree.at("way"));
    told(&mut tree);
    is_seen(&mut tree, "way/sub/two");
    dir(tree.at("further/down"));
    fs::rename(tree.at("dir"), tree.at("further/down/dir")).unwrap();
    told(&mut tree);
    assert!(!directories(&tree).contains_key(&tree.at("chain")));
}

// ---- With other options.

#[test]
fn what_excludes_directories_goes_by_the_path_through_the_link() {
    let options = follow().exclude(|path| path.ends_with("no")).max_depth(2);
    let mut tree = Scene::with(NAMES, options, |root| {
        for name in ["no", "1/2/3"] {
            dir(root.join("../outside").join(name));
        }
        symlink("../outside", root.join("link")).unwrap();
        symlink("../outside/no", root.join("no")).unwrap();
        symlink("../outside/no", root.join("yes")).unwrap();
    });
    for path in ["1/file", "1/2/file", "no/file"] {
        write(tree.outside(path));
    }
    let lines =
        ["create link/1/file", "written link/1/file", "create yes/file", "written yes/file"];
    assert_eq!(tree.lines(), lines);
    fs::remove_file(tree.at("no")).unwrap();
    assert_eq!(tree.lines(), ["delete no/"]);
}

#[test]
fn links_are_found_as_they_are_after_lost_events() {
    for snapshot in [false, true] {
        let mut tree = scene(follow().track_files(snapshot), |root, outside| {
            for name in ["1/one", "2/two", "3/three", "4/four"] {
                dir(outside.join(name));
            }
            dir(root.join("noise"));
            dir(root.join("a/b"));
            for name in ["1", "2", "3"] {
                symlink(format!("../outside/{name}"), root.join(name)).unwrap();
            }
            symlink("a", root.join("alias")).unwrap();
            symlink("nothing", root.join("file")).unwrap();
        });
        let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
        tree.mirror = mirror.with_snapshot(snapshot);
        if !overflow(&tree.at("noise")) {
            return;
        }
        fs::rename(tree.at("1"), tree.at("renamed")).unwrap();
        retarget("../outside/4", &tree.at("2"));
        fs::remove_dir_all(tree.outside("3")).unwrap();
        fs::rename(tree.at("a"), tree.at("c")).unwrap();
        dir(tree.at("nothing"));
        symlink("c/b", tree.at("new")).unwrap();
        told(&mut tree);
        for path in ["renamed/one", "2/four", "c/b"] {
            is_seen(&mut tree, path);
        }
    }
}

#[test]
fn files_are_known_beneath_links_too() {
    let mut tree = scene(follow().track_files(true), |root, outside| {
        dir(outside.join("sub"));
        write(outside.join("sub/a"));
        symlink("../outside", root.join("link")).unwrap();
        symlink("../outside/sub/a", root.join("to-file")).unwrap();
        dir(root.join("noise"));
    });
    let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
    tree.mirror = mirror.with_snapshot(true);
    if overflow(&tree.at("noise")) {
        fs::remove_file(tree.outside("sub/a")).unwrap();
        write(tree.outside("sub/b"));
        let lines = told(&mut tree);
        for line in ["missing link/sub/a", "found link/sub/b"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
    }
}

// ---- Under load.

#[test]
fn links_and_directories_that_change_places_in_a_storm_are_watched_as_they_are_at_the_end() {
    let _watchdog = Watchdog::new();
    for round in 0..8 {
        let mut tree = stormy();
        let done = AtomicBool::new(false);
        let (root, outside) = (tree.root.clone(), tree.outside(""));
        thread::scope(|scope| {
            let storm = scope.spawn(|| {
                let mut random = Random::new(round);
                for _ in 0..400 {
                    blow(&mut random, &root, &outside);
                }
                done.store(true, Ordering::Release);
            });
            let mut last = false;
            while !std::mem::replace(&mut last, done.load(Ordering::Acquire)) {
                tree.notes();
            }
            storm.join().unwrap();
        });
        tree.notes();
        revive(tree.root.parent().unwrap());
        let notes = tree.notes();
        assert!(watches_amiss(&tree).is_empty(), "{:#?} {notes:?}", watches_amiss(&tree));
    }
}

/// A tree, and the same directories outside of it.
fn stormy() -> Scene {
    scene(follow(), |root, outside| {
        for place in [root, outside] {
            for name in ["a/x/1", "b/y", "c"] {
                dir(place.join(name));
            }
        }
    })
}

/// Makes an event of each link: what it leads to may have changed without one.
fn revive(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            revive(&entry.path());
        } else if kind.is_symlink() {
            fs::rename(entry.path(), dir.join(".revived")).unwrap();
            fs::rename(dir.join(".revived"), entry.path()).unwrap();
        }
    }
}

/// One change of a directory, a link or a file; it may fail.
fn blow(random: &mut Random, root: &Path, outside: &Path) {
    const NAMES: [&str; 6] = ["a", "b", "c", "a/x", "b/y", "l"];
    let mut path = || {
        let place = if random.below(3) > 0 { root } else { outside };
        place.join(NAMES[random.below(6) as usize])
    };
    let (one, other) = (path(), path());
    let _ = match random.below(8) {
        0 | 1 => symlink(&other, &one),
        2 => fs::rename(&one, &other),
        3 => {
            let new = root.join(".new");
            symlink(&other, &new).and_then(|()| fs::rename(&new, &one))
        }
        4 => renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).map_err(Into::into),
        5 => fs::remove_file(&one),
        6 => fs::remove_dir_all(&one),
        _ => fs::create_dir(&one),
    };
}

#[test]
fn links_and_directories_that_change_places_in_bursts_are_reported_as_they_are() {
    let _watchdog = Watchdog::new();
    for seed in 0..60 {
        let mut tree = stormy();
        let mut random = Random::new(seed);
        let outside = tree.outside("");
        for _ in 0..20 {
            for _ in 0..1 + random.below(4) {
                blow(&mut random, &tree.root, &outside);
            }
            tree.notes().iter().for_each(|note| tree.mirror.apply(note));
            revive(tree.root.parent().unwrap());
            told(&mut tree);
        }
    }
}

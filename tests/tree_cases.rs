//! What watching a tree promises, case by case, on the real kernel.

mod support;
mod trees;
mod watching;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use support::{as_plain_user, in_namespace};
use tinotify::{
    Barred, Errno, EventMask, OnWatchLimit, TreeChange, TreeOptions, WatchMask, WatchOptions,
    Watcher,
};
use trees::{Entry, How, Mirror, NAMES, Note, Random, Scene, watch_tree};
use watching::{Place, Watchdog, asleep, kernel_watches, overflow, say, touch};

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

fn watched_inodes(watcher: &Watcher) -> Vec<u64> {
    let mut inodes: Vec<u64> = kernel_watches(watcher).values().map(|watch| watch.ino).collect();
    inodes.sort_unstable();
    inodes
}

fn inodes(paths: &[&Path]) -> Vec<u64> {
    let mut inodes: Vec<u64> =
        paths.iter().map(|path| fs::symlink_metadata(path).unwrap().ino()).collect();
    inodes.sort_unstable();
    inodes
}

fn exchange(one: impl AsRef<Path>, other: impl AsRef<Path>) {
    renameat_with(CWD, one.as_ref(), CWD, other.as_ref(), RenameFlags::EXCHANGE).unwrap();
}

fn open_dir(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).unwrap()
}

// ---- What is new.

#[test]
fn mkdir_p_nine_deep_with_a_file_unread_is_ten_creations_each_once_parents_first() {
    let mut tree = Scene::new(|_| ());
    let deepest = tree.at("1/2/3/4/5/6/7/8/9");
    fs::create_dir_all(&deepest).unwrap();
    write(deepest.join("file"));

    let notes = tree.notes();
    let created: Vec<_> =
        notes.iter().filter(|note| note.mask.contains(EventMask::CREATE)).collect();
    let mut expected: Vec<PathBuf> = Path::new("1/2/3/4/5/6/7/8/9/file")
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    expected.reverse();
    let paths: Vec<_> = created.iter().map(|note| note.path.clone()).collect();
    assert_eq!(paths, expected, "{notes:?}");
    assert_eq!(created[0].how, How::Told);
    assert!(created[1..].iter().all(|note| note.how == How::Found), "{notes:?}");
    notes.iter().for_each(|note| tree.mirror.apply(note));
    tree.check();

    write(deepest.join("later"));
    assert_eq!(tree.told(), ["create 1/2/3/4/5/6/7/8/9/later", "written 1/2/3/4/5/6/7/8/9/later"]);
}

#[test]
fn what_is_made_while_it_is_read_is_told_once() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|_| ());
    let root = tree.root.clone();
    let maker = thread::spawn(move || {
        for number in 0..200 {
            let path = root.join(format!("{number}/a/b/c"));
            fs::create_dir_all(&path).unwrap();
            write(path.join("file"));
            write(path.join("../file"));
        }
    });
    while !maker.is_finished() {
        for note in tree.notes() {
            tree.mirror.apply(&note);
        }
    }
    maker.join().unwrap();
    // The mirror minds that nothing is created twice.
    tree.told();
    let (dirs, files) = Entry::walk(&tree.root).count();
    assert_eq!((dirs, files), (801, 400));
}

#[test]
fn what_is_made_and_removed_unread_leaves_nothing_behind() {
    let mut tree = Scene::new(|_| ());
    for _ in 0..3 {
        fs::create_dir_all(tree.at("a/b/c")).unwrap();
        write(tree.at("a/b/file"));
        fs::remove_dir_all(tree.at("a")).unwrap();
    }
    tree.told();
    fs::create_dir(tree.at("a")).unwrap();
    assert_eq!(tree.told(), ["create a/"]);
}

#[test]
fn what_exists_is_told_on_request_parents_first() {
    let place = Place::new();
    fs::create_dir_all(place.at("a/b/c")).unwrap();
    write(place.at("a/b/file"));
    write(place.at("file"));
    symlink("a", place.at("link")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_tree(place.path(), NAMES, TreeOptions::new().report_existing(true)).unwrap();
    let mut mirror = Mirror::empty(false);
    let mut lines = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        let note = Note::of(&event, place.path());
        mirror.apply(&note);
        lines.push(note.to_string());
    }
    assert_eq!(lines.pop().unwrap(), "established");
    let expected = ["found a/", "found a/b/", "found a/b/c/", "found a/b/file", "found file"];
    assert_eq!(sorted(lines)[..5], expected);
    assert_eq!(mirror.differences(&Entry::walk(place.path())), Vec::<String>::new());
}

// ---- Renames.

#[test]
fn a_subtree_renamed_beside_one_with_the_same_prefix_takes_only_its_own() {
    let mut tree = Scene::new(|root| {
        for name in ["ab", "abc", "a", "ab.d"] {
            fs::create_dir_all(root.join(name).join("x")).unwrap();
        }
    });
    fs::rename(tree.at("ab"), tree.at("zz")).unwrap();
    assert_eq!(tree.told(), ["rename ab/ -> zz/"]);
    for name in ["a", "abc", "ab.d", "zz"] {
        File::create(tree.at(name).join("x/file")).unwrap();
        let path = format!("{name}/x/file");
        assert_eq!(tree.told(), [format!("create {path}"), format!("written {path}")]);
    }
}

#[test]
fn events_of_before_a_rename_have_the_path_of_before() {
    let mut tree = Scene::new(|root| fs::create_dir_all(root.join("a/b")).unwrap());
    fs::create_dir(tree.at("a/b/one")).unwrap();
    fs::rename(tree.at("a"), tree.at("c")).unwrap();
    fs::create_dir(tree.at("c/b/two")).unwrap();
    fs::rename(tree.at("c/b"), tree.at("d")).unwrap();
    fs::create_dir(tree.at("d/three")).unwrap();
    let expected = [
        "create a/b/one/",
        "rename a/ -> c/",
        "create c/b/two/",
        "rename c/b/ -> d/",
        "create d/three/",
    ];
    // Looking may have been faster than the event.
    let told = tree.told().into_iter().map(|line| line.replace("found", "create"));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_renamed_within_a_directory_or_across_is_one_rename_each() {
    let mut tree = Scene::new(|root| {
        fs::create_dir(root.join("dir")).unwrap();
        for name in ["a", "b", "c"] {
            write(root.join(name));
        }
    });
    for name in ["a", "b", "c"] {
        fs::rename(tree.at(name), tree.at(format!("{name}2"))).unwrap();
    }
    assert_eq!(tree.told(), ["rename a -> a2", "rename b -> b2", "rename c -> c2"]);
    fs::rename(tree.at("a2"), tree.at("dir/a")).unwrap();
    fs::rename(tree.at("b2"), tree.at("dir/a")).unwrap();
    fs::rename(tree.at("dir/a"), tree.at("c2")).unwrap();
    assert_eq!(tree.told(), ["rename a2 -> dir/a", "rename b2 -> dir/a", "rename dir/a -> c2"]);
}

#[test]
fn a_file_moved_out_is_told_without_a_further_event() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|root| write(root.join("file")));
    fs::rename(tree.at("file"), tree.outside("file")).unwrap();
    // Waiting.
    let event = tree.watcher.recv().unwrap();
    let note = Note::of(&event, &tree.root);
    assert_eq!(note.to_string(), "moved out file");
    tree.mirror.apply(&note);
    assert!(tree.told().is_empty());
    fs::rename(tree.outside("file"), tree.at("back")).unwrap();
    assert_eq!(tree.told(), ["moved in back"]);
}

#[test]
fn what_is_moved_out_is_silent_until_it_is_moved_back() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/inner")).unwrap();
        write(root.join("sub/old"));
    });
    fs::rename(tree.at("sub"), tree.outside("sub")).unwrap();
    assert_eq!(tree.told(), ["moved out sub/"]);
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root]));

    write(tree.outside("sub/inner/new"));
    fs::remove_file(tree.outside("sub/old")).unwrap();
    fs::create_dir(tree.outside("sub/more")).unwrap();
    assert!(tree.told().is_empty());

    fs::rename(tree.outside("sub"), tree.at("back")).unwrap();
    let lines = tree.told();
    assert_eq!(lines[0], "moved in back/");
    let expected = ["found back/inner/", "found back/inner/new", "found back/more/"];
    assert_eq!(sorted(lines[1..].to_vec()), expected);
    write(tree.at("back/more/file"));
    assert_eq!(tree.told(), ["create back/more/file", "written back/more/file"]);
}

#[test]
fn moved_out_changed_and_moved_back_unread_is_true_in_the_end() {
    for back in ["sub", "elsewhere"] {
        let mut tree = Scene::new(|root| {
            fs::create_dir_all(root.join("sub/inner")).unwrap();
            write(root.join("sub/old"));
        });
        write(tree.at("sub/inner/before"));
        fs::rename(tree.at("sub"), tree.outside("sub")).unwrap();
        write(tree.outside("sub/inner/new"));
        fs::remove_file(tree.outside("sub/old")).unwrap();
        fs::rename(tree.outside("sub"), tree.at(back)).unwrap();
        tree.told();
        write(tree.at(back).join("inner/file"));
        let path = format!("{back}/inner/file");
        assert_eq!(tree.told(), [format!("create {path}"), format!("written {path}")]);
    }
}

type Replace = fn(&Scene);

#[test]
fn a_directory_replaced_by_another_of_the_same_name_is_that_other() {
    let ways: [(&str, Replace); 5] = [
        ("removed and made", |tree| {
            fs::remove_dir_all(tree.at("dir")).unwrap();
            fs::create_dir_all(tree.at("dir/new")).unwrap();
        }),
        ("renamed away and made", |tree| {
            fs::rename(tree.at("dir"), tree.at("away")).unwrap();
            fs::create_dir_all(tree.at("dir/new")).unwrap();
        }),
        ("moved out and another one in", |tree| {
            fs::create_dir_all(tree.outside("other/new")).unwrap();
            fs::rename(tree.at("dir"), tree.outside("away")).unwrap();
            fs::rename(tree.outside("other"), tree.at("dir")).unwrap();
        }),
        ("emptied and renamed over", |tree| {
            fs::remove_dir_all(tree.at("dir/old")).unwrap();
            fs::create_dir_all(tree.at("other/new")).unwrap();
            fs::rename(tree.at("other"), tree.at("dir")).unwrap();
        }),
        ("emptied and renamed over from outside", |tree| {
            fs::remove_dir_all(tree.at("dir/old")).unwrap();
            fs::create_dir_all(tree.outside("other/new")).unwrap();
            fs::rename(tree.outside("other"), tree.at("dir")).unwrap();
        }),
    ];
    for (way, replace) in ways {
        let mut tree = Scene::new(|root| fs::create_dir_all(root.join("dir/old")).unwrap());
        for round in 0..2 {
            replace(&tree);
            eprintln!("{way}, round {round}");
            tree.told();
            File::create(tree.at("dir/new/file")).unwrap();
            assert_eq!(tree.told(), ["create dir/new/file", "written dir/new/file"], "{way}");
            // Back to where it began; the first round is read in between, the second is not.
            fs::remove_dir_all(tree.at("dir")).unwrap();
            let _ = fs::remove_dir_all(tree.at("away"));
            let _ = fs::remove_dir_all(tree.outside("away"));
            fs::create_dir_all(tree.at("dir/old")).unwrap();
            if round == 0 {
                tree.told();
            }
        }
        tree.told();
    }
}

#[test]
fn two_directories_that_change_places_each_have_their_events() {
    let mut tree = Scene::new(|root| {
        for path in ["a/in-a", "b/in-b", "c/d/in-d"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
    });
    exchange(tree.at("a"), tree.at("b"));
    tree.told();
    File::create(tree.at("a/in-b/file")).unwrap();
    File::create(tree.at("b/in-a/file")).unwrap();
    let expected =
        ["create a/in-b/file", "written a/in-b/file", "create b/in-a/file", "written b/in-a/file"];
    assert_eq!(tree.told(), expected);
    // Across directories, and twice unread.
    exchange(tree.at("a"), tree.at("c/d"));
    exchange(tree.at("c/d"), tree.at("b"));
    tree.told();
    File::create(tree.at("a/in-d/file")).unwrap();
    assert_eq!(tree.told(), ["create a/in-d/file", "written a/in-d/file"]);
}

#[test]
fn a_directory_and_a_file_that_change_places_are_told_as_what_they_are() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("dir/inner")).unwrap();
        write(root.join("file"));
    });
    exchange(tree.at("dir"), tree.at("file"));
    tree.told();
    exchange(tree.at("dir"), tree.at("file"));
    exchange(tree.at("file"), tree.at("dir"));
    tree.told();
    write(tree.at("file/inner/new"));
    assert_eq!(tree.told(), ["create file/inner/new", "written file/inner/new"]);
}

#[test]
fn two_files_that_change_places_are_both_there() {
    let mut tree = Scene::new(|root| {
        write(root.join("a"));
        write(root.join("b"));
    });
    exchange(tree.at("a"), tree.at("b"));
    tree.told();
}

/// Directories that are moved into each other in all ways, by descriptors: the paths never matter.
#[test]
fn a_rename_storm_of_a_chain_of_ancestors_is_told_truly() {
    const DIRS: usize = 9;
    let _watchdog = Watchdog::new();
    let name = |dir: usize| format!("dir-{dir}");
    let mut tree = Scene::new(|root| {
        let chain: PathBuf = (1..DIRS).map(name).collect();
        fs::create_dir_all(root.join(chain)).unwrap();
    });
    let path_of =
        |dir: usize| (1..=dir).map(name).fold(tree.root.clone(), |path, name| path.join(name));
    let dirs: Vec<OwnedFd> = (0..DIRS).map(|dir| open_dir(&path_of(dir))).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut parents: Vec<usize> = (0..DIRS).map(|dir| dir.saturating_sub(1)).collect();
            let mut random = Random::new(7);
            let mut moves = 0;
            while moves < 3000 {
                let dir = 1 + random.below(DIRS as u64 - 1) as usize;
                let to = random.below(DIRS as u64) as usize;
                let (from, name) = (&dirs[parents[dir]], name(dir));
                // Not into itself, or what is beneath.
                if to != parents[dir] && renameat(from, &name, &dirs[to], &name).is_ok() {
                    parents[dir] = to;
                    moves += 1;
                }
            }
            over.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            let mut random = Random::new(8);
            while !over.load(Ordering::Acquire) {
                let dir = &dirs[random.below(DIRS as u64) as usize];
                let name = format!("file-{}", random.below(4));
                if random.below(2) == 0 {
                    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                    openat(dir, &name, flags, Mode::RWXU).unwrap();
                } else {
                    let _ = rustix::fs::unlinkat(dir, &name, rustix::fs::AtFlags::empty());
                }
            }
        });
        while !over.load(Ordering::Acquire) {
            for note in tree.notes() {
                tree.mirror.apply(&note);
            }
        }
    });
    tree.told();
}

// ---- Removing.

#[test]
fn a_root_that_is_removed_says_so_and_ends() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        write(root.join("a/file"));
    });
    fs::remove_dir_all(&tree.root).unwrap();
    let _watchdog = Watchdog::new();
    let mut lines = tree.lines();
    // A child process that another test starts holds the open root for a moment.
    while lines.len() < 5 {
        lines.extend(tree.lines());
    }
    assert_eq!(sorted(lines[..3].to_vec()), ["delete a/", "delete a/b/", "delete a/file"]);
    assert_eq!(lines[3..], ["root removed", "ignored"]);
    assert!(tree.watcher.watches().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
    assert!(tree.watcher.unwatch(tree.watch).is_err());
}

#[test]
fn rm_rf_of_the_root_while_it_is_being_created_ends_the_tree() {
    let _watchdog = Watchdog::new();
    for round in 0..20_u64 {
        let place = Place::new();
        let root = place.dir("root");
        let watcher = Watcher::new().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(round);
                // Not for ever, or nobody could remove it.
                for _ in 0..300 {
                    let names =
                        (0..=random.below(4)).map(|_| ["a", "b", "c"][random.below(3) as usize]);
                    let path = names.fold(root.clone(), |path, name| path.join(name));
                    // Never the root itself.
                    let _ = fs::create_dir(&path);
                    let _ = fs::write(path.join("file"), "");
                }
            });
            scope.spawn(|| {
                // The tree is set up before, after, or meanwhile.
                for _ in 0..round * 100 {
                    thread::yield_now();
                }
                while root.exists() {
                    let _ = fs::remove_dir_all(&root);
                }
            });
            let mut watcher = watcher;
            match watcher.watch_tree(&root, NAMES, TreeOptions::new().report_existing(true)) {
                Ok(_) => {
                    let mut mirror = Mirror::empty(false);
                    let mut last = Vec::new();
                    while last.last() != Some(&How::Ignored) {
                        let note = Note::of(&watcher.recv().unwrap(), &root);
                        mirror.apply(&note);
                        last.push(note.how);
                    }
                    assert_eq!(last[last.len() - 2], How::RootRemoved);
                    assert!(watcher.try_recv().unwrap().is_none());
                }
                Err(error) => assert_eq!(error.errno(), Some(Errno::ENOENT), "{error}"),
            }
            assert!(kernel_watches(&watcher).is_empty());
            assert!(watcher.watches().is_empty());
        });
    }
}

#[test]
fn a_root_that_is_moved_says_so_and_goes_on() {
    let mut tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    fs::rename(&tree.root, tree.outside("moved")).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    write(tree.outside("moved/dir/file"));
    assert_eq!(tree.lines(), ["create dir/file", "written dir/file"]);
    fs::rename(tree.outside("moved"), &tree.root).unwrap();
    // Its path leads to it again.
    assert!(tree.lines().is_empty());
    fs::create_dir_all(tree.at("dir/new/inner")).unwrap();
    assert_eq!(tree.lines(), ["create dir/new/", "found dir/new/inner/"]);
    tree.watcher.unwatch(tree.watch).unwrap();
    assert!(kernel_watches(&tree.watcher).is_empty());
}

#[test]
fn what_can_be_no_root_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    let file = place.file("file");
    let watcher = Watcher::new().unwrap();
    for (path, errno) in [(file, Errno::ENOTDIR), (place.at("missing"), Errno::ENOENT)] {
        let error = watcher.watch_tree(&path, NAMES, TreeOptions::new()).unwrap_err();
        assert_eq!(error.errno(), Some(errno), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

// ---- Links, permissions, mounts.

#[test]
fn nothing_is_watched_through_a_link_inside_the_tree() {
    let mut tree = Scene::new(|root| {
        let outside = root.parent().unwrap().join("outside/dir");
        fs::create_dir(&outside).unwrap();
        symlink(outside, root.join("link")).unwrap();
        symlink(".", root.join("circle")).unwrap();
    });
    tree.check();
    symlink(tree.outside("dir"), tree.at("later")).unwrap();
    assert_eq!(tree.told(), ["create later"]);
    write(tree.outside("dir/file"));
    assert!(tree.told().is_empty());
}

#[test]
fn a_link_swapped_in_for_a_directory_while_it_is_added_leads_nowhere() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let root = place.dir("root");
    let outside = place.dir("outside");
    for dir in [root.join("dir"), outside.clone()] {
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::create_dir(dir.join("c")).unwrap();
    }
    symlink(&outside, root.join("link")).unwrap();
    let beyond = [outside.clone(), outside.join("a"), outside.join("a/b"), outside.join("c")];
    let beyond = inodes(&beyond.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let check = |watcher: &Watcher| {
        for ino in watched_inodes(watcher) {
            assert!(beyond.binary_search(&ino).is_err(), "it watches what is outside");
        }
    };

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u32;
            while !over.load(Ordering::Acquire) {
                exchange(root.join("dir"), root.join("link"));
                // To be told by, should it be watched.
                number += 1;
                write(outside.join(format!("a/beyond-{}", number % 100)));
            }
        });
        for _ in 0..100 {
            let mut watcher = Watcher::new().unwrap();
            let tree = watcher.watch_tree(&root, NAMES, TreeOptions::new()).unwrap();
            for _ in 0..20 {
                check(&watcher);
                let Some(event) = watcher.try_recv().unwrap() else { continue };
                let note = Note::of(&event, &root);
                assert!(!note.to_string().contains("beyond"), "{note:?}");
            }
            watcher.unwatch(tree).unwrap();
            assert!(kernel_watches(&watcher).is_empty());
        }
        over.store(true, Ordering::Release);
    });

    // And for what is made under way.
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_tree(&root, NAMES, TreeOptions::new().report_existing(true)).unwrap();
    let mut mirror = Mirror::empty(false);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..500 {
                let name = format!("new-{}", number % 3);
                let (path, away) = (root.join(&name), root.join(format!("away-{number}")));
                fs::create_dir_all(path.join("a/b")).unwrap();
                fs::rename(&path, &away).unwrap();
                symlink(&outside, &path).unwrap();
                write(path.join(format!("a/beyond-{}", number % 100)));
                fs::remove_file(&path).unwrap();
            }
            over.store(true, Ordering::Release);
        });
        loop {
            let last = over.load(Ordering::Acquire);
            while let Some(event) = watcher.try_recv().unwrap() {
                let note = Note::of(&event, &root);
                assert!(!note.to_string().contains("beyond"), "{note:?}");
                mirror.apply(&note);
            }
            check(&watcher);
            if last {
                break;
            }
        }
    });
    let disk = Entry::walk(&root);
    let differences = mirror.differences(&disk);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(trees::watches_amiss(&watcher, &disk), None);
}

#[test]
fn unreadable_directories_are_told_and_the_rest_is_watched() {
    as_plain_user(|| {
        let permit = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let mask = NAMES | WatchMask::ATTRIB;
        let mut tree = Scene::with(mask, TreeOptions::new(), |root| {
            for path in ["locked/inner", "open/inner", "listed/inner"] {
                fs::create_dir_all(root.join(path)).unwrap();
            }
            permit(&root.join("locked"), 0o000);
            // Its names can be read, and nothing more.
            permit(&root.join("listed"), 0o444);
        });
        let expected = ["unwatched listed/inner: EACCES", "unwatched locked: EACCES"];
        assert_eq!(sorted(tree.lines()), expected);
        write(tree.at("open/inner/file"));
        assert_eq!(tree.lines(), ["create open/inner/file", "written open/inner/file"]);

        // Made so while it is watched.
        let mode = Mode::empty();
        mkdirat(CWD, tree.at("open/new"), mode).unwrap();
        assert_eq!(tree.lines(), ["create open/new/", "unwatched open/new: EACCES"]);
        // And no more.
        permit(&tree.at("locked"), 0o755);
        permit(&tree.at("open/new"), 0o755);
        let lines = tree.lines();
        assert!(lines.contains(&"found locked/inner/".to_owned()), "{lines:?}");
        write(tree.at("locked/inner/file"));
        write(tree.at("open/new/file"));
        let expected = [
            "create locked/inner/file",
            "written locked/inner/file",
            "create open/new/file",
            "written open/new/file",
        ];
        assert_eq!(tree.lines(), expected);
        permit(&tree.at("listed"), 0o755);
    });
}

fn mount_tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn a_mount_inside_is_part_of_the_tree_until_it_is_unmounted() {
    if !in_namespace("a_mount_inside_is_part_of_the_tree_until_it_is_unmounted") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/beneath")).unwrap();
        mount_tmpfs(&root.join("sub"));
        fs::create_dir(root.join("sub/inner")).unwrap();
    });
    tree.check();
    write(tree.at("sub/inner/file"));
    assert_eq!(tree.told(), ["create sub/inner/file", "written sub/inner/file"]);

    // Watching keeps no file system busy.
    unmount(tree.at("sub"), UnmountFlags::empty()).unwrap();
    let lines = tree.told();
    assert!(lines.contains(&"found sub/beneath/".to_owned()), "{lines:?}");
    write(tree.at("sub/beneath/file"));
    assert_eq!(tree.told(), ["create sub/beneath/file", "written sub/beneath/file"]);
}

#[test]
fn what_is_mounted_later_does_not_hide_what_is_true_below_and_beside() {
    if !in_namespace("what_is_mounted_later_does_not_hide_what_is_true_below_and_beside") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/beneath")).unwrap();
        fs::create_dir(root.join("beside")).unwrap();
    });
    let beneath = open_dir(&tree.at("sub/beneath"));
    mount_tmpfs(&tree.at("sub"));
    fs::create_dir_all(tree.at("sub/new/inner")).unwrap();
    fs::create_dir_all(tree.at("beside/new/inner")).unwrap();
    mkdirat(&beneath, "hidden", Mode::RWXU).unwrap();
    let lines = tree.lines();
    for expected in ["create beside/new/", "found beside/new/inner/", "create sub/beneath/hidden/"]
    {
        assert!(lines.contains(&expected.to_owned()), "{lines:?}");
    }
    unmount(tree.at("sub"), UnmountFlags::empty()).unwrap();
    tree.lines();
    fs::create_dir_all(tree.at("sub/beneath/later/inner")).unwrap();
    let expected = ["create sub/beneath/later/", "found sub/beneath/later/inner/"];
    assert_eq!(tree.lines(), expected);
}

#[test]
fn a_bind_mount_inside_is_told_and_watched_at_one_place() {
    if !in_namespace("a_bind_mount_inside_is_told_and_watched_at_one_place") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        mount_bind(root.join("a"), root.join("b")).unwrap();
    });
    let lines = tree.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("unwatched "), "{lines:?}");
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root, &tree.at("a")]));
    write(tree.at("a/file"));
    let lines = tree.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("/file"), "{lines:?}");
}

#[test]
fn the_same_file_system_only_leaves_mounts_alone() {
    if !in_namespace("the_same_file_system_only_leaves_mounts_alone") {
        return;
    }
    let options = TreeOptions::new().same_file_system(true);
    let mut tree = Scene::with(NAMES, options, |root| {
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir_all(root.join("same")).unwrap();
        mount_tmpfs(&root.join("sub"));
        fs::create_dir(root.join("sub/inner")).unwrap();
    });
    tree.lines();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root, &tree.at("same")]));
    write(tree.at("sub/inner/file"));
    fs::create_dir(tree.at("sub/new")).unwrap();
    assert!(tree.lines().is_empty());
    fs::create_dir(tree.at("same/new")).unwrap();
    assert_eq!(tree.lines(), ["create same/new/"]);
}

#[test]
fn a_root_that_is_unmounted_says_so_and_ends() {
    if !in_namespace("a_root_that_is_unmounted_says_so_and_ends") {
        return;
    }
    let mut tree = Scene::new(|root| {
        mount_tmpfs(root);
        fs::create_dir_all(root.join("a/b")).unwrap();
    });
    unmount(&tree.root, UnmountFlags::empty()).unwrap();
    let lines = tree.lines();
    assert_eq!(lines[lines.len() - 2..], ["root unmounted", "ignored"], "{lines:?}");
    assert!(tree.watcher.watches().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
}

// ---- Paths of all kinds.

#[test]
fn paths_longer_than_the_kernel_takes_are_watched_and_told() {
    let name = |level: usize| format!("{level:0>255}");
    let descend = |mut dir: OwnedFd, levels: std::ops::Range<usize>| {
        for level in levels {
            mkdirat(&dir, name(level), Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            dir = openat(&dir, name(level), flags, Mode::empty()).unwrap();
        }
        dir
    };
    // Some are there before, to just beyond 4,096 bytes; some are made later.
    let mut dir = None;
    let mut tree = Scene::new(|root| dir = Some(descend(open_dir(root), 0..17)));
    tree.check();
    let dir = descend(dir.unwrap(), 17..24);
    tree.told();
    mkdirat(&dir, "deepest", Mode::RWXU).unwrap();
    let lines = tree.told();
    let path: String = (0..24).map(|level| name(level) + "/").collect();
    assert_eq!(lines, [format!("create {path}deepest/")]);
    // And where an ancestor has another name.
    fs::rename(tree.at(name(0)), tree.at("short")).unwrap();
    mkdirat(&dir, "deeper", Mode::RWXU).unwrap();
    assert_eq!(tree.told().len(), 2);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let deeper = openat(&dir, "deeper", flags, Mode::empty()).unwrap();
    mkdirat(&deeper, "last", Mode::RWXU).unwrap();
    let path: String = (1..24).map(|level| name(level) + "/").collect();
    assert_eq!(tree.told(), [format!("create short/{path}deeper/last/")]);
}

#[test]
fn a_path_of_each_length_around_the_limit_is_told() {
    let mut tree = Scene::new(|_| ());
    // Of two components each, with the root: 4,080 to 4,110 bytes at the third level and deeper.
    let mut path = tree.root.clone();
    let mut dir = open_dir(&tree.root);
    while path.as_os_str().len() < 3_900 {
        let name = "x".repeat(150);
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        dir = openat(&dir, &name, flags, Mode::empty()).unwrap();
        path.push(name);
    }
    tree.told();
    let rest = 4_096 - path.as_os_str().len() - 1;
    for len in rest - 10..rest + 10 {
        let name = "y".repeat(len);
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let child = openat(&dir, &name, flags, Mode::empty()).unwrap();
        assert_eq!(tree.told().len(), 1);
        mkdirat(&child, "z", Mode::RWXU).unwrap();
        let lines = tree.told();
        assert!(lines.len() == 1 && lines[0].ends_with("y/z/"), "{len}: {lines:?}");
    }
}

#[test]
fn names_of_any_bytes_are_told_as_they_are() {
    use std::ffi::OsStr;
    let names: [&[u8]; 6] = [b"\xFF\xFE", b"new\nline", b"\xC3\x28", b" ", b"a\\b", b"*?[x]{y}"];
    let mut tree = Scene::new(|root| {
        for name in names {
            fs::create_dir_all(root.join(OsStr::from_bytes(name))).unwrap();
        }
    });
    for name in names {
        let (dir, inner) = (tree.at(OsStr::from_bytes(name)), OsStr::from_bytes(name));
        fs::create_dir(dir.join(inner)).unwrap();
        write(dir.join(inner).join(inner));
        let notes = tree.notes();
        let path = Path::new(inner).join(inner);
        assert_eq!(notes[0].path, path);
        assert_eq!(notes[1].path, path.join(inner));
        notes.iter().for_each(|note| tree.mirror.apply(note));
        let renamed = tree.at("plain");
        fs::rename(&dir, &renamed).unwrap();
        fs::rename(&renamed, &dir).unwrap();
        assert_eq!(tree.told().len(), 2);
    }
}

// ---- Options.

#[test]
fn a_depth_limit_ends_watching_there() {
    for depth in 0..4 {
        let mut tree = Scene::with(NAMES, TreeOptions::new().max_depth(depth), |root| {
            fs::create_dir_all(root.join("1/2/3/4/5")).unwrap();
        });
        let dirs = ["", "1", "1/2", "1/2/3"].map(|path| tree.at(path));
        let watched: Vec<&Path> = dirs[..=depth as usize].iter().map(PathBuf::as_path).collect();
        assert_eq!(watched_inodes(&tree.watcher), inodes(&watched), "depth {depth}");

        // New ones too.
        fs::create_dir_all(tree.at("a/b/c/d/e")).unwrap();
        let lines = tree.lines();
        let expected =
            ["create a/", "found a/b/", "found a/b/c/", "found a/b/c/d/", "found a/b/c/d/e/"];
        assert_eq!(lines, expected[..=depth as usize]);
        assert_eq!(kernel_watches(&tree.watcher).len(), 2 * depth as usize + 1);
    }
}

#[test]
fn a_depth_limit_holds_for_what_is_renamed_up_or_down() {
    let mut tree = Scene::with(NAMES, TreeOptions::new().max_depth(1), |root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir(root.join("d")).unwrap();
    });
    let watched = |tree: &Scene, paths: &[&str]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| tree.at(path)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        assert_eq!(watched_inodes(&tree.watcher), inodes(&paths));
    };
    watched(&tree, &["", "a", "d"]);
    fs::rename(tree.at("a/b"), tree.at("b")).unwrap();
    tree.lines();
    watched(&tree, &["", "a", "b", "d"]);
    fs::rename(tree.at("d"), tree.at("a/d")).unwrap();
    tree.lines();
    watched(&tree, &["", "a", "b"]);
    write(tree.at("a/d/file"));
    assert!(tree.lines().is_empty());
    write(tree.at("b/file"));
    assert_eq!(tree.lines(), ["create b/file", "written b/file"]);
}

/// A tree without what is called `target` and `.git`: what of it is watched, in the end.
fn without_target_and_git(options: TreeOptions) {
    let mut tree = Scene::with(NAMES, options, |root| {
        for path in ["target/debug", "sub/target/debug", "sub/.git/objects", "targets/x"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
    });
    fs::create_dir_all(tree.at("new/target/debug")).unwrap();
    write(tree.at("new/target/debug/file"));
    write(tree.at("target/debug/file"));
    assert_eq!(tree.lines(), ["create new/", "found new/target/"]);
    let watched = ["", "sub", "targets", "targets/x", "new"].map(|path| tree.at(path));
    let watched: Vec<&Path> = watched.iter().map(PathBuf::as_path).collect();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&watched));
}

#[test]
fn what_is_pruned_is_told_itself_and_not_entered() {
    without_target_and_git(
        TreeOptions::new().exclude(|path| path.ends_with("target") || path.ends_with(".git")),
    );
}

#[test]
fn the_path_to_prune_by_is_beneath_the_root() {
    let mut tree =
        Scene::with(NAMES, TreeOptions::new().exclude(|path| path == Path::new("a/b")), |root| {
            fs::create_dir_all(root.join("a/b/a/b")).unwrap();
            fs::create_dir_all(root.join("c/a/b")).unwrap();
        });
    let watched = ["", "a", "c", "c/a", "c/a/b"].map(|path| tree.at(path));
    let watched: Vec<&Path> = watched.iter().map(PathBuf::as_path).collect();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&watched));
    assert!(tree.lines().is_empty());
}

#[cfg(feature = "glob")]
#[test]
fn what_is_pruned_by_a_glob_is_not_entered() {
    let options = TreeOptions::new().exclude_glob("target").unwrap().exclude_glob(".git").unwrap();
    without_target_and_git(options);
    without_target_and_git(TreeOptions::new().exclude_glob("{target,.git}").unwrap());
    assert!(TreeOptions::new().exclude_glob("{").is_err());
}

/// The limit of this user namespace, which counts like that of the machine.
fn limit_watches(test: &str, limit: usize) -> bool {
    let written = fs::write("/proc/sys/user/max_inotify_watches", limit.to_string());
    if let Err(error) = &written {
        say(format_args!("SKIPPED: {test}: user.max_inotify_watches can't be set: {error}"));
    }
    written.is_ok()
}

fn ten_directories(root: &Path) {
    for number in 0..3 {
        fs::create_dir_all(root.join(format!("{number}/a/b"))).unwrap();
    }
}

#[test]
fn at_the_limit_of_watches_a_tree_fails_and_leaves_nothing() {
    const NAME: &str = "at_the_limit_of_watches_a_tree_fails_and_leaves_nothing";
    if !in_namespace(NAME) || !limit_watches(NAME, 9) {
        return;
    }
    let place = Place::new();
    ten_directories(place.path());
    let watcher = Watcher::new().unwrap();
    for options in [TreeOptions::new(), TreeOptions::new().on_watch_limit(OnWatchLimit::Fail)] {
        let error = watcher.watch_tree(place.path(), NAMES, options).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOSPC), "{error}");
        assert!(error.to_string().contains("fs.inotify.max_user_watches"), "{error}");
        assert!(kernel_watches(&watcher).is_empty());
        assert!(watcher.watches().is_empty());
    }
    // One less will do; what comes later is told.
    fs::remove_dir(place.at("0/a/b")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    watch_tree(&mut watcher, place.path(), NAMES, TreeOptions::new());
    assert!(watcher.try_recv().unwrap().is_none());
    fs::create_dir(place.at("new")).unwrap();
    let mut lines = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        lines.push(Note::of(&event, place.path()).to_string());
    }
    assert_eq!(lines, ["create new/", "unwatched new: ENOSPC"]);
}

#[test]
fn at_the_limit_of_watches_a_partial_tree_tells_what_it_lacks() {
    const NAME: &str = "at_the_limit_of_watches_a_partial_tree_tells_what_it_lacks";
    if !in_namespace(NAME) || !limit_watches(NAME, 6) {
        return;
    }
    let options = TreeOptions::new().on_watch_limit(OnWatchLimit::Partial);
    let mut tree = Scene::with(NAMES, options, ten_directories);
    let notes = tree.notes();
    assert_eq!(kernel_watches(&tree.watcher).len(), 6);
    assert!(!notes.is_empty());
    for note in &notes {
        assert_eq!(note.how, How::Unwatched(Barred::Errno(Errno::ENOSPC)), "{notes:?}");
    }
    // What is neither watched nor below something that was told of is not lacking.
    let watched = watched_inodes(&tree.watcher);
    for path in ["0", "0/a", "0/a/b", "1", "1/a", "1/a/b", "2", "2/a", "2/a/b"].map(Path::new) {
        let ino = fs::metadata(tree.at(path)).unwrap().ino();
        let lacks = path.ancestors().any(|above| notes.iter().any(|note| note.path == above));
        assert_eq!(watched.binary_search(&ino).is_err(), lacks, "{path:?} of {notes:?}");
    }
    write(tree.at("file"));
    assert_eq!(tree.lines(), ["create file", "written file"]);
}

#[test]
fn an_alias_and_a_filter_are_those_of_the_whole_tree() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = WatchOptions::new().alias("home").filter(|event| !event.is_dir());
    let options = TreeOptions::new().watch(watch);
    let tree = watch_tree(&mut watcher, place.path(), NAMES, options);
    assert_eq!(watcher.watches().with_alias("home").unwrap(), tree);
    let mut lines = Vec::new();
    let mut read = |watcher: &mut Watcher| {
        while let Some(event) = watcher.try_recv().unwrap() {
            assert_eq!(event.alias().unwrap(), "home");
            assert_eq!(event.watch(), Some(tree));
            lines.push(Note::of(&event, place.path()).to_string());
        }
    };
    // Directories that are not told are watched all the same.
    fs::create_dir_all(place.at("a/b")).unwrap();
    write(place.at("a/b/one"));
    read(&mut watcher);
    write(place.at("a/b/two"));
    fs::rename(place.at("a"), place.at("c")).unwrap();
    write(place.at("c/b/three"));
    read(&mut watcher);
    let lines: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.starts_with("written")).collect();
    assert_eq!(lines, ["found a/b/one", "create a/b/two", "create c/b/three"]);
    let again = TreeOptions::new().watch(WatchOptions::new().alias("home"));
    assert!(watcher.watch_tree(place.path(), NAMES, again).is_err());
    watcher.unwatch_alias("home").unwrap();
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn only_what_was_asked_for_is_told() {
    let mut tree = Scene::with(WatchMask::CLOSE_WRITE, TreeOptions::new(), |_| ());
    fs::create_dir_all(tree.at("a/b")).unwrap();
    assert!(tree.lines().is_empty());
    fs::rename(tree.at("a"), tree.at("c")).unwrap();
    write(tree.at("c/b/file"));
    fs::rename(tree.at("c/b/file"), tree.at("file")).unwrap();
    fs::remove_file(tree.at("file")).unwrap();
    assert_eq!(tree.lines(), ["written c/b/file"]);
}

#[test]
fn a_file_in_a_new_directory_is_told_to_who_waits_for_files_to_be_written() {
    for mask in [WatchMask::CLOSE_WRITE, WatchMask::MODIFY, WatchMask::MOVED_TO] {
        let mut tree = Scene::with(mask, TreeOptions::new(), |_| ());
        fs::create_dir_all(tree.at("a/b")).unwrap();
        write(tree.at("a/b/file"));
        fs::hard_link(tree.at("a/b/file"), tree.at("a/b/link")).unwrap();
        let mut lines = tree.lines();
        lines.retain(|line| !line.ends_with('/'));
        lines.sort();
        assert_eq!(lines, ["found a/b/file", "found a/b/link"], "{mask}");
    }
    for mask in [WatchMask::DELETE, WatchMask::ATTRIB, WatchMask::MOVED_FROM] {
        let mut tree = Scene::with(mask, TreeOptions::new(), |_| ());
        fs::create_dir_all(tree.at("a/b")).unwrap();
        write(tree.at("a/b/file"));
        assert!(tree.lines().is_empty(), "{mask}");
    }
}

// ---- Overflows.

const NOISE: &str = "noise";

/// A tree with directories and files that are then changed in all ways while events are lost.
fn lose_events(snapshot: bool) -> Option<Vec<String>> {
    let options = TreeOptions::new().track_files(snapshot);
    let mut tree = Scene::with(NAMES | WatchMask::ATTRIB, options, |root| {
        for path in [NOISE, "gone/inner", "renamed/inner", "kept"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["kept/gone-file", "kept/changed-file", "kept/same-file", "gone/inner/file"] {
            write(root.join(path));
        }
        write(root.join(NOISE).join("a"));
        write(root.join(NOISE).join("b"));
    });
    let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
    tree.mirror = mirror.with_snapshot(snapshot);
    if !overflow(&tree.at(NOISE)) {
        return None;
    }
    fs::remove_dir_all(tree.at("gone")).unwrap();
    fs::rename(tree.at("renamed"), tree.at("kept/renamed")).unwrap();
    fs::create_dir_all(tree.at("new/inner")).unwrap();
    write(tree.at("new/inner/file"));
    write(tree.at("kept/new-file"));
    fs::remove_file(tree.at("kept/gone-file")).unwrap();
    fs::write(tree.at("kept/changed-file"), "more text").unwrap();

    let lines = tree.told();
    let lost = lines.iter().position(|line| line == "overflow").expect("an overflow");
    assert_eq!(lines.last().unwrap(), "resynced");
    assert_eq!(tree.mirror.overflows, 1);

    // And from there as ever.
    write(tree.at("kept/renamed/inner/later"));
    write(tree.at("new/inner/later"));
    let told = tree.told();
    let expected = [
        "create kept/renamed/inner/later",
        "written kept/renamed/inner/later",
        "create new/inner/later",
        "written new/inner/later",
    ];
    assert_eq!(
        told.into_iter().filter(|line| !line.contains("ATTRIB")).collect::<Vec<_>>(),
        expected
    );
    Some(sorted(lines[lost + 1..lines.len() - 1].to_vec()))
}

/// To list a directory opens it, reads it and closes it.
#[test]
fn a_look_at_a_tree_is_no_event_of_it_and_comes_to_an_end() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::with(WatchMask::ALL_EVENTS, TreeOptions::new(), |root| {
        for dir in 0..3_000 {
            fs::create_dir_all(root.join(format!("{dir}/inner"))).unwrap();
        }
        fs::create_dir(root.join(NOISE)).unwrap();
    });
    assert_eq!(tree.lines(), [""; 0]);
    if !overflow(&tree.at(NOISE)) {
        return;
    }
    let lines = tree.lines();
    let lost = |line: &&String| *line == "overflow";
    assert_eq!(lines.iter().filter(lost).count(), 1, "{:?}", &lines[lines.len() - 10..]);
    assert_eq!(lines.last().unwrap(), "resynced");
    // And it tells of others as before.
    fs::read_dir(tree.at("17/inner")).unwrap().for_each(drop);
    let told = tree.lines();
    assert!(told.iter().any(|line| line.contains("OPEN") && line.contains("17/inner")), "{told:?}");
}

#[test]
fn after_an_overflow_the_directories_that_changed_are_told() {
    let Some(lines) = lose_events(false) else { return };
    // Files in new directories are told, for those are all new.
    let expected = [
        "found new/",
        "found new/inner/",
        "found new/inner/file",
        "missing gone/",
        "rename renamed/ -> kept/renamed/",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn after_an_overflow_a_snapshot_tells_files_too() {
    let Some(lines) = lose_events(true) else { return };
    // Of the noise it is not known either, after the events that were told of it.
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.contains(NOISE)).collect();
    let expected = [
        "changed kept/changed-file",
        "found kept/new-file",
        "found new/",
        "found new/inner/",
        "found new/inner/file",
        "missing gone/",
        "missing kept/gone-file",
        "rename renamed/ -> kept/renamed/",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_overflow_is_one_event_and_each_tree_comes_back_into_step() {
    let place = Place::new();
    let trees = ["one", "two"].map(|name| place.dir(name));
    let noise = place.dir(NOISE);
    let mut watcher = Watcher::new().unwrap();
    let watches =
        trees.each_ref().map(|tree| watch_tree(&mut watcher, tree, NAMES, TreeOptions::new()));
    watcher.watch(&noise, WatchMask::ATTRIB).unwrap();
    if !overflow(&noise) {
        return;
    }
    for tree in &trees {
        fs::create_dir(tree.join("new")).unwrap();
    }
    let (mut overflows, mut told) = (0, Vec::new());
    while let Some(event) = watcher.try_recv().unwrap() {
        overflows += u32::from(event.is_overflow());
        let Some(index) = watches.iter().position(|watch| event.watch() == Some(*watch)) else {
            continue;
        };
        told.push((index, Note::of(&event, &trees[index]).to_string()));
    }
    told.sort_unstable();
    let expected = [(0, "found new/"), (0, "resynced"), (1, "found new/"), (1, "resynced")];
    assert_eq!(told, expected.map(|(index, line)| (index, line.to_owned())));
    assert_eq!(overflows, 1);
}

// ---- More than one, and other threads.

#[test]
fn overlapping_trees_and_a_watch_inside_each_have_their_own() {
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
        let mut told = Vec::new();
        while let Some(event) = watcher.try_recv().unwrap() {
            assert_eq!(event.path(), path);
            told.push((event.watch().unwrap(), event.mask()));
        }
        told
    };
    let create = (of_outer, EventMask::CREATE);
    let delete = (of_inner, EventMask::DELETE);
    let attrib = (plain, EventMask::ATTRIB);
    assert_eq!(change(&mut watcher, "one"), [create, attrib, delete]);

    // A directory made in both is watched once, and told to each that asked.
    fs::create_dir_all(inner.join("new/newer")).unwrap();
    fs::remove_dir(inner.join("new/newer")).unwrap();
    let mut told = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        told.push(event.watch().unwrap());
    }
    assert!(told.contains(&of_outer), "{told:?}");
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
fn a_tree_within_ends_alone_and_a_watch_inside_outlives_both() {
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
    assert_eq!((event.watch(), event.path()), (Some(of_outer), inner.join("deep/file")));
    watcher.unwatch(of_outer).unwrap();
    assert_eq!(watched_inodes(&watcher), inodes(&[&inner]));
    write(inner.join("file"));
    let event = watcher.recv().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(plain), inner.join("file")));
    assert_eq!(event.tree_change(), None);
}

#[test]
fn a_tree_moved_from_one_tree_to_another_is_told_to_both() {
    let place = Place::new();
    let trees = ["one", "two"].map(|name| place.dir(name));
    fs::create_dir_all(trees[0].join("sub/inner")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let watches =
        trees.each_ref().map(|tree| watch_tree(&mut watcher, tree, NAMES, TreeOptions::new()));
    fs::rename(trees[0].join("sub"), trees[1].join("sub")).unwrap();
    let mut told = [Vec::new(), Vec::new()];
    for round in 0..2 {
        while let Some(event) = watcher.try_recv().unwrap() {
            let index = watches.iter().position(|watch| event.watch() == Some(*watch)).unwrap();
            told[index].push(Note::of(&event, &trees[index]).to_string());
        }
        let all = [&trees[0], &trees[1], &trees[1].join("sub"), &trees[1].join("sub/inner")];
        assert_eq!(watched_inodes(&watcher), inodes(&all.map(PathBuf::as_path)));
        if round == 0 {
            fs::create_dir(trees[1].join("sub/inner/new")).unwrap();
            fs::remove_dir(trees[1].join("sub/inner/new")).unwrap();
        }
    }
    assert_eq!(told[0], ["moved out sub/"]);
    assert_eq!(told[1][..2], ["moved in sub/", "found sub/inner/"]);
    assert_eq!(told[1].last().unwrap(), "delete sub/inner/new/");
}

#[test]
fn nothing_comes_of_a_tree_that_is_unwatched() {
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

    // Nor of one whose set-up was not told yet.
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
    tree.told();
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
        // What wakes it first is the end of the set-up.
        assert_eq!(watcher.recv().unwrap().tree_change(), Some(TreeChange::Established));
        watcher.recv().unwrap().path()
    });
    let tree = watches.watch_tree(place.path(), WatchMask::CREATE, TreeOptions::new()).unwrap();
    let file = place.file("a/b/file");
    let (path, watcher) = reader.join().unwrap();
    assert_eq!(path, file);

    let reader = asleep(watcher, |watcher| watcher.recv_timeout(watching::LONG).unwrap().is_some());
    watches.unwatch(tree).unwrap();
    place.file("a/b/other");
    // What wakes it is the other tree, which tells at once.
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

/// No event of the kernel tells of it.
#[test]
fn who_waits_is_told_what_a_tree_added_elsewhere_has_found() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    for _ in 0..100 {
        let watches = watcher.watches();
        let reader = asleep(watcher, |watcher| watcher.recv().unwrap().path());
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
fn a_thread_that_sleeps_over_a_tree_is_told_of_what_comes() {
    let _watchdog = Watchdog::new();
    let tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    let (root, out) = (tree.root.clone(), tree.outside("dir"));
    let reader = asleep(tree.watcher, |watcher| watcher.recv().unwrap().path());
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
fn a_batch_of_a_tree_is_what_its_events_are_one_by_one() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|_| ());
    fs::create_dir_all(tree.at("a/b/c")).unwrap();
    let batch = tree.watcher.recv_batch().unwrap();
    let mut paths: Vec<PathBuf> = batch.iter().map(|event| event.path().to_owned()).collect();
    while let Some(event) = tree.watcher.try_recv().unwrap() {
        paths.push(event.path());
    }
    assert_eq!(paths, ["a", "a/b", "a/b/c"].map(|path| tree.at(path)));
}

#[cfg(any(feature = "tokio", feature = "async-io"))]
mod in_async {
    use super::*;
    use tinotify::stream::{AsyncWatcher, Runtime};

    /// All kinds of what a tree tells, in a task.
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
            how: How::Found,
            mask: EventMask::CREATE | EventMask::ISDIR,
            path: "old".into(),
        });
        mirror.apply(&Note {
            how: How::Found,
            mask: EventMask::CREATE | EventMask::ISDIR,
            path: "old/inner".into(),
        });
        loop {
            let note = Note::of(&watcher.recv().await.unwrap(), &root);
            mirror.apply(&note);
            if note.how == How::Ignored {
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

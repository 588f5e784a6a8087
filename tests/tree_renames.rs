//! What a tree reports of renames and exchanges, on the real kernel.

mod trees;
mod watching;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{Mode, OFlags, openat, renameat};
use tinotify::TreeOptions;
use trees::disk::{exchange, inodes, open_dir, sorted, watched_inodes, write};
use trees::{NAMES, Note, Random, Scene};
use watching::Watchdog;

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
fn a_file_moved_out_is_reported_before_its_directory_leaves() {
    type Leave = fn(&Scene);
    let ways: [(&str, Leave, &str); 3] = [
        ("removed", |tree| fs::remove_dir(tree.at("sub")).unwrap(), "delete sub/"),
        (
            "moved out",
            |tree| fs::rename(tree.at("sub"), tree.outside("sub")).unwrap(),
            "moved out sub/",
        ),
        (
            "replaced",
            |tree| {
                fs::create_dir(tree.outside("other")).unwrap();
                fs::rename(tree.outside("other"), tree.at("sub")).unwrap();
            },
            "moved in sub/",
        ),
    ];
    for (way, leave, last) in ways {
        for track_files in [false, true] {
            let options = TreeOptions::new().track_files(track_files);
            let mut tree = Scene::with(NAMES, options, |root| {
                fs::create_dir(root.join("sub")).unwrap();
                write(root.join("sub/file"));
            });
            fs::rename(tree.at("sub/file"), tree.outside("file")).unwrap();
            leave(&tree);
            let reported = tree.told();
            assert_eq!(reported, ["moved out sub/file", last], "{way}, {track_files}");
        }
    }
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

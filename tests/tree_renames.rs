//! Reports of renames and exchanges, on the real kernel.

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
fn a_renamed_directory_does_not_affect_others_with_the_same_prefix() {
    let mut tree = Scene::new(|root| {
        for name in ["ab", "abc", "a", "ab.d"] {
            fs::create_dir_all(root.join(name).join("x")).unwrap();
        }
    });
    fs::rename(tree.at("ab"), tree.at("zz")).unwrap();
    assert_eq!(tree.checked(), ["rename ab/ -> zz/"]);
    for name in ["a", "abc", "ab.d", "zz"] {
        File::create(tree.at(name).join("x/file")).unwrap();
        let path = format!("{name}/x/file");
        assert_eq!(tree.checked(), [format!("create {path}"), format!("written {path}")]);
    }
}

#[test]
fn events_from_before_a_rename_have_the_old_path() {
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
    // The scan may have been faster than the event.
    let reported = tree.checked().into_iter().map(|line| line.replace("found", "create"));
    assert_eq!(reported.collect::<Vec<_>>(), expected);
}

#[test]
fn a_renamed_file_is_reported_as_one_rename() {
    let mut tree = Scene::new(|root| {
        fs::create_dir(root.join("dir")).unwrap();
        for name in ["a", "b", "c"] {
            write(root.join(name));
        }
    });
    for name in ["a", "b", "c"] {
        fs::rename(tree.at(name), tree.at(format!("{name}2"))).unwrap();
    }
    assert_eq!(tree.checked(), ["rename a -> a2", "rename b -> b2", "rename c -> c2"]);
    fs::rename(tree.at("a2"), tree.at("dir/a")).unwrap();
    fs::rename(tree.at("b2"), tree.at("dir/a")).unwrap();
    fs::rename(tree.at("dir/a"), tree.at("c2")).unwrap();
    assert_eq!(tree.checked(), ["rename a2 -> dir/a", "rename b2 -> dir/a", "rename dir/a -> c2"]);
}

#[test]
fn a_file_moved_out_is_reported_without_a_further_event() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|root| write(root.join("file")));
    fs::rename(tree.at("file"), tree.outside("file")).unwrap();
    // A call that waits.
    let event = tree.watcher.recv().unwrap();
    let note = Note::of(&event, &tree.root);
    assert_eq!(note.to_string(), "moved out file");
    tree.mirror.apply(&note);
    assert!(tree.checked().is_empty());
    fs::rename(tree.outside("file"), tree.at("back")).unwrap();
    assert_eq!(tree.checked(), ["moved in back"]);
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
            let reported = tree.checked();
            assert_eq!(reported, ["moved out sub/file", last], "{way}, {track_files}");
        }
    }
}

#[test]
fn a_directory_moved_out_reports_nothing_until_it_is_moved_back() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/inner")).unwrap();
        write(root.join("sub/old"));
    });
    fs::rename(tree.at("sub"), tree.outside("sub")).unwrap();
    assert_eq!(tree.checked(), ["moved out sub/"]);
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root]));

    write(tree.outside("sub/inner/new"));
    fs::remove_file(tree.outside("sub/old")).unwrap();
    fs::create_dir(tree.outside("sub/more")).unwrap();
    assert!(tree.checked().is_empty());

    fs::rename(tree.outside("sub"), tree.at("back")).unwrap();
    let lines = tree.checked();
    assert_eq!(lines[0], "moved in back/");
    let expected = ["found back/inner/", "found back/inner/new", "found back/more/"];
    assert_eq!(sorted(lines[1..].to_vec()), expected);
    write(tree.at("back/more/file"));
    assert_eq!(tree.checked(), ["create back/more/file", "written back/more/file"]);
}

#[test]
fn a_directory_moved_out_changed_and_moved_back_unread_is_correct() {
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
        tree.checked();
        write(tree.at(back).join("inner/file"));
        let path = format!("{back}/inner/file");
        assert_eq!(tree.checked(), [format!("create {path}"), format!("written {path}")]);
    }
}

type Replace = fn(&Scene);

#[test]
fn a_directory_replaced_by_another_of_the_same_name_is_the_new_one() {
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
            tree.checked();
            File::create(tree.at("dir/new/file")).unwrap();
            assert_eq!(tree.checked(), ["create dir/new/file", "written dir/new/file"], "{way}");
            // Back to the initial state; the first round is read in between, the second is not.
            fs::remove_dir_all(tree.at("dir")).unwrap();
            let _ = fs::remove_dir_all(tree.at("away"));
            let _ = fs::remove_dir_all(tree.outside("away"));
            fs::create_dir_all(tree.at("dir/old")).unwrap();
            if round == 0 {
                tree.checked();
            }
        }
        tree.checked();
    }
}

#[test]
fn two_exchanged_directories_report_by_their_new_paths() {
    let mut tree = Scene::new(|root| {
        for path in ["a/in-a", "b/in-b", "c/d/in-d"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
    });
    exchange(tree.at("a"), tree.at("b"));
    tree.checked();
    File::create(tree.at("a/in-b/file")).unwrap();
    File::create(tree.at("b/in-a/file")).unwrap();
    let expected =
        ["create a/in-b/file", "written a/in-b/file", "create b/in-a/file", "written b/in-a/file"];
    assert_eq!(tree.checked(), expected);
    // Across directories, and twice unread.
    exchange(tree.at("a"), tree.at("c/d"));
    exchange(tree.at("c/d"), tree.at("b"));
    tree.checked();
    File::create(tree.at("a/in-d/file")).unwrap();
    assert_eq!(tree.checked(), ["create a/in-d/file", "written a/in-d/file"]);
}

#[test]
fn an_exchanged_directory_and_file_are_reported_with_their_kinds() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("dir/inner")).unwrap();
        write(root.join("file"));
    });
    exchange(tree.at("dir"), tree.at("file"));
    tree.checked();
    exchange(tree.at("dir"), tree.at("file"));
    exchange(tree.at("file"), tree.at("dir"));
    tree.checked();
    write(tree.at("file/inner/new"));
    assert_eq!(tree.checked(), ["create file/inner/new", "written file/inner/new"]);
}

#[test]
fn two_exchanged_files_are_both_known() {
    let mut tree = Scene::new(|root| {
        write(root.join("a"));
        write(root.join("b"));
    });
    exchange(tree.at("a"), tree.at("b"));
    tree.checked();
}

/// Moves directories into each other in all ways, by descriptors, so that no path matters.
#[test]
fn a_storm_of_renames_of_ancestors_is_reported_correctly() {
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
                // rename(2) refuses to move a directory beneath itself.
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
    tree.checked();
}

//! A tree that follows links notices when they lead elsewhere.

mod linked;
mod trees;
mod watching;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use linked::{
    checked, dir, directories, exchange, follow, is_seen, retarget, scene, watches_amiss, write,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use trees::{Random, Scene};
use watching::Watchdog;

#[test]
fn a_retargeted_link_is_followed_to_the_new_directory() {
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
            checked(&mut tree);
            is_seen(
                &mut tree,
                &if inside { format!("{target}/{sub}") } else { format!("current/{sub}") },
            );
            fs::remove_file(tree.at("current")).unwrap();
            symlink(place.join(target), tree.at("current")).unwrap();
            checked(&mut tree);
        }
        retarget("nothing", &tree.at("current"));
        checked(&mut tree);
        retarget(place.join("1"), &tree.at("current"));
        checked(&mut tree);
        // Replaced by a file, and by a directory.
        write(tree.at("plain"));
        fs::rename(tree.at("plain"), tree.at("current")).unwrap();
        checked(&mut tree);
        retarget(place.join("1"), &tree.at("current"));
        fs::remove_file(tree.at("current")).unwrap();
        dir(tree.at("current/real"));
        checked(&mut tree);
        is_seen(&mut tree, "current/real");
    }
}

#[test]
fn a_removed_link_is_reported_with_everything_beneath() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub"));
        symlink("../outside", root.join("link")).unwrap();
    });
    fs::remove_file(tree.at("link")).unwrap();
    assert_eq!(checked(&mut tree), ["delete link/"]);
    symlink("../outside", tree.at("link")).unwrap();
    assert_eq!(checked(&mut tree), ["create link/", "found link/sub/"]);
    fs::rename(tree.at("link"), tree.outside("link")).unwrap();
    let lines = checked(&mut tree);
    assert_eq!(lines.last().unwrap(), "moved out link/", "{lines:?}");
}

#[test]
fn a_renamed_link_is_reported_like_a_directory() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub"));
        dir(root.join("dir"));
        symlink("../outside", root.join("a")).unwrap();
    });
    fs::rename(tree.at("a"), tree.at("b")).unwrap();
    assert_eq!(checked(&mut tree), ["rename a/ -> b/"]);
    is_seen(&mut tree, "b/sub");
    fs::rename(tree.at("b"), tree.at("c")).unwrap();
    fs::rename(tree.at("c"), tree.at("d")).unwrap();
    fs::rename(tree.at("d"), tree.at("e")).unwrap();
    assert_eq!(checked(&mut tree).first().unwrap(), "rename b/ -> c/");
    is_seen(&mut tree, "e/sub");
    // It is relative, so it leads nowhere from there.
    fs::rename(tree.at("e"), tree.at("dir/e")).unwrap();
    let lines = checked(&mut tree);
    assert_eq!(lines, ["rename e/ -> dir/e/", "missing dir/e/", "found dir/e"]);
    fs::rename(tree.at("dir/e"), tree.at("f")).unwrap();
    let lines = checked(&mut tree);
    assert_eq!(lines, ["moved out dir/e", "moved in f/", "found f/sub/"]);
    is_seen(&mut tree, "f/sub");
}

#[test]
fn a_link_exchanged_with_any_entry_is_found_at_its_new_name() {
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
            touch_links(tree.root.parent().unwrap());
            checked(&mut tree);
        }
    }
}

#[test]
fn a_link_with_a_removed_target_is_reported_as_a_file() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1"));
        dir(root.join("inside"));
        symlink("../outside/1", root.join("out")).unwrap();
        symlink("inside", root.join("in")).unwrap();
    });
    fs::remove_dir(tree.outside("1")).unwrap();
    assert_eq!(checked(&mut tree), ["missing out/", "found out"]);
    fs::remove_dir(tree.at("inside")).unwrap();
    assert_eq!(checked(&mut tree), ["delete inside/", "missing in/", "found in"]);
    fs::remove_file(tree.at("out")).unwrap();
    assert_eq!(checked(&mut tree), ["delete out"]);
}

#[test]
fn a_target_replaced_at_its_path_is_followed() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1/one"));
        symlink("../outside/1", root.join("out")).unwrap();
    });
    fs::remove_dir_all(tree.outside("1")).unwrap();
    dir(tree.outside("1/two"));
    checked(&mut tree);
    is_seen(&mut tree, "out/two");
    dir(tree.outside("2/three"));
    exchange(&tree.outside("1"), &tree.outside("2"));
    checked(&mut tree);
    is_seen(&mut tree, "out/three");
}

#[test]
fn a_moved_target_is_no_longer_followed() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("1/sub"));
        dir(root.join("a/b/c"));
        symlink("../outside/1", root.join("out")).unwrap();
        symlink("a/b", root.join("in")).unwrap();
        symlink("a/b/c", root.join("in2")).unwrap();
    });
    fs::rename(tree.outside("1"), tree.outside("2")).unwrap();
    assert_eq!(checked(&mut tree), ["missing out/", "found out"]);
    // And the directory beneath it.
    fs::rename(tree.at("a/b"), tree.at("b")).unwrap();
    let mut lines = checked(&mut tree);
    lines[1..].sort_unstable();
    let links = ["found in", "found in2", "missing in/", "missing in2/"];
    assert_eq!((&*lines[0], &lines[1..]), ("rename a/b/ -> b/", &links.map(str::to_owned)[..]));
    is_seen(&mut tree, "b/c");
}

#[test]
fn a_replaced_link_further_down_the_chain_is_noticed() {
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
    checked(&mut tree);
    is_seen(&mut tree, "way/sub/two");
    dir(tree.at("further/down"));
    fs::rename(tree.at("dir"), tree.at("further/down/dir")).unwrap();
    checked(&mut tree);
    assert!(!directories(&tree).contains_key(&tree.at("chain")));
}

#[test]
fn after_a_storm_links_and_directories_are_watched_as_they_are() {
    let _watchdog = Watchdog::new();
    for round in 0..8 {
        let mut tree = storm_scene();
        let done = AtomicBool::new(false);
        let (root, outside) = (tree.root.clone(), tree.outside(""));
        thread::scope(|scope| {
            let storm = scope.spawn(|| {
                let mut random = Random::new(round);
                for _ in 0..400 {
                    change(&mut random, &root, &outside);
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
        touch_links(tree.root.parent().unwrap());
        let notes = tree.notes();
        assert!(watches_amiss(&tree).is_empty(), "{:#?} {notes:?}", watches_amiss(&tree));
    }
}

/// Returns a tree, with the same directories outside.
fn storm_scene() -> Scene {
    scene(follow(), |root, outside| {
        for place in [root, outside] {
            for name in ["a/x/1", "b/y", "c"] {
                dir(place.join(name));
            }
        }
    })
}

/// Causes an event of each link, since its target may have changed without one.
fn touch_links(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            touch_links(&entry.path());
        } else if kind.is_symlink() {
            fs::rename(entry.path(), dir.join(".revived")).unwrap();
            fs::rename(dir.join(".revived"), entry.path()).unwrap();
        }
    }
}

/// Makes one change of a directory, a link or a file. It may fail.
fn change(random: &mut Random, root: &Path, outside: &Path) {
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
fn after_each_burst_links_and_directories_are_reported_as_they_are() {
    let _watchdog = Watchdog::new();
    for seed in 0..60 {
        let mut tree = storm_scene();
        let mut random = Random::new(seed);
        let outside = tree.outside("");
        for _ in 0..20 {
            for _ in 0..1 + random.below(4) {
                change(&mut random, &tree.root, &outside);
            }
            tree.notes().iter().for_each(|note| tree.mirror.apply(note));
            touch_links(tree.root.parent().unwrap());
            checked(&mut tree);
        }
    }
}

//! Where links are followed, a tree notices when they lead elsewhere.

mod linked;
mod trees;
mod watching;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use linked::{
    dir, directories, exchange, follow, is_seen, retarget, scene, told, watches_amiss, write,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use trees::{Random, Scene};
use watching::Watchdog;

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

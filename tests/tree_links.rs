//! A tree that follows links watches each directory that they lead to once.

mod linked;
mod support;
mod trees;
mod watching;

use std::fs;
use std::os::unix::fs::symlink;

use linked::{checked, dir, directories, follow, is_seen, retarget, scene, write};
use tinotify::Watcher;
use trees::{Mirror, NAMES, Scene, watch_tree};
use watching::overflow;

#[test]
fn links_are_not_followed_by_default() {
    let mut tree = Scene::new(|root| symlink("../outside", root.join("link")).unwrap());
    symlink("../outside", tree.at("link2")).unwrap();
    assert_eq!(tree.checked(), ["create link2"]);
    write(tree.outside("file"));
    assert!(tree.checked().is_empty());
}

#[test]
fn a_linked_directory_is_watched_by_the_path_through_the_link() {
    let mut tree = scene(follow(), |root, outside| {
        dir(outside.join("sub/deep"));
        symlink("../outside", root.join("link")).unwrap();
    });
    is_seen(&mut tree, "link");
    is_seen(&mut tree, "link/sub/deep");
    dir(tree.outside("new/inner"));
    assert_eq!(checked(&mut tree), ["create link/new/", "found link/new/inner/"]);
    fs::rename(tree.outside("sub"), tree.at("sub")).unwrap();
    assert_eq!(checked(&mut tree), ["rename link/sub/ -> sub/"]);
    is_seen(&mut tree, "sub/deep");
}

#[test]
fn a_link_in_a_directory_without_subdirectories_is_found() {
    // Without followed links, such a directory is not listed on tmpfs.
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
fn a_new_link_is_reported_as_a_directory_with_its_entries() {
    let mut tree = scene(follow(), |_, outside| dir(outside.join("sub")));
    symlink("../outside", tree.at("link")).unwrap();
    assert_eq!(checked(&mut tree), ["create link/", "found link/sub/"]);
    is_seen(&mut tree, "link/sub");
    symlink("../outside", tree.outside("other")).unwrap();
    fs::rename(tree.outside("other"), tree.at("moved")).unwrap();
    let lines = checked(&mut tree);
    assert_eq!(lines.last().unwrap(), "unwatched moved: WatchedElsewhere", "{lines:?}");
}

#[test]
fn existing_entries_are_reported_through_links_too() {
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
    assert_eq!(checked(&mut tree), ["create file2", "create dangling2", "create itself2"]);
    fs::rename(tree.at("dangling"), tree.at("dangling3")).unwrap();
    fs::remove_file(tree.at("dangling2")).unwrap();
    fs::remove_file(tree.at("a")).unwrap();
    assert_eq!(
        checked(&mut tree),
        ["rename dangling -> dangling3", "delete dangling2", "delete a"]
    );
}

#[test]
fn a_created_or_renamed_file_is_reported_as_usual() {
    let mut tree = scene(follow(), |_, _| {});
    write(tree.at("a"));
    fs::rename(tree.at("a"), tree.at("b")).unwrap();
    fs::remove_file(tree.at("b")).unwrap();
    let lines = checked(&mut tree);
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

#[test]
fn two_links_to_one_directory_are_one_watch_and_the_second_takes_over() {
    let mut tree = scene(follow(), |_, outside| dir(outside.join("sub")));
    symlink("../outside", tree.at("first")).unwrap();
    assert_eq!(checked(&mut tree), ["create first/", "found first/sub/"]);
    symlink("../outside", tree.at("second")).unwrap();
    assert_eq!(checked(&mut tree), ["create second/", "unwatched second: WatchedElsewhere"]);
    is_seen(&mut tree, "first/sub");
    fs::remove_file(tree.at("first")).unwrap();
    let lines = checked(&mut tree);
    assert_eq!(lines, ["delete first/", "watched second/", "found second/sub/"]);
    is_seen(&mut tree, "second/sub");
}

#[test]
fn a_loop_of_links_ends_at_the_first_known_directory() {
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
    assert_eq!(checked(&mut tree), ["create a/self/", "unwatched a/self: WatchedElsewhere"]);
    symlink("..", tree.at("a/root")).unwrap();
    assert_eq!(checked(&mut tree), ["create a/root/", "unwatched a/root: WatchedElsewhere"]);
    fs::rename(tree.at("a"), tree.at("out/a")).unwrap();
    checked(&mut tree);
    is_seen(&mut tree, "out/a/b");
}

#[test]
fn a_real_path_is_preferred_to_links_whenever_it_is_found() {
    let mut tree = scene(follow(), |root, _| {
        symlink("releases/1", root.join("current")).unwrap();
        dir(root.join("releases/1/bin"));
        symlink("releases/1", root.join("zulu")).unwrap();
    });
    is_seen(&mut tree, "releases/1/bin");
    // The target of a link is moved into the tree.
    dir(tree.outside("2/bin"));
    retarget("../outside/2", &tree.at("current"));
    checked(&mut tree);
    is_seen(&mut tree, "current/bin");
    fs::rename(tree.outside("2"), tree.at("releases/2")).unwrap();
    checked(&mut tree);
    is_seen(&mut tree, "releases/2/bin");
    symlink("releases/2", tree.at("last")).unwrap();
    assert_eq!(checked(&mut tree), ["create last/", "unwatched last: WatchedElsewhere"]);
    fs::rename(tree.at("releases/2"), tree.outside("3")).unwrap();
    let lines = checked(&mut tree);
    assert!(lines.contains(&"missing last/".to_owned()), "{lines:?}");
}

#[test]
fn exclude_gets_the_path_through_the_link() {
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
fn after_an_overflow_links_are_found_as_they_are() {
    for track_files in [false, true] {
        let mut tree = scene(follow().track_files(track_files), |root, outside| {
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
        tree.mirror = mirror.with_tracked_files(track_files);
        if !overflow(&tree.at("noise")) {
            return;
        }
        fs::rename(tree.at("1"), tree.at("renamed")).unwrap();
        retarget("../outside/4", &tree.at("2"));
        fs::remove_dir_all(tree.outside("3")).unwrap();
        fs::rename(tree.at("a"), tree.at("c")).unwrap();
        dir(tree.at("nothing"));
        symlink("c/b", tree.at("new")).unwrap();
        checked(&mut tree);
        for path in ["renamed/one", "2/four", "c/b"] {
            is_seen(&mut tree, path);
        }
    }
}

#[test]
fn files_beneath_links_are_tracked_too() {
    let mut tree = scene(follow().track_files(true), |root, outside| {
        dir(outside.join("sub"));
        write(outside.join("sub/a"));
        symlink("../outside", root.join("link")).unwrap();
        symlink("../outside/sub/a", root.join("to-file")).unwrap();
        dir(root.join("noise"));
    });
    let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
    tree.mirror = mirror.with_tracked_files(true);
    if overflow(&tree.at("noise")) {
        fs::remove_file(tree.outside("sub/a")).unwrap();
        write(tree.outside("sub/b"));
        let lines = checked(&mut tree);
        for line in ["missing link/sub/a", "found link/sub/b"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
    }
}

//! The events of renames, with the real kernel: exact sequences of wd, mask, name and cookie. Checked on
//! Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::fs;

use rustix::fs::{CWD, RenameFlags};
use support::{ev, events_of, is_silent, scratch, skipped};
use support::{watch, watching};
use tinotify::{Errno, Error, EventMask as E, WatchMask as W};

#[test]
fn both_events_of_a_rename_within_a_directory_have_the_same_cookie() {
    let dir = scratch();
    fs::write(dir.path().join("old"), "").unwrap();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);

    fs::rename(dir.path().join("old"), dir.path().join("new")).unwrap();
    fs::rename(dir.path().join("new"), dir.path().join("newer")).unwrap();

    // `events_of` numbers the cookies: the same number within a rename, another one in the next.
    let expected = [
        ev(wd, E::MOVED_FROM).name("old").cookie(1),
        ev(wd, E::MOVED_TO).name("new").cookie(1),
        ev(wd, E::MOVED_FROM).name("new").cookie(2),
        ev(wd, E::MOVED_TO).name("newer").cookie(2),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn both_events_of_a_rename_across_two_watches_have_the_same_cookie() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    fs::create_dir(a.join("sub")).unwrap();
    let (inotify, from) = watching(&a, W::ALL_EVENTS);
    let to = watch(&inotify, &b, W::ALL_EVENTS);

    fs::rename(a.join("sub"), b.join("moved")).unwrap();

    let expected = [
        ev(from, E::MOVED_FROM | E::ISDIR).name("sub").cookie(1),
        ev(to, E::MOVED_TO | E::ISDIR).name("moved").cookie(1),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn a_rename_to_or_from_an_unwatched_directory_is_one_event() {
    let dir = scratch();
    let (seen, unseen) = (dir.path().join("seen"), dir.path().join("unseen"));
    fs::create_dir(&seen).unwrap();
    fs::create_dir(&unseen).unwrap();
    fs::write(seen.join("file"), "").unwrap();
    let (inotify, wd) = watching(&seen, W::ALL_EVENTS);

    fs::rename(seen.join("file"), unseen.join("file")).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::MOVED_FROM).name("file").cookie(1)]);

    fs::rename(unseen.join("file"), seen.join("back")).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::MOVED_TO).name("back").cookie(1)]);
}

#[test]
fn move_self_of_a_directory_comes_after_both_events_of_the_rename() {
    let dir = scratch();
    let [a, b, unseen] = ["a", "b", "unseen"].map(|name| {
        fs::create_dir(dir.path().join(name)).unwrap();
        dir.path().join(name)
    });
    fs::create_dir(a.join("sub")).unwrap();
    let (inotify, a_wd) = watching(&a, W::MOVE);
    let b_wd = watch(&inotify, &b, W::MOVE);
    let own = watch(&inotify, a.join("sub"), W::MOVE_SELF);
    let (from, to, itself) = (E::MOVED_FROM | E::ISDIR, E::MOVED_TO | E::ISDIR, E::MOVE_SELF);

    fs::rename(a.join("sub"), a.join("within")).unwrap();
    let expected = [
        ev(a_wd, from).name("sub").cookie(1),
        ev(a_wd, to).name("within").cookie(1),
        ev(own, itself),
    ];
    assert_eq!(events_of(&inotify), expected);

    fs::rename(a.join("within"), b.join("across")).unwrap();
    let expected = [
        ev(a_wd, from).name("within").cookie(1),
        ev(b_wd, to).name("across").cookie(1),
        ev(own, itself),
    ];
    assert_eq!(events_of(&inotify), expected);

    fs::rename(b.join("across"), unseen.join("out")).unwrap();
    assert_eq!(events_of(&inotify), [ev(b_wd, from).name("across").cookie(1), ev(own, itself)]);

    fs::rename(unseen.join("out"), a.join("in")).unwrap();
    assert_eq!(events_of(&inotify), [ev(a_wd, to).name("in").cookie(1), ev(own, itself)]);
}

#[test]
fn move_self_of_a_file_comes_after_both_events_of_the_rename() {
    let dir = scratch();
    fs::write(dir.path().join("old"), "").unwrap();
    let (inotify, parent) = watching(&dir, W::ALL_EVENTS);
    let file = watch(&inotify, dir.path().join("old"), W::ALL_EVENTS);

    fs::rename(dir.path().join("old"), dir.path().join("new")).unwrap();

    let expected = [
        ev(parent, E::MOVED_FROM).name("old").cookie(1),
        ev(parent, E::MOVED_TO).name("new").cookie(1),
        ev(file, E::MOVE_SELF),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn exchanging_two_names_is_two_renames() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "").unwrap();
    fs::create_dir(&b).unwrap();
    let (inotify, wd) = watching(&dir, W::MOVE);

    if let Err(error) = rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE) {
        return skipped("exchanging_two_names_is_two_renames", error);
    }

    let expected = [
        ev(wd, E::MOVED_FROM).name("a").cookie(1),
        ev(wd, E::MOVED_TO).name("b").cookie(1),
        ev(wd, E::MOVED_FROM | E::ISDIR).name("b").cookie(2),
        ev(wd, E::MOVED_TO | E::ISDIR).name("a").cookie(2),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn a_rename_over_an_entry_is_no_delete_but_ends_the_watch_of_the_replaced_file() {
    let dir = scratch();
    let (new, replaced) = (dir.path().join("new"), dir.path().join("replaced"));
    fs::write(&new, "").unwrap();
    fs::write(&replaced, "").unwrap();
    let (inotify, parent) = watching(&dir, W::ALL_EVENTS);
    let own = watch(&inotify, &replaced, W::ALL_EVENTS);

    fs::rename(&new, &replaced).unwrap();

    let expected = [
        ev(parent, E::MOVED_FROM).name("new").cookie(1),
        ev(parent, E::MOVED_TO).name("replaced").cookie(1),
        ev(own, E::ATTRIB),
        ev(own, E::DELETE_SELF),
        ev(own, E::IGNORED),
    ];
    assert_eq!(events_of(&inotify), expected);
    assert_eq!(inotify.rm_watch(own), Err(Error::RmWatch(Errno::EINVAL)));
}

#[test]
fn a_rename_onto_another_link_of_the_same_inode_has_no_event() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "").unwrap();
    fs::hard_link(&a, &b).unwrap();
    let (inotify, _) = watching(&dir, W::ALL_EVENTS);

    fs::rename(&a, &b).unwrap();

    assert!(is_silent(&inotify));
    assert!(a.exists() && b.exists());
}

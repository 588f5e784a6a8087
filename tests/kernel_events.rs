//! What the real kernel reports of each change: exact sequences of wd, mask, name and cookie, checked
//! on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use support::{as_plain_user, ev, in_namespace, instance, is_silent, scratch, skipped, told};
use support::{watch, watching};
use tinotify::{Errno, Error, EventKind, EventMask as E, WatchMask as W, Wd};

#[test]
fn a_file_that_is_made_and_written_tells_create_open_modify_close() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);

    fs::write(dir.path().join("new"), "text").unwrap();

    let expected = [
        ev(wd, E::CREATE).name("new"),
        ev(wd, E::OPEN).name("new"),
        ev(wd, E::MODIFY).name("new"),
        ev(wd, E::CLOSE_WRITE).name("new"),
    ];
    assert_eq!(told(&inotify), expected);
    assert!(is_silent(&inotify));
}

#[test]
fn a_watched_file_tells_of_itself_without_a_name() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&path, W::ALL_EVENTS);

    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();

    let expected = [ev(wd, E::OPEN), ev(wd, E::MODIFY), ev(wd, E::CLOSE_WRITE)];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn a_directory_that_is_made_used_and_removed_says_isdir() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);
    let path = dir.path().join("sub");

    fs::create_dir(&path).unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    fs::remove_dir(&path).unwrap();

    let expected = [
        ev(wd, E::CREATE | E::ISDIR).name("sub"),
        ev(wd, E::OPEN | E::ISDIR).name("sub"),
        ev(wd, E::ACCESS | E::ISDIR).name("sub"),
        ev(wd, E::CLOSE_NOWRITE | E::ISDIR).name("sub"),
        ev(wd, E::DELETE | E::ISDIR).name("sub"),
    ];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn reading_tells_access_and_closing_tells_that_nothing_was_written() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);

    let mut buffer = [0; 8];
    let mut file = File::open(&path).unwrap();
    assert_eq!(file.read(&mut buffer).unwrap(), 4);
    // The end of the file is no access.
    assert_eq!(file.read(&mut buffer).unwrap(), 0);
    drop(file);

    let expected = [
        ev(wd, E::OPEN).name("file"),
        ev(wd, E::ACCESS).name("file"),
        ev(wd, E::CLOSE_NOWRITE).name("file"),
    ];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn mode_times_and_links_are_attributes() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&path, W::ALL_EVENTS);

    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(told(&inotify), [ev(wd, E::ATTRIB)]);
    fs::hard_link(&path, dir.path().join("link")).unwrap();
    assert_eq!(told(&inotify), [ev(wd, E::ATTRIB)]);
    fs::remove_file(dir.path().join("link")).unwrap();
    assert_eq!(told(&inotify), [ev(wd, E::ATTRIB)]);
}

#[test]
fn a_change_is_told_to_the_directory_and_to_the_file() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, parent) = watching(&dir, W::ATTRIB);
    let file = watch(&inotify, &path, W::ATTRIB);

    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();

    assert_eq!(told(&inotify), [ev(parent, E::ATTRIB).name("file"), ev(file, E::ATTRIB)]);
}

#[test]
fn a_deleted_file_that_is_held_open_tells_attrib_first_and_delete_self_when_closed() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, parent) = watching(&dir, W::ALL_EVENTS);
    let own = watch(&inotify, &path, W::ALL_EVENTS);
    let held = File::open(&path).unwrap();
    assert_eq!(told(&inotify), [ev(parent, E::OPEN).name("file"), ev(own, E::OPEN)]);

    fs::remove_file(&path).unwrap();
    assert_eq!(told(&inotify), [ev(own, E::ATTRIB), ev(parent, E::DELETE).name("file")]);

    // Without EXCL_UNLINK the directory still hears of it, under the name that it had.
    drop(held);
    let expected = [
        ev(parent, E::CLOSE_NOWRITE).name("file"),
        ev(own, E::CLOSE_NOWRITE),
        ev(own, E::DELETE_SELF),
        ev(own, E::IGNORED),
    ];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn a_directory_that_is_removed_tells_delete_self_and_ignored_without_isdir() {
    let dir = scratch();
    let path = dir.path().join("sub");
    fs::create_dir(&path).unwrap();
    let (inotify, parent) = watching(&dir, W::ALL_EVENTS);
    let own = watch(&inotify, &path, W::ALL_EVENTS);

    fs::remove_dir(&path).unwrap();

    let expected = [
        ev(own, E::DELETE_SELF),
        ev(own, E::IGNORED),
        ev(parent, E::DELETE | E::ISDIR).name("sub"),
    ];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn with_excl_unlink_the_directory_hears_no_more_of_an_unlinked_file() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&dir, W::MODIFY | W::DELETE | W::CLOSE | W::EXCL_UNLINK);
    let mut held = OpenOptions::new().write(true).open(&path).unwrap();
    held.write_all(b"before").unwrap();
    fs::remove_file(&path).unwrap();
    held.write_all(b"after").unwrap();
    drop(held);

    assert_eq!(told(&inotify), [ev(wd, E::MODIFY).name("file"), ev(wd, E::DELETE).name("file")]);
}

#[test]
fn hard_links_and_symlinks_lead_to_the_same_watch() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    fs::hard_link(&path, dir.path().join("hard")).unwrap();
    symlink("file", dir.path().join("soft")).unwrap();
    let (inotify, wd) = watching(&path, W::MODIFY);

    assert_eq!(watch(&inotify, dir.path().join("hard"), W::MODIFY), wd);
    assert_eq!(watch(&inotify, dir.path().join("soft"), W::MODIFY), wd);

    fs::write(dir.path().join("hard"), "text").unwrap();
    assert_eq!(told(&inotify), [ev(wd, E::MODIFY)]);
}

#[test]
fn a_directory_hears_of_a_change_only_by_the_name_it_was_made_through() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    fs::write(a.join("file"), "").unwrap();
    fs::hard_link(a.join("file"), b.join("link")).unwrap();
    let (inotify, a_wd) = watching(&a, W::MODIFY);
    let b_wd = watch(&inotify, &b, W::MODIFY);

    OpenOptions::new().append(true).open(b.join("link")).unwrap().write_all(b"x").unwrap();
    assert_eq!(told(&inotify), [ev(b_wd, E::MODIFY).name("link")]);
    OpenOptions::new().append(true).open(a.join("file")).unwrap().write_all(b"x").unwrap();
    assert_eq!(told(&inotify), [ev(a_wd, E::MODIFY).name("file")]);
}

#[test]
fn with_dont_follow_a_symlink_itself_is_watched() {
    let dir = scratch();
    let (path, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&path, "").unwrap();
    symlink("file", &link).unwrap();
    let (inotify, target) = watching(&link, W::ALL_EVENTS);
    let own = watch(&inotify, &link, W::ALL_EVENTS | W::DONT_FOLLOW);
    assert_ne!(target, own);

    fs::remove_file(&link).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();

    let expected =
        [ev(own, E::ATTRIB), ev(own, E::DELETE_SELF), ev(own, E::IGNORED), ev(target, E::ATTRIB)];
    assert_eq!(told(&inotify), expected);
}

#[test]
fn a_broken_symlink_can_only_be_watched_itself() {
    let dir = scratch();
    let link = dir.path().join("link");
    symlink("nothing", &link).unwrap();
    let inotify = instance();
    let path = support::c(&link);

    assert_eq!(inotify.add_watch(&path, W::ATTRIB), Err(Error::AddWatch(Errno::ENOENT)));
    assert!(inotify.add_watch(&path, W::ATTRIB | W::DONT_FOLLOW).is_ok());
}

#[test]
fn names_of_every_length_come_whole_in_records_of_the_documented_size() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    // The length of a name, and the size of its record as inotify(7) has it: the name and at least
    // one NUL, in units of 16, behind a header of 16.
    let sizes = [(1, 32), (15, 32), (16, 48), (17, 48), (31, 48), (32, 64), (254, 272), (255, 272)];
    for (len, size) in sizes {
        let name = "n".repeat(len);
        File::create(dir.path().join(&name)).unwrap();
        assert_eq!(inotify.queued_bytes(), Ok(size), "a name of {len} bytes");
        // A buffer of that very size is enough.
        let mut buffer = vec![0; size];
        let bytes = inotify.read(&mut buffer).unwrap().remainder().to_vec();
        assert_eq!(support::decoded(&bytes), [ev(wd, E::CREATE).name(name)]);
    }
}

#[test]
fn names_that_are_not_utf8_come_as_they_are() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    // Every byte that a name can hold, and none of it UTF-8 as a whole.
    let all: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    let names = [&b"\xff\xfe"[..], b"\xc3", b"new\nline \x1b[2J", b"sixteen bytes \xe4\xf6", &all];
    for name in names {
        File::create(dir.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        assert_eq!(told(&inotify), [ev(wd, E::CREATE).name(name)]);
    }
}

#[test]
fn five_writes_are_one_event_until_it_is_read() {
    let dir = scratch();
    let path = dir.path().join("file");
    let mut file = File::create(&path).unwrap();
    let (inotify, wd) = watching(&path, W::MODIFY | W::ATTRIB);

    for _ in 0..5 {
        file.write_all(b"x").unwrap();
    }
    assert_eq!(told(&inotify), [ev(wd, E::MODIFY)]);

    // Only with the last one that is queued, and not with one that was read.
    file.write_all(b"x").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    file.write_all(b"x").unwrap();
    file.write_all(b"x").unwrap();
    assert_eq!(told(&inotify), [ev(wd, E::MODIFY), ev(wd, E::ATTRIB), ev(wd, E::MODIFY)]);
}

#[test]
fn truncating_a_set_user_id_file_is_modify_and_attrib_in_one_record() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    // Whoever lacks CAP_FSETID takes the bit away by truncating, be it the owner or another.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o4666)).unwrap();
    let (inotify, wd) = watching(&path, W::MODIFY | W::ATTRIB);

    let file = OpenOptions::new().write(true).open(&path).unwrap();
    as_plain_user(|| file.set_len(1).unwrap());

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o666);
    let mut buffer = [0; 64];
    let events: Vec<_> = inotify.read(&mut buffer).unwrap().map(Result::unwrap).collect();
    let [event] = events[..] else { panic!("one record, and not {events:?}") };
    assert_eq!((event.wd(), event.mask()), (wd, E::MODIFY | E::ATTRIB));
    assert_eq!(event.kind(), EventKind::Modify);
}

#[test]
fn a_one_shot_watch_tells_one_event_and_is_gone() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE | W::DELETE | W::ONESHOT);

    File::create(dir.path().join("a")).unwrap();
    File::create(dir.path().join("b")).unwrap();

    assert_eq!(told(&inotify), [ev(wd, E::CREATE).name("a"), ev(wd, E::IGNORED)]);
    assert_eq!(inotify.rm_watch(wd), Err(Error::RmWatch(Errno::EINVAL)));
}

#[test]
fn events_from_before_the_removal_still_come_and_ignored_is_the_last() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    File::create(dir.path().join("before")).unwrap();

    inotify.rm_watch(wd).unwrap();
    File::create(dir.path().join("after")).unwrap();

    assert_eq!(told(&inotify), [ev(wd, E::CREATE).name("before"), ev(wd, E::IGNORED)]);
    assert!(is_silent(&inotify));
}

#[test]
fn unmounting_ends_each_watch_with_unmount_and_ignored() {
    const NAME: &str = "unmounting_ends_each_watch_with_unmount_and_ignored";
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
    if !in_namespace(NAME) {
        return;
    }
    let dir = scratch();
    let (place, second) = (dir.path().join("place"), dir.path().join("second"));
    fs::create_dir(&place).unwrap();
    fs::create_dir(&second).unwrap();
    if let Err(error) = mount("none", &place, "tmpfs", MountFlags::empty(), None) {
        return skipped(NAME, format_args!("no tmpfs can be mounted: {error}"));
    }
    fs::write(place.join("file"), "").unwrap();
    mount_bind(&place, &second).unwrap();
    // Neither asks for it. The place under the mount is another inode, and hears nothing.
    let (inotify, root) = watching(&place, W::CREATE);
    let file = watch(&inotify, place.join("file"), W::MODIFY);
    let outside = watch(&inotify, dir.path(), W::ALL_EVENTS);

    // While the file system is mounted elsewhere, nothing ends.
    unmount(&second, UnmountFlags::empty()).unwrap();
    assert_eq!(told(&inotify), []);
    unmount(&place, UnmountFlags::empty()).unwrap();

    let seen = told(&inotify);
    let of = |wd: Wd| seen.iter().filter(|event| event.wd == wd).cloned().collect::<Vec<_>>();
    assert_eq!(of(root), [ev(root, E::UNMOUNT | E::ISDIR), ev(root, E::IGNORED)]);
    assert_eq!(of(file), [ev(file, E::UNMOUNT), ev(file, E::IGNORED)]);
    assert_eq!(of(outside), []);
    assert_eq!(seen.len(), 4);
    assert_eq!(inotify.rm_watch(root), Err(Error::RmWatch(Errno::EINVAL)));
    assert_eq!(inotify.rm_watch(outside), Ok(()));
}

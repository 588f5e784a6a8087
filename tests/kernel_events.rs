//! The events of each kind of change, with the real kernel: exact sequences of wd, mask, name and cookie.
//! Checked on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use support::{as_plain_user, ev, events_of, in_namespace, instance, is_silent, scratch, skipped};
use support::{watch, watching};
use tinotify::{Errno, Error, EventKind, EventMask as E, WatchMask as W, Wd};

#[test]
fn creating_and_writing_a_file_is_create_open_modify_close() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);

    fs::write(dir.path().join("new"), "text").unwrap();

    let expected = [
        ev(wd, E::CREATE).name("new"),
        ev(wd, E::OPEN).name("new"),
        ev(wd, E::MODIFY).name("new"),
        ev(wd, E::CLOSE_WRITE).name("new"),
    ];
    assert_eq!(events_of(&inotify), expected);
    assert!(is_silent(&inotify));
}

#[test]
fn events_of_a_watched_file_have_no_name() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&path, W::ALL_EVENTS);

    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();

    let expected = [ev(wd, E::OPEN), ev(wd, E::MODIFY), ev(wd, E::CLOSE_WRITE)];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn events_of_a_subdirectory_have_isdir() {
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
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn reading_is_access_and_then_close_nowrite() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&dir, W::ALL_EVENTS);

    let mut buffer = [0; 8];
    let mut file = File::open(&path).unwrap();
    assert_eq!(file.read(&mut buffer).unwrap(), 4);
    // A read at the end of the file is not an access.
    assert_eq!(file.read(&mut buffer).unwrap(), 0);
    drop(file);

    let expected = [
        ev(wd, E::OPEN).name("file"),
        ev(wd, E::ACCESS).name("file"),
        ev(wd, E::CLOSE_NOWRITE).name("file"),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn changes_of_mode_and_link_count_are_attrib() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&path, W::ALL_EVENTS);

    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::ATTRIB)]);
    fs::hard_link(&path, dir.path().join("link")).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::ATTRIB)]);
    fs::remove_file(dir.path().join("link")).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::ATTRIB)]);
}

#[test]
fn a_change_is_reported_for_the_directory_and_for_the_file() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, parent) = watching(&dir, W::ATTRIB);
    let file = watch(&inotify, &path, W::ATTRIB);

    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();

    assert_eq!(events_of(&inotify), [ev(parent, E::ATTRIB).name("file"), ev(file, E::ATTRIB)]);
}

#[test]
fn a_deleted_file_that_is_open_is_attrib_and_when_closed_delete_self() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, parent) = watching(&dir, W::ALL_EVENTS);
    let own = watch(&inotify, &path, W::ALL_EVENTS);
    let held = File::open(&path).unwrap();
    assert_eq!(events_of(&inotify), [ev(parent, E::OPEN).name("file"), ev(own, E::OPEN)]);

    fs::remove_file(&path).unwrap();
    assert_eq!(events_of(&inotify), [ev(own, E::ATTRIB), ev(parent, E::DELETE).name("file")]);

    // Without EXCL_UNLINK the directory still reports it, with its old name.
    drop(held);
    let expected = [
        ev(parent, E::CLOSE_NOWRITE).name("file"),
        ev(own, E::CLOSE_NOWRITE),
        ev(own, E::DELETE_SELF),
        ev(own, E::IGNORED),
    ];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn removing_a_watched_directory_is_delete_self_and_ignored_without_isdir() {
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
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn excl_unlink_suppresses_events_of_unlinked_files() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    let (inotify, wd) = watching(&dir, W::MODIFY | W::DELETE | W::CLOSE | W::EXCL_UNLINK);
    let mut held = OpenOptions::new().write(true).open(&path).unwrap();
    held.write_all(b"before").unwrap();
    fs::remove_file(&path).unwrap();
    held.write_all(b"after").unwrap();
    drop(held);

    assert_eq!(
        events_of(&inotify),
        [ev(wd, E::MODIFY).name("file"), ev(wd, E::DELETE).name("file")]
    );
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
    assert_eq!(events_of(&inotify), [ev(wd, E::MODIFY)]);
}

#[test]
fn a_change_through_a_hard_link_is_reported_only_with_that_name() {
    let dir = scratch();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    fs::write(a.join("file"), "").unwrap();
    fs::hard_link(a.join("file"), b.join("link")).unwrap();
    let (inotify, a_wd) = watching(&a, W::MODIFY);
    let b_wd = watch(&inotify, &b, W::MODIFY);

    OpenOptions::new().append(true).open(b.join("link")).unwrap().write_all(b"x").unwrap();
    assert_eq!(events_of(&inotify), [ev(b_wd, E::MODIFY).name("link")]);
    OpenOptions::new().append(true).open(a.join("file")).unwrap().write_all(b"x").unwrap();
    assert_eq!(events_of(&inotify), [ev(a_wd, E::MODIFY).name("file")]);
}

#[test]
fn dont_follow_watches_the_symlink_itself() {
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
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn a_broken_symlink_can_be_watched_only_with_dont_follow() {
    let dir = scratch();
    let link = dir.path().join("link");
    symlink("nothing", &link).unwrap();
    let inotify = instance();
    let path = support::c(&link);

    assert_eq!(inotify.add_watch(&path, W::ATTRIB), Err(Error::AddWatch(Errno::ENOENT)));
    assert!(inotify.add_watch(&path, W::ATTRIB | W::DONT_FOLLOW).is_ok());
}

#[test]
fn names_of_every_length_have_records_of_the_documented_size() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    // The length of a name, and the size of its record by inotify(7): a header of 16 bytes, then the name
    // and at least one NUL, in units of 16 bytes.
    let sizes = [(1, 32), (15, 32), (16, 48), (17, 48), (31, 48), (32, 64), (254, 272), (255, 272)];
    for (len, size) in sizes {
        let name = "n".repeat(len);
        File::create(dir.path().join(&name)).unwrap();
        assert_eq!(inotify.queued_bytes(), Ok(size), "a name of {len} bytes");
        // A buffer of exactly this size is enough.
        let mut buffer = vec![0; size];
        let bytes = inotify.read(&mut buffer).unwrap().remainder().to_vec();
        assert_eq!(support::decoded(&bytes), [ev(wd, E::CREATE).name(name)]);
    }
}

#[test]
fn names_that_are_not_utf8_are_unchanged() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    // All bytes that a name can have; no name is valid UTF-8.
    let all: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    let names = [&b"\xff\xfe"[..], b"\xc3", b"new\nline \x1b[2J", b"sixteen bytes \xe4\xf6", &all];
    for name in names {
        File::create(dir.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name(name)]);
    }
}

#[test]
fn identical_events_merge_until_they_are_read() {
    let dir = scratch();
    let path = dir.path().join("file");
    let mut file = File::create(&path).unwrap();
    let (inotify, wd) = watching(&path, W::MODIFY | W::ATTRIB);

    for _ in 0..5 {
        file.write_all(b"x").unwrap();
    }
    assert_eq!(events_of(&inotify), [ev(wd, E::MODIFY)]);

    // An event merges only with the last one in the queue, not with one that was read.
    file.write_all(b"x").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    file.write_all(b"x").unwrap();
    file.write_all(b"x").unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::MODIFY), ev(wd, E::ATTRIB), ev(wd, E::MODIFY)]);
}

#[test]
fn truncating_a_set_user_id_file_is_one_event_with_modify_and_attrib() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "text").unwrap();
    // Truncating by a process without CAP_FSETID clears the bit, for the owner and for others.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o4666)).unwrap();
    let (inotify, wd) = watching(&path, W::MODIFY | W::ATTRIB);

    let file = OpenOptions::new().write(true).open(&path).unwrap();
    as_plain_user(|| file.set_len(1).unwrap());

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o666);
    let mut buffer = [0; 64];
    let events: Vec<_> = inotify.read(&mut buffer).unwrap().map(Result::unwrap).collect();
    let [event] = events[..] else { panic!("expected one record: {events:?}") };
    assert_eq!((event.wd(), event.mask()), (wd, E::MODIFY | E::ATTRIB));
    assert_eq!(event.kind(), EventKind::Modify);
}

#[test]
fn a_one_shot_watch_ends_after_one_event() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE | W::DELETE | W::ONESHOT);

    File::create(dir.path().join("a")).unwrap();
    File::create(dir.path().join("b")).unwrap();

    assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("a"), ev(wd, E::IGNORED)]);
    assert_eq!(inotify.rm_watch(wd), Err(Error::RmWatch(Errno::EINVAL)));
}

#[test]
fn queued_events_are_read_after_the_removal_and_ignored_is_the_last() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    File::create(dir.path().join("before")).unwrap();

    inotify.rm_watch(wd).unwrap();
    File::create(dir.path().join("after")).unwrap();

    assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("before"), ev(wd, E::IGNORED)]);
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
    let (mounted, second) = (dir.path().join("mounted"), dir.path().join("second"));
    fs::create_dir(&mounted).unwrap();
    fs::create_dir(&second).unwrap();
    if let Err(error) = mount("none", &mounted, "tmpfs", MountFlags::empty(), None) {
        return skipped(NAME, format_args!("no tmpfs can be mounted: {error}"));
    }
    fs::write(mounted.join("file"), "").unwrap();
    mount_bind(&mounted, &second).unwrap();
    // Neither mask requests UNMOUNT. The covered directory is another inode, and gets no event.
    let (inotify, root) = watching(&mounted, W::CREATE);
    let file = watch(&inotify, mounted.join("file"), W::MODIFY);
    let outside = watch(&inotify, dir.path(), W::ALL_EVENTS);

    // While the file system is mounted at another path, no watch ends.
    unmount(&second, UnmountFlags::empty()).unwrap();
    assert_eq!(events_of(&inotify), []);
    unmount(&mounted, UnmountFlags::empty()).unwrap();

    let seen = events_of(&inotify);
    let of = |wd: Wd| seen.iter().filter(|event| event.wd == wd).cloned().collect::<Vec<_>>();
    assert_eq!(of(root), [ev(root, E::UNMOUNT | E::ISDIR), ev(root, E::IGNORED)]);
    assert_eq!(of(file), [ev(file, E::UNMOUNT), ev(file, E::IGNORED)]);
    assert_eq!(of(outside), []);
    assert_eq!(seen.len(), 4);
    assert_eq!(inotify.rm_watch(root), Err(Error::RmWatch(Errno::EINVAL)));
    assert_eq!(inotify.rm_watch(outside), Ok(()));
}

//! Adding and removing watches with the real kernel: masks, watch descriptors and paths. Checked on Linux
//! 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use quickcheck::QuickCheck;
use support::{as_plain_user, c, ev, events_of, instance, is_root, scratch, text};
use support::{watch, watching};
use tinotify::{Errno, Error, EventMask as E, MaskError, WatchMask as W, Wd};

const fn add_error(errno: Errno) -> Result<Wd, Error> {
    Err(Error::AddWatch(errno))
}

const fn rm_error(errno: Errno) -> Result<(), Error> {
    Err(Error::RmWatch(errno))
}

#[test]
fn a_second_add_replaces_the_mask() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    assert_eq!(watch(&inotify, &dir, W::DELETE), wd);

    File::create(dir.path().join("file")).unwrap();
    fs::remove_file(dir.path().join("file")).unwrap();

    assert_eq!(events_of(&inotify), [ev(wd, E::DELETE).name("file")]);
}

#[test]
fn mask_add_adds_to_the_mask() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    assert_eq!(watch(&inotify, &dir, W::DELETE | W::MASK_ADD), wd);

    File::create(dir.path().join("file")).unwrap();
    fs::remove_file(dir.path().join("file")).unwrap();

    let expected = [ev(wd, E::CREATE).name("file"), ev(wd, E::DELETE).name("file")];
    assert_eq!(events_of(&inotify), expected);
}

#[test]
fn mask_create_refuses_a_watched_inode_by_any_path() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    fs::hard_link(&path, dir.path().join("link")).unwrap();
    let inotify = instance();

    let wd = inotify.add_watch(&c(&path), W::MODIFY | W::MASK_CREATE).unwrap();
    for name in ["file", "link"] {
        let again = inotify.add_watch(&c(dir.path().join(name)), W::ATTRIB | W::MASK_CREATE);
        assert_eq!(again, add_error(Errno::EEXIST));
        assert!(text(again.unwrap_err()).contains("MASK_CREATE"));
    }

    // The first mask is still in effect.
    fs::write(&path, "text").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::MODIFY)]);
}

#[test]
fn mask_add_with_mask_create_is_refused_without_a_system_call() {
    let inotify = instance();
    for mask in [W::all(), W::ALL_EVENTS | W::MASK_ADD | W::MASK_CREATE] {
        let refused = inotify.add_watch(c"/", mask);
        assert_eq!(refused, Err(Error::Mask(MaskError::AddAndCreate)));
        assert_eq!(refused.unwrap_err().errno(), None);
    }
}

#[test]
fn each_single_bit_of_a_mask_is_accepted_or_a_typed_error() {
    let dir = scratch();
    for bit in (0..32).map(|shift| 1_u32 << shift) {
        let inotify = instance();
        let added = inotify.add_watch(&c(&dir), W::from_bits_retain(bit));
        if W::ALL_EVENTS.bits() & bit != 0 {
            assert!(added.is_ok(), "{bit:#x}: {added:?}");
        } else if W::all().bits() & bit != 0 {
            assert_eq!(added, Err(Error::Mask(MaskError::NoEvents)), "{bit:#x}");
        } else {
            assert_eq!(added, Err(Error::Mask(MaskError::Unknown(bit))), "{bit:#x}");
        }
    }
    assert_eq!(instance().add_watch(c"/", W::empty()), Err(Error::Mask(MaskError::NoEvents)));
}

#[test]
fn any_mask_is_accepted_or_a_typed_error() {
    fn any_mask(bits: u32, tamed: bool) -> bool {
        let dir = scratch();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        // Random bits nearly always include unknown ones, so half of the masks have none.
        let bits = if tamed { bits & W::all().bits() } else { bits };
        let mask = W::from_bits_retain(bits);
        let inotify = instance();
        let on_dir = inotify.add_watch(&c(&dir), mask);
        let on_file = inotify.add_watch(&c(&path), mask);
        let again = inotify.add_watch(&c(&dir), mask);
        let Ok(good) = mask.check() else {
            let refused = Err(Error::Mask(mask.check().unwrap_err()));
            return on_dir == refused && on_file == refused && again == refused;
        };
        let file_expected = if good.contains(W::ONLYDIR) {
            on_file == add_error(Errno::ENOTDIR)
        } else {
            on_file.is_ok()
        };
        let again_expected =
            if good.contains(W::MASK_CREATE) { add_error(Errno::EEXIST) } else { on_dir };
        // No event ended the watch, even with ONESHOT.
        on_dir.is_ok() && file_expected && again == again_expected
    }
    QuickCheck::new().tests(300).quickcheck(any_mask as fn(u32, bool) -> bool);
}

#[test]
fn onlydir_accepts_a_directory_and_refuses_a_file() {
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    symlink(".", dir.path().join("link")).unwrap();
    let (inotify, wd) = watching(&dir, W::CREATE | W::ONLYDIR);

    assert_eq!(inotify.add_watch(&c(&path), W::MODIFY | W::ONLYDIR), add_error(Errno::ENOTDIR));
    // Only with DONT_FOLLOW does a symlink count as a link.
    let link = c(dir.path().join("link"));
    assert_eq!(inotify.add_watch(&link, W::CREATE | W::ONLYDIR), Ok(wd));
    let not_followed = inotify.add_watch(&link, W::CREATE | W::ONLYDIR | W::DONT_FOLLOW);
    assert_eq!(not_followed, add_error(Errno::ENOTDIR));
}

#[test]
fn a_watch_descriptor_is_not_reused_at_once() {
    let dir = scratch();
    let (inotify, first) = watching(&dir, W::CREATE);
    let mut last = first;
    for _ in 0..100 {
        inotify.rm_watch(last).unwrap();
        let next = watch(&inotify, &dir, W::CREATE);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

#[test]
fn unknown_watch_descriptors_are_refused_without_an_effect() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    for raw in [0, -1, -2, i32::MIN, i32::MAX, wd.as_raw() + 1, wd.as_raw() + 1000] {
        let refused = inotify.rm_watch(Wd::from_raw(raw));
        assert_eq!(refused, rm_error(Errno::EINVAL), "wd {raw}");
        assert!(text(refused.unwrap_err()).contains("already removed"));
    }
    File::create(dir.path().join("file")).unwrap();
    assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("file")]);
}

#[test]
fn a_watch_can_be_removed_once() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    assert_eq!(inotify.rm_watch(wd), Ok(()));
    assert_eq!(inotify.rm_watch(wd), rm_error(Errno::EINVAL));
    assert_eq!(events_of(&inotify), [ev(wd, E::IGNORED)]);
}

#[test]
fn a_watch_of_another_instance_can_not_be_removed() {
    let dir = scratch();
    let (other, _) = watching("/", W::DELETE_SELF);
    let theirs = watch(&other, &dir, W::CREATE);
    let (inotify, ours) = watching(&dir, W::CREATE);
    // Each instance counts from 1: here 1, there 1 and 2.
    assert!(theirs > ours);

    assert_eq!(inotify.rm_watch(theirs), rm_error(Errno::EINVAL));

    File::create(dir.path().join("file")).unwrap();
    assert_eq!(events_of(&other), [ev(theirs, E::CREATE).name("file")]);
    assert_eq!(events_of(&inotify), [ev(ours, E::CREATE).name("file")]);
}

#[test]
fn the_empty_path_is_enoent() {
    let refused = instance().add_watch(c"", W::CREATE);
    assert_eq!(refused, add_error(Errno::ENOENT));
    assert!(text(refused.unwrap_err()).contains("parent directory"));
}

#[test]
fn a_path_of_4095_bytes_is_accepted_and_one_of_4096_is_enametoolong() {
    let dir = scratch();
    let base = c(&dir).into_bytes();
    let padded = |len: usize| {
        let mut path = base.clone();
        while path.len() < len {
            path.push(if path.ends_with(b"/") { b'.' } else { b'/' });
        }
        CString::new(path).unwrap()
    };
    let (inotify, wd) = watching(&dir, W::CREATE);
    assert_eq!(inotify.add_watch(&padded(4095), W::CREATE), Ok(wd));
    assert_eq!(inotify.add_watch(&padded(4096), W::CREATE), add_error(Errno::ENAMETOOLONG));
    let megabyte = inotify.add_watch(&padded(1 << 20), W::CREATE);
    assert_eq!(megabyte, add_error(Errno::ENAMETOOLONG));
}

#[test]
fn a_component_of_256_bytes_is_enametoolong() {
    let dir = scratch();
    let inotify = instance();
    let of = |len: usize| c(dir.path().join("n".repeat(len)));
    assert_eq!(inotify.add_watch(&of(255), W::CREATE), add_error(Errno::ENOENT));
    assert_eq!(inotify.add_watch(&of(256), W::CREATE), add_error(Errno::ENAMETOOLONG));
}

#[test]
fn paths_with_newlines_control_bytes_and_invalid_utf8_are_accepted() {
    let dir = scratch();
    let inotify = instance();
    for name in [&b"new\nline"[..], b"\x1b[2J\x07\x01", b"\xff\xfe", b" ", b"-e", b"\\n"] {
        let path = dir.path().join(OsStr::from_bytes(name));
        fs::create_dir(&path).unwrap();
        let wd = watch(&inotify, &path, W::CREATE);
        File::create(path.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name(name)]);
    }
}

#[test]
fn a_name_with_control_bytes_is_printed_escaped() {
    let dir = scratch();
    let (inotify, _) = watching(&dir, W::CREATE);
    File::create(dir.path().join(OsStr::from_bytes(b"a\x1b[2J\n\xff"))).unwrap();

    let mut buffer = [0; 64];
    let event = inotify.read(&mut buffer).unwrap().next().unwrap().unwrap();
    for printed in [format!("{event}"), format!("{event:?}")] {
        assert!(printed.contains(r#""a\u{1b}[2J\n\xff""#), "{printed}");
        assert!(printed.chars().all(|c| !c.is_control()), "{printed}");
    }
}

#[test]
fn symlinks_that_lead_to_each_other_are_eloop() {
    let dir = scratch();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let inotify = instance();
    let path = c(dir.path().join("a"));
    assert_eq!(inotify.add_watch(&path, W::CREATE), add_error(Errno::ELOOP));
    assert!(inotify.add_watch(&path, W::ATTRIB | W::DONT_FOLLOW).is_ok());
}

#[test]
fn a_path_through_a_file_is_enotdir() {
    let dir = scratch();
    fs::write(dir.path().join("file"), "").unwrap();
    let inotify = instance();
    for name in ["file/below", "file/"] {
        let refused = inotify.add_watch(&c(dir.path().join(name)), W::CREATE);
        assert_eq!(refused, add_error(Errno::ENOTDIR), "{name}");
    }
}

#[test]
fn a_watch_needs_read_permission_and_search_permission_on_the_path() {
    let dir = scratch();
    for (name, mode) in [("searched", 0o111), ("listed", 0o444)] {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("below"), "").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    fs::write(dir.path().join("written"), "").unwrap();
    fs::set_permissions(dir.path().join("written"), PermissionsExt::from_mode(0o222)).unwrap();
    let inotify = instance();
    let add = |name| inotify.add_watch(&c(dir.path().join(name)), W::ATTRIB);

    as_plain_user(|| {
        for name in ["written", "searched", "listed/below"] {
            assert_eq!(add(name), add_error(Errno::EACCES), "{name}");
            assert!(text(add(name).unwrap_err()).contains("permission to read"));
        }
        for name in ["searched/below", "listed"] {
            assert!(add(name).is_ok(), "{name}");
        }
    });
    if is_root() {
        assert!(add("written").is_ok());
    }
    for name in ["searched", "listed"] {
        fs::set_permissions(dir.path().join(name), PermissionsExt::from_mode(0o700)).unwrap();
    }
}

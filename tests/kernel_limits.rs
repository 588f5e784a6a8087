//! The limits of the real kernel, and leaks. Each test runs in a separate process, because it counts or
//! limits the resources of a whole process. Checked on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::ffi::CStr;
use std::{fs, thread};

use rustix::process::{Resource, getrlimit, setrlimit};
use support::{c, in_child, in_namespace, instance, scratch, skipped, text};
use tinotify::{Errno, Error, EventRing, InitFlags, Inotify, WatchMask as W, Wd};

/// Sets one of the limits of this user namespace. They cause the same errors as those in `fs.inotify`,
/// which apply to the whole machine and are not changed.
fn limit(test: &str, name: &str, value: usize) -> bool {
    let written = fs::write(format!("/proc/sys/user/{name}"), value.to_string());
    if let Err(error) = &written {
        skipped(test, format_args!("user.{name} can't be set: {error}"));
    }
    written.is_ok()
}

#[test]
fn the_limit_of_watches_is_enospc_and_names_the_sysctl() {
    const NAME: &str = "the_limit_of_watches_is_enospc_and_names_the_sysctl";
    if !in_namespace(NAME) || !limit(NAME, "max_inotify_watches", 3) {
        return;
    }
    let dir = scratch();
    let add = |inotify: &Inotify, number: usize| {
        let path = dir.path().join(number.to_string());
        fs::write(&path, "").unwrap();
        inotify.add_watch(&c(path), W::MODIFY)
    };
    let (first, second) = (instance(), instance());
    let wds: Vec<Wd> = (0..2).map(|number| add(&first, number).unwrap()).collect();
    // The limit is per user, not per instance.
    add(&second, 0).unwrap();

    for inotify in [&first, &second] {
        let refused = add(inotify, 2);
        assert_eq!(refused, Err(Error::AddWatch(Errno::ENOSPC)));
        let text = text(refused.unwrap_err());
        assert!(text.contains("fs.inotify.max_user_watches"), "{text}");
        assert!(text.contains("the disk is not full"), "{text}");
    }
    // Watching the same inode again adds no watch. Removing a watch makes room for another.
    assert_eq!(add(&first, 0), Ok(wds[0]));
    first.rm_watch(wds[0]).unwrap();
    assert!(add(&second, 2).is_ok());
    assert_eq!(add(&second, 3), Err(Error::AddWatch(Errno::ENOSPC)));
    // So does closing an instance.
    drop(first);
    assert!(add(&second, 3).is_ok());
}

#[test]
fn the_limit_of_instances_is_emfile_and_names_the_sysctl() {
    const NAME: &str = "the_limit_of_instances_is_emfile_and_names_the_sysctl";
    if !in_namespace(NAME) || !limit(NAME, "max_inotify_instances", 3) {
        return;
    }
    let mut instances: Vec<_> = (0..3).map(|_| instance()).collect();
    for _ in 0..2 {
        let error = Inotify::init(InitFlags::NONBLOCK).unwrap_err();
        assert_eq!(error, Error::Init(Errno::EMFILE));
        let text = text(error);
        assert!(text.contains("fs.inotify.max_user_instances"), "{text}");
    }
    // `close` and `drop` both make room for another instance.
    instances.pop().unwrap().close().unwrap();
    instances.push(instance());
    drop(instances.pop());
    instances.push(instance());
    assert_eq!(Inotify::init(InitFlags::NONBLOCK).unwrap_err(), Error::Init(Errno::EMFILE));
}

#[test]
fn the_limit_of_open_files_is_emfile_and_names_ulimit() {
    const NAME: &str = "the_limit_of_open_files_is_emfile_and_names_ulimit";
    if !in_child(NAME, &[]) {
        return;
    }
    let first = instance();
    let limit = getrlimit(Resource::Nofile);
    let lowered = u64::try_from(first.as_raw()).unwrap() + 1;
    let lowered = rustix::process::Rlimit { current: Some(lowered), ..limit };
    setrlimit(Resource::Nofile, lowered).unwrap();
    let refused = Inotify::init(InitFlags::NONBLOCK);
    setrlimit(Resource::Nofile, limit).unwrap();

    let error = refused.unwrap_err();
    assert_eq!(error, Error::Init(Errno::EMFILE));
    assert!(text(error).contains("ulimit -n"));
}

/// Returns the number of open descriptors, including the one that lists them.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Creates an instance, uses it with and without errors, and closes it in one of four ways.
fn use_instance(path: &CStr, missing: &CStr, end: usize) {
    let inotify = Inotify::init(InitFlags::NONBLOCK).unwrap();
    let wd = inotify.add_watch(path, W::ALL_EVENTS).unwrap();
    drop(fs::File::open(path.to_str().unwrap()).unwrap());
    assert!(inotify.add_watch(missing, W::CREATE).is_err());
    assert!(inotify.add_watch(path, W::all()).is_err());
    assert!(inotify.read(&mut [0; 15]).is_err());
    assert!(inotify.fill(&mut EventRing::<17>::new()).is_ok());
    assert!(Inotify::init(InitFlags::from_bits_retain(1)).is_err());
    match end % 4 {
        0 => drop(inotify),
        1 => inotify.close().unwrap(),
        2 => inotify.rm_watch(wd).unwrap(),
        _ => drop(tinotify::Fd::from(inotify)),
    }
}

#[test]
fn a_thousand_cycles_leave_no_descriptor_open() {
    const NAME: &str = "a_thousand_cycles_leave_no_descriptor_open";
    if !in_child(NAME, &[]) {
        return;
    }
    let dir = scratch();
    let (path, missing) = (c(&dir), c(dir.path().join("missing")));
    let other = instance();
    let before = descriptors();
    // The kernel takes about 10 ms to close an instance with watches, so ten threads close them.
    thread::scope(|scope| {
        for round in 0..10 {
            let (path, missing) = (&path, &missing);
            scope.spawn(move || {
                (0..100).for_each(|cycle| use_instance(path, missing, round + cycle))
            });
        }
    });
    assert_eq!(descriptors(), before);
    drop(other);
    assert_eq!(descriptors(), before - 1);
}

//! What the builder's settings do, when the descriptor is closed, and what errors contain.

mod watching;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use tinotify::{
    Errno, EventKind, InitFlags, Inotify, StopReason, TreeOptions, WatchError, WatchEventBuf,
    WatchMask, Watcher,
};
use watching::{Place, drained, kinds, touch, unread};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);

#[test]
fn the_builder_watches_its_paths_with_its_mask() {
    let place = Place::new();
    let dirs = ["a", "b", "c"].map(|name| place.dir(name));
    let builder = Watcher::builder().mask(CREATE).paths(&dirs[..2]).path(&dirs[2]);
    let mut watcher = builder.clone().build().unwrap();
    let list = watcher.watches().list();
    assert_eq!(list.iter().map(|info| &info.path).collect::<Vec<_>>(), dirs.each_ref());
    assert!(list.iter().all(|info| info.mask == CREATE));
    for dir in &dirs {
        fs::write(dir.join("new"), "").unwrap();
    }
    assert_eq!(drained(&mut watcher).len(), 3);

    let error = builder.path(place.at("none")).build().unwrap_err();
    assert!(matches!(error, WatchError::Path { path, .. } if path == place.at("none")));
}

#[test]
fn the_default_mask_omits_events_of_reading() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::builder().path(place.path()).build().unwrap();
    fs::read(&file).unwrap();
    fs::read_dir(place.path()).unwrap().count();
    assert!(drained(&mut watcher).is_empty());
    fs::write(&file, "text").unwrap();
    touch(&file);
    fs::rename(&file, place.at("moved")).unwrap();
    fs::remove_file(place.at("moved")).unwrap();
    use EventKind::{Attrib, CloseWrite, Delete, Modify, MovedFrom, MovedTo};
    let watch = watcher.watches().list()[0].watch;
    let expected = [Modify, CloseWrite, Attrib, MovedFrom, MovedTo, Delete];
    assert_eq!(kinds(&drained(&mut watcher), watch), expected);
}

#[test]
fn the_buffer_size_limits_one_read() {
    let place = Place::new();
    let file = place.file("file");
    for (size, batches) in [(0, 4), (4112, 4), (64 * 1024, 1)] {
        let mut watcher =
            Watcher::builder().buffer_size(size).mask(CREATE | ATTRIB).path(&file).build().unwrap();
        let watch = watcher.watches().list()[0].watch;
        // 1,000 events of 16 bytes each.
        watcher.watches().set_mask(watch, ATTRIB | WatchMask::MODIFY).unwrap();
        for _ in 0..500 {
            touch(&file);
            File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
        }
        assert_eq!(unread(&watcher), 16_000);
        let mut sizes = Vec::new();
        loop {
            match watcher.recv_batch_timeout(Duration::ZERO).unwrap().len() {
                0 => break,
                len => sizes.push(len),
            }
        }
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (batches, 1000), "{size}");
    }
}

#[test]
fn the_descriptor_is_blocking_only_on_request() {
    let place = Place::new();
    for blocking in [false, true] {
        let mut watcher = Watcher::builder().blocking(blocking).path(place.path()).build().unwrap();
        let flags = fcntl_getfl(watcher.inotify_fd()).unwrap();
        assert_eq!(flags.contains(OFlags::NONBLOCK), !blocking);
        // Each call waits as documented in both modes.
        assert!(watcher.try_recv().unwrap().is_none());
        assert!(watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
        place.file(blocking.to_string());
        assert!(watcher.recv().is_ok());
    }
}

#[test]
fn child_programs_inherit_the_descriptor_only_on_request() {
    for inheritable in [false, true] {
        let watcher = Watcher::builder().inheritable(inheritable).build().unwrap();
        let flags = fcntl_getfd(watcher.inotify_fd()).unwrap();
        assert_eq!(flags.contains(FdFlags::CLOEXEC), !inheritable);
        let link = Command::new("readlink")
            .arg(format!("/proc/self/fd/{}", watcher.inotify_fd().as_raw_fd()))
            .output()
            .unwrap();
        let is_inotify = String::from_utf8_lossy(&link.stdout).contains("inotify");
        assert_eq!(is_inotify, inheritable);
    }
}

#[test]
fn the_descriptor_is_closed_with_the_watcher_and_handles_return_closed() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let (watches, stop) = (watcher.watches(), watcher.stop_handle());
    let watch = watches.watch(place.path(), CREATE).unwrap();
    // By number: a duplicate of the descriptor would keep the instance open.
    let raw = watcher.inotify_fd().as_raw_fd();
    let info = format!("/proc/self/fdinfo/{raw}");
    assert!(fs::read_to_string(&info).unwrap().contains("inotify wd:"));
    drop(watcher);
    // Another test may have the same number by now, but not a watch of this inode.
    let ino = format!("ino:{:x} ", fs::metadata(place.path()).unwrap().ino());
    assert!(!fs::read_to_string(&info).is_ok_and(|text| text.contains(&ino)));
    assert_eq!(watches.watch(place.path(), CREATE), Err(WatchError::Closed));
    assert_eq!(watches.watch_name(place.path(), CREATE), Err(WatchError::Closed));
    assert_eq!(
        watches.watch_tree(place.path(), CREATE, TreeOptions::new()),
        Err(WatchError::Closed)
    );
    assert_eq!(watches.unwatch(watch), Err(WatchError::Closed));
    assert_eq!(watches.info(watch), Err(WatchError::Closed));
    assert!(watches.list().is_empty() && watches.is_empty());
    stop.stop();
    assert!(stop.is_stopped());

    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    assert_eq!(watcher.close(), Ok(()));
    assert_eq!(watches.watch("/", CREATE), Err(WatchError::Closed));
}

#[test]
fn the_descriptor_stays_open_on_request() {
    let place = Place::new();
    let watcher = Watcher::builder().close_on_drop(false).path(place.path()).build().unwrap();
    // A duplicate descriptor reads the same instance, even if the number is reused.
    let duplicate: OwnedFd = watcher.inotify_fd().try_clone_to_owned().unwrap();
    let raw: RawFd = watcher.inotify_fd().as_raw_fd();
    drop(watcher);
    let link = fs::read_link(format!("/proc/self/fd/{raw}")).unwrap();
    assert!(link.to_string_lossy().contains("inotify"));
    place.file("a");
    let mut bytes = [0; 4096];
    assert!(File::from(duplicate).read(&mut bytes).unwrap() > 0);
}

#[test]
fn an_existing_instance_can_be_used_and_events_of_its_own_watches_are_skipped() {
    for flags in [InitFlags::empty(), InitFlags::NONBLOCK] {
        let place = Place::new();
        let (own, other) = (place.dir("own"), place.dir("other"));
        let inotify = Inotify::init(flags).unwrap();
        let name = CString::new(other.as_os_str().as_bytes()).unwrap();
        inotify.add_watch(&name, CREATE).unwrap();
        let raw = inotify.as_raw_fd();
        let mut watcher = Watcher::try_from(inotify).unwrap();
        assert_eq!(watcher.inotify_fd().as_raw_fd(), raw);
        watcher.watch(&own, CREATE).unwrap();
        place.file("other/a");
        place.file("own/b");
        let events = drained(&mut watcher);
        let paths: Vec<_> = events.iter().map(WatchEventBuf::path).collect();
        assert_eq!(paths, [own.join("b")]);
        assert_eq!(watcher.recv_timeout(Duration::from_millis(1)).map(|e| e.is_none()), Ok(true));
    }
}

#[test]
fn an_io_error_keeps_the_errno_or_the_original_error() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let error = watcher.watch(place.at("none"), CREATE).unwrap_err();
    let io: io::Error = error.clone().into();
    assert_eq!(io.raw_os_error(), error.errno().map(Errno::as_raw));
    assert_eq!(io.kind(), io::ErrorKind::NotFound);
    let stopped: io::Error = STOPPED.into();
    assert_eq!(stopped.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(stopped.to_string(), STOPPED.to_string());
    assert_eq!(stopped.downcast::<WatchError>().unwrap(), STOPPED);
}

#[test]
fn the_error_for_a_missing_path_suggests_watch_name() {
    let place = Place::new();
    let path = place.at("none");
    let error = Watcher::new().unwrap().watch(&path, CREATE).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot watch: {}: ENOENT (No such file or directory); to wait until it exists, use watch_name",
            path.display()
        )
    );
}

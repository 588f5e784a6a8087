//! What the watcher promises of its end: stopped, without watches, at an overflow, at an unmount; of
//! waiting for one event; of its settings.

mod watching;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tinotify::{
    Errno, Error, EventKind, EventMask, InitFlags, Inotify, StopHandle, StopReason, TreeOptions,
    WatchError, WatchEventBuf, WatchMask, WatchOptions, Watcher, wait_for, wait_for_batch,
};
use watching::{
    Place, Watchdog, asleep, drained, kernel_watches, kinds, overflow, say, touch, unread,
};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const FAR: Duration = Duration::from_secs(600);
const MUCH: Duration = Duration::from_secs(20);

/// The error with which a waiting call ended; nothing where it ended without one.
type Ended = Option<WatchError>;

type Wait = fn(&mut Watcher) -> Ended;

/// Each way of waiting.
const WAYS: [(&str, Wait); 9] = [
    ("recv", |w| w.recv().err()),
    ("recv_timeout", |w| w.recv_timeout(FAR).err()),
    ("recv_timeout, no end", |w| w.recv_timeout(Duration::MAX).err()),
    ("recv_deadline", |w| w.recv_deadline(Instant::now() + FAR).err()),
    ("recv_batch", |w| w.recv_batch().err()),
    ("recv_batch_timeout", |w| w.recv_batch_timeout(FAR).err()),
    ("iter", |w| w.iter().next().map(|item| item.unwrap_err())),
    ("iter_timeout", |w| w.iter_timeout(FAR).next().map(|item| item.unwrap_err())),
    ("try_for_each", |w| {
        w.try_for_each(|_| ControlFlow::Break(())).map(|broke| assert!(broke.is_none())).err()
    }),
];

/// What a way tells of an end that iterators take for theirs.
fn expected(name: &str, end: StopReason) -> Ended {
    let iterates = ["iter", "iter_timeout", "try_for_each"].contains(&name);
    (!iterates).then_some(WatchError::Stopped(end))
}

const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);

#[test]
fn a_stopper_ends_each_waiting_call_in_another_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for (name, wait) in WAYS {
        let watcher = Watcher::new().unwrap();
        watcher.watch(place.path(), CREATE).unwrap();
        let stopper = watcher.stop_handle();
        let clone = stopper.clone();
        let reader = asleep(watcher, wait);
        assert!(!stopper.is_stopped() && !reader.is_finished(), "{name}");
        let begin = Instant::now();
        // From a third one.
        thread::spawn(move || clone.stop()).join().unwrap();
        let (ended, watcher) = reader.join().unwrap();
        assert!(begin.elapsed() < MUCH, "{name}");
        assert_eq!(ended, expected(name, StopReason::Requested), "{name}");
        assert!(stopper.is_stopped() && watcher.is_stopped());
    }
}

#[test]
fn a_stopper_that_came_first_ends_each_waiting_call_at_once_and_ever_after() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    watcher.stop_handle().stop();
    watcher.stop_handle().stop();
    for _ in 0..2 {
        for (name, wait) in WAYS {
            // Though there are events.
            place.file(name);
            fs::remove_file(place.at(name)).unwrap();
            assert_eq!(wait(&mut watcher), expected(name, StopReason::Requested), "{name}");
        }
    }
    // None of them is lost, for those who only look.
    assert_eq!(drained(&mut watcher).len(), 2 * WAYS.len());
}

#[test]
fn a_stopper_ends_a_read_delay() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = Watcher::builder().read_delay(FAR).path(place.path()).build().unwrap();
    let stopper = watcher.stop_handle();
    place.file("a");
    let reader = asleep(watcher, |watcher| watcher.recv().err());
    stopper.stop();
    assert_eq!(reader.join().unwrap().0, Some(STOPPED));
}

#[test]
fn a_stopper_stops_its_own_watcher_only_and_outlives_it() {
    let place = Place::new();
    let mut other = Watcher::builder().path(place.path()).build().unwrap();
    let watcher = Watcher::new().unwrap();
    let stopper = watcher.stop_handle();
    let watches = watcher.watches();
    drop(watcher);
    stopper.stop();
    assert!(stopper.is_stopped() && !other.is_stopped());
    place.file("a");
    assert_eq!(other.recv().unwrap().kind(), EventKind::Create);
    // A handle without its watcher does no harm.
    assert_eq!(watches.watch(place.path(), CREATE), Err(WatchError::Closed));
}

#[test]
fn handles_go_to_any_thread() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<StopHandle>();
    goes::<tinotify::Watches>();
    goes::<WatchError>();
    goes::<WatchEventBuf>();
    fn moves<T: Send + 'static>() {}
    moves::<Watcher>();
}

fn ending() -> Watcher {
    Watcher::builder().stop_without_watches(true).build().unwrap()
}

#[test]
fn reading_ends_without_watches_if_asked_after_their_last_event() {
    let _watchdog = Watchdog::new();
    for (name, wait) in WAYS {
        let place = Place::new();
        let mut watcher = ending();
        assert_eq!(wait(&mut watcher), expected(name, StopReason::NoWatches), "{name}: none ever");
        let file = place.file("file");
        watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
        let other = watcher.watch(place.path(), ATTRIB).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::DeleteSelf);
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::Ignored);
        assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none(), "{name}: one is left");
        watcher.unwatch(other).unwrap();
        assert_eq!(wait(&mut watcher), expected(name, StopReason::NoWatches), "{name}");
        // It goes on with a new one.
        watcher.watch(place.path(), CREATE).unwrap();
        place.file("new");
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    }
}

#[test]
fn reading_ends_while_it_waits_when_another_thread_removes_the_last_watch() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for (name, wait) in WAYS {
        let watcher = ending();
        let last = watcher.watch(place.path(), CREATE).unwrap();
        let again = watcher.watch(place.path(), ATTRIB).unwrap();
        let watches = watcher.watches();
        let reader = asleep(watcher, wait);
        watches.unwatch(again).unwrap();
        watches.unwatch(last).unwrap();
        assert_eq!(reader.join().unwrap().0, expected(name, StopReason::NoWatches), "{name}");
    }
}

#[test]
fn reading_ends_after_the_last_one_shot_too() {
    let place = Place::new();
    let mut watcher = ending();
    watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
    place.file("a");
    let all: Vec<EventKind> = watcher.iter().map(|event| event.unwrap().kind()).collect();
    assert_eq!(all, [EventKind::Create, EventKind::Ignored]);
}

#[test]
fn drain_ends_without_watches_as_without_events() {
    let place = Place::new();
    let mut watcher = ending();
    assert!(watcher.try_iter().next().is_none());
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    assert!(watcher.try_iter().next().is_none());
    watcher.unwatch(watch).unwrap();
    assert!(watcher.try_iter().next().is_none());
}

#[test]
fn a_watcher_without_watches_waits_if_not_asked_otherwise() {
    let mut watcher = Watcher::new().unwrap();
    let begin = Instant::now();
    assert!(watcher.recv_timeout(Duration::from_millis(50)).unwrap().is_none());
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

#[test]
fn an_overflow_is_an_event_of_no_watch_and_the_watcher_goes_on() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), ATTRIB).unwrap();
    if !overflow(place.path()) {
        return;
    }
    let events = drained(&mut watcher);
    let lost: Vec<_> = events.iter().filter(|event| event.is_overflow()).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].watch(), lost[0].alias(), lost[0].name()), (None, None, None));
    assert_eq!((lost[0].kind(), lost[0].mask()), (EventKind::Overflow, EventMask::Q_OVERFLOW));
    assert_eq!(lost[0].path(), Path::new(""));
    assert_eq!(lost[0].to_string(), "Q_OVERFLOW");
    assert!(events.last().unwrap().is_overflow());
    assert!(kinds(&events, watch).len() > 1000);
    // Live watches are as they were.
    assert_eq!(watcher.watches().list().len(), 1);
    touch(place.at("a"));
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Attrib]);
}

#[test]
fn a_watch_whose_end_was_lost_in_an_overflow_is_retired_and_told() {
    let place = Place::new();
    let noise = place.dir("noise");
    let (doomed, stays) = (place.file("doomed"), place.file("stays"));
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&noise, ATTRIB).unwrap();
    let options = WatchOptions::new().alias("doomed");
    let end = watcher.watch_with(&doomed, WatchMask::DELETE_SELF, options).unwrap();
    let second = watcher.watch(&doomed, ATTRIB).unwrap();
    let live = watcher.watch(&stays, ATTRIB).unwrap();
    let removed = watcher.watch(place.path(), ATTRIB).unwrap();
    if !overflow(&noise) {
        return;
    }
    fs::remove_file(&doomed).unwrap();
    // Whose IGNORED is lost too, and nobody waits for.
    watcher.unwatch(removed).unwrap();
    let events = drained(&mut watcher);
    for watch in [end, second] {
        assert_eq!(kinds(&events, watch), [EventKind::Ignored], "the end, if nothing else");
        assert_eq!(watcher.unwatch(watch), Err(WatchError::NoSuchWatch(watch)));
    }
    let told = events.iter().find(|event| event.watch() == Some(end)).unwrap();
    assert_eq!((told.path(), told.alias()), (doomed.clone(), Some("doomed".as_ref())));
    assert_eq!(kinds(&events, removed), []);
    assert_eq!(watcher.watches().list().len(), 2);

    place.file("doomed");
    let options = WatchOptions::new().alias("doomed");
    let again = watcher.watch_with(&doomed, ATTRIB, options).unwrap();
    touch(&doomed);
    touch(&stays);
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, again), [EventKind::Attrib]);
    assert_eq!(kinds(&events, live), [EventKind::Attrib]);
    assert_eq!(kernel_watches(&watcher).len(), 3);
}

#[test]
fn an_overflow_ends_the_reading_if_asked() {
    let place = Place::new();
    let builder = Watcher::builder().stop_on_overflow(true).mask(ATTRIB).path(place.path());
    let mut watcher = builder.build().unwrap();
    if !overflow(place.path()) {
        return;
    }
    let ended = loop {
        match watcher.try_recv() {
            Ok(event) => assert_eq!(event.unwrap().kind(), EventKind::Attrib),
            Err(error) => break error,
        }
    };
    assert_eq!(ended, WatchError::Stopped(StopReason::Overflow));
    assert!(ended.to_string().contains("fs.inotify.max_queued_events"), "{ended}");
    // And it can go on.
    assert!(watcher.try_recv().unwrap().is_none());
    touch(place.at("a"));
    assert_eq!(watcher.try_recv().unwrap().unwrap().kind(), EventKind::Attrib);
}

/// A tmpfs, as long as it lives.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// Runs the test once more in a user namespace of its own where this process may not mount, and
    /// gives nothing.
    fn new(at: &'a Path, test: &str) -> Option<Self> {
        match mount("tinotify", at, "tmpfs", MountFlags::empty(), None) {
            Ok(()) => return Some(Self(at)),
            Err(error) if std::env::var_os("TINOTIFY_IN_NAMESPACE").is_some() => {
                say(format_args!("SKIPPED: {test}: not even a user namespace may mount: {error}"));
                return None;
            }
            Err(_) => {}
        }
        let run = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("TINOTIFY_IN_NAMESPACE", "1")
            .output();
        match run {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                if said.starts_with("unshare: ") {
                    say(format_args!("SKIPPED: {test}: no privilege to mount a tmpfs: {said}"));
                } else {
                    assert!(output.status.success(), "in a user namespace: {said}");
                    if said.contains("SKIPPED: ") {
                        say(said);
                    }
                }
            }
            Err(error) => {
                say(format_args!("SKIPPED: {test}: no privilege, and no unshare(1): {error}"))
            }
        }
        None
    }

    fn unmount(self) {
        unmount(self.0, UnmountFlags::empty()).unwrap();
        std::mem::forget(self);
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn an_unmount_is_an_event_and_the_end_of_its_watches() {
    let place = Place::new();
    let at = place.dir("mounted");
    let Some(mounted) = Mount::new(&at, "an_unmount_is_an_event_and_the_end_of_its_watches") else {
        return;
    };
    let mut watcher = Watcher::new().unwrap();
    let inside = watcher.watch(&at, CREATE).unwrap();
    let options = WatchOptions::new().alias("too").filter(|_| false);
    let filtered = watcher.watch_with(&at, CREATE, options).unwrap();
    let outside = watcher.watch(place.path(), CREATE).unwrap();
    mounted.unmount();
    let events = drained(&mut watcher);
    let end = [EventKind::Unmount, EventKind::Ignored];
    assert_eq!(kinds(&events, inside), end);
    assert_eq!(kinds(&events, filtered), end);
    assert_eq!(kinds(&events, outside), []);
    assert!(events.iter().all(|event| event.path() == at));
    assert_eq!(watcher.watches().list().len(), 1);
}

#[test]
fn an_unmount_ends_the_reading_if_asked() {
    let place = Place::new();
    let at = place.dir("mounted");
    let Some(mounted) = Mount::new(&at, "an_unmount_ends_the_reading_if_asked") else { return };
    let mut watcher = Watcher::builder().stop_on_unmount(true).build().unwrap();
    let inside = watcher.watch(&at, CREATE).unwrap();
    let also = watcher.watch(&at, CREATE).unwrap();
    let outside = watcher.watch(place.path(), CREATE).unwrap();
    fs::write(at.join("a"), "").unwrap();
    mounted.unmount();
    assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    let ended = watcher.recv().unwrap_err();
    assert_eq!(ended, WatchError::Stopped(StopReason::Unmounted));
    // It can go on; and who unwatches hears no more.
    watcher.unwatch(inside).unwrap();
    place.file("b");
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, inside), []);
    assert_eq!(kinds(&events, also).last(), Some(&EventKind::Ignored));
    assert_eq!(kinds(&events, outside), [EventKind::Create]);
}

#[test]
fn an_unmount_of_what_is_no_longer_watched_ends_nothing() {
    let place = Place::new();
    let at = place.dir("mounted");
    let test = "an_unmount_of_what_is_no_longer_watched_ends_nothing";
    let Some(mounted) = Mount::new(&at, test) else { return };
    let mut watcher = Watcher::builder().stop_on_unmount(true).build().unwrap();
    let inside = watcher.watch(&at, CREATE).unwrap();
    mounted.unmount();
    watcher.unwatch(inside).unwrap();
    assert!(drained(&mut watcher).is_empty());
}

#[test]
fn wait_for_gives_the_first_event_that_matches() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for timeout in [None, Some(FAR), Some(Duration::MAX)] {
        let path = place.path().to_owned();
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            wait_for(path, WatchMask::DELETE, timeout)
        });
        told.recv().unwrap();
        // It may not be there yet, so until it has seen one.
        while !waiter.is_finished() {
            place.file("a");
            fs::remove_file(place.at("a")).unwrap();
        }
        let event = waiter.join().unwrap().unwrap().unwrap();
        assert_eq!((event.kind(), event.path()), (EventKind::Delete, place.at("a")));
    }
}

#[test]
fn wait_for_batch_gives_what_came_together() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let path = place.path().to_owned();
    let waiter = thread::spawn(move || wait_for_batch(path, WatchMask::DELETE, Some(FAR)));
    while !waiter.is_finished() {
        place.file("a");
        fs::remove_file(place.at("a")).unwrap();
    }
    let batch = waiter.join().unwrap().unwrap();
    assert!(!batch.is_empty());
    let deleted = |event: &WatchEventBuf| event.path() == place.at("a") && !event.is_ignored();
    assert!(batch.iter().all(deleted), "{batch:?}");

    let nothing = wait_for_batch(place.path(), CREATE, Some(Duration::ZERO)).unwrap();
    assert!(nothing.is_empty());
}

#[test]
fn wait_for_gives_up_in_time() {
    let place = Place::new();
    for time in [Duration::ZERO, Duration::from_millis(50)] {
        let begin = Instant::now();
        assert!(wait_for(place.path(), CREATE, Some(time)).unwrap().is_none());
        assert!(begin.elapsed() >= time && begin.elapsed() < MUCH);
    }
    let error = wait_for(place.at("none"), CREATE, None).unwrap_err();
    let expected = Error::AddWatch(Errno::ENOENT);
    assert_eq!(error, WatchError::Path { path: place.at("none"), error: expected });
}

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
fn the_default_mask_leaves_out_what_looking_brings_about() {
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
fn the_buffer_size_is_what_one_read_takes() {
    let place = Place::new();
    let file = place.file("file");
    for (size, batches) in [(0, 4), (4112, 4), (64 * 1024, 1)] {
        let mut watcher =
            Watcher::builder().buffer_size(size).mask(CREATE | ATTRIB).path(&file).build().unwrap();
        let watch = watcher.watches().list()[0].watch;
        // 16 bytes each, and 1,000 of them.
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
fn the_descriptor_is_blocking_only_if_asked() {
    let place = Place::new();
    for blocking in [false, true] {
        let mut watcher = Watcher::builder().blocking(blocking).path(place.path()).build().unwrap();
        let flags = fcntl_getfl(watcher.inotify_fd()).unwrap();
        assert_eq!(flags.contains(OFlags::NONBLOCK), !blocking);
        // Either way the calls wait as their names say.
        assert!(watcher.try_recv().unwrap().is_none());
        assert!(watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_none());
        place.file(blocking.to_string());
        assert!(watcher.recv().is_ok());
    }
}

#[test]
fn programs_get_the_descriptor_only_if_asked() {
    for inheritable in [false, true] {
        let watcher = Watcher::builder().inheritable(inheritable).build().unwrap();
        let flags = fcntl_getfd(watcher.inotify_fd()).unwrap();
        assert_eq!(flags.contains(FdFlags::CLOEXEC), !inheritable);
        let seen = Command::new("readlink")
            .arg(format!("/proc/self/fd/{}", watcher.inotify_fd().as_raw_fd()))
            .output()
            .unwrap();
        let is_inotify = String::from_utf8_lossy(&seen.stdout).contains("inotify");
        assert_eq!(is_inotify, inheritable);
    }
}

#[test]
fn the_descriptor_is_closed_with_the_watcher_and_handles_say_so() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let (watches, stop) = (watcher.watches(), watcher.stop_handle());
    let watch = watches.watch(place.path(), CREATE).unwrap();
    // A copy of the descriptor would show the instance still, but not its number.
    let raw = watcher.inotify_fd().as_raw_fd();
    let own = format!("/proc/self/fdinfo/{raw}");
    assert!(fs::read_to_string(&own).unwrap().contains("inotify wd:"));
    drop(watcher);
    // Another test may have been given the number meanwhile, but not this watch.
    let ino = format!("ino:{:x} ", fs::metadata(place.path()).unwrap().ino());
    assert!(!fs::read_to_string(&own).is_ok_and(|info| info.contains(&ino)));
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
fn the_descriptor_stays_open_if_asked() {
    let place = Place::new();
    let watcher = Watcher::builder().close_on_drop(false).path(place.path()).build().unwrap();
    // A second descriptor of the same instance, to look without trusting numbers.
    let other: OwnedFd = watcher.inotify_fd().try_clone_to_owned().unwrap();
    let raw: RawFd = watcher.inotify_fd().as_raw_fd();
    drop(watcher);
    let link = fs::read_link(format!("/proc/self/fd/{raw}")).unwrap();
    assert!(link.to_string_lossy().contains("inotify"));
    place.file("a");
    let mut bytes = [0; 4096];
    assert!(File::from(other).read(&mut bytes).unwrap() > 0);
}

#[test]
fn an_instance_that_was_made_elsewhere_is_used_and_its_own_watches_are_skipped() {
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
fn an_io_error_keeps_the_error_number_or_the_error() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let error = watcher.watch(place.at("none"), CREATE).unwrap_err();
    let io: io::Error = error.clone().into();
    assert_eq!(io.raw_os_error(), error.errno().map(Errno::as_raw));
    assert_eq!(io.kind(), io::ErrorKind::NotFound);
    let ended: io::Error = STOPPED.into();
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(ended.to_string(), STOPPED.to_string());
    assert_eq!(ended.downcast::<WatchError>().unwrap(), STOPPED);
}

#[test]
fn a_missing_path_is_named_with_the_call_that_waits_for_it() {
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

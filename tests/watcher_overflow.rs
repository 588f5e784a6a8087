//! What a watcher reports after an overflow and after an unmount, and how either can end reading.

mod watching;

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tinotify::{EventKind, EventMask, StopReason, WatchError, WatchMask, WatchOptions, Watcher};
use watching::{Place, drained, kernel_watches, kinds, overflow, say, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;

#[test]
fn an_overflow_is_reported_once_without_a_watch_and_watches_stay() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch(place.path(), ATTRIB).unwrap();
    if !overflow(place.path()) {
        return;
    }
    let events = drained(&mut watcher);
    let overflows: Vec<_> = events.iter().filter(|event| event.is_overflow()).collect();
    assert_eq!(overflows.len(), 1);
    assert_eq!(
        (overflows[0].watch(), overflows[0].alias(), overflows[0].name()),
        (None, None, None)
    );
    assert_eq!(
        (overflows[0].kind(), overflows[0].mask()),
        (EventKind::Overflow, EventMask::Q_OVERFLOW)
    );
    assert_eq!(overflows[0].path(), Path::new(""));
    assert_eq!(overflows[0].to_string(), "Q_OVERFLOW");
    assert!(events.last().unwrap().is_overflow());
    assert!(kinds(&events, watch).len() > 1000);
    // Live watches stay.
    assert_eq!(watcher.watches().list().len(), 1);
    touch(place.at("a"));
    assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Attrib]);
}

#[test]
fn the_end_of_a_watch_is_reported_even_if_an_overflow_lost_it() {
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
    // The overflow loses its IGNORED too, but a watch removed by `unwatch` reports no end.
    watcher.unwatch(removed).unwrap();
    let events = drained(&mut watcher);
    for watch in [end, second] {
        assert_eq!(kinds(&events, watch), [EventKind::Ignored], "only its end is reported");
        assert_eq!(watcher.unwatch(watch), Err(WatchError::NoSuchWatch(watch)));
    }
    let ended = events.iter().find(|event| event.watch() == Some(end)).unwrap();
    assert_eq!((ended.path(), ended.alias()), (&*doomed, Some("doomed".as_ref())));
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
fn stop_on_overflow_ends_reading() {
    let place = Place::new();
    let builder = Watcher::builder().stop_on_overflow(true).mask(ATTRIB).path(place.path());
    let mut watcher = builder.build().unwrap();
    if !overflow(place.path()) {
        return;
    }
    let error = loop {
        match watcher.try_recv() {
            Ok(event) => assert_eq!(event.unwrap().kind(), EventKind::Attrib),
            Err(error) => break error,
        }
    };
    assert_eq!(error, WatchError::Stopped(StopReason::Overflow));
    assert!(error.to_string().contains("fs.inotify.max_queued_events"), "{error}");
    // Reading can continue.
    assert!(watcher.try_recv().unwrap().is_none());
    touch(place.at("a"));
    assert_eq!(watcher.try_recv().unwrap().unwrap().kind(), EventKind::Attrib);
}

/// A tmpfs that is unmounted on drop.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// Returns `None` if this process has no permission to mount. It has then run the test again in a
    /// new user namespace.
    fn new(at: &'a Path, test: &str) -> Option<Self> {
        match mount("tinotify", at, "tmpfs", MountFlags::empty(), None) {
            Ok(()) => return Some(Self(at)),
            Err(error) if std::env::var_os("TINOTIFY_IN_NAMESPACE").is_some() => {
                say(format_args!("SKIPPED: {test}: cannot mount in a user namespace: {error}"));
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
                let stderr = String::from_utf8_lossy(&output.stderr);
                if stderr.starts_with("unshare: ") {
                    say(format_args!("SKIPPED: {test}: cannot mount a tmpfs: {stderr}"));
                } else {
                    assert!(output.status.success(), "failed in a user namespace: {stderr}");
                    if stderr.contains("SKIPPED: ") {
                        say(stderr);
                    }
                }
            }
            Err(error) => say(format_args!(
                "SKIPPED: {test}: cannot mount a tmpfs or run unshare(1): {error}"
            )),
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
fn an_unmount_is_reported_and_ends_its_watches() {
    let place = Place::new();
    let at = place.dir("mounted");
    let Some(mounted) = Mount::new(&at, "an_unmount_is_reported_and_ends_its_watches") else {
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
fn stop_on_unmount_ends_reading() {
    let place = Place::new();
    let at = place.dir("mounted");
    let Some(mounted) = Mount::new(&at, "stop_on_unmount_ends_reading") else { return };
    let mut watcher = Watcher::builder().stop_on_unmount(true).build().unwrap();
    let inside = watcher.watch(&at, CREATE).unwrap();
    let also = watcher.watch(&at, CREATE).unwrap();
    let outside = watcher.watch(place.path(), CREATE).unwrap();
    fs::write(at.join("a"), "").unwrap();
    mounted.unmount();
    assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    let error = watcher.recv().unwrap_err();
    assert_eq!(error, WatchError::Stopped(StopReason::Unmounted));
    // Reading can continue. A watch that is removed now reports nothing more.
    watcher.unwatch(inside).unwrap();
    place.file("b");
    let events = drained(&mut watcher);
    assert_eq!(kinds(&events, inside), []);
    assert_eq!(kinds(&events, also).last(), Some(&EventKind::Ignored));
    assert_eq!(kinds(&events, outside), [EventKind::Create]);
}

#[test]
fn an_unmount_does_not_stop_reading_after_its_watch_was_removed() {
    let place = Place::new();
    let at = place.dir("mounted");
    let test = "an_unmount_does_not_stop_reading_after_its_watch_was_removed";
    let Some(mounted) = Mount::new(&at, test) else { return };
    let mut watcher = Watcher::builder().stop_on_unmount(true).build().unwrap();
    let inside = watcher.watch(&at, CREATE).unwrap();
    mounted.unmount();
    watcher.unwatch(inside).unwrap();
    assert!(drained(&mut watcher).is_empty());
}

//! The watcher's one descriptor is readable whenever `try_recv` has something: with poll(2), with epoll(7)
//! in both modes, with mio, and with tokio's `AsyncFd`.

mod watching;

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tinotify::{
    NameChange, StopReason, TreeOptions, WatchError, WatchEventBuf, WatchId, WatchMask, Watcher,
};
use tokio::io::unix::AsyncFd;
use watching::{LONG, Place, Watchdog, drained, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const NOW: Duration = Duration::ZERO;

/// A way to wait for a descriptor.
enum Loop {
    Poll(OwnedFd),
    Epoll(OwnedFd),
    Mio(Box<(mio::Poll, mio::Events)>),
    Tokio(Box<tokio::runtime::Runtime>, AsyncFd<Number>),
}

/// A descriptor that the watcher owns.
struct Number(RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

const KINDS: [&str; 5] = ["poll", "epoll, level", "epoll, edge", "mio", "tokio"];

impl Loop {
    fn new(kind: &str, fd: BorrowedFd<'_>) -> Self {
        let own = || fd.try_clone_to_owned().unwrap();
        let epoll = |flags| {
            let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
            epoll::add(&epoll, fd, EventData::new_u64(1), EventFlags::IN | flags).unwrap();
            Self::Epoll(epoll)
        };
        match kind {
            "poll" => Self::Poll(own()),
            "epoll, level" => epoll(EventFlags::empty()),
            "epoll, edge" => epoll(EventFlags::ET),
            "mio" => {
                let poll = mio::Poll::new().unwrap();
                let raw = fd.as_raw_fd();
                let mut source = mio::unix::SourceFd(&raw);
                let (token, interest) = (mio::Token(1), mio::Interest::READABLE);
                poll.registry().register(&mut source, token, interest).unwrap();
                Self::Mio(Box::new((poll, mio::Events::with_capacity(8))))
            }
            _ => {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let guard = runtime.enter();
                // Deprecated because not every `AsRawFd` keeps to one descriptor; this one does.
                #[allow(deprecated)]
                let fd = AsyncFd::new(Number(fd.as_raw_fd())).unwrap();
                drop(guard);
                Self::Tokio(Box::new(runtime), fd)
            }
        }
    }

    /// Waits until the descriptor is readable; `false` if it is not in time.
    fn wait(&mut self, timeout: Duration) -> bool {
        let time = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match self {
            Self::Poll(fd) => {
                let mut fds = [PollFd::new(fd, PollFlags::IN)];
                poll(&mut fds, Some(&time)).unwrap() > 0
            }
            Self::Epoll(epoll) => {
                let mut events = Vec::with_capacity(8);
                epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), Some(&time))
                    .unwrap();
                !events.is_empty()
            }
            Self::Mio(poll) => {
                let (poll, events) = &mut **poll;
                poll.poll(events, Some(timeout)).unwrap();
                !events.is_empty()
            }
            Self::Tokio(runtime, fd) => runtime.block_on(async {
                // Long enough for the runtime to look at its descriptors.
                let timeout = timeout.max(Duration::from_millis(20));
                match tokio::time::timeout(timeout, fd.readable()).await {
                    Ok(ready) => {
                        ready.unwrap().clear_ready();
                        true
                    }
                    Err(_) => false,
                }
            }),
        }
    }
}

/// A watcher and what waits for it, with nothing left to read.
struct Scene {
    place: Place,
    watcher: Watcher,
    waits: Loop,
    kind: &'static str,
}

impl Scene {
    fn new(kind: &'static str) -> Self {
        let watcher = Watcher::new().unwrap();
        let waits = Loop::new(kind, watcher.as_fd());
        Self { place: Place::new(), watcher, waits, kind }
    }

    /// All that there is, taken as a loop takes it.
    fn drain(&mut self) -> Vec<WatchEventBuf> {
        let mut events = Vec::new();
        while let Some(event) = self.watcher.try_recv().unwrap() {
            events.push(event.to_buf());
        }
        events
    }

    /// Something is there: the loop says so, and once it was taken, no more.
    fn shows(&mut self, what: &str) -> Vec<WatchEventBuf> {
        let kind = self.kind;
        assert!(self.waits.wait(LONG), "{kind}: {what} is not shown");
        let events = self.drain();
        // An earlier wake-up may be left, without an event.
        if self.waits.wait(NOW) {
            assert_eq!(self.drain().len(), 0, "{kind}: {what}");
        }
        assert!(!self.waits.wait(NOW), "{kind}: {what} is shown for ever");
        events
    }
}

fn for_all(test: impl Fn(Scene)) {
    let _watchdog = Watchdog::new();
    KINDS.into_iter().map(Scene::new).for_each(test);
}

fn of(events: &[WatchEventBuf], watch: WatchId) -> usize {
    events.iter().filter(|event| event.watch() == Some(watch)).count()
}

#[test]
fn it_shows_events_of_the_kernel_each_time() {
    for_all(|mut scene| {
        let watch = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        assert!(!scene.waits.wait(NOW));
        for name in ["a", "b", "c"] {
            scene.place.file(name);
            assert_eq!(of(&scene.shows("an event"), watch), 1);
        }
    });
}

#[test]
fn it_shows_what_the_set_up_of_a_tree_has_found() {
    for_all(|mut scene| {
        scene.place.dir("a");
        let (watches, root) = (scene.watcher.watches(), scene.place.path().to_owned());
        let options = TreeOptions::new().report_existing(true);
        let other = thread::spawn(move || watches.watch_tree(root, CREATE, options).unwrap());
        let tree = other.join().unwrap();
        // The entry, and the end of the set-up.
        assert_eq!(of(&scene.shows("an entry"), tree), 2);
    });
}

#[test]
fn it_shows_what_another_thread_included_again() {
    for_all(|mut scene| {
        scene.place.dir("a");
        let path = scene.place.at("a");
        let tree =
            scene.watcher.watch_tree(scene.place.path(), CREATE, TreeOptions::new()).unwrap();
        scene.watcher.watches().exclude(tree, &path).unwrap();
        scene.shows("an exclusion");
        scene.place.file("a/b");
        let watches = scene.watcher.watches();
        thread::spawn(move || watches.include(tree, path).unwrap()).join().unwrap();
        assert_eq!(of(&scene.shows("an inclusion"), tree), 1);
    });
}

#[test]
fn it_shows_what_became_of_a_name_when_its_mask_was_changed() {
    for_all(|mut scene| {
        let path = scene.place.at("a");
        let name = scene.watcher.watch_name(&path, CREATE).unwrap();
        fs::write(&path, "").unwrap();
        scene.watcher.watches().set_mask(name, WatchMask::CLOSE_WRITE).unwrap();
        let events = scene.shows("a name");
        let changes: Vec<_> = events.iter().filter_map(WatchEventBuf::name_change).collect();
        assert_eq!(changes.first(), Some(&NameChange::Appeared), "{}", scene.kind);
    });
}

#[test]
fn it_shows_events_that_were_queued_when_a_second_watch_joined() {
    for_all(|mut scene| {
        let first = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        scene.place.file("a");
        let second = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        let events = scene.shows("an event that was read ahead");
        assert_eq!((of(&events, first), of(&events, second)), (1, 0));
        scene.place.file("b");
        let events = scene.shows("an event for both");
        assert_eq!((of(&events, first), of(&events, second)), (1, 1));
    });
}

#[test]
fn it_shows_a_stop_until_the_end() {
    for_all(|mut scene| {
        scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        scene.place.file("a");
        let stop = scene.watcher.stop_handle();
        thread::spawn(move || stop.stop()).join().unwrap();
        assert!(scene.waits.wait(LONG));
        // What is left comes first.
        assert_eq!(scene.watcher.try_recv().unwrap().unwrap().name().unwrap(), "a");
        for _ in 0..2 {
            let end = scene.watcher.try_recv().map(|event| event.map(|event| event.to_buf()));
            let stopped = matches!(end, Err(WatchError::Stopped(StopReason::Requested)));
            assert!(stopped, "{}: {end:?}", scene.kind);
        }
        if ["poll", "epoll, level"].contains(&scene.kind) {
            assert!(scene.waits.wait(NOW));
        }
    });
}

#[test]
fn a_loop_that_takes_one_event_at_a_time_rearms() {
    for_all(|mut scene| {
        let watch = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        for name in ["a", "b", "c"] {
            scene.place.file(name);
        }
        let mut taken = 0;
        while taken < 3 {
            assert!(scene.waits.wait(LONG), "{} hangs after {taken}", scene.kind);
            let event = scene.watcher.try_recv().unwrap().map(|event| event.watch());
            taken += u32::from(event == Some(Some(watch)));
            scene.watcher.rearm();
        }
        assert_eq!(scene.drain().len(), 0);
    });
}

#[test]
fn a_loop_that_drains_misses_nothing_while_others_change_everything() {
    for_all(|mut scene| {
        const FILES: u32 = 300;
        let dir = scene.place.dir("dir");
        let watch = scene.watcher.watch(&dir, CREATE).unwrap();
        let watches = scene.watcher.watches();
        let (root, stop) = (scene.place.path().to_owned(), scene.watcher.stop_handle());
        let added = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&added);
        let other = thread::spawn(move || {
            for i in 0..FILES {
                fs::write(dir.join(i.to_string()), "").unwrap();
                let second = watches.watch(&dir, CREATE | WatchMask::ATTRIB).unwrap();
                let options = TreeOptions::new().report_existing(i % 7 == 0);
                let tree = watches.watch_tree(&root, CREATE, options).unwrap();
                touch(&dir);
                for watch in [second, tree] {
                    watches.unwatch(watch).unwrap();
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            stop.stop();
        });
        let mut seen = 0;
        'events: loop {
            assert!(scene.waits.wait(LONG), "{} hangs after {seen}", scene.kind);
            loop {
                match scene.watcher.try_recv() {
                    Ok(Some(event)) => seen += u32::from(event.watch() == Some(watch)),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(error, WatchError::Stopped(StopReason::Requested));
                        break 'events;
                    }
                }
            }
        }
        other.join().unwrap();
        assert_eq!(seen, FILES, "{}", scene.kind);
        assert_eq!(added.load(Ordering::Relaxed), FILES);
    });
}
#[test]
fn a_file_that_leaves_a_tree_is_reported_before_nothing_is_left() {
    let _watchdog = Watchdog::new();
    let (place, outside) = (Place::new(), Place::new());
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(place.path(), WatchMask::MOVE, TreeOptions::new()).unwrap();
    drained(&mut watcher);
    for round in 0..100 {
        place.file("a");
        fs::rename(place.at("a"), outside.at("a")).unwrap();
        let events = drained(&mut watcher);
        assert_eq!(of(&events, tree), 1, "round {round}: {events:?}");
    }
}

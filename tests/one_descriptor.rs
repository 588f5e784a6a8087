//! The watcher's one descriptor is readable whenever `try_recv` would not return `None`. Tested with
//! poll(2), with epoll(7) in both modes, with mio, and with tokio's `AsyncFd`.

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

/// An event loop that waits for one descriptor.
enum EventLoop {
    Poll(OwnedFd),
    Epoll(OwnedFd),
    Mio(Box<(mio::Poll, mio::Events)>),
    Tokio(Box<tokio::runtime::Runtime>, AsyncFd<RawDescriptor>),
}

const KINDS: [&str; 5] = ["poll", "epoll, level", "epoll, edge", "mio", "tokio"];

/// The number of a descriptor that the watcher owns.
struct RawDescriptor(RawFd);

impl AsRawFd for RawDescriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl EventLoop {
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
                // Deprecated because an `AsRawFd` may return different descriptors; this one does not.
                #[allow(deprecated)]
                let fd = AsyncFd::new(RawDescriptor(fd.as_raw_fd())).unwrap();
                drop(guard);
                Self::Tokio(Box::new(runtime), fd)
            }
        }
    }

    /// Waits until the descriptor is readable. Returns `false` on timeout.
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
                // Long enough for the runtime to poll its descriptors.
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

/// A watcher with an empty queue, and an event loop that waits for it.
struct Scene {
    place: Place,
    watcher: Watcher,
    event_loop: EventLoop,
    kind: &'static str,
}

impl Scene {
    fn new(kind: &'static str) -> Self {
        let watcher = Watcher::new().unwrap();
        let event_loop = EventLoop::new(kind, watcher.as_fd());
        Self { place: Place::new(), watcher, event_loop, kind }
    }

    /// Reads events until none is left, as a loop does.
    fn drain(&mut self) -> Vec<WatchEventBuf> {
        let mut events = Vec::new();
        while let Some(event) = self.watcher.try_recv().unwrap() {
            events.push(event.to_buf());
        }
        events
    }

    /// Asserts that the loop wakes up, and that it does not wake up again after all events were read.
    fn assert_shown(&mut self, what: &str) -> Vec<WatchEventBuf> {
        let kind = self.kind;
        assert!(self.event_loop.wait(LONG), "{kind}: {what} is not shown");
        let events = self.drain();
        // Wake-ups without an event may follow: parents of a followed name are watched, and other processes
        // use /tmp.
        for _ in 0..1000 {
            if !self.event_loop.wait(NOW) {
                return events;
            }
            assert_eq!(self.drain().len(), 0, "{kind}: {what}");
        }
        panic!("{kind}: {what} is still shown after it was read");
    }
}

fn for_each_loop(test: impl Fn(Scene)) {
    let _watchdog = Watchdog::new();
    KINDS.into_iter().map(Scene::new).for_each(test);
}

/// Counts the events of one watch.
fn count(events: &[WatchEventBuf], watch: WatchId) -> usize {
    events.iter().filter(|event| event.watch() == Some(watch)).count()
}

#[test]
fn the_descriptor_shows_each_kernel_event() {
    for_each_loop(|mut scene| {
        let watch = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        assert!(!scene.event_loop.wait(NOW));
        for name in ["a", "b", "c"] {
            scene.place.file(name);
            assert_eq!(count(&scene.assert_shown("an event"), watch), 1);
        }
    });
}

#[test]
fn the_descriptor_shows_entries_found_by_the_set_up_of_a_tree() {
    for_each_loop(|mut scene| {
        scene.place.dir("a");
        let (watches, root) = (scene.watcher.watches(), scene.place.path().to_owned());
        let options = TreeOptions::new().report_existing(true);
        let other = thread::spawn(move || watches.watch_tree(root, CREATE, options).unwrap());
        let tree = other.join().unwrap();
        // The entry and the end of the set-up.
        assert_eq!(count(&scene.assert_shown("an entry"), tree), 2);
    });
}

#[test]
fn the_descriptor_shows_entries_that_another_thread_included_again() {
    for_each_loop(|mut scene| {
        scene.place.dir("a");
        let path = scene.place.at("a");
        let tree =
            scene.watcher.watch_tree(scene.place.path(), CREATE, TreeOptions::new()).unwrap();
        scene.watcher.watches().exclude(tree, &path).unwrap();
        scene.assert_shown("an exclusion");
        scene.place.file("a/b");
        let watches = scene.watcher.watches();
        thread::spawn(move || watches.include(tree, path).unwrap()).join().unwrap();
        assert_eq!(count(&scene.assert_shown("an inclusion"), tree), 1);
    });
}

#[test]
fn the_descriptor_shows_a_name_change_found_by_set_mask() {
    for_each_loop(|mut scene| {
        let path = scene.place.at("a");
        let name = scene.watcher.watch_name(&path, CREATE).unwrap();
        fs::write(&path, "").unwrap();
        scene.watcher.watches().set_mask(name, WatchMask::CLOSE_WRITE).unwrap();
        let events = scene.assert_shown("a name");
        let changes: Vec<_> = events.iter().filter_map(WatchEventBuf::name_change).collect();
        assert_eq!(changes.first(), Some(&NameChange::Appeared), "{}", scene.kind);
    });
}

#[test]
fn the_descriptor_shows_events_queued_before_a_second_watch() {
    for_each_loop(|mut scene| {
        let first = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        scene.place.file("a");
        let second = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        let events = scene.assert_shown("an event that was read early");
        assert_eq!((count(&events, first), count(&events, second)), (1, 0));
        scene.place.file("b");
        let events = scene.assert_shown("an event for both");
        assert_eq!((count(&events, first), count(&events, second)), (1, 1));
    });
}

#[test]
fn the_descriptor_shows_a_stop_permanently() {
    for_each_loop(|mut scene| {
        scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        scene.place.file("a");
        let stop = scene.watcher.stop_handle();
        thread::spawn(move || stop.stop()).join().unwrap();
        assert!(scene.event_loop.wait(LONG));
        // Queued events are returned first.
        assert_eq!(scene.watcher.try_recv().unwrap().unwrap().name().unwrap(), "a");
        for _ in 0..2 {
            let result = scene.watcher.try_recv().map(|event| event.map(|event| event.to_buf()));
            let stopped = matches!(result, Err(WatchError::Stopped(StopReason::Requested)));
            assert!(stopped, "{}: {result:?}", scene.kind);
        }
        if ["poll", "epoll, level"].contains(&scene.kind) {
            assert!(scene.event_loop.wait(NOW));
        }
    });
}

#[test]
fn a_loop_that_reads_one_event_at_a_time_can_rearm() {
    for_each_loop(|mut scene| {
        let watch = scene.watcher.watch(scene.place.path(), CREATE).unwrap();
        for name in ["a", "b", "c"] {
            scene.place.file(name);
        }
        let mut received = 0;
        while received < 3 {
            assert!(scene.event_loop.wait(LONG), "{} hangs after {received}", scene.kind);
            let event = scene.watcher.try_recv().unwrap().map(|event| event.watch());
            received += u32::from(event == Some(Some(watch)));
            scene.watcher.rearm();
        }
        assert_eq!(scene.drain().len(), 0);
    });
}

#[test]
fn a_loop_that_drains_misses_nothing_while_another_thread_changes_watches() {
    for_each_loop(|mut scene| {
        const FILES: u32 = 300;
        let dir = scene.place.dir("dir");
        let watch = scene.watcher.watch(&dir, CREATE).unwrap();
        let watches = scene.watcher.watches();
        let (root, stop) = (scene.place.path().to_owned(), scene.watcher.stop_handle());
        let rounds = Arc::new(AtomicU32::new(0));
        let done = Arc::clone(&rounds);
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
                done.fetch_add(1, Ordering::Relaxed);
            }
            stop.stop();
        });
        let mut seen = 0;
        'events: loop {
            assert!(scene.event_loop.wait(LONG), "{} hangs after {seen}", scene.kind);
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
        assert_eq!(rounds.load(Ordering::Relaxed), FILES);
    });
}

#[test]
fn a_file_that_leaves_a_tree_is_reported_before_try_recv_returns_none() {
    let _watchdog = Watchdog::new();
    let (place, outside) = (Place::new(), Place::new());
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(place.path(), WatchMask::MOVE, TreeOptions::new()).unwrap();
    drained(&mut watcher);
    for round in 0..100 {
        place.file("a");
        fs::rename(place.at("a"), outside.at("a")).unwrap();
        let events = drained(&mut watcher);
        assert_eq!(count(&events, tree), 1, "round {round}: {events:?}");
    }
}

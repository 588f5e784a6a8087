//! The rivals that are libraries.

use std::hint::black_box;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use rustix::time::ClockId;
use tinotify::{EventMask, WatchEvent, WatchMask, Watcher};

use crate::places::Place;
use crate::rivals::{notify_tree, tinotify_tree};
use crate::support::consume;
use crate::writer::Writer;

/// The time without an event after which no more events are expected once the writer is done.
pub const QUIET: Duration = Duration::from_millis(100);
/// The size of a record: a header and a name of up to 15 bytes. A record of an overflow has 16 bytes.
const RECORD: usize = 32;
const BUFFER: usize = 64 * 1024;

/// A rival that reads while the writer writes.
pub trait Reader {
    /// Prepares for the events of the next order.
    fn begin(&mut self) {}

    /// Reads events until all have come, or until the writer is done and no more come. Returns `true` if events
    /// were lost.
    fn read(&mut self, expected: usize, writer: &Writer) -> bool;

    /// Stops reading while the queue is filled.
    fn pause(&self) {}

    fn resume(&self) {}

    /// Returns the processor time that the rival has taken: that of this process, if it is not a program.
    fn cpu_time(&self) -> Duration {
        rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
    }
}

/// What was read.
#[derive(Default)]
struct Count {
    events: usize,
    has_overflowed: bool,
}

impl Count {
    const fn has_lost(&self, expected: usize) -> bool {
        self.has_overflowed || self.events != expected
    }
}

/// The loop of read(2), with poll(2) while the queue is empty.
pub struct Bare {
    inotify: OwnedFd,
    buffer: Vec<u8>,
}

impl Bare {
    pub fn new(place: Place, root: &Path) -> Self {
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        for file in place.files(root) {
            // The same directory again replaces its watch.
            add_watch(&inotify, file.parent().unwrap(), WatchFlags::MODIFY).unwrap();
        }
        Self { inotify, buffer: vec![0; BUFFER] }
    }
}

impl Reader for Bare {
    fn read(&mut self, expected: usize, writer: &Writer) -> bool {
        let mut count = Count::default();
        while count.events < expected {
            match rustix::io::read(&self.inotify, &mut self.buffer[..]) {
                Ok(len) => {
                    count.events += black_box(len) / RECORD;
                    count.has_overflowed |= len % RECORD != 0;
                }
                Err(Errno::AGAIN) => {
                    let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
                    let timeout = QUIET.try_into().unwrap();
                    if poll(&mut fds, Some(&timeout)).unwrap() == 0 && writer.is_done() {
                        break;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        count.has_lost(expected)
    }
}

/// A `Watcher`, with the path of each event.
pub struct WithPaths {
    watcher: Watcher,
}

impl WithPaths {
    pub fn new(place: Place, root: &Path) -> Self {
        let mut watcher = match place {
            Place::Directory => Watcher::new().unwrap(),
            Place::Tree => tinotify_tree(root, WatchMask::MODIFY),
        };
        if place == Place::Directory {
            watcher.watch(root, WatchMask::MODIFY).unwrap();
        }
        // The tree reports that it is established.
        while watcher.try_recv().unwrap().is_some() {}
        Self { watcher }
    }
}

#[inline(always)]
fn take(event: &WatchEvent<'_>, count: &mut Count) {
    if event.mask().contains(EventMask::MODIFY) {
        let path = event.path().as_os_str().as_bytes();
        consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
        count.events += 1;
    }
    count.has_overflowed |= event.is_overflow();
}

impl Reader for WithPaths {
    fn read(&mut self, expected: usize, writer: &Writer) -> bool {
        let mut count = Count::default();
        loop {
            while let Some(event) = self.watcher.try_recv().unwrap() {
                take(&event, &mut count);
            }
            if count.events >= expected {
                break;
            }
            match self.watcher.recv_timeout(QUIET).unwrap() {
                Some(event) => take(&event, &mut count),
                None if writer.is_done() => break,
                None => {}
            }
        }
        count.has_lost(expected)
    }
}

/// The first argument of the process of notify.
pub const NOTIFY: &str = "notify";

/// Runs notify in a process of its own, as a program that prints one byte for each event. notify reads in its
/// own thread and sends events through a channel, so only in a process of its own can it be paused.
pub fn run_notify(root: &Path) {
    let (_watcher, events) = notify_tree(root);
    eprintln!("Watches established.");
    let count = |event: notify::Result<notify::Event>| {
        let event = event.unwrap();
        if !event.kind.is_modify() {
            return 0;
        }
        consume(event.kind, 0, 0, Some(event.paths[0].as_os_str().as_bytes()));
        1
    };
    while let Ok(first) = events.recv() {
        let seen: usize = count(first) + events.try_iter().map(count).sum::<usize>();
        std::io::stdout().write_all(&vec![b'.'; seen]).unwrap();
        std::io::stdout().flush().unwrap();
    }
}

//! What draining a full queue costs: 15,000 events of the kernel, as a multiple of the bare `read(2)`
//! loop with the same buffer.
//!
//! All rivals read the same inotify instance, that of a `Watcher`, in turn: before each of them the
//! queue is filled anew, untimed, by reads of two files in the watched directory. They alternate, so
//! no two neighbours in the queue are alike, and none is merged. `Watcher` gives events by `try_next`,
//! each with its path (`path_into`), which no other composes.
//!
//! ```text
//! cargo bench --bench drain
//! ```
//!
//! `Watcher` has no buffer below 4,112 bytes; 128 of these events fit there as in 4,096, so that each
//! read(2) gives the same. nix gives no instance but its own, which has a directory for itself, and a
//! buffer of its own, of 4 KiB: it is the same in both rows.
//!
//! notify reads in a thread of its own while the queue fills, and sends events through a channel. So it
//! stands apart: the processor's time of the whole process for changes that it watches, until all
//! events came out of the channel, less that for the same changes where nobody reads the queue.
//!
//! # Instructions, for a second opinion without noise
//!
//! `count RIVAL BUFFER DRAINS` drains the queue in one rival's way without a clock, with a buffer of
//! `4096` or `65536` bytes. Valgrind counts the instructions outside of the kernel; what 2 drains take
//! more than 1, less the same for `read(2)`, divided by 15,000, is the instructions per event:
//!
//! ```text
//! cargo bench --bench drain --no-run      # prints the path of the program
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM count tinotify 4096 1
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM count tinotify 4096 2
//! ```

use std::ffi::CString;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags};
use notify::{RecommendedWatcher, RecursiveMode};
use rustix::fs::inotify::Reader;
use rustix::io::Errno;
use rustix::time::ClockId;
use support::{Mode, Verdicts, alternate, consume, median, uncertainty};
use tempfile::TempDir;
use tinotify::{EventRing, FillError, WatchMask, Watcher};

mod support;

/// Below the queue's usual limit of 16,384.
const EVENTS: usize = 15_000;
/// A header, and a name of up to 15 bytes.
const RECORD: usize = 32;
const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;
const PAGE: usize = 4096;
const ROWS: [(&str, usize); 2] = [("4 KiB", SMALL), ("64 KiB", LARGE)];
const ROUNDS: usize = 400;

#[derive(Clone, Copy, PartialEq)]
enum Rival {
    Read,
    Tinotify,
    Ring,
    Watcher,
    Rustix,
    InotifyRs,
    Nix,
}

use Rival::{InotifyRs, Nix, Read, Ring, Rustix, Tinotify};

const RIVALS: [(Rival, &str); 7] = [
    (Read, "read(2)"),
    (Tinotify, "tinotify"),
    (Ring, "ring"),
    (Rival::Watcher, "Watcher"),
    (Rustix, "rustix"),
    (InotifyRs, "inotify-rs"),
    (Nix, "nix"),
];

/// A directory with two files, which are changed in turn.
struct Dir {
    dir: TempDir,
    files: [File; 2],
}

impl Dir {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = ["one.txt", "two.txt"].map(|name| {
            let path = dir.path().join(name);
            std::fs::write(&path, "text").unwrap();
            File::options().read(true).write(true).open(path).unwrap()
        });
        Self { dir, files }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn read_in_turn(&self) {
        for _ in 0..EVENTS / 2 {
            for file in &self.files {
                rustix::io::pread(file, &mut [0; 1], 0).unwrap();
            }
        }
    }

    fn write_in_turn(&self) {
        for _ in 0..EVENTS / 2 {
            for file in &self.files {
                file.write_all_at(b"t", 0).unwrap();
            }
        }
    }
}

/// One inotify instance, in each rival's hands, and what fills its queue.
struct Bench {
    fd: OwnedFd,
    watcher: Watcher,
    tinotify: tinotify::Inotify,
    inotify_rs: inotify::Inotify,
    dir: Dir,
    nix: nix::sys::inotify::Inotify,
    dir_of_nix: Dir,
    /// The size of the buffer.
    room: usize,
    buffer: Vec<u8>,
    /// Where the buffer's first whole page begins.
    aligned: usize,
    small_ring: Box<EventRing<{ SMALL / 16 }>>,
    large_ring: Box<EventRing<{ LARGE / 16 }>>,
}

impl Bench {
    fn new(room: usize) -> Self {
        let [dir, dir_of_nix] = [Dir::new(), Dir::new()];

        let watcher = Watcher::builder().buffer_size(room).build().unwrap();
        watcher.watch(dir.path(), WatchMask::ACCESS).unwrap();
        let fd = watcher.inotify_fd().try_clone_to_owned().unwrap();

        // nix takes no descriptor without `unsafe`.
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let nix = nix::sys::inotify::Inotify::init(flags).unwrap();
        nix.add_watch(dir_of_nix.path(), AddWatchFlags::IN_ACCESS).unwrap();

        let buffer = vec![0; LARGE + PAGE];
        Self {
            watcher,
            tinotify: fd.try_clone().unwrap().into(),
            inotify_rs: fd.try_clone().unwrap().into(),
            fd,
            dir,
            nix,
            dir_of_nix,
            room,
            aligned: buffer.as_ptr().align_offset(PAGE),
            buffer,
            small_ring: Box::new(EventRing::new()),
            large_ring: Box::new(EventRing::new()),
        }
    }

    /// Brings all events into the rival's queue.
    fn fill(&mut self, rival: Rival) {
        // rustix leaves it empty.
        self.buffer.resize(LARGE + PAGE, 0);
        let (dir, fd) = match rival {
            Nix => (&self.dir_of_nix, self.nix.as_fd()),
            _ => (&self.dir, self.fd.as_fd()),
        };
        dir.read_in_turn();
        check_queue(fd);
    }

    /// Empties the queue, and gives the number of events that came.
    fn drain(&mut self, rival: Rival) -> usize {
        let room = self.room;
        let buffer = &mut self.buffer[self.aligned..][..room];
        match rival {
            Read => read(&self.fd, buffer) / RECORD,
            Tinotify => tinotify(&self.tinotify, buffer),
            Ring if room == SMALL => ring(&self.tinotify, &mut self.small_ring),
            Ring => ring(&self.tinotify, &mut self.large_ring),
            Rival::Watcher => watcher(&mut self.watcher),
            Rustix => {
                // It wants memory that need not be initialised, which a vector lends behind its end.
                self.buffer.clear();
                let room = &mut self.buffer.spare_capacity_mut()[self.aligned..][..room];
                rustix(Reader::new(&self.fd, room))
            }
            InotifyRs => inotify_rs(&mut self.inotify_rs, buffer),
            Nix => nix(&self.nix),
        }
    }

    fn sample(&mut self, rival: Rival) -> Duration {
        self.fill(rival);
        let start = cpu_time();
        let seen = self.drain(rival);
        let time = cpu_time() - start;
        assert_eq!(seen, EVENTS);
        time
    }
}

/// Sees that all events are queued.
fn check_queue(fd: impl AsFd) {
    let queued = rustix::io::ioctl_fionread(fd).unwrap();
    let expected = (EVENTS * RECORD) as u64;
    assert_eq!(queued, expected, "is fs.inotify.max_queued_events below {EVENTS}?");
}

/// The processor's time of this thread, in the kernel too: a drain takes so long that the clock on
/// the wall would count much of what others do. None of the rivals ever sleeps.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[inline(never)]
fn read(fd: &OwnedFd, buffer: &mut [u8]) -> usize {
    let mut seen = 0;
    loop {
        match rustix::io::read(fd, &mut *buffer) {
            Ok(len) => seen += black_box(len),
            Err(Errno::AGAIN) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn tinotify(inotify: &tinotify::Inotify, buffer: &mut [u8]) -> usize {
    let mut seen = 0;
    loop {
        match inotify.read(buffer) {
            Ok(events) => {
                for event in events {
                    let event = event.unwrap();
                    consume(event.wd(), event.mask().bits(), event.cookie(), event.name());
                    seen += 1;
                }
            }
            Err(error) if error.is_would_block() => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn ring<const N: usize>(inotify: &tinotify::Inotify, ring: &mut EventRing<N>) -> usize {
    let mut seen = 0;
    loop {
        match inotify.fill(ring) {
            Ok(_) => {
                while let Some(event) = ring.pop() {
                    let event = event.unwrap();
                    consume(event.wd(), event.mask().bits(), event.cookie(), event.name());
                    seen += 1;
                }
            }
            Err(FillError::Read(error)) if error.is_would_block() => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn watcher(watcher: &mut Watcher) -> usize {
    let mut path = PathBuf::new();
    let mut seen = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        event.path_into(&mut path);
        let path = path.as_os_str().as_bytes();
        consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
        seen += 1;
    }
    seen
}

#[inline(never)]
fn rustix(mut reader: Reader<'_, &OwnedFd>) -> usize {
    let mut seen = 0;
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| name.to_bytes());
                consume(event.wd(), event.events().bits(), event.cookie(), name);
                seen += 1;
            }
            Err(Errno::AGAIN) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn inotify_rs(inotify: &mut inotify::Inotify, buffer: &mut [u8]) -> usize {
    let mut seen = 0;
    loop {
        match inotify.read_events(buffer) {
            Ok(events) => {
                for event in events {
                    let name = event.name.map(|name| name.as_encoded_bytes());
                    let wd = event.wd.get_watch_descriptor_id();
                    consume(wd, event.mask.bits(), event.cookie, name);
                    seen += 1;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn nix(inotify: &nix::sys::inotify::Inotify) -> usize {
    let mut seen = 0;
    loop {
        match inotify.read_events() {
            Ok(events) => {
                for event in &events {
                    let name = event.name.as_ref().map(|name| name.as_encoded_bytes());
                    consume(event.wd, event.mask.bits(), event.cookie, name);
                    seen += 1;
                }
            }
            Err(nix::Error::EAGAIN) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

/// notify, and the same changes without it.
struct Apart {
    dir: Dir,
    events: Receiver<notify::Result<notify::Event>>,
    _notify: RecommendedWatcher,
    silent_dir: Dir,
    silent: tinotify::Inotify,
    buffer: Vec<u8>,
}

impl Apart {
    fn new() -> Self {
        let [dir, silent_dir] = [Dir::new(), Dir::new()];
        let (sender, events) = mpsc::channel();
        let mut notify = notify::recommended_watcher(sender).unwrap();
        notify::Watcher::watch(&mut notify, dir.path(), RecursiveMode::NonRecursive).unwrap();

        let silent = tinotify::Inotify::init(tinotify::InitFlags::NONBLOCK).unwrap();
        let path = CString::new(silent_dir.path().as_os_str().as_bytes()).unwrap();
        silent.add_watch(&path, WatchMask::MODIFY).unwrap();
        Self { dir, events, _notify: notify, silent_dir, silent, buffer: vec![0; LARGE] }
    }

    /// The changes, and nobody who reads of them.
    fn sample_silent(&mut self) -> Duration {
        let start = cpu_time_of_all();
        self.silent_dir.write_in_turn();
        let time = cpu_time_of_all() - start;
        check_queue(&self.silent);
        assert_eq!(tinotify(&self.silent, &mut self.buffer), EVENTS);
        time
    }

    /// The changes, and all of them out of the channel.
    fn sample_notify(&mut self) -> Duration {
        let start = cpu_time_of_all();
        self.dir.write_in_turn();
        for _ in 0..EVENTS {
            let event = self.events.recv().unwrap().unwrap();
            assert!(event.kind.is_modify(), "{event:?}");
            consume(event.kind, 0, 0, Some(event.paths[0].as_os_str().as_bytes()));
        }
        cpu_time_of_all() - start
    }
}

/// The processor's time of all threads of this process.
fn cpu_time_of_all() -> Duration {
    rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

fn main() {
    if let [_, word, rival, room, drains] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "count" {
            return count(rival, room.parse().unwrap(), drains.parse().unwrap());
        }
    }

    let mode = Mode::of_this_call();
    let rounds = mode.rounds(ROUNDS);
    println!(
        "Nanoseconds per event of a drained queue of {EVENTS}, and as a multiple of the bare read(2) \
         loop.\nMedians of {rounds} rounds, rivals alternating; nix has its own buffer of 4 KiB.\n"
    );
    print!("{:>8}", "buffer");
    for (_, title) in RIVALS {
        print!(" {title:>23}");
    }
    println!();

    let mut benches = ROWS.map(|(_, room)| Bench::new(room));
    let times = alternate(ROWS.len(), RIVALS.len(), rounds, |row, rival| {
        benches[row].sample(RIVALS[rival].0)
    });
    let mut verdicts = Verdicts::default();
    for ((label, _), times) in ROWS.into_iter().zip(&times) {
        let all: Vec<usize> = (0..rounds).collect();
        print!("{label:>8}");
        for (index, (rival, title)) in RIVALS.into_iter().enumerate() {
            // Of each round by itself, for the kernel's own pace changes over minutes.
            let ratio = |rounds: &[usize]| {
                let ratios = rounds.iter().map(|&round| times[index][round] / times[0][round]);
                median(&ratios.collect::<Vec<_>>())
            };
            let (nanoseconds, value) = (median(&times[index]) / EVENTS as f64, ratio(&all));
            let plus_minus = uncertainty(rounds, ratio);
            print!(" {nanoseconds:8.2} {value:7.3} ±{plus_minus:.3}");
            let limit = match rival {
                Tinotify => Some(1.01),
                Rival::Watcher => Some(1.05),
                _ => None,
            };
            if let Some(limit) = limit {
                verdicts.at_most(
                    &format!("{title} / read(2), buffer of {label}"),
                    limit,
                    value,
                    plus_minus,
                );
            }
        }
        println!();
    }
    notify_apart(&mut benches[0], rounds);
    verdicts.print(&mode);
}

/// Beside the bare read loop with the small buffer.
fn notify_apart(bench: &mut Bench, rounds: usize) {
    let mut apart = Apart::new();
    let times = alternate(1, 3, rounds, |_, what| match what {
        0 => bench.sample(Read),
        1 => apart.sample_silent(),
        _ => apart.sample_notify(),
    });
    let [read, silent, notify] = &times[0][..] else { unreachable!() };
    let cost = |round: usize| notify[round] - silent[round];
    let ratio = |rounds: &[usize]| {
        median(&rounds.iter().map(|&round| cost(round) / read[round]).collect::<Vec<_>>())
    };
    let all: Vec<usize> = (0..rounds).collect();
    let costs: Vec<f64> = all.iter().map(|&round| cost(round)).collect();
    println!(
        "\nnotify, all threads, above the same changes with nobody reading (in its way, see the source): \
         {:.2} {:.3} ±{:.3}",
        median(&costs) / EVENTS as f64,
        ratio(&all),
        uncertainty(rounds, ratio),
    );
}

fn count(rival: &str, room: usize, drains: usize) {
    assert!(room == SMALL || room == LARGE, "the buffer has {SMALL} or {LARGE} bytes");
    let (rival, _) = *RIVALS.iter().find(|(_, title)| *title == rival).expect("a rival's name");
    let mut bench = Bench::new(room);
    let mut seen = 0;
    for _ in 0..drains {
        bench.fill(rival);
        seen += bench.drain(rival);
    }
    println!("{seen} events");
}

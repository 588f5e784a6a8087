//! The cost of draining a full queue of 15,000 kernel events, as a multiple of a bare `read(2)` loop with the
//! same buffer.
//!
//! All rivals read the same inotify instance, that of a `Watcher`, in turn. Before each of them the queue is
//! filled again, outside the measured time, by reads of two files in the watched directory. The two files
//! alternate, so that no neighbours in the queue are identical and none merge. `Watcher` returns events with
//! `try_recv` and composes the path of each. No other rival composes paths.
//!
//! ```text
//! cargo bench --bench drain
//! ```
//!
//! The smallest buffer of a `Watcher` is 4,112 bytes. It holds 128 of these events, as 4,096 bytes do, so that
//! each read(2) returns the same. nix cannot use an existing instance without `unsafe`: it has its own
//! instance with its own directory. It also has its own buffer of 4 KiB, in both rows.
//!
//! notify reads in its own thread while the queue fills, and sends events through a channel. So it is measured
//! separately: the processor time of the whole process for changes that notify watches, until all events came
//! out of the channel, minus the time for the same changes without a reader of the queue.
//!
//! # Instructions, as a second measure without noise
//!
//! `count RIVAL BUFFER DRAINS` drains the queue with one rival and without a clock. The buffer has `4096` or
//! `65536` bytes. Valgrind counts the instructions outside the kernel. Subtract those of 1 drain from those of
//! 2 drains, subtract the same difference for `read(2)`, and divide by 15,000 for the instructions per event:
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
use std::path::Path;
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

/// Below the default limit of the queue, 16,384.
const EVENTS: usize = 15_000;
/// The size of a record: a header and a name of up to 15 bytes.
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

/// A directory with two files that are read or written in turn.
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

/// The rivals, which share one inotify instance, and the directories whose events fill the queues.
struct Bench {
    fd: OwnedFd,
    watcher: Watcher,
    tinotify: tinotify::Inotify,
    inotify_rs: inotify::Inotify,
    dir: Dir,
    nix: nix::sys::inotify::Inotify,
    nix_dir: Dir,
    /// In bytes.
    buffer_size: usize,
    buffer: Vec<u8>,
    /// The offset of the first page boundary in the buffer.
    aligned: usize,
    small_ring: Box<EventRing<{ SMALL / 16 }>>,
    large_ring: Box<EventRing<{ LARGE / 16 }>>,
}

impl Bench {
    fn new(buffer_size: usize) -> Self {
        let [dir, nix_dir] = [Dir::new(), Dir::new()];

        let watcher = Watcher::builder().buffer_size(buffer_size).build().unwrap();
        watcher.watch(dir.path(), WatchMask::ACCESS).unwrap();
        let fd = watcher.inotify_fd().try_clone_to_owned().unwrap();

        // nix cannot use an existing descriptor without `unsafe`.
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let nix = nix::sys::inotify::Inotify::init(flags).unwrap();
        nix.add_watch(nix_dir.path(), AddWatchFlags::IN_ACCESS).unwrap();

        let buffer = vec![0; LARGE + PAGE];
        Self {
            watcher,
            tinotify: fd.try_clone().unwrap().into(),
            inotify_rs: fd.try_clone().unwrap().into(),
            fd,
            dir,
            nix,
            nix_dir,
            buffer_size,
            aligned: buffer.as_ptr().align_offset(PAGE),
            buffer,
            small_ring: Box::new(EventRing::new()),
            large_ring: Box::new(EventRing::new()),
        }
    }

    /// Fills the rival's queue with all events.
    fn fill(&mut self, rival: Rival) {
        // The rival rustix leaves it empty.
        self.buffer.resize(LARGE + PAGE, 0);
        let (dir, fd) = match rival {
            Nix => (&self.nix_dir, self.nix.as_fd()),
            _ => (&self.dir, self.fd.as_fd()),
        };
        dir.read_in_turn();
        check_queue(fd);
    }

    /// Drains the queue and returns the number of events.
    fn drain(&mut self, rival: Rival) -> usize {
        let buffer_size = self.buffer_size;
        let buffer = &mut self.buffer[self.aligned..][..buffer_size];
        match rival {
            Read => read(&self.fd, buffer) / RECORD,
            Tinotify => tinotify(&self.tinotify, buffer),
            Ring if buffer_size == SMALL => ring(&self.tinotify, &mut self.small_ring),
            Ring => ring(&self.tinotify, &mut self.large_ring),
            Rival::Watcher => watcher(&mut self.watcher),
            Rustix => {
                // It takes uninitialised memory, such as the spare capacity of a vector.
                self.buffer.clear();
                let spare = &mut self.buffer.spare_capacity_mut()[self.aligned..][..buffer_size];
                rustix(Reader::new(&self.fd, spare))
            }
            InotifyRs => inotify_rs(&mut self.inotify_rs, buffer),
            Nix => nix(&self.nix),
        }
    }

    fn sample(&mut self, rival: Rival) -> Duration {
        self.fill(rival);
        let start = thread_time();
        let seen = self.drain(rival);
        let time = thread_time() - start;
        assert_eq!(seen, EVENTS);
        time
    }
}

/// Asserts that all events are queued.
fn check_queue(fd: impl AsFd) {
    let queued = rustix::io::ioctl_fionread(fd).unwrap();
    let expected = (EVENTS * RECORD) as u64;
    assert_eq!(queued, expected, "is fs.inotify.max_queued_events below {EVENTS}?");
}

/// Returns the processor time of this thread, including its time in the kernel. A drain takes long, so wall
/// time would include much time of other processes. None of the rivals sleeps.
fn thread_time() -> Duration {
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
    let mut seen = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        let path = event.path().as_os_str().as_bytes();
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

/// notify, and an instance whose queue nobody reads during the same changes.
struct NotifyBench {
    dir: Dir,
    events: Receiver<notify::Result<notify::Event>>,
    _notify: RecommendedWatcher,
    unread_dir: Dir,
    unread: tinotify::Inotify,
    buffer: Vec<u8>,
}

impl NotifyBench {
    fn new() -> Self {
        let [dir, unread_dir] = [Dir::new(), Dir::new()];
        let (sender, events) = mpsc::channel();
        let mut notify = notify::recommended_watcher(sender).unwrap();
        notify::Watcher::watch(&mut notify, dir.path(), RecursiveMode::NonRecursive).unwrap();

        let unread = tinotify::Inotify::init(tinotify::InitFlags::NONBLOCK).unwrap();
        let path = CString::new(unread_dir.path().as_os_str().as_bytes()).unwrap();
        unread.add_watch(&path, WatchMask::MODIFY).unwrap();
        Self { dir, events, _notify: notify, unread_dir, unread, buffer: vec![0; LARGE] }
    }

    /// Measures the changes without a reader.
    fn sample_unread(&mut self) -> Duration {
        let start = process_time();
        self.unread_dir.write_in_turn();
        let time = process_time() - start;
        check_queue(&self.unread);
        assert_eq!(tinotify(&self.unread, &mut self.buffer), EVENTS);
        time
    }

    /// Measures the changes with notify, until all events came out of the channel.
    fn sample_notify(&mut self) -> Duration {
        let start = process_time();
        self.dir.write_in_turn();
        for _ in 0..EVENTS {
            let event = self.events.recv().unwrap().unwrap();
            assert!(event.kind.is_modify(), "{event:?}");
            consume(event.kind, 0, 0, Some(event.paths[0].as_os_str().as_bytes()));
        }
        process_time() - start
    }
}

/// Returns the processor time of all threads of this process.
fn process_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

fn main() {
    if let [_, word, rival, buffer_size, drains] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "count" {
            return count(rival, buffer_size.parse().unwrap(), drains.parse().unwrap());
        }
    }

    let mode = Mode::of_this_call();
    let rounds = mode.rounds(ROUNDS);
    println!(
        "Nanoseconds per event of a drained queue of {EVENTS} events, and as a multiple of a bare read(2) \
         loop.\nMedians of {rounds} rounds, rivals alternating. nix has its own buffer of 4 KiB.\n"
    );
    print!("{:>8}", "buffer");
    for (_, title) in RIVALS {
        print!(" {title:>23}");
    }
    println!();

    let mut benches = ROWS.map(|(_, buffer_size)| Bench::new(buffer_size));
    let times = alternate(ROWS.len(), RIVALS.len(), rounds, |row, rival| {
        benches[row].sample(RIVALS[rival].0)
    });
    let mut verdicts = Verdicts::default();
    for ((label, _), times) in ROWS.into_iter().zip(&times) {
        let all: Vec<usize> = (0..rounds).collect();
        print!("{label:>8}");
        for (index, (rival, title)) in RIVALS.into_iter().enumerate() {
            // The ratio within each round, since the speed of the kernel changes over minutes.
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
    measure_notify(&mut benches[0], rounds);
    verdicts.print(&mode);
}

/// Measures notify, as a multiple of the bare read loop with the small buffer.
fn measure_notify(bench: &mut Bench, rounds: usize) {
    let mut notify_bench = NotifyBench::new();
    let times = alternate(1, 3, rounds, |_, what| match what {
        0 => bench.sample(Read),
        1 => notify_bench.sample_unread(),
        _ => notify_bench.sample_notify(),
    });
    let [read, unread, notify] = &times[0][..] else { unreachable!() };
    let cost = |round: usize| notify[round] - unread[round];
    let ratio = |rounds: &[usize]| {
        median(&rounds.iter().map(|&round| cost(round) / read[round]).collect::<Vec<_>>())
    };
    let all: Vec<usize> = (0..rounds).collect();
    let costs: Vec<f64> = all.iter().map(|&round| cost(round)).collect();
    println!(
        "\nnotify, all threads, minus the same changes without a reader (measured separately, see the \
         source): {:.2} {:.3} ±{:.3}",
        median(&costs) / EVENTS as f64,
        ratio(&all),
        uncertainty(rounds, ratio),
    );
}

/// Drains the queue a number of times with one rival, for a program that counts instructions.
fn count(rival: &str, buffer_size: usize, drains: usize) {
    assert!(
        buffer_size == SMALL || buffer_size == LARGE,
        "invalid buffer size {buffer_size}: expected {SMALL} or {LARGE} bytes"
    );
    let (rival, _) = *RIVALS.iter().find(|(_, title)| *title == rival).expect("a rival's name");
    let mut bench = Bench::new(buffer_size);
    let mut seen = 0;
    for _ in 0..drains {
        bench.fill(rival);
        seen += bench.drain(rival);
    }
    println!("{seen} events");
}

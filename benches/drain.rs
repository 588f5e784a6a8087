//! What draining a full queue costs: 15,000 events of the kernel, as a multiple of the bare `read(2)`
//! loop with the same buffer.
//!
//! All rivals read the same inotify instance, in turn: before each of them the queue is filled anew,
//! untimed, by reads of two files in the watched directory. They alternate, so no two neighbours in
//! the queue are alike, and none is merged.
//!
//! ```text
//! cargo bench --bench drain
//! ```
//!
//! nix has a buffer of its own, of 4 KiB, so it is the same in both rows.
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
use std::time::Duration;

use nix::sys::inotify::InitFlags;
use rustix::fs::inotify::Reader;
use rustix::io::Errno;
use rustix::time::ClockId;
use support::{Mode, Verdicts, alternate, consume, median, uncertainty};
use tempfile::TempDir;
use tinotify::{EventRing, FillError, WatchMask};

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
    Rustix,
    InotifyRs,
    Nix,
}

use Rival::{InotifyRs, Nix, Read, Ring, Rustix, Tinotify};

const RIVALS: [(Rival, &str); 6] = [
    (Read, "read(2)"),
    (Tinotify, "tinotify"),
    (Ring, "ring"),
    (Rustix, "rustix"),
    (InotifyRs, "inotify-rs"),
    (Nix, "nix"),
];

/// One inotify instance, in each rival's hands, and what fills its queue.
struct Bench {
    fd: OwnedFd,
    tinotify: tinotify::Inotify,
    inotify_rs: inotify::Inotify,
    nix: nix::sys::inotify::Inotify,
    files: [File; 2],
    buffer: Vec<u8>,
    /// Where the buffer's first whole page begins.
    aligned: usize,
    small_ring: Box<EventRing<{ SMALL / 16 }>>,
    large_ring: Box<EventRing<{ LARGE / 16 }>>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = ["one.txt", "two.txt"].map(|name| {
            let path = dir.path().join(name);
            std::fs::write(&path, "text").unwrap();
            File::open(path).unwrap()
        });

        // nix takes no descriptor without `unsafe`, but gives its own.
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let nix = nix::sys::inotify::Inotify::init(flags).unwrap();
        let fd = nix.as_fd().try_clone_to_owned().unwrap();
        let tinotify = tinotify::Inotify::from(fd.try_clone().unwrap());
        let path = CString::new(dir.path().as_os_str().as_bytes()).unwrap();
        tinotify.add_watch(&path, WatchMask::ACCESS).unwrap();

        let buffer = vec![0; LARGE + PAGE];
        Self {
            tinotify,
            inotify_rs: fd.try_clone().unwrap().into(),
            nix,
            fd,
            files,
            aligned: buffer.as_ptr().align_offset(PAGE),
            buffer,
            small_ring: Box::new(EventRing::new()),
            large_ring: Box::new(EventRing::new()),
            _dir: dir,
        }
    }

    /// Brings all events into the queue.
    fn fill(&mut self) {
        // rustix leaves it empty.
        self.buffer.resize(LARGE + PAGE, 0);
        for _ in 0..EVENTS / 2 {
            for file in &self.files {
                rustix::io::pread(file, &mut [0; 1], 0).unwrap();
            }
        }
        let queued = self.tinotify.queued_bytes().unwrap();
        assert_eq!(queued, EVENTS * RECORD, "is fs.inotify.max_queued_events below {EVENTS}?");
    }

    /// Empties the queue, and gives the number of events that came.
    fn drain(&mut self, rival: Rival, room: usize) -> usize {
        let buffer = &mut self.buffer[self.aligned..][..room];
        match rival {
            Read => read(&self.fd, buffer) / RECORD,
            Tinotify => tinotify(&self.tinotify, buffer),
            Ring if room == SMALL => ring(&self.tinotify, &mut self.small_ring),
            Ring => ring(&self.tinotify, &mut self.large_ring),
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

    fn sample(&mut self, rival: Rival, room: usize) -> Duration {
        self.fill();
        let start = cpu_time();
        let seen = self.drain(rival, room);
        let time = cpu_time() - start;
        assert_eq!(seen, EVENTS);
        time
    }
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

fn main() {
    let mut bench = Bench::new();
    if let [_, word, rival, room, drains] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "count" {
            return count(&mut bench, rival, room.parse().unwrap(), drains.parse().unwrap());
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

    let times = alternate(ROWS.len(), RIVALS.len(), rounds, |row, rival| {
        bench.sample(RIVALS[rival].0, ROWS[row].1)
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
            if rival == Tinotify {
                verdicts.at_most(
                    &format!("{title} / read(2), buffer of {label}"),
                    1.01,
                    value,
                    plus_minus,
                );
            }
        }
        println!();
    }
    verdicts.tell(&mode);
}

fn count(bench: &mut Bench, rival: &str, room: usize, drains: usize) {
    assert!(room == SMALL || room == LARGE, "the buffer has {SMALL} or {LARGE} bytes");
    let (rival, _) = *RIVALS.iter().find(|(_, title)| *title == rival).expect("a rival's name");
    let mut seen = 0;
    for _ in 0..drains {
        bench.fill();
        seen += bench.drain(rival, room);
    }
    println!("{seen} events");
}

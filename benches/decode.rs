//! Measures the cost of decoding: nanoseconds per event, without the cost of read(2).
//!
//! All rivals read the same bytes from one memfd. This crate's encoder has written them. All use the same
//! buffer, except the ring, which has its own memory. Each pass makes one lseek(2) to the start and one read.
//! A loop that only reads takes turns with them, and its time is subtracted.
//!
//! ```text
//! cargo bench --bench decode
//! ```
//!
//! # Counting instructions
//!
//! Instruction counts have no noise. `count RIVAL NAME_LENGTH PASSES` runs one rival without a clock, and
//! prints the number of events. Valgrind counts the instructions outside the kernel. The difference between
//! 2,000 and 1,000 passes, divided by the events of 1,000 passes, is the number of instructions per event:
//!
//! ```text
//! cargo bench --bench decode --no-run     # prints the path of the program
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM count tinotify 6 1000
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM count tinotify 6 2000
//! ```

use std::ffi::CString;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::SeekFrom;
use rustix::fs::inotify::Reader;
use support::{Mode, Verdicts, alternate, consume, median, uncertainty};
use tinotify::{Event, EventMask, EventRing, Wd};

mod support;

/// The buffer's size in bytes.
const ROOM: usize = 64 * 1024;
const PAGE: usize = 4096;
const ROUNDS: usize = 1000;
/// The approximate time of one sample: long enough for many events, and short enough to be interrupted
/// rarely.
const SAMPLE: Duration = Duration::from_micros(100);

#[derive(Clone, Copy, PartialEq)]
enum Rival {
    Read,
    Rustix,
    InotifyRs,
    Tinotify,
    Strict,
    Ring,
}

use Rival::{InotifyRs, Read, Ring, Rustix, Strict, Tinotify};

const RIVALS: [(Rival, &str); 6] = [
    (Read, "read(2)"),
    (Rustix, "rustix"),
    (InotifyRs, "inotify-rs"),
    (Tinotify, "tinotify"),
    (Strict, "strict"),
    (Ring, "ring"),
];

/// One file of events, and everything that each rival needs to read it.
struct Bench {
    file: OwnedFd,
    events: usize,
    buffer: Vec<u8>,
    /// The offset of the first whole page in the buffer, so that all rivals read to aligned memory.
    aligned: usize,
    inotify_rs: inotify::Inotify,
    tinotify: tinotify::Inotify,
    ring: Box<EventRing<{ ROOM / 16 }>>,
}

impl Bench {
    /// Writes as many events as fit the buffer. `name_len` returns the lengths of their names.
    fn new(name_len: impl Fn(usize) -> usize) -> Self {
        let mut records = vec![0; ROOM];
        let (mut filled, mut events) = (0, 0);
        loop {
            let name = name(events, name_len(events));
            let (mask, cookie) = match events % 3 {
                0 => (EventMask::CREATE, 0),
                1 => (EventMask::MODIFY, 0),
                _ => (EventMask::MOVED_TO, events as u32),
            };
            let wd = Wd::from_raw(1 + events as i32 % 100);
            let event = Event::new(wd, mask, cookie, name.as_deref());
            let Ok(size) = event.encode(&mut records[filled..]) else { break };
            filled += size;
            events += 1;
        }

        let file = rustix::fs::memfd_create("events", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let written = rustix::io::write(&file, &records[..filled]).unwrap();
        assert_eq!(written, filled);
        let buffer = vec![0; ROOM + PAGE];
        Self {
            events,
            aligned: buffer.as_ptr().align_offset(PAGE),
            buffer,
            inotify_rs: file.try_clone().unwrap().into(),
            tinotify: file.try_clone().unwrap().into(),
            ring: Box::new(EventRing::new()),
            file,
        }
    }

    /// Reads and decodes the whole file, `passes` times. Returns the number of events.
    fn run(&mut self, rival: Rival, passes: usize) -> usize {
        let buffer = &mut self.buffer[self.aligned..][..ROOM];
        match rival {
            Read => {
                read(&self.file, buffer, passes);
                passes * self.events
            }
            Rustix => {
                // rustix takes uninitialised memory, which a vector lends after its end.
                self.buffer.clear();
                let room = &mut self.buffer.spare_capacity_mut()[self.aligned..][..ROOM];
                let seen = rustix(&self.file, Reader::new(&self.file, room), passes);
                self.buffer.resize(ROOM + PAGE, 0);
                seen
            }
            InotifyRs => inotify_rs(&self.file, &mut self.inotify_rs, buffer, passes),
            Tinotify => tinotify(&self.file, &self.tinotify, buffer, passes),
            Strict => strict(&self.file, &self.tinotify, buffer, passes),
            Ring => ring(&self.file, &self.tinotify, &mut self.ring, passes),
        }
    }

    fn sample(&mut self, rival: Rival, passes: usize) -> Duration {
        // Not timed: loads this rival into the caches.
        self.run(rival, 1);
        let start = Instant::now();
        let seen = self.run(rival, passes);
        let time = start.elapsed();
        assert_eq!(seen, passes * self.events);
        time
    }
}

/// Returns a name of this length that differs from the names of its neighbours.
fn name(event: usize, len: usize) -> Option<CString> {
    let bytes: Vec<u8> = (0..len).map(|at| b'a' + ((event * 7 + at) % 26) as u8).collect();
    (len > 0).then(|| CString::new(bytes).unwrap())
}

fn rewind(file: &OwnedFd) {
    rustix::fs::seek(file, SeekFrom::Start(0)).unwrap();
}

#[inline(never)]
fn read(file: &OwnedFd, buffer: &mut [u8], passes: usize) {
    for _ in 0..passes {
        rewind(file);
        black_box(rustix::io::read(file, &mut *buffer).unwrap());
    }
}

#[inline(never)]
fn rustix(file: &OwnedFd, mut reader: Reader<'_, &OwnedFd>, passes: usize) -> usize {
    let mut seen = 0;
    for _ in 0..passes {
        rewind(file);
        loop {
            let event = reader.next().unwrap();
            let name = event.file_name().map(|name| name.to_bytes());
            consume(event.wd(), event.events().bits(), event.cookie(), name);
            seen += 1;
            if reader.is_buffer_empty() {
                break;
            }
        }
    }
    seen
}

#[inline(never)]
fn inotify_rs(
    file: &OwnedFd,
    inotify: &mut inotify::Inotify,
    buffer: &mut [u8],
    passes: usize,
) -> usize {
    let mut seen = 0;
    for _ in 0..passes {
        rewind(file);
        for event in inotify.read_events(buffer).unwrap() {
            let name = event.name.map(|name| name.as_encoded_bytes());
            let wd = event.wd.get_watch_descriptor_id();
            consume(wd, event.mask.bits(), event.cookie, name);
            seen += 1;
        }
    }
    seen
}

#[inline(never)]
fn tinotify(
    file: &OwnedFd,
    inotify: &tinotify::Inotify,
    buffer: &mut [u8],
    passes: usize,
) -> usize {
    let mut seen = 0;
    for _ in 0..passes {
        rewind(file);
        for event in inotify.read(buffer).unwrap() {
            let event = event.unwrap();
            consume(event.wd().as_raw(), event.mask().bits(), event.cookie(), event.name());
            seen += 1;
        }
    }
    seen
}

#[inline(never)]
fn strict(file: &OwnedFd, inotify: &tinotify::Inotify, buffer: &mut [u8], passes: usize) -> usize {
    let mut seen = 0;
    for _ in 0..passes {
        rewind(file);
        for event in inotify.read(buffer).unwrap().strict() {
            let event = event.unwrap();
            consume(event.wd().as_raw(), event.mask().bits(), event.cookie(), event.name());
            seen += 1;
        }
    }
    seen
}

#[inline(never)]
fn ring<const N: usize>(
    file: &OwnedFd,
    inotify: &tinotify::Inotify,
    ring: &mut EventRing<N>,
    passes: usize,
) -> usize {
    let mut seen = 0;
    for _ in 0..passes {
        rewind(file);
        inotify.fill(ring).unwrap();
        while let Some(event) = ring.pop() {
            let event = event.unwrap();
            consume(event.wd().as_raw(), event.mask().bits(), event.cookie(), event.name());
            seen += 1;
        }
    }
    seen
}

/// A row of the table: its label, the lengths of its names, and the targets of tinotify and the ring.
type Row = (&'static str, fn(usize) -> usize, Option<f64>, Option<f64>);

const ROWS: [Row; 7] = [
    ("0", |_| 0, Some(1.05), Some(2.4)),
    ("6", |_| 6, Some(0.95), Some(2.4)),
    ("14", |_| 14, Some(0.95), Some(2.4)),
    ("30", |_| 30, Some(0.95), Some(2.4)),
    ("100", |_| 100, Some(0.80), None),
    ("250", |_| 250, Some(0.60), None),
    // No target: shows the cost of lengths that a branch predictor can't predict.
    (
        "0 to 30",
        |event| event.wrapping_mul(event + 7).wrapping_mul(2_654_435_761) >> 8 & 31,
        None,
        None,
    ),
];

fn main() {
    if let [_, word, rival, len, passes] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "count" {
            return count(rival, len.parse().unwrap(), passes.parse().unwrap());
        }
    }

    let mode = Mode::of_this_call();
    let rounds = mode.rounds(ROUNDS);
    println!(
        "Nanoseconds per event without read(2), whose cost is in its own column, and the ratio to \
         rustix.\nBuffer of 64 KiB; medians of {rounds} rounds, in which the rivals alternate.\n"
    );
    print!("{:>8}", "name");
    for (_, title) in RIVALS {
        print!(" {title:>21}");
    }
    println!();

    // Each bench with its number of passes per sample.
    let mut benches = ROWS.map(|(_, name_len, ..)| {
        let mut bench = Bench::new(name_len);
        let pass = (0..5).map(|_| bench.sample(Read, 1)).min().unwrap();
        (bench, (SAMPLE.as_nanos() / pass.as_nanos().max(1)).max(1) as usize)
    });
    let times = alternate(ROWS.len(), RIVALS.len(), rounds, |row, rival| {
        let (bench, passes) = &mut benches[row];
        bench.sample(RIVALS[rival].0, *passes)
    });

    let mut verdicts = Verdicts::default();
    for (row, (label, _, target, ring_target)) in ROWS.into_iter().enumerate() {
        let (times, (bench, passes)) = (&times[row], &benches[row]);
        let events = (passes * bench.events) as f64;
        let above = |rival: usize, round: usize| {
            let base = if RIVALS[rival].0 == Read { 0.0 } else { times[0][round] };
            (times[rival][round] - base) / events
        };
        let cost = |rival, rounds: &[usize]| {
            median(&rounds.iter().map(|&round| above(rival, round)).collect::<Vec<_>>())
        };
        let all: Vec<usize> = (0..rounds).collect();
        print!("{label:>8}");
        for (index, (rival, title)) in RIVALS.into_iter().enumerate() {
            let ratio = |rounds: &[usize]| cost(index, rounds) / cost(1, rounds);
            let (nanoseconds, value) = (cost(index, &all), ratio(&all));
            let plus_minus = uncertainty(rounds, ratio);
            print!(" {nanoseconds:8.2} {value:6.2} ±{plus_minus:.2}");
            let limit = match rival {
                Tinotify => target,
                Ring => ring_target,
                _ => None,
            };
            if let Some(limit) = limit {
                verdicts.at_most(
                    &format!("{title} / rustix, name of {label}"),
                    limit,
                    value,
                    plus_minus,
                );
            }
        }
        println!();
    }
    verdicts.print(&mode);
}

fn count(rival: &str, name_len: usize, passes: usize) {
    let (rival, _) = *RIVALS.iter().find(|(_, title)| *title == rival).expect("a rival's name");
    let mut bench = Bench::new(|_| name_len);
    println!("{} events", bench.run(rival, passes));
}

//! The process that writes at a given rate.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::places::Place;

/// The first argument of the process.
pub const WORD: &str = "write";
const TICK: Duration = Duration::from_millis(1);
/// After a longer delay, the writer does not catch up: a burst of many events would overflow any reader.
const LATE: Duration = Duration::from_millis(2);

/// The process, which waits for orders.
pub struct Writer {
    process: Child,
    /// Closed to end the process.
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
}

impl Writer {
    pub fn start(place: Place, root: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([WORD, place.name()])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take();
        let reports = BufReader::new(process.stdout.take().unwrap());
        Self { process, orders, reports }
    }

    /// Orders a number of events, at a rate per second, or as fast as possible.
    pub fn order(&mut self, events: usize, rate: Option<f64>) {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{events} {}", rate.unwrap_or(f64::INFINITY)).unwrap();
    }

    /// Returns `true` if the order is done.
    pub fn is_done(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.reports.get_ref().as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Duration::ZERO.try_into().unwrap())).unwrap() > 0
    }

    /// Returns the duration of the order. Waits for its end.
    pub fn time(&mut self) -> Duration {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        Duration::from_nanos(line.trim().parse().unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}

/// Runs the process.
pub fn run(place: Place, root: &Path) {
    let processors = processors();
    pin_to(processors.last().into_iter().copied());
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let files = place.open(root);
    let mut next = 0;
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let (events, rate) = order.split_once(' ').unwrap();
        let time = write(&files, &mut next, events.parse().unwrap(), rate.parse().unwrap());
        println!("{}", time.as_nanos());
    }
}

/// Writes to the files in turn, beginning with the file `next`.
fn write(files: &[File], next: &mut usize, events: usize, rate: f64) -> Duration {
    let start = Instant::now();
    // Moved by each delay.
    let (mut zero, mut tick) = (start, start);
    let mut written = 0;
    while written < events {
        let now = Instant::now();
        if let Some(late) = now.checked_duration_since(tick + LATE) {
            zero += late;
            tick += late;
        }
        tick += TICK;
        let due = (tick - zero).as_secs_f64() * rate;
        let due = if due < events as f64 { due as usize } else { events };
        for _ in written..due {
            files[*next].write_all_at(b"t", 0).unwrap();
            *next = (*next + 1) % files.len();
        }
        written = due;
        if rate.is_finite() {
            std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        }
    }
    start.elapsed()
}

/// Leaves the last processor to the writer, for this thread, its threads and its processes.
pub fn leave_last_processor() {
    let processors = processors();
    if let [others @ .., _] = &processors[..] {
        if others.is_empty() {
            println!("SKIPPED: a processor for the writer: there is only one");
        } else {
            pin_to(others.iter().copied());
        }
    }
}

fn processors() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect()
}

fn pin_to(processors: impl Iterator<Item = usize>) {
    let mut set = CpuSet::new();
    processors.for_each(|processor| set.set(processor));
    sched_setaffinity(None, &set).unwrap();
}

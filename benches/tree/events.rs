//! An event with its composed path.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::ClockId;
use tinotify::{WatchMask, Watcher};

use crate::rivals::tinotify_tree;
use crate::support::{Mode, alternate, consume, median};
use crate::table::{Table, estimate, ratios};

const DEPTH: usize = 10;
/// Less than the queue's default limit of 16,384.
const EVENTS: usize = 15_000;
/// The size of a header and a name of up to 15 bytes.
const RECORD: usize = 32;
/// The default of a `Watcher`.
const BUFFER: usize = 32 * 1024;

/// Returns the processor time of this thread.
fn cpu_time_of_thread() -> Duration {
    rustix::time::clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// A tree of nested directories, and files whose events fill the queue.
struct Deep {
    watcher: Watcher,
    fd: OwnedFd,
    files: Vec<PathBuf>,
    buffer: Vec<u8>,
}

impl Deep {
    /// Creates `leaves` directories at a depth of ten, with as many files in all of them as are needed so
    /// that no two neighbours in the queue are identical. At most 15,000 of them have events, in any order.
    fn new(root: &Path, leaves: usize) -> Self {
        fs::create_dir(root).unwrap();
        let mut path = root.to_owned();
        path.extend((1..DEPTH).map(|level| format!("level-{level}")));
        let mut files = Vec::new();
        for leaf in 0..leaves {
            let leaf = path.join(format!("leaf-{leaf}"));
            fs::create_dir_all(&leaf).unwrap();
            for name in ["one.txt", "two.txt"].iter().take(if leaves > 1 { 1 } else { 2 }) {
                fs::write(leaf.join(name), "text").unwrap();
                files.push(leaf.join(name));
            }
        }
        if leaves > 2 {
            shuffle(&mut files);
        }
        files.truncate(EVENTS);
        let watcher = tinotify_tree(root, WatchMask::ACCESS);
        let fd = watcher.inotify_fd().try_clone_to_owned().unwrap();
        let mut deep = Self { watcher, fd, files, buffer: vec![0; BUFFER] };
        // The events of the tree's own scan.
        deep.drain(1);
        deep
    }

    fn fill(&self, events: usize) {
        for file in self.files.iter().cycle().take(events) {
            // The limit of open files may be lower than their number.
            File::open(file).unwrap().read_exact(&mut [0; 1]).unwrap();
        }
        let queued = rustix::io::ioctl_fionread(&self.fd).unwrap();
        let expected = (events * RECORD) as u64;
        assert_eq!(queued, expected, "is fs.inotify.max_queued_events below {events}?");
    }

    /// Empties the queue, and returns the number of events.
    fn drain(&mut self, rival: usize) -> usize {
        match rival {
            0 => read(&self.fd, &mut self.buffer) / RECORD,
            _ => with_paths(&mut self.watcher),
        }
    }

    fn sample(&mut self, rival: usize) -> Duration {
        self.fill(EVENTS);
        let start = cpu_time_of_thread();
        let seen = self.drain(rival);
        let time = cpu_time_of_thread() - start;
        assert_eq!(seen, EVENTS);
        time
    }
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
fn with_paths(watcher: &mut Watcher) -> usize {
    let mut seen = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        let path = event.path().as_os_str().as_bytes();
        consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
        seen += 1;
    }
    seen
}

pub fn measure(place: &Path, mode: &Mode, table: &mut Table) {
    let most = if mode.quick { 5_000 } else { 50_000 };
    let rows = [(1, 1.04), (1_000, 1.12), (most, 1.5)];
    let mut deep = rows.map(|(leaves, _)| Deep::new(&place.join(format!("deep-{leaves}")), leaves));
    let times = alternate(rows.len(), 2, mode.rounds(200), |row, rival| deep[row].sample(rival));
    for ((leaves, limit), times) in rows.into_iter().zip(&times) {
        let per_event = |times: &[f64]| format!("{:.1} ns", median(times) / EVENTS as f64);
        let (ratio, plus_minus) = estimate(&ratios(&times[1], &times[0]));
        table.row(
            &format!("event with path, depth {DEPTH}, directories: {leaves}"),
            per_event(&times[1]),
            format!("read(2) {}: {ratio:.3} ±{plus_minus:.3}", per_event(&times[0])),
        );
        let what = format!("event with path / bare read(2), directories: {leaves}");
        table.verdicts.at_most(&what, limit, ratio, plus_minus);
    }
}

/// Puts the files into the same random order in each run.
fn shuffle(files: &mut [PathBuf]) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..files.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        files.swap(last, (random % (last as u64 + 1)) as usize);
    }
}

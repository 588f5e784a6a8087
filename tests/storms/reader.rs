//! The reader of the events.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tinotify::{TreeOptions, WatchMask, Watcher};

use super::{Changes, Storm, THREADS};
use crate::trees::{Mirror, NAMES, Note, Random};
use crate::watching::{LONG, Watchdog, unread};

/// When the reader reads in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// At once.
    AtOnce,
    /// When the storm rests.
    AtRest,
    /// When the queue is full, during the storm.
    WhenFull,
    /// When the queue is full and the storm rests.
    WhenFullAtRest,
}

pub struct Round {
    pub ops: u64,
    pub reading: Reading,
}

impl Round {
    pub fn random(random: &mut Random, number: u64, most: [u64; 3], may_overflow: bool) -> Self {
        if may_overflow && number % 8 == 1 {
            let reading =
                if number % 16 == 1 { Reading::WhenFull } else { Reading::WhenFullAtRest };
            return Self { ops: 2_000, reading };
        }
        let reading = if random.below(4) == 0 { Reading::AtRest } else { Reading::AtOnce };
        let most = most[random.below(3) as usize];
        Self { ops: THREADS + random.below(most), reading }
    }
}

pub struct Reader {
    pub watcher: Watcher,
    root: PathBuf,
    pub mirror: Mirror,
    noise: [File; 2],
}

impl Reader {
    /// Sets up the tree, perhaps during the storm.
    pub fn new(root: PathBuf, noise: [File; 2], changes: Changes, track_files: bool) -> Self {
        let watcher = Watcher::new().unwrap();
        let options = TreeOptions::new().report_existing(true).track_files(track_files);
        watcher.watch_tree(&root, NAMES | WatchMask::MODIFY, options).unwrap();
        let mirror = Mirror::empty(track_files);
        let mirror = if changes == Changes::Modes { mirror.with_excuses() } else { mirror };
        Self { watcher, root, mirror, noise }
    }

    /// Reads some events, until none comes for this time.
    fn read(&mut self, wait: Duration) {
        for _ in 0..1000 {
            let Some(event) = self.watcher.recv_timeout(wait).unwrap() else { break };
            self.mirror.apply(&Note::of(&event, &self.root));
        }
    }

    /// Reads during the storm, and then the rest.
    pub fn read_along(&mut self, storm: &mut Storm, reading: Reading) {
        let mut rests = match reading {
            Reading::AtOnce => false,
            Reading::AtRest => {
                storm.wait();
                true
            }
            Reading::WhenFull => {
                self.fill_queue();
                false
            }
            Reading::WhenFullAtRest => {
                self.fill_queue();
                storm.wait();
                true
            }
        };
        // The storm itself may be slow on a slow disk. Only the reader may hang.
        let mut alive = (Watchdog::new(), Instant::now());
        while !rests {
            self.read(Duration::from_millis(1));
            rests = storm.rests();
            if alive.1.elapsed() > LONG / 4 {
                alive = (Watchdog::new(), Instant::now());
            }
        }
        self.read_all();
    }

    /// Reads all reports of a tree at rest.
    pub fn read_all(&mut self) {
        while let Some(event) = self.watcher.try_recv().unwrap() {
            self.mirror.apply(&Note::of(&event, &self.root));
        }
    }

    /// Makes the queue overflow during the storm. The storm alone may not do that: directories that are
    /// created while nothing reads are not watched.
    pub fn fill_queue(&self) {
        for event in 0..queue_limit() + 2 {
            // Alternating files, since identical events merge.
            self.noise[(event % 2) as usize].write_all_at(b"x", 0).unwrap();
        }
        assert!(unread(&self.watcher) >= queue_limit() * 16);
    }
}

pub fn queue_limit() -> u64 {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    limit.trim().parse().unwrap()
}

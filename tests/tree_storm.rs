//! Storms: another process changes a tree at full speed, in several threads, and rests from time to
//! time. Then the mirror that was built from the events alone equals a walk of the disk, and the kernel
//! watches each directory once and nothing else.
//!
//! A normal run takes seconds. The campaign, with so many operations in all storms together:
//!
//! ```text
//! TINOTIFY_STORM_OPS=1000000 cargo test --release --test tree_storm -- --nocapture --test-threads=1
//! ```
//!
//! `TINOTIFY_STORM_SEED` chooses another storm. Events are lost because the reader is held back at
//! times until the queue is full: its limit is that of the whole machine, and stays as it is.

mod trees;
mod watching;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};
use tempfile::TempDir;
use tinotify::{TreeOptions, WatchMask, Watcher};
use trees::{Entry, Mirror, NAMES, Note, Random, watches_amiss};
use watching::{LONG, Watchdog, say, unread};

const OPS: &str = "TINOTIFY_STORM_OPS";
const SEED: &str = "TINOTIFY_STORM_SEED";
/// The child's: the directory that holds those inside and outside.
const PLACE: &str = "TINOTIFY_STORM_PLACE";

const INSIDE: &str = "inside";
const OUTSIDE: &str = "outside";
/// A file that only gets names, and is never written by this one.
const LINKED: &str = "linked";

const THREADS: u64 = 3;
const STORMS: u64 = 4;
/// Of a storm in a normal run. The disk is slower.
const FEW_IN_MEMORY: u64 = 20_000;
const FEW_ON_DISK: u64 = 2_000;
/// More need too much time to overflow.
const QUEUE: u64 = 500_000;
const DEPTH: u64 = 5;

/// Few, so that threads meet at the same places.
const NAMES_USED: [&[u8]; 6] =
    [b"a", b"b", b"c", b"d", b"a name of more than fifteen bytes", b"no\xFF\xFEutf-8"];

/// One thread that changes names.
struct Changer {
    place: PathBuf,
    random: Random,
}

impl Changer {
    fn name(&mut self) -> &'static OsStr {
        OsStr::from_bytes(NAMES_USED[self.random.below(NAMES_USED.len() as u64) as usize])
    }

    /// A path inside or outside, that many names deep; whether it is there, chance will tell.
    fn path(&mut self, within: &str, shallow: u64, deep: u64) -> PathBuf {
        let mut path = self.place.join(within);
        for _ in 0..shallow + self.random.below(deep - shallow + 1) {
            let name = self.name();
            path.push(name);
        }
        path
    }

    fn inside(&mut self) -> PathBuf {
        self.path(INSIDE, 1, DEPTH)
    }

    fn outside(&mut self) -> PathBuf {
        self.path(OUTSIDE, 1, 2)
    }

    fn write(&mut self, path: &Path) -> bool {
        let content = vec![b'x'; 1 + self.random.below(100) as usize];
        fs::write(path, content).is_ok()
    }

    /// Tries one operation, and tells whether it could be done.
    fn change(&mut self) -> bool {
        let path = self.inside();
        match self.random.below(100) {
            0..16 => fs::create_dir(path).is_ok(),
            16..20 => {
                let path = self.path(INSIDE, 3, DEPTH);
                fs::create_dir_all(&path).is_ok() && self.write(&path.join("a"))
            }
            20..38 => self.write(&path),
            38..46 => fs::remove_file(path).is_ok(),
            46..52 => fs::remove_dir(path).is_ok(),
            52..66 => fs::rename(path, self.inside()).is_ok(),
            66..72 => fs::rename(&path, path.with_file_name(self.name())).is_ok(),
            // Ancestors of much.
            72..78 => {
                let (from, to) = (self.path(INSIDE, 1, 2), self.path(INSIDE, 1, 3));
                fs::rename(from, to).is_ok()
            }
            78..84 => fs::rename(path, self.outside()).is_ok(),
            84..90 => fs::rename(self.outside(), path).is_ok(),
            90..92 => fs::remove_dir_all(self.path(INSIDE, 2, DEPTH)).is_ok(),
            92 => fs::remove_dir_all(self.path(OUTSIDE, 1, 1)).is_ok(),
            93 => {
                let path = self.path(OUTSIDE, 1, 3);
                fs::create_dir_all(&path).is_ok() && self.write(&path.join("b"))
            }
            94 => {
                let path = self.path(OUTSIDE, 1, 3);
                self.write(&path)
            }
            95 => fs::hard_link(self.place.join(LINKED), path).is_ok(),
            96 => {
                let to = if self.random.below(2) == 0 { self.inside() } else { self.outside() };
                std::os::unix::fs::symlink(to, path).is_ok()
            }
            97 => {
                // Over something, or not at all.
                let flags = RenameFlags::NOREPLACE;
                rustix::fs::renameat_with(CWD, path, CWD, self.inside(), flags).is_ok()
            }
            _ => {
                // In, over something that is there.
                let from = self.path(OUTSIDE, 1, 1);
                fs::rename(from, self.path(INSIDE, 1, 2)).is_ok()
            }
        }
    }
}

/// The other process; alone, it has nothing to do. A line tells it how many operations to make, and it
/// answers with one when they are made.
#[test]
fn the_process_that_makes_the_storm() {
    let Ok(place) = env::var(PLACE) else { return };
    let seed = env::var(SEED).unwrap().parse::<u64>().unwrap();
    let mut changers: Vec<Changer> = (0..THREADS)
        .map(|thread| Changer {
            place: place.clone().into(),
            random: Random::new(seed * THREADS + thread),
        })
        .collect();
    for line in std::io::stdin().lines() {
        let ops: u64 = line.unwrap().parse().unwrap();
        thread::scope(|scope| {
            for changer in &mut changers {
                scope.spawn(move || {
                    let mut done = 0;
                    while done < ops / THREADS {
                        done += u64::from(changer.change());
                    }
                });
            }
        });
        println!("quiet");
        std::io::stdout().flush().unwrap();
    }
}

/// The other process, from here.
struct Storm {
    child: Child,
    /// Closed to end it.
    orders: Option<ChildStdin>,
    quiet: Receiver<()>,
}

impl Storm {
    fn start(place: &Path, seed: u64) -> Self {
        for dir in [INSIDE, OUTSIDE] {
            fs::create_dir(place.join(dir)).unwrap();
        }
        File::create(place.join(LINKED)).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_process_that_makes_the_storm", "--nocapture"])
            .env(PLACE, place)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, quiet) = mpsc::channel();
        thread::spawn(move || {
            // The test harness writes before and behind it, on the same line too.
            for _ in lines.map_while(Result::ok).filter(|line| line.ends_with("quiet")) {
                let _ = send.send(());
            }
        });
        Self { child, orders, quiet }
    }

    fn order(&mut self, ops: u64) {
        writeln!(self.orders.as_mut().unwrap(), "{ops}").unwrap();
    }

    fn wait(&self) {
        self.quiet.recv().expect("the storm ended by itself");
    }

    fn rests(&self) -> bool {
        match self.quiet.try_recv() {
            Ok(()) => true,
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => panic!("the storm ended by itself"),
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// How the reader goes about one round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reading {
    /// At once.
    Keen,
    /// When all is quiet.
    Late,
    /// When the queue is full, and the storm goes on.
    WhenFull,
    /// When the queue is full, and all is quiet.
    WhenFullLate,
}

struct Round {
    ops: u64,
    reading: Reading,
}

impl Round {
    fn random(random: &mut Random, number: u64, may_flood: bool) -> Self {
        if may_flood && number % 8 == 1 {
            let reading = if number % 16 == 1 { Reading::WhenFull } else { Reading::WhenFullLate };
            return Self { ops: 2_000, reading };
        }
        let reading = if random.below(4) == 0 { Reading::Late } else { Reading::Keen };
        let most = [30, 300, 3_000][random.below(3) as usize];
        Self { ops: THREADS + random.below(most), reading }
    }
}

struct Reader {
    watcher: Watcher,
    root: PathBuf,
    mirror: Mirror,
}

impl Reader {
    /// Sets up the tree, while the storm may be on.
    fn new(root: PathBuf, snapshot: bool) -> Self {
        let watcher = Watcher::new().unwrap();
        let options = TreeOptions::new().existing(true).snapshot(snapshot);
        watcher.watch_tree(&root, NAMES | WatchMask::MODIFY, options).unwrap();
        Self { watcher, root, mirror: Mirror::empty(snapshot) }
    }

    /// Takes some of what comes, until there is nothing for that time.
    fn read(&mut self, wait: Duration) {
        for _ in 0..1000 {
            let Some(event) = self.watcher.next_timeout(wait).unwrap() else { break };
            self.mirror.apply(&Note::of(&event, &self.root));
        }
    }

    /// Reads for as long as the storm goes on, and then what is left.
    fn read_along(&mut self, storm: &Storm, reading: Reading) {
        let mut rests = match reading {
            Reading::Keen => false,
            Reading::Late => {
                storm.wait();
                true
            }
            Reading::WhenFull => {
                self.fill_queue();
                false
            }
            Reading::WhenFullLate => {
                self.fill_queue();
                storm.wait();
                true
            }
        };
        // The storm itself takes its time on a slow disk; what may hang is the reader.
        let mut alive = (Watchdog::new(), Instant::now());
        while !rests {
            self.read(Duration::from_millis(1));
            rests = storm.rests();
            if alive.1.elapsed() > LONG / 4 {
                alive = (Watchdog::new(), Instant::now());
            }
        }
        while let Some(event) = self.watcher.try_next().unwrap() {
            self.mirror.apply(&Note::of(&event, &self.root));
        }
    }

    /// Has the queue overflow, while the storm is on. By itself it need not: what is made while nobody
    /// reads is watched by nobody.
    fn fill_queue(&self) {
        let files = ["noise-a", "noise-b"].map(|name| File::create(self.root.join(name)).unwrap());
        for event in 0..queue_limit() + 2 {
            // Not the same twice, or they would merge.
            files[(event % 2) as usize].write_all_at(b"x", 0).unwrap();
        }
        assert!(unread(&self.watcher) >= queue_limit() * 16);
    }
}

fn queue_limit() -> u64 {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    limit.trim().parse().unwrap()
}

/// One storm, of so many operations unless it is a campaign.
fn weather(name: &str, place: &TempDir, snapshot: bool, few: u64) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let campaign = number(OPS);
    let total = campaign.map_or(few, |ops| ops / STORMS);
    let seed = number(SEED).unwrap_or(1);
    let may_flood = queue_limit() <= QUEUE;
    if !may_flood {
        say(format_args!(
            "SKIPPED: overflows in {name}: fs.inotify.max_queued_events is {}",
            queue_limit()
        ));
    }

    let begin = Instant::now();
    let root = place.path().join(INSIDE);
    let mut storm = Storm::start(place.path(), seed);
    let mut random = Random::new(seed);
    storm.order(1000);
    storm.wait();

    // The tree is set up in the midst of the storm.
    let (mut ops, mut rests) = (total.min(3_000) / 3, 0);
    storm.order(ops);
    let mut reader = Reader::new(root.clone(), snapshot);
    let (mut dirs, mut files) = (0, 0);
    let mut reading = Reading::Keen;
    loop {
        reader.read_along(&storm, reading);
        let disk = Entry::walk(&root);
        let mut wrong = reader.mirror.differences(&disk);
        wrong.extend(watches_amiss(&reader.watcher, &disk));
        assert!(
            wrong.is_empty(),
            "{name}, seed {seed}, rest {rests} after {ops} operations, {reading:?}: {} differences:\n\
             {}",
            wrong.len(),
            wrong[..wrong.len().min(30)].join("\n"),
        );
        let counted = disk.count();
        (dirs, files) = (dirs + counted.0, files + counted.1);
        rests += 1;
        if ops >= total {
            break;
        }
        let round = Round::random(&mut random, rests, may_flood);
        ops += round.ops;
        reading = round.reading;
        storm.order(round.ops);
    }
    let Mirror { events, overflows, .. } = reader.mirror;
    say(format_args!(
        "{name}, seed {seed}: {ops} operations, {rests} rests, {overflows} overflows, {events} events, \
         0 differences; at a rest {} directories and {} files; {:.1} s",
        dirs as u64 / rests,
        files as u64 / rests,
        begin.elapsed().as_secs_f64()
    ));
    if may_flood {
        let wanted = (total / 50_000).max(1);
        assert!(overflows >= wanted, "{overflows} overflows, {wanted} are wanted");
    }
}

fn in_memory(name: &str, snapshot: bool) {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(place) => weather(name, &place, snapshot, FEW_IN_MEMORY),
        Err(error) => say(format_args!("SKIPPED: {name}: no tmpfs in /dev/shm: {error}")),
    }
}

fn on_the_disk(name: &str, snapshot: bool) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    weather(name, &place, snapshot, FEW_ON_DISK);
}

#[test]
fn whenever_a_storm_in_memory_rests_the_mirror_is_true() {
    in_memory("in memory", false);
}

#[test]
fn whenever_a_storm_in_memory_rests_a_mirror_with_snapshot_is_true() {
    in_memory("in memory, with snapshot", true);
}

#[test]
fn whenever_a_storm_on_the_disk_rests_the_mirror_is_true() {
    on_the_disk("on the disk", false);
}

#[test]
fn whenever_a_storm_on_the_disk_rests_a_mirror_with_snapshot_is_true() {
    on_the_disk("on the disk, with snapshot", true);
}

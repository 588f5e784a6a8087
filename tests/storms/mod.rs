//! Shared by the storms: a process that changes a tree at full speed, in several threads, and rests on
//! request; and a reader that builds a mirror only from the events.
//!
//! The number of operations in all storms of a test program together, and the seed:
//!
//! ```text
//! TINOTIFY_STORM_OPS=1000000 TINOTIFY_STORM_SEED=2 cargo test --release --test tree_storm
//! ```

#![allow(dead_code)] // Each test binary uses some of it.

mod changer;
mod reader;
mod restore;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Instant;

use changer::Changer;
use reader::{Reader, Reading, Round, queue_limit};
use tempfile::TempDir;

use crate::trees::excuses::Permitted;
use crate::trees::{Entry, Mirror, Random, watched, watches_amiss};
use crate::watching::{Watchdog, say};

pub const OPS: &str = "TINOTIFY_STORM_OPS";
const SEED: &str = "TINOTIFY_STORM_SEED";
/// For the child process: the directory that holds the ones inside and outside.
const PLACE: &str = "TINOTIFY_STORM_PLACE";
/// For the child process: the kind of changes.
const CHANGES: &str = "TINOTIFY_STORM_CHANGES";

const INSIDE: &str = "inside";
const OUTSIDE: &str = "outside";
/// A file that gets more names, and is never written by these threads.
const LINKED: &str = "linked";
/// Files inside for additional events.
const NOISE: [&str; 2] = ["noise-a", "noise-b"];

const THREADS: u64 = 3;
/// A longer queue takes too much time to overflow.
const QUEUE: u64 = 500_000;

/// The kind of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Names and files.
    Names,
    /// Also the modes of directories.
    Modes,
    /// Also mounts.
    Mounts,
}

impl Changes {
    fn named(name: &str) -> Self {
        let mut all = [Self::Names, Self::Modes, Self::Mounts].into_iter();
        all.find(|changes| format!("{changes:?}") == name).unwrap()
    }
}

/// Runs the process that changes the tree. As a test of its own, it does nothing. Each input line contains a
/// number of operations, and in how many of a hundred cases a directory gets its permissions back afterwards.
/// When everything is done, it answers with a line: the inodes that were beneath mounts meanwhile.
#[test]
fn the_storm_process() {
    let Ok(place) = env::var(PLACE) else { return };
    let seed = env::var(SEED).unwrap().parse::<u64>().unwrap();
    let changes = Changes::named(&env::var(CHANGES).unwrap());
    let new =
        |thread| Changer::new(place.clone().into(), changes, Random::new(seed * THREADS + thread));
    let mut changers: Vec<Changer> = (0..THREADS).map(new).collect();
    let mut random = Random::new(seed);
    for (number, line) in std::io::stdin().lines().enumerate() {
        let line = line.unwrap();
        let (ops, percent) = line.split_once(' ').unwrap();
        let (ops, percent) = (ops.parse::<u64>().unwrap(), percent.parse().unwrap());
        thread::scope(|scope| {
            for changer in &mut changers {
                // The tree can't be set up while its root is unreadable.
                changer.may_close_root = number >= 2;
                scope.spawn(move || {
                    let mut done = 0;
                    while done < ops / THREADS {
                        done += u64::from(changer.change());
                    }
                });
            }
        });
        let _alive = Watchdog::new();
        let place = Path::new(&place);
        match changes {
            Changes::Names => {}
            Changes::Modes => {
                restore::open(&place.join(INSIDE), percent, &mut random);
                restore::open(&place.join(OUTSIDE), 100, &mut random);
            }
            Changes::Mounts => restore::unmount_all(&place.join(INSIDE)),
        }
        let covered: Vec<String> = changers
            .iter_mut()
            .flat_map(|changer| changer.covered.drain(..))
            .map(|ino| ino.to_string())
            .collect();
        println!("at rest {}", covered.join(" "));
        std::io::stdout().flush().unwrap();
    }
}

/// A handle of that process.
struct Storm {
    child: Child,
    /// Closed to end the process.
    orders: Option<ChildStdin>,
    rests: Receiver<Vec<u64>>,
    /// The inodes that were beneath mounts since this was last cleared.
    covered: BTreeSet<u64>,
}

impl Storm {
    fn start(place: &Path, changes: Changes, seed: u64) -> Self {
        for dir in [INSIDE, OUTSIDE] {
            fs::create_dir(place.join(dir)).unwrap();
        }
        File::create(place.join(LINKED)).unwrap();
        // Not by its path, for which a normal user may have no permission.
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "storms::the_storm_process", "--nocapture"])
            .env(PLACE, place)
            .env(SEED, seed.to_string())
            .env(CHANGES, format!("{changes:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, rests) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test harness writes before and behind it, on the same line too.
                if let Some((_, covered)) = line.split_once("at rest ") {
                    let inodes = covered.split_whitespace().map(|ino| ino.parse().unwrap());
                    let _ = send.send(inodes.collect());
                }
            }
        });
        Self { child, orders, rests, covered: BTreeSet::new() }
    }

    fn order(&mut self, ops: u64, percent: u64) {
        writeln!(self.orders.as_mut().unwrap(), "{ops} {percent}").unwrap();
    }

    fn wait(&mut self) {
        self.covered.extend(self.rests.recv().expect("the storm ended by itself"));
    }

    fn rests(&mut self) -> bool {
        match self.rests.try_recv() {
            Ok(covered) => {
                self.covered.extend(covered);
                true
            }
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

/// One storm.
pub struct StormPlan {
    pub name: &'static str,
    pub changes: Changes,
    pub track_files: bool,
    /// The operations of a normal run.
    pub ops: u64,
    /// The number of storms that share the operations of a campaign.
    pub storms: u64,
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse::<u64>().unwrap())
}

/// A directory that can be removed, whatever modes are in it.
struct Place(TempDir);

impl Drop for Place {
    fn drop(&mut self) {
        let inside = self.0.path().join(INSIDE);
        if inside.exists() {
            restore::open(&inside, 100, &mut Random::new(0));
        }
    }
}

/// The statistics of a storm.
#[derive(Default)]
struct Counts {
    ops: u64,
    rests: u64,
    /// The rests in which some directories kept their modes.
    partial: u64,
    dirs: usize,
    files: usize,
    /// The differences that only the next scan can find.
    not_found: usize,
    /// The number of directories that were beneath mounts.
    covered: usize,
}

/// A storm and its reader.
struct Watch<'a> {
    plan: &'a StormPlan,
    seed: u64,
    root: PathBuf,
    storm: Storm,
    reader: Reader,
    random: Random,
    counts: Counts,
    reading: Reading,
    /// In how many of a hundred cases a directory gets its permissions back at this rest.
    percent: u64,
}

impl StormPlan {
    pub fn in_memory(&self) {
        match tempfile::tempdir_in("/dev/shm") {
            Ok(place) => self.run(place),
            Err(error) => {
                say(format_args!("SKIPPED: {}: no tmpfs in /dev/shm: {error}", self.name));
            }
        }
    }

    pub fn on_the_disk(&self, at: &Path) {
        match tempfile::tempdir_in(at) {
            Ok(place) => self.run(place),
            Err(error) => say(format_args!("SKIPPED: {}: {}: {error}", self.name, at.display())),
        }
    }

    fn run(&self, place: TempDir) {
        let place = Place(place);
        let total = number(OPS).map_or(self.ops, |ops| ops / self.storms);
        let seed = number(SEED).unwrap_or(1);
        let may_overflow = queue_limit() <= QUEUE;
        if !may_overflow {
            say(format_args!(
                "SKIPPED: overflows in {}: fs.inotify.max_queued_events is {}",
                self.name,
                queue_limit()
            ));
        }
        let begin = Instant::now();
        let root = place.0.path().join(INSIDE);
        let mut storm = Storm::start(place.0.path(), self.changes, seed);
        let noise = NOISE.map(|name| File::create(root.join(name)).unwrap());
        storm.order(1000, 100);
        storm.wait();
        storm.covered.clear();

        // The tree is set up during the storm.
        let ops = total.min(3_000) / 3;
        storm.order(ops, 100);
        let reader = Reader::new(root.clone(), noise, self.changes, self.track_files);
        let mut watch = Watch {
            plan: self,
            seed,
            root,
            storm,
            reader,
            random: Random::new(seed),
            counts: Counts { ops, ..Counts::default() },
            reading: Reading::AtOnce,
            percent: 100,
        };
        watch.rounds(total, may_overflow);
        watch.report(begin);
        let overflows = watch.reader.mirror.overflows;
        if may_overflow {
            let wanted = (total / 50_000).max(1);
            assert!(overflows >= wanted, "{overflows} overflows, expected at least {wanted}");
        }
    }
}

impl Watch<'_> {
    fn rounds(&mut self, total: u64, may_overflow: bool) {
        loop {
            self.reader.read_along(&mut self.storm, self.reading);
            if self.percent < 100 {
                self.check_with_some_unreadable();
            }
            if !self.storm.covered.is_empty() && may_overflow {
                self.check_before_the_next_scan();
            }
            if may_overflow || self.storm.covered.is_empty() {
                self.rest();
            }
            if self.counts.ops >= total {
                return;
            }
            let round = self.round(may_overflow);
            let is_partial = self.plan.changes == Changes::Modes && self.random.below(3) == 0;
            self.percent = if is_partial { 50 } else { 100 };
            self.counts.ops += round.ops;
            self.reading = round.reading;
            self.storm.order(round.ops, self.percent);
        }
    }

    fn round(&mut self, may_overflow: bool) -> Round {
        let most = match self.plan.changes {
            Changes::Names => [30, 300, 3_000],
            // Changes that are not undone before a rest hinder the rest of the storm.
            Changes::Modes | Changes::Mounts => [30, 200, 600],
        };
        Round::random(&mut self.random, self.counts.rests, most, may_overflow)
    }

    /// Checks that the mirror equals the disk.
    fn rest(&mut self) {
        let disk = Entry::walk(&self.root);
        let mut wrong = self.reader.mirror.differences(&disk);
        wrong.extend(watches_amiss(&self.reader.watcher, &disk));
        self.expect_none("at rest", &wrong);
        let (dirs, files) = disk.count();
        self.counts.dirs += dirs;
        self.counts.files += files;
        self.counts.rests += 1;
    }

    /// Checks that the mirror equals the disk, except for the content of directories that were rightly
    /// reported as unknown. That shows once it is permitted.
    fn check_with_some_unreadable(&mut self) {
        let permitted = Permitted::walk(&self.root);
        let watched = watched(&self.reader.watcher);
        self.storm.order(0, 100);
        self.storm.wait();
        let disk = Entry::walk(&self.root);
        let (mut wrong, is_unknown) = self.reader.mirror.differences_where(&disk, &permitted);
        wrong.extend(lacking("it can be watched", &permitted.listed, &watched));
        if !is_unknown {
            wrong.extend(lacking("it is watched", &watched, &disk.inodes().into_iter().collect()));
        }
        self.expect_none("while some are unreadable", &wrong);
        self.counts.partial += u64::from(permitted.listed.len() < disk.inodes().len());
        self.reader.read_all();
    }

    /// Checks that the mirror equals the disk, except for directories that were beneath mounts: they may not
    /// be known before a scan of everything. Then causes that scan.
    fn check_before_the_next_scan(&mut self) {
        let covered = std::mem::take(&mut self.storm.covered);
        let disk = Entry::walk(&self.root);
        let watched = watched(&self.reader.watcher);
        let mut wrong = self.reader.mirror.differences_beside(&disk, &covered);
        let beside = disk.inodes_beside(&covered);
        wrong.extend(lacking("it was never beneath a mount", &beside, &watched));
        wrong.extend(lacking("it is watched", &watched, &disk.inodes().into_iter().collect()));
        self.expect_none("after all unmounts", &wrong);
        self.counts.covered += covered.len();
        self.counts.not_found +=
            self.reader.mirror.differences_beside(&disk, &BTreeSet::new()).len();
        self.reader.fill_queue();
        self.reader.read_all();
    }

    fn expect_none(&self, when: &str, wrong: &[String]) {
        assert!(
            wrong.is_empty(),
            "{}, seed {}, rest {} after {} operations, {when}, {:?}: {} differences:\n{}",
            self.plan.name,
            self.seed,
            self.counts.rests,
            self.counts.ops,
            self.reading,
            wrong.len(),
            wrong[..wrong.len().min(30)].join("\n"),
        );
    }

    fn report(&self, begin: Instant) {
        let Mirror { events, overflows, unwatched, unmounted, .. } = self.reader.mirror;
        let Counts { ops, rests, partial, dirs, files, not_found, covered } = self.counts;
        let some = match self.plan.changes {
            Changes::Names => String::new(),
            Changes::Modes => format!(
                ", {partial} of them with some unreadable at first, {unwatched} times unwatched or unlisted"
            ),
            Changes::Mounts => format!(
                ", {covered} mounts, {unmounted} directories unmounted, {not_found} differences before a scan \
                 of everything"
            ),
        };
        say(format_args!(
            "storm {}, seed {}: {ops} operations, {rests} rests{some}, {overflows} overflows, {events} \
             events, 0 differences; at a rest {} directories and {} files; {:.1} s",
            self.plan.name,
            self.seed,
            dirs as u64 / rests.max(1),
            files as u64 / rests.max(1),
            begin.elapsed().as_secs_f64()
        ));
    }
}

/// Returns which of these inodes are not among those.
fn lacking(what: &str, these: &BTreeSet<u64>, those: &BTreeSet<u64>) -> Option<String> {
    let lacking: Vec<&u64> = these.difference(those).collect();
    (!lacking.is_empty())
        .then(|| format!("{what}, but missing on the other side: inodes {lacking:?}"))
}

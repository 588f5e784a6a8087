//! What the storms share: another process that changes a tree at full speed, in several threads, and
//! rests when it is told to; and a reader that builds a mirror from the events alone.
//!
//! Operations, in all storms of a test program together, and another storm:
//!
//! ```text
//! TINOTIFY_STORM_OPS=1000000 TINOTIFY_STORM_SEED=2 cargo test --release --test tree_storm
//! ```

#![allow(dead_code)] // Each test binary uses some of it.

mod changer;
mod reader;
mod settle;

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
/// The child's: the directory that holds those inside and outside.
const PLACE: &str = "TINOTIFY_STORM_PLACE";
/// The child's: what it changes.
const CHANGES: &str = "TINOTIFY_STORM_CHANGES";

const INSIDE: &str = "inside";
const OUTSIDE: &str = "outside";
/// A file that only gets names, and is never written by this one.
const LINKED: &str = "linked";
/// Files inside that make events.
const NOISE: [&str; 2] = ["noise-a", "noise-b"];

const THREADS: u64 = 3;
/// More need too much time to overflow.
const QUEUE: u64 = 500_000;

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Names and files.
    Names,
    /// And the modes of directories.
    Modes,
    /// And what is mounted.
    Mounts,
}

impl Changes {
    fn named(name: &str) -> Self {
        let mut all = [Self::Names, Self::Modes, Self::Mounts].into_iter();
        all.find(|changes| format!("{changes:?}") == name).unwrap()
    }
}

/// The other process; alone, it has nothing to do. A line tells it how many operations to make, and in
/// how many of a hundred cases a directory gets its permissions back then. It answers with a line when
/// all is done: the inodes that were covered meanwhile.
#[test]
fn the_process_that_makes_the_storm() {
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
                // The tree can't be set up while its root is closed.
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
                settle::open(&place.join(INSIDE), percent, &mut random);
                settle::open(&place.join(OUTSIDE), 100, &mut random);
            }
            Changes::Mounts => settle::unmount_all(&place.join(INSIDE)),
        }
        let covered: Vec<String> = changers
            .iter_mut()
            .flat_map(|changer| changer.covered.drain(..))
            .map(|ino| ino.to_string())
            .collect();
        println!("quiet {}", covered.join(" "));
        std::io::stdout().flush().unwrap();
    }
}

/// The other process, from here.
struct Storm {
    child: Child,
    /// Closed to end it.
    orders: Option<ChildStdin>,
    quiet: Receiver<Vec<u64>>,
    /// What was covered by mounts since that was forgotten.
    covered: BTreeSet<u64>,
}

impl Storm {
    fn start(place: &Path, changes: Changes, seed: u64) -> Self {
        for dir in [INSIDE, OUTSIDE] {
            fs::create_dir(place.join(dir)).unwrap();
        }
        File::create(place.join(LINKED)).unwrap();
        // Not by its path, which a plain user may not be permitted to go.
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "storms::the_process_that_makes_the_storm", "--nocapture"])
            .env(PLACE, place)
            .env(SEED, seed.to_string())
            .env(CHANGES, format!("{changes:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, quiet) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The test harness writes before and behind it, on the same line too.
                if let Some((_, covered)) = line.split_once("quiet ") {
                    let inodes = covered.split_whitespace().map(|ino| ino.parse().unwrap());
                    let _ = send.send(inodes.collect());
                }
            }
        });
        Self { child, orders, quiet, covered: BTreeSet::new() }
    }

    fn order(&mut self, ops: u64, percent: u64) {
        writeln!(self.orders.as_mut().unwrap(), "{ops} {percent}").unwrap();
    }

    fn wait(&mut self) {
        self.covered.extend(self.quiet.recv().expect("the storm ended by itself"));
    }

    fn rests(&mut self) -> bool {
        match self.quiet.try_recv() {
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
pub struct Weather {
    pub name: &'static str,
    pub changes: Changes,
    pub snapshot: bool,
    /// The operations of a normal run.
    pub few: u64,
    /// So many storms share the operations of a campaign.
    pub storms: u64,
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse::<u64>().unwrap())
}

/// A directory that can be removed whatever modes are in it.
struct Place(TempDir);

impl Drop for Place {
    fn drop(&mut self) {
        let inside = self.0.path().join(INSIDE);
        if inside.exists() {
            settle::open(&inside, 100, &mut Random::new(0));
        }
    }
}

/// What is counted in a storm.
#[derive(Default)]
struct Counts {
    ops: u64,
    rests: u64,
    /// Those in which some directories kept their modes.
    partial: u64,
    dirs: usize,
    files: usize,
    /// Differences that only the next look could find.
    late: usize,
    /// Directories that were covered.
    covered: usize,
}

/// A storm and its reader.
struct Watch<'a> {
    weather: &'a Weather,
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

impl Weather {
    pub fn in_memory(&self) {
        match tempfile::tempdir_in("/dev/shm") {
            Ok(place) => self.rage(place),
            Err(error) => {
                say(format_args!("SKIPPED: {}: no tmpfs in /dev/shm: {error}", self.name));
            }
        }
    }

    pub fn on_the_disk(&self, at: &Path) {
        match tempfile::tempdir_in(at) {
            Ok(place) => self.rage(place),
            Err(error) => say(format_args!("SKIPPED: {}: {}: {error}", self.name, at.display())),
        }
    }

    fn rage(&self, place: TempDir) {
        let place = Place(place);
        let total = number(OPS).map_or(self.few, |ops| ops / self.storms);
        let seed = number(SEED).unwrap_or(1);
        let may_flood = queue_limit() <= QUEUE;
        if !may_flood {
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

        // The tree is set up in the midst of the storm.
        let ops = total.min(3_000) / 3;
        storm.order(ops, 100);
        let reader = Reader::new(root.clone(), noise, self.changes, self.snapshot);
        let mut watch = Watch {
            weather: self,
            seed,
            root,
            storm,
            reader,
            random: Random::new(seed),
            counts: Counts { ops, ..Counts::default() },
            reading: Reading::Keen,
            percent: 100,
        };
        watch.rounds(total, may_flood);
        watch.report(begin);
        let overflows = watch.reader.mirror.overflows;
        if may_flood {
            let wanted = (total / 50_000).max(1);
            assert!(overflows >= wanted, "{overflows} overflows, {wanted} are wanted");
        }
    }
}

impl Watch<'_> {
    fn rounds(&mut self, total: u64, may_flood: bool) {
        loop {
            self.reader.read_along(&mut self.storm, self.reading);
            if self.percent < 100 {
                self.rest_with_some_closed();
            }
            if !self.storm.covered.is_empty() && may_flood {
                self.rest_before_the_next_look();
            }
            if may_flood || self.storm.covered.is_empty() {
                self.rest();
            }
            if self.counts.ops >= total {
                return;
            }
            let round = self.round(may_flood);
            let is_partial = self.weather.changes == Changes::Modes && self.random.below(3) == 0;
            self.percent = if is_partial { 50 } else { 100 };
            self.counts.ops += round.ops;
            self.reading = round.reading;
            self.storm.order(round.ops, self.percent);
        }
    }

    fn round(&mut self, may_flood: bool) -> Round {
        let most = match self.weather.changes {
            Changes::Names => [30, 300, 3_000],
            // What is not undone at a rest hinders the rest of the storm.
            Changes::Modes | Changes::Mounts => [30, 200, 600],
        };
        Round::random(&mut self.random, self.counts.rests, most, may_flood)
    }

    /// All must be as it is on the disk.
    fn rest(&mut self) {
        let disk = Entry::walk(&self.root);
        let mut wrong = self.reader.mirror.differences(&disk);
        wrong.extend(watches_amiss(&self.reader.watcher, &disk));
        self.judge("at rest", &wrong);
        let (dirs, files) = disk.count();
        self.counts.dirs += dirs;
        self.counts.files += files;
        self.counts.rests += 1;
    }

    /// All must be as it is on the disk, but for what is in directories of which it was rightly said
    /// that it can't be known. What that is shows when it has become permitted.
    fn rest_with_some_closed(&mut self) {
        let permitted = Permitted::walk(&self.root);
        let watched = watched(&self.reader.watcher);
        self.storm.order(0, 100);
        self.storm.wait();
        let disk = Entry::walk(&self.root);
        let (mut wrong, is_vague) = self.reader.mirror.differences_where(&disk, &permitted);
        wrong.extend(lacking("it may be watched", &permitted.listed, &watched));
        if !is_vague {
            wrong.extend(lacking("it is watched", &watched, &disk.inodes().into_iter().collect()));
        }
        self.judge("while some are closed", &wrong);
        self.counts.partial += u64::from(permitted.listed.len() < disk.inodes().len());
        self.reader.read_all();
    }

    /// What was covered may not be known before all is looked at; all else must be. Then has all be
    /// looked at.
    fn rest_before_the_next_look(&mut self) {
        let covered = std::mem::take(&mut self.storm.covered);
        let disk = Entry::walk(&self.root);
        let watched = watched(&self.reader.watcher);
        let mut wrong = self.reader.mirror.differences_beside(&disk, &covered);
        let beside = disk.inodes_beside(&covered);
        wrong.extend(lacking("it was never covered", &beside, &watched));
        wrong.extend(lacking("it is watched", &watched, &disk.inodes().into_iter().collect()));
        self.judge("when all is unmounted", &wrong);
        self.counts.covered += covered.len();
        self.counts.late += self.reader.mirror.differences_beside(&disk, &BTreeSet::new()).len();
        self.reader.fill_queue();
        self.reader.read_all();
    }

    fn judge(&self, when: &str, wrong: &[String]) {
        assert!(
            wrong.is_empty(),
            "{}, seed {}, rest {} after {} operations, {when}, {:?}: {} differences:\n{}",
            self.weather.name,
            self.seed,
            self.counts.rests,
            self.counts.ops,
            self.reading,
            wrong.len(),
            wrong[..wrong.len().min(30)].join("\n"),
        );
    }

    fn report(&self, begin: Instant) {
        let Mirror { events, overflows, barred, unmounted, .. } = self.reader.mirror;
        let Counts { ops, rests, partial, dirs, files, late, covered } = self.counts;
        let some = match self.weather.changes {
            Changes::Names => String::new(),
            Changes::Modes => format!(
                ", {partial} of them with some closed at first, {barred} times unwatched or unlisted"
            ),
            Changes::Mounts => format!(
                ", {covered} mounts, {unmounted} directories unmounted, {late} differences before all \
                 was looked at"
            ),
        };
        say(format_args!(
            "storm {}, seed {}: {ops} operations, {rests} rests{some}, {overflows} overflows, {events} \
             events, 0 differences; at a rest {} directories and {} files; {:.1} s",
            self.weather.name,
            self.seed,
            dirs as u64 / rests.max(1),
            files as u64 / rests.max(1),
            begin.elapsed().as_secs_f64()
        ));
    }
}

/// Which of these inodes are not among those.
fn lacking(what: &str, these: &BTreeSet<u64>, those: &BTreeSet<u64>) -> Option<String> {
    let lacking: Vec<&u64> = these.difference(those).collect();
    (!lacking.is_empty()).then(|| format!("{what}, but not among the others: inodes {lacking:?}"))
}

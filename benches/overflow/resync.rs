//! What an overflow costs a tree.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tinotify::{TreeChange, Watcher};

use crate::forest::{FILES, Forest};
use crate::queue_limit;
use crate::rivals::{LOST, MASK, Naive, tinotify_tree};
use crate::support::{Mode, Verdicts, median, uncertainty};

/// Of this many directories, one gets a new directory whose events are lost.
const PER_LOST: usize = 500;
/// Filling a longer queue takes long.
const LONGEST_QUEUE: usize = 500_000;

/// The times of one overflow.
struct Overflow {
    set_up: Duration,
    /// From the last lost event to the overflow event, behind the queued events.
    drain: Duration,
    /// From the overflow event to `Resynced`, with all lost paths known.
    resync: Duration,
}

impl Overflow {
    fn measure(forest: &Forest) -> Self {
        let start = Instant::now();
        let mut watcher = tinotify_tree(&forest.root, MASK);
        let set_up = start.elapsed();

        let parents = parents(&watcher, forest);
        let lost = overflow(&forest.deepest, &parents);
        let last_lost = Instant::now();
        let (drain, resync) = read_until_resynced(&mut watcher, &lost, last_lost);
        for parent in parents {
            fs::remove_dir_all(parent.join("lost")).unwrap();
        }
        Self { set_up, drain, resync }
    }
}

/// Returns directories in which nothing is known to happen.
fn parents(watcher: &Watcher, forest: &Forest) -> Vec<PathBuf> {
    let watches = watcher.watches();
    let tree = watches.list()[0].watch;
    let directories = watches.tree_directories(tree).unwrap();
    assert_eq!(directories.len(), forest.directories);
    directories.into_iter().step_by(PER_LOST).map(|directory| directory.path).collect()
}

/// Fills the queue, and creates directories with a file each. Returns the paths whose events were lost.
fn overflow(dir: &Path, parents: &[PathBuf]) -> HashSet<PathBuf> {
    // Alternating files, since identical events merge.
    let files = ["file-0.txt", "file-1.txt"]
        .map(|name| File::options().write(true).open(dir.join(name)).unwrap());
    for event in 0..queue_limit() + 2 {
        files[event % 2].write_all_at(b"t", 0).unwrap();
    }
    let mut lost = HashSet::new();
    for parent in parents {
        let directory = parent.join("lost");
        let file = directory.join("file.txt");
        fs::create_dir(&directory).unwrap();
        File::create(&file).unwrap();
        lost.extend([directory, file]);
    }
    lost
}

/// Reads until the mirror is right: `Resynced` was returned, and each lost path is known. Returns the times until
/// the overflow event, and from there.
fn read_until_resynced(
    watcher: &mut Watcher,
    lost: &HashSet<PathBuf>,
    last_lost: Instant,
) -> (Duration, Duration) {
    let mut known = 0;
    let (mut overflow, mut is_resynced) = (None, false);
    while !is_resynced || known < lost.len() {
        let event = watcher.recv_timeout(LOST).unwrap().expect("lost paths are not reported");
        if event.is_overflow() {
            overflow = Some(Instant::now());
        }
        match event.tree_change() {
            Some(TreeChange::Resynced) => is_resynced = true,
            Some(TreeChange::Discovered) if lost.contains(event.path()) => known += 1,
            _ => {}
        }
    }
    let overflow = overflow.expect("an overflow");
    (overflow - last_lost, overflow.elapsed())
}

pub fn measure(mode: &Mode, verdicts: &mut Verdicts) {
    if queue_limit() > LONGEST_QUEUE {
        println!("SKIPPED: resynchronisation: fs.inotify.max_queued_events is {}", queue_limit());
        return;
    }
    println!(
        "Milliseconds after an overflow; the mirror is right when `Resynced` was returned and all paths \
         whose events were lost are known."
    );
    println!(
        "{:>11} {:>10} {:>10} {:>10} {:>16} {:>26}",
        "directories", "set-up", "drain", "resync", "resync / set-up", "last lost to right mirror"
    );
    let sizes = if mode.quick { [1_000, 2_000] } else { [1_000, 50_000] };
    for directories in sizes {
        let place = TempDir::new().unwrap();
        let forest = Forest::create(place.path().join("forest"), directories, FILES);
        // Warm up.
        drop(Naive::of(&forest.root));
        Overflow::measure(&forest);
        let rounds = if mode.quick { 3 } else { 15 };
        let overflows: Vec<_> = (0..rounds).map(|_| Overflow::measure(&forest)).collect();
        let (ratio, plus_minus) = report(directories, &overflows);
        if directories == sizes[1] {
            let what = format!("resync / set-up, {directories} directories");
            verdicts.at_most(&what, 0.7, ratio, plus_minus);
        }
        place.close().unwrap();
    }
}

/// Prints the medians. Returns the resynchronisation as a multiple of the set-up, and its uncertainty.
fn report(directories: usize, overflows: &[Overflow]) -> (f64, f64) {
    let all: Vec<usize> = (0..overflows.len()).collect();
    let of = |rounds: &[usize], value: &dyn Fn(&Overflow) -> f64| {
        median(&rounds.iter().map(|&round| value(&overflows[round])).collect::<Vec<_>>())
    };
    let milliseconds = |value: &dyn Fn(&Overflow) -> Duration| {
        of(&all, &|overflow| value(overflow).as_secs_f64() * 1e3)
    };
    let ratio = |rounds: &[usize]| {
        of(rounds, &|overflow| overflow.resync.as_secs_f64() / overflow.set_up.as_secs_f64())
    };
    println!(
        "{directories:>11} {:>10.2} {:>10.2} {:>10.2} {:>16.3} {:>26.2}",
        milliseconds(&|overflow| overflow.set_up),
        milliseconds(&|overflow| overflow.drain),
        milliseconds(&|overflow| overflow.resync),
        ratio(&all),
        milliseconds(&|overflow| overflow.drain + overflow.resync),
    );
    (ratio(&all), uncertainty(all.len(), ratio))
}

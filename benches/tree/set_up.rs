//! The set-up of a tree, and its resynchronisation after an overflow.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use tinotify::{TreeChange, Watcher};

use crate::floor;
use crate::forest::Forest;
use crate::rivals::{
    LOST, MASK, Naive, end_notify, has_inotifywait, inotifywait, notify_tree, tinotify_tree,
};
use crate::support::{Mode, alternate, median};
use crate::table::{Table, estimate, milliseconds, ratios};

/// Measures the set-up, and the resynchronisation after an overflow.
pub fn measure(forest: &Forest, mode: &Mode, table: &mut Table) {
    let limit = queue_limit();
    if limit > 500_000 {
        println!("SKIPPED: overflows: fs.inotify.max_queued_events is {limit}");
    }
    let mut resyncs = Vec::new();
    let rivals = if has_inotifywait() { 5 } else { 4 };
    let rounds = mode.rounds(15);
    let times = alternate(1, rivals, rounds, |_, rival| {
        let start = Instant::now();
        match rival {
            0 => {
                let naive = Naive::of(&forest.root);
                let time = start.elapsed();
                assert_eq!(naive.watches, forest.directories);
                time
            }
            1 => {
                let mut watcher = tinotify_tree(&forest.root, MASK);
                let time = start.elapsed();
                if limit <= 500_000 {
                    resyncs.push(resync(&mut watcher, forest, limit));
                }
                time
            }
            2 => {
                let _inotify = floor::set_up(&forest.root, true);
                start.elapsed()
            }
            3 => {
                let (notify, _events) = notify_tree(&forest.root);
                let time = start.elapsed();
                end_notify(notify);
                time
            }
            _ => {
                let mut child = inotifywait(&forest.root);
                let time = start.elapsed();
                child.kill().unwrap();
                child.wait().unwrap();
                time
            }
        }
    });
    report_set_up(&times[0], forest, table);
    if !resyncs.is_empty() {
        // Without the warm-up.
        report_resync(&resyncs[1..], median(&times[0][1]), table);
    }
}

fn report_set_up(times: &[Vec<f64>], forest: &Forest, table: &mut Table) {
    let [naive, tinotify, floor, others @ ..] = times else { unreachable!() };
    let value = format!("{:.1} ms", milliseconds(median(tinotify)));
    let mut beside = format!("naive loop {:.1} ms", milliseconds(median(naive)));
    let (ratio, plus_minus) = estimate(&ratios(tinotify, naive));
    table.verdicts.at_most("set-up / naive loop", 0.52, ratio, plus_minus);
    beside += &format!(" (bare calls {:.3})", estimate(&ratios(floor, naive)).0);
    for (name, times) in ["notify", "inotifywait -r"].into_iter().zip(others) {
        beside += &format!(", {name} {:.1} ms", milliseconds(median(times)));
        let (ratio, plus_minus) = estimate(&ratios(times, tinotify));
        table.verdicts.at_least(&format!("{name} / set-up"), 3.0, ratio, plus_minus);
    }
    table.row(&format!("set-up, {} directories", forest.directories), value, beside);
}

fn report_resync(times: &[f64], set_up: f64, table: &mut Table) {
    let (resync, plus_minus) = estimate(times);
    table.row(
        "resync after an overflow",
        format!("{:.1} ms", milliseconds(resync)),
        format!("set-up {:.1} ms", milliseconds(set_up)),
    );
    table.verdicts.at_most("resync / set-up", 0.7, resync / set_up, plus_minus / set_up);
}

fn queue_limit() -> usize {
    fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap()
}

/// Overflows the queue, and returns the nanoseconds from the overflow event to `Resynced` and an empty queue.
fn resync(watcher: &mut Watcher, forest: &Forest, limit: usize) -> f64 {
    let files = two_files(&forest.deepest);
    for event in 0..limit + 2 {
        // Alternating files, since identical events merge.
        files[event % 2].write_all_at(b"t", 0).unwrap();
    }
    while !watcher.recv_timeout(LOST).unwrap().expect("an overflow").is_overflow() {}
    let start = Instant::now();
    let mut resynced = false;
    while let Some(event) = watcher.try_recv().unwrap() {
        resynced |= event.tree_change() == Some(TreeChange::Resynced);
    }
    let time = start.elapsed();
    assert!(resynced);
    time.as_nanos() as f64
}

fn two_files(dir: &Path) -> [File; 2] {
    [0, 1].map(|file| {
        let path = dir.join(format!("file-{file}.txt"));
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    })
}

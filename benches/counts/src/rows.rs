//! The rows of the table.

use crate::places::NEW_TMPFS;
use crate::work::Work;
use crate::work::Work::{Decode, Event, Overlap, Resync, Ring, SetUp, TreeEvent};

/// The directories of a tree on tmpfs.
const DIRECTORIES: usize = 5_000;
/// The directories of a tree on another file system, which may create them slowly, and of a tree that is
/// traced, which is slow.
const DIRECTORIES_ELSEWHERE: usize = 1_000;

/// The file systems on which the calls of the set-up are counted.
const FILE_SYSTEMS: [&str; 5] = ["tmpfs", "ext4", "overlayfs", "btrfs", "xfs"];

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
pub enum What {
    Instructions,
    Calls,
}

use What::{Calls, Instructions};

#[derive(Clone)]
pub struct Row {
    pub name: String,
    /// One event, one directory, one tree, or 1,000 events.
    pub unit: &'static str,
    pub work: Work,
    pub what: What,
    /// The same count of this workload is subtracted.
    pub without: Option<Work>,
    /// The type of the file system on which a tree is set up. Default: where the workload creates it.
    pub on: Option<&'static str>,
}

impl Row {
    fn new(name: impl Into<String>, unit: &'static str, work: Work, what: What) -> Self {
        Self { name: name.into(), unit, work, what, without: None, on: None }
    }

    /// Returns the number of units in an amount of 1.
    pub fn units(&self) -> f64 {
        let units = self.work.units() as f64;
        if self.unit == "calls/1000-events" { units / 1000.0 } else { units }
    }
}

pub fn rows() -> Vec<Row> {
    [rows_of_events(), rows_of_trees()].concat()
}

fn rows_of_events() -> Vec<Row> {
    let decoded = [0, 6, 14, 30, 100, 250].map(Decode);
    let popped = [6, 30, 100].map(Ring);
    let received = [Event, TreeEvent(1), TreeEvent(1_000), TreeEvent(50_000)];
    let instructions = [&decoded[..], &popped, &received].concat().into_iter();
    let calls = [Decode(6), Ring(6), Event, TreeEvent(1), TreeEvent(1_000)].into_iter();
    instructions
        .map(|work| Row::new(work.name(), "instructions/event", work, Instructions))
        .chain(calls.map(|work| Row::new(work.name(), "calls/1000-events", work, Calls)))
        .collect()
}

fn rows_of_trees() -> Vec<Row> {
    let unit = "instructions/directory";
    let mut rows = vec![
        Row::new("set-up", unit, SetUp(DIRECTORIES), Instructions),
        // btrfs has no link counts, and lists directories in the order of their creation.
        Row {
            on: Some("btrfs"),
            ..Row::new("set-up/btrfs", unit, SetUp(DIRECTORIES_ELSEWHERE), Instructions)
        },
        Row {
            without: Some(Resync(1)),
            on: Some(NEW_TMPFS),
            ..Row::new("resync", unit, Resync(DIRECTORIES), Instructions)
        },
    ];
    for trees in [50, 400] {
        let work = Overlap(trees);
        rows.push(Row::new(work.name(), "instructions/tree", work, Instructions));
    }
    let unit = "calls/directory";
    rows.push(Row {
        without: Some(Resync(1)),
        ..Row::new("resync", unit, Resync(DIRECTORIES_ELSEWHERE), Calls)
    });
    for name in FILE_SYSTEMS {
        let work = SetUp(DIRECTORIES_ELSEWHERE);
        let row = Row::new(format!("set-up/{name}"), unit, work, Calls);
        rows.push(Row { on: Some(name), ..row });
    }
    rows
}

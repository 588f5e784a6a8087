//! The rows of the table.

use crate::work::Work;
use crate::work::Work::{Decode, Event, Resync, Ring, SetUp, TreeEvent};

/// The directories of the trees in which instructions are counted.
const DIRECTORIES: usize = 5_000;
/// The directories of the trees in which system calls are counted. Some file systems create many slowly.
const DIRECTORIES_FOR_CALLS: usize = 1_000;

/// The file systems on which the calls of the set-up are counted.
pub const FILE_SYSTEMS: [&str; 5] = ["tmpfs", "ext4", "overlayfs", "btrfs", "xfs"];

/// What is counted.
#[derive(Clone, Copy, PartialEq)]
pub enum What {
    Instructions,
    Calls,
    /// The calls on this file system.
    CallsOn(&'static str),
}

pub struct Row {
    pub name: String,
    /// One event, one directory, or 1,000 events.
    pub unit: &'static str,
    pub work: Work,
    /// The same count of this workload is subtracted.
    pub without: Option<Work>,
    pub what: What,
}

impl Row {
    fn new(name: impl Into<String>, unit: &'static str, work: Work, what: What) -> Self {
        Self { name: name.into(), unit, work, without: None, what }
    }

    /// Returns the number of units in an amount of 1.
    pub fn units(&self) -> f64 {
        let units = self.work.units() as f64;
        if self.unit == "calls/1000-events" { units / 1000.0 } else { units }
    }
}

pub fn rows() -> Vec<Row> {
    let per_event = [0, 6, 14, 30, 100, 250]
        .map(Decode)
        .into_iter()
        .chain([6, 30, 100].map(Ring))
        .chain([Event, TreeEvent(1), TreeEvent(1_000), TreeEvent(50_000)]);
    let mut rows: Vec<Row> = per_event
        .map(|work| Row::new(work.name(), "instructions/event", work, What::Instructions))
        .collect();
    let unit = "instructions/directory";
    rows.push(Row::new("set-up", unit, SetUp(DIRECTORIES), What::Instructions));
    rows.push(Row {
        without: Some(Resync(1)),
        ..Row::new("resync", unit, Resync(DIRECTORIES), What::Instructions)
    });

    for work in [Decode(6), Ring(6), Event, TreeEvent(1), TreeEvent(1_000)] {
        rows.push(Row::new(work.name(), "calls/1000-events", work, What::Calls));
    }
    let unit = "calls/directory";
    rows.push(Row {
        without: Some(Resync(1)),
        ..Row::new("resync/tmpfs", unit, Resync(DIRECTORIES_FOR_CALLS), What::Calls)
    });
    for name in FILE_SYSTEMS {
        let (work, what) = (SetUp(DIRECTORIES_FOR_CALLS), What::CallsOn(name));
        rows.push(Row::new(format!("set-up/{name}"), unit, work, what));
    }
    rows
}

//! The workloads.

use std::path::Path;

use crate::{decode, events, trees, world};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Work {
    /// Reads and decodes a file of events with names of this length.
    Decode(usize),
    /// Reads the same file into a ring, and pops the events.
    Ring(usize),
    /// Takes the events of one watched directory, with their paths.
    Event,
    /// Takes the events in this many directories of a tree, ten deep, with their paths.
    TreeEvent(usize),
    /// Takes the events of new directories in this many trees that overlap.
    Overlap(usize),
    /// Sets up a tree of this many directories.
    SetUp(usize),
    /// Resynchronises a tree of this many directories after an overflow.
    Resync(usize),
}

use Work::{Decode, Event, Overlap, Resync, Ring, SetUp, TreeEvent};

impl Work {
    pub fn named(name: &str) -> Option<Self> {
        let (kind, number) = name.split_once('/').unwrap_or((name, ""));
        if kind == "event" && number.is_empty() {
            return Some(Event);
        }
        let number = number.parse().ok()?;
        Some(match kind {
            "decode" => Decode(number),
            "ring" => Ring(number),
            "tree-event" => TreeEvent(number),
            "overlap" => Overlap(number),
            "set-up" => SetUp(number),
            "resync" => Resync(number),
            _ => return None,
        })
    }

    pub fn name(self) -> String {
        match self {
            Decode(len) => format!("decode/{len}"),
            Ring(len) => format!("ring/{len}"),
            Event => "event".to_owned(),
            TreeEvent(directories) => format!("tree-event/{directories}"),
            Overlap(trees) => format!("overlap/{trees}"),
            SetUp(directories) => format!("set-up/{directories}"),
            Resync(directories) => format!("resync/{directories}"),
        }
    }

    /// Returns a small and a large amount, between which the instructions are subtracted.
    pub fn amounts(self) -> [usize; 2] {
        match self {
            Decode(_) | Ring(_) => [5, 25],
            // The average of eight seeds.
            SetUp(_) => [1, 9],
            // The first drain fills caches.
            Event | TreeEvent(_) | Overlap(_) | Resync(_) => [1, 3],
        }
    }

    /// Returns the number of events, trees or directories in an amount of 1.
    pub fn units(self) -> usize {
        match self {
            Decode(len) | Ring(len) => decode::events(len),
            Event | TreeEvent(_) => world::EVENTS,
            Overlap(number) | SetUp(number) | Resync(number) => number,
        }
    }

    /// Returns the number of inotify watches that it needs.
    pub fn watches(self) -> usize {
        match self {
            Decode(_) | Ring(_) => 0,
            Event => 1,
            // The leaves, and the directories above them.
            TreeEvent(directories) => directories + directories / 20 + 100,
            // One, and the new directories.
            Overlap(_) => 4,
            SetUp(directories) | Resync(directories) => directories,
        }
    }

    /// Runs the workload. `root` is an existing tree to set up; without it, the workload creates one.
    pub fn run(self, amount: usize, root: Option<&Path>) {
        match self {
            Decode(len) => decode::decode(len, amount),
            Ring(len) => decode::ring(len, amount),
            Event => events::plain(amount),
            TreeEvent(directories) => events::tree(directories, amount),
            Overlap(trees) => events::overlap(trees, amount),
            SetUp(directories) => trees::set_up(directories, amount, root),
            Resync(directories) => trees::resync(directories, amount),
        }
    }
}

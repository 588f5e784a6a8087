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

mod storms;
mod trees;
mod watching;

use std::path::Path;

use storms::{Changes, Weather};

fn weather(name: &'static str, snapshot: bool, few: u64) -> Weather {
    Weather { name, changes: Changes::Names, snapshot, few, storms: 4 }
}

fn in_memory(name: &'static str, snapshot: bool) {
    weather(name, snapshot, 20_000).in_memory();
}

/// Which is slower.
fn on_the_disk(name: &'static str, snapshot: bool) {
    weather(name, snapshot, 2_000).on_the_disk(Path::new(env!("CARGO_TARGET_TMPDIR")));
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

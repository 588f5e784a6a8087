//! Storms: another process changes a tree at full speed, in several threads, and rests from time to time.
//! Then the mirror that was built only from the events must equal the disk, and the kernel must watch each
//! directory once and nothing else.
//!
//! A normal run takes seconds. A campaign, with a number of operations in all storms together:
//!
//! ```text
//! TINOTIFY_STORM_OPS=1000000 cargo test --release --test tree_storm -- --nocapture --test-threads=1
//! ```
//!
//! `TINOTIFY_STORM_SEED` chooses another storm. Events are lost because the reader waits at times until the
//! queue is full. The limit of the queue is the machine's, and is not changed.

mod storms;
mod trees;
mod watching;

use std::path::Path;

use storms::{Changes, StormPlan};

fn plan(name: &'static str, track_files: bool, ops: u64) -> StormPlan {
    StormPlan { name, changes: Changes::Names, track_files, ops, storms: 4 }
}

fn in_memory(name: &'static str, track_files: bool) {
    plan(name, track_files, 20_000).in_memory();
}

/// Runs a slower storm on the disk.
fn on_the_disk(name: &'static str, track_files: bool) {
    plan(name, track_files, 2_000).on_the_disk(Path::new(env!("CARGO_TARGET_TMPDIR")));
}

#[test]
fn after_a_storm_in_memory_the_mirror_equals_the_disk() {
    in_memory("in memory", false);
}

#[test]
fn after_a_storm_in_memory_tracked_files_equal_the_disk() {
    in_memory("in memory, with tracked files", true);
}

#[test]
fn after_a_storm_on_the_disk_the_mirror_equals_the_disk() {
    on_the_disk("on the disk", false);
}

#[test]
fn after_a_storm_on_the_disk_tracked_files_equal_the_disk() {
    on_the_disk("on the disk, with tracked files", true);
}

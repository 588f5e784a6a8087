//! Storms, as in `tree_storm.rs`, in which not only names change: the modes of directories do, for a
//! plain user; or file systems come and go on directories.
//!
//! - Modes: at a rest every directory has all its permissions back, and all must be found. At some, only
//!   a part of them has; then what is in a directory is not compared if it was reported as `Unwatched` or
//!   `Unlisted`, and must be, until the others have theirs back as well.
//! - Mounts: at a rest nothing is mounted. A mount that covers a directory makes no event, so what is in
//!   a directory that was covered is not compared before events were lost, which is made to happen then.
//!
//! Storms of mounts still end with a difference now and then (one of some twenty of 80,000 operations),
//! so they run only where they are asked for:
//!
//! ```text
//! TINOTIFY_STORM_OPS=200000 cargo test --release --test tree_storm_surroundings -- --nocapture --test-threads=1
//! ```

mod storms;
mod support;
mod trees;
mod watching;

use storms::{Changes, Weather};
use support::{in_namespace, in_plain_process};

fn is_asked_for() -> bool {
    let asked = std::env::var_os(storms::OPS).is_some();
    if !asked {
        println!("SKIPPED: a storm of mounts: {} is not set", storms::OPS);
    }
    asked
}

fn weather(name: &'static str, changes: Changes, snapshot: bool, few: u64) -> Weather {
    Weather { name, changes, snapshot, few, storms: 5 }
}

#[test]
fn whenever_a_storm_of_modes_in_memory_rests_the_mirror_is_true() {
    if in_plain_process("whenever_a_storm_of_modes_in_memory_rests_the_mirror_is_true") {
        weather("of modes in memory", Changes::Modes, false, 20_000).in_memory();
    }
}

#[test]
fn whenever_a_storm_of_modes_in_memory_rests_a_mirror_with_snapshot_is_true() {
    if in_plain_process("whenever_a_storm_of_modes_in_memory_rests_a_mirror_with_snapshot_is_true")
    {
        weather("of modes in memory, with snapshot", Changes::Modes, true, 20_000).in_memory();
    }
}

#[test]
fn whenever_a_storm_of_modes_on_the_disk_rests_the_mirror_is_true() {
    if in_plain_process("whenever_a_storm_of_modes_on_the_disk_rests_the_mirror_is_true") {
        // Where everybody may write.
        let storm = weather("of modes on the disk", Changes::Modes, false, 4_000);
        storm.on_the_disk(&std::env::temp_dir());
    }
}

#[test]
fn whenever_a_storm_of_mounts_rests_the_mirror_is_true() {
    if is_asked_for() && in_namespace("whenever_a_storm_of_mounts_rests_the_mirror_is_true") {
        weather("of mounts", Changes::Mounts, false, 20_000).in_memory();
    }
}

#[test]
fn whenever_a_storm_of_mounts_rests_a_mirror_with_snapshot_is_true() {
    if is_asked_for()
        && in_namespace("whenever_a_storm_of_mounts_rests_a_mirror_with_snapshot_is_true")
    {
        weather("of mounts, with snapshot", Changes::Mounts, true, 20_000).in_memory();
    }
}

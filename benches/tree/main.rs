//! The cost of trees: 50,000 directories, ten in each, with three files each, in a warm cache.
//!
//! - Set-up, beside the naive loop of system calls (open, add a watch by its path, list, close, for each
//!   directory), the bare calls that this crate needs, notify and `inotifywait -r`. Closing an instance with 50,000 watches takes the kernel long; no
//!   time includes it.
//! - Memory, counted by the allocator.
//! - A rename of a directory with 11,111 beneath it: until an event from its depths, of a file that is created
//!   right after the rename, comes with its true path.
//! - An event with its composed path, ten directories deep, beside the bare read(2) loop on the same queue.
//! - Resynchronisation after an overflow, beside the set-up.
//! - The set-up on other file systems, if they can be mounted, and where unshare(2) is refused.
//!
//! ```text
//! cargo bench --bench tree
//! ```
//!
//! `BENCH_QUICK=1` takes a small tree. The tree is created in the directory for temporary files, or in
//! `TMPDIR`.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use forest::{FILES, Forest};
use rivals::Naive;
use support::Mode;
use table::Table;
use tempfile::TempDir;

mod allocator;
mod elsewhere;
mod events;
mod floor;
mod forest;
mod memory;
mod renames;
mod rivals;
mod set_up;
#[path = "../support/mod.rs"]
mod support;
mod table;

const DIRECTORIES: usize = 50_000;

fn main() {
    if let [_, name, root, rounds] = &std::env::args_os().collect::<Vec<_>>()[..] {
        if let Some(name) = name.to_str().filter(|name| elsewhere::is_case(name)) {
            let rounds = String::from_utf8(rounds.clone().into_vec()).unwrap();
            return elsewhere::set_up(name, Path::new(root), rounds.parse().unwrap());
        }
    }

    let mode = Mode::of_this_call();
    let directories = if mode.quick { 2_000 } else { DIRECTORIES };
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    assert!(
        limit >= 2 * directories + 11_000,
        "fs.inotify.max_user_watches is {limit}; {} are needed",
        2 * directories + 11_000
    );

    let place = TempDir::new().unwrap();
    let mut table = Table::default();
    let forest = Forest::create(place.path().join("forest"), directories, FILES);
    // Warm up.
    drop(Naive::of(&forest.root));
    memory::measure(&forest, &mut table);
    set_up::measure(&forest, &mode, &mut table);
    renames::measure(place.path(), &mode, &mut table);
    events::measure(place.path(), &mode, &mut table);
    elsewhere::measure(&forest, &mode, &mut table);
    // The mount would survive the exit.
    place.close().unwrap();
    println!("\nMedians of rounds in which rivals alternate.");
    table.finish(&mode);
}

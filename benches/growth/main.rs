//! How the cost per item grows, from n items to 4n and 16n.
//!
//! - Trees of 50,000, 200,000 and 800,000 directories; also with names of 20 and of 255 bytes, and ended again.
//! - Separate watches with aliases: added, found by alias, removed.
//! - Followed names, in one directory and in one directory each: added, modified, replaced.
//! - Trees that overlap: set up, and an event or a new directory in all of them.
//! - One directory with 1,000,000 files, and one with 400,000 subdirectories.
//!
//! A row shows bytes of heap and microseconds per item, and the time per item at the largest size as a multiple
//! of the time per item at n: 1.00 is linear. No time includes the end of a watcher, which is work of the
//! kernel. The rows of the naive loop and of bare calls make the system calls and nothing else. So they show
//! how the kernel's own cost grows.
//!
//! ```text
//! cargo bench --bench growth
//! TMPDIR=/dev/shm cargo bench --bench growth -- trees
//! ```
//!
//! The words `trees`, `watches`, `names`, `overlap` and `directories` select parts. `BENCH_QUICK=1` takes small
//! sizes. Files are created in the directory for temporary files, or in `TMPDIR`: at most 1,300,000 at a time.
//!
//! 800,000 directories need that many watches (`fs.inotify.max_user_watches`). If the limit is lower, root raises
//! it and restores it at the end. For other users the sizes are reduced.

use growth::Report;
use limit::WatchLimit;
use support::Mode;

#[path = "../tree/allocator.rs"]
mod allocator;
mod directories;
mod files;
mod growth;
mod limit;
mod names;
mod overlap;
#[allow(dead_code)] // This benchmark runs only the naive loop.
#[path = "../tree/rivals.rs"]
mod rivals;
#[allow(dead_code)] // The rounds of this benchmark are its own.
#[path = "../support/mod.rs"]
mod support;
mod trees;
mod watches;

type Part = (&'static str, fn(&mut Report, &WatchLimit));

const PARTS: [Part; 5] = [
    ("trees", trees::measure),
    ("watches", watches::measure),
    ("names", names::measure),
    ("overlap", overlap::measure),
    ("directories", directories::measure),
];

fn main() {
    let mode = Mode::of_this_call();
    let selected: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let limit = WatchLimit::raise(if mode.quick { 100_000 } else { 850_000 });
    let mut report = Report::new(&mode);
    for (name, measure) in PARTS {
        if selected.is_empty() || selected.iter().any(|word| word == name) {
            measure(&mut report, &limit);
        }
    }
    // The report ends the program.
    drop(limit);
    report.finish(&mode);
}

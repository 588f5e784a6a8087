//! Counts the instructions and the system calls of small workloads, and compares them with a table.
//!
//! Counts have no noise: each run returns the same value, also on a busy machine. So they show changes that
//! are too small for a clock. `.ci/counts.sh` builds this program and runs `counts compare`.
//!
//! ```text
//! counts compare TABLE TOOLCHAIN           # fails if a count has grown
//! counts write TABLE TOOLCHAIN             # replaces the table
//! counts run WORK AMOUNT [ROOT]            # runs one workload without a clock
//! ```
//!
//! To find the functions that use the instructions:
//!
//! ```text
//! valgrind --tool=callgrind counts run tree-event/1000 3
//! callgrind_annotate callgrind.out.*
//! ```
//!
//! # What is counted
//!
//! - Instructions outside the kernel, by `valgrind --tool=callgrind`, in all threads. Another process creates
//!   the files, causes the events and removes the files. Valgrind does not count that process.
//! - System calls, by `strace -f -c`, in all threads, without those of that other process.
//!
//! Each workload runs with a small and a large amount. The value is the difference of the two counts, divided
//! by the events or directories of the difference of the two amounts. So start-up and first allocations
//! cancel. Nothing else is subtracted, with one exception: the instructions for an overflow of a tree of one
//! directory are subtracted from those for the tree of 5,000 (`resync`), because most events of the full queue
//! are handled before the overflow event.
//!
//! # Why the counts are the same in each run
//!
//! - The program is linked with the libc of the Rust toolchain (musl), if that target is installed. So the
//!   counts depend neither on the libc of the machine nor on the memcpy that it selects for the processor.
//! - The directories are on tmpfs, which lists them in the order of their creation. Other file systems order
//!   them by a hash with a seed. Where inode numbers are read as text, the tmpfs is a new one, because the
//!   numbers of an old one have more digits.
//! - All paths have the same length in each run, and `getrandom` returns constants (see `seed`).

mod compare;
mod count;
mod decode;
mod events;
mod file_systems;
mod measure;
mod places;
mod rows;
mod seed;
mod table;
mod trees;
mod work;
mod world;

use std::path::Path;
use std::process::ExitCode;

use work::Work;

/// The exit status of a workload that can't run on this machine.
const SKIPPED: i32 = 77;

/// Ends the process of a workload that can't run on this machine.
fn skip(why: &str) -> ! {
    eprintln!("SKIPPED: {why}");
    std::process::exit(SKIPPED);
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["compare", table, toolchain] => return compare::compare(Path::new(table), toolchain),
        ["write", table, toolchain] => return compare::write(Path::new(table), toolchain),
        ["run", work, amount] => run(work, amount, None),
        ["run", work, amount, root] => run(work, amount, Some(Path::new(root))),
        // The program calls itself with these.
        ["world", kind, root] => world::serve(kind, Path::new(root)),
        ["mounted", file_system, name, unit] => {
            file_systems::print_mounted(file_system, name, unit)
        }
        _ => {
            eprintln!(
                "usage: counts compare|write TABLE TOOLCHAIN, or counts run WORK AMOUNT [ROOT]"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn run(work: &str, amount: &str, root: Option<&Path>) {
    let Some(work) = Work::named(work) else { panic!("unknown workload {work:?}") };
    let amount = amount.parse().unwrap_or_else(|_| panic!("invalid amount {amount:?}"));
    work.run(amount, root);
}

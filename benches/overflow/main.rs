//! How fast a reader must be: the highest rate of events that each rival reads without a loss.
//!
//! A writer in a process of its own writes to files in turn, so that no identical events follow each other
//! and merge. It writes in bursts, one each millisecond. A rival reads meanwhile. Events are lost if an
//! overflow is reported or if events are missing at the end. The rate is doubled until events are lost. Then
//! bisection finds the highest rate without a loss, which a longer run confirms. The queue has its default
//! limit (`fs.inotify.max_queued_events`).
//!
//! Rivals: a bare read(2) loop, a `Watcher` on one directory and on a tree of 1,000 directories (with the path of
//! each event), notify on that tree, and the tool and inotifywait (`-m -r`, with output to /dev/null). The last
//! three run in processes of their own. The bytes that they write (`/proc/PID/io`) show how many events they
//! have read.
//!
//! The writer runs on the last processor and the rivals on the others, if there are several. A rival can be
//! faster than the writer: its rate is then printed with ">=". The processor time of the rival for each event
//! of a full queue shows how much faster it may be.
//!
//! A second table shows what an overflow costs a tree: the queue is filled, and directories are created whose
//! events are lost. Times run until `Resynced` and until each of these directories and its file are known.
//!
//! ```text
//! TMPDIR=/dev/shm cargo bench --bench overflow --features cli
//! ```
//!
//! The words `rates` and `resync` select one part. `BENCH_QUICK=1` takes short runs and a small tree. Files are
//! created in the directory for temporary files, or in `TMPDIR`. A slow file system there slows the writer.

use rates::Rates;
use support::{Mode, Verdicts};

#[allow(dead_code)] // This benchmark needs the root and the number of directories.
#[path = "../tree/forest.rs"]
mod forest;
mod places;
mod programs;
mod rates;
mod readers;
mod resync;
#[allow(dead_code)] // This benchmark starts the tools in another way.
#[path = "../tree/rivals.rs"]
mod rivals;
#[allow(dead_code)] // The rounds of this benchmark are its own.
#[path = "../support/mod.rs"]
mod support;
mod writer;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, place, root] = &arguments[..] {
        if word == writer::WORD {
            return writer::run(place.parse().unwrap(), root.as_ref());
        }
    }
    if let [word, root] = &arguments[..] {
        if word == readers::NOTIFY {
            return readers::run_notify(root.as_ref());
        }
    }

    let mode = Mode::of_this_call();
    let selected = |part| {
        let mut words = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        words.peek().is_none() || words.any(|word| word == part)
    };
    let mut verdicts = Verdicts::default();
    if selected("resync") {
        resync::measure(&mode, &mut verdicts);
    }
    if selected("rates") {
        writer::leave_last_processor();
        Rates::measure(&mode).print(&mut verdicts);
    }
    verdicts.print(&mode);
}

/// Returns the limit of a queue.
fn queue_limit() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    limit.trim().parse().unwrap()
}

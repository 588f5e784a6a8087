//! The time from a write in another process until a rival has returned the event: the median, and the
//! slowest of a hundred and of a thousand.
//!
//! This process sends the number of a file to a child process through a pipe. The child waits until this
//! process sleeps, reads the clock, writes to the file, and sends the time back. This process reads the clock
//! when it has the event. Each rival has its own inotify instance and directory, so that no other rival wakes
//! up with it. With two processors, each process is pinned to one of them, since a wake-up on the same
//! processor and one on another processor take different times.
//!
//! ```text
//! cargo bench --bench wake --features tokio,async-io
//! chrt --fifo 10 cargo bench --bench wake --features tokio,async-io    # undisturbed by other programs
//! ```
//!
//! Each rival is compared with a bare loop that waits in the same way, and with ppoll(2) and read(2). Two more
//! bare loops show what it costs that a [`tinotify::Watcher`] can be stopped, and is one descriptor for epoll.
//! Without a feature, the rivals in its runtime are skipped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rivals::Wait;
use support::{Mode, Verdicts, alternate, uncertainty};
use tempfile::TempDir;
use writer::{Writer, now, pin_to_processor, write};

mod rivals;
#[cfg(any(feature = "async-io", feature = "tokio"))]
mod runtimes;
#[path = "../support/mod.rs"]
mod support;
mod writer;

const ROUNDS: usize = 20_000;
const FILE: &str = "file.txt";
/// The highest ratio of ours to the bare loop that passes.
const LIMIT: f64 = 1.02;

struct Rival {
    title: &'static str,
    /// The index of the bare loop that waits in the same way.
    base: usize,
    is_ours: bool,
    make: fn(&Path) -> Wait,
}

impl Rival {
    const fn new(title: &'static str, base: usize, make: fn(&Path) -> Wait) -> Self {
        Self { title, base, is_ours: false, make }
    }

    const fn ours(title: &'static str, base: usize, make: fn(&Path) -> Wait) -> Self {
        Self { title, base, is_ours: true, make }
    }
}

fn rivals() -> Vec<Rival> {
    const EPOLL: usize = 5;
    let mut all = vec![
        Rival::new("ppoll+read", 0, rivals::ppoll),
        Rival::ours("Watcher::recv", 0, rivals::watcher_recv),
        Rival::new("inotify-rs, blocking", 0, rivals::inotify_rs_blocking),
        Rival::new("notify", 0, rivals::notify),
        Rival::new("ppoll of two, read", 0, rivals::ppoll_of_two),
        Rival::new("epoll_wait+read", EPOLL, rivals::epoll),
        Rival::ours("Watcher in epoll", EPOLL, rivals::watcher_epoll),
        Rival::new("epoll in epoll, read", EPOLL, rivals::epoll_of_epoll),
    ];
    #[cfg(feature = "tokio")]
    {
        use runtimes::in_tokio;

        let base = all.len();
        all.push(Rival::new("tokio AsyncFd+read", base, in_tokio::bare));
        all.push(Rival::ours("TokioWatcher::recv", base, in_tokio::watcher));
        all.push(Rival::new("inotify-rs, stream", base, in_tokio::inotify_rs));
    }
    #[cfg(feature = "async-io")]
    {
        use runtimes::in_async_io;

        let base = all.len();
        all.push(Rival::new("async-io Async+read", base, in_async_io::bare));
        all.push(Rival::ours("AsyncIoWatcher::recv", base, in_async_io::watcher));
    }
    all
}

/// Returns the time that is longer than `part` of all. `part` is in thousandths.
fn percentile(times: &mut [f64], part: usize) -> f64 {
    let index = times.len() * part / 1000;
    *times.select_nth_unstable_by(index, f64::total_cmp).1
}

/// Returns the ratio of a percentile of two rivals.
///
/// Noise affects single wake-ups, not whole rounds, so ratios within a round would not remove it.
fn ratio(times: &[Vec<f64>], [of, base]: [usize; 2], part: usize, rounds: &[usize]) -> f64 {
    let chosen = |rival: usize| {
        let mut times: Vec<f64> = rounds.iter().map(|&round| times[rival][round]).collect();
        percentile(&mut times, part)
    };
    chosen(of) / chosen(base)
}

const PERCENTILES: [(usize, &str); 3] = [(500, "p50"), (990, "p99"), (999, "p999")];

fn measure(rivals: &[Rival], rounds: usize) -> Vec<Vec<f64>> {
    let dirs: Vec<TempDir> = rivals.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    dirs.iter().for_each(|dir| fs::write(dir.path().join(FILE), "text").unwrap());
    // Before this process is pinned, since the child would inherit its processor.
    let mut writer = Writer::start(dirs.iter().map(|dir| dir.path().join(FILE)));
    pin_to_processor(|processors| processors.next());
    let mut waits: Vec<Wait> =
        rivals.iter().zip(&dirs).map(|(rival, dir)| (rival.make)(dir.path())).collect();
    let sample = |_, rival: usize| -> Duration {
        writer.order(rival);
        waits[rival]();
        now() - writer.time()
    };
    alternate(1, rivals.len(), rounds, sample).remove(0)
}

fn main() {
    if let [_, word, paths @ ..] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "write" {
            return write(paths);
        }
    }

    let mode = Mode::of_this_call();
    let rounds = mode.rounds(ROUNDS);
    println!(
        "Microseconds from a write in another process until the event is returned, over {rounds} rounds, \
         rivals alternating;\nand as multiples of the bare loop of the same kind, and of ppoll+read.\n"
    );
    let rivals = rivals();
    let times = measure(&rivals, rounds);

    let mut verdicts = Verdicts::default();
    let all: Vec<usize> = (0..rounds).collect();
    println!("{:>21} {:>5} {:>9} {:>15} {:>15}", "", "", "time", "same kind", "ppoll+read");
    for (index, rival) in rivals.iter().enumerate() {
        for (part, name) in PERCENTILES {
            let of = |base: usize| {
                let of = |rounds: &[usize]| ratio(&times, [index, base], part, rounds);
                (of(&all), uncertainty(rounds, of))
            };
            let time = percentile(&mut times[index].clone(), part) / 1e3;
            let title = if part == PERCENTILES[0].0 { rival.title } else { "" };
            let ((same, plus_minus), (ppoll, ppoll_plus_minus)) = (of(rival.base), of(0));
            println!(
                "{title:>21} {name:>5} {time:9.2} {same:8.3} ±{plus_minus:5.3} {ppoll:8.3} ±{ppoll_plus_minus:5.3}"
            );
            if rival.is_ours {
                let what = format!("{} / {}, {name}", rival.title, rivals[rival.base].title);
                verdicts.at_most(&what, LIMIT, same, plus_minus);
            }
        }
    }
    for (feature, is_on) in
        [("tokio", cfg!(feature = "tokio")), ("async-io", cfg!(feature = "async-io"))]
    {
        if !is_on {
            eprintln!("\nSKIPPED: the rivals in {feature}: the feature `{feature}` is off");
        }
    }
    verdicts.print(&mode);
}

//! Growth of cost: at most five times the calls at four times the size.

use std::fmt;
use std::time::Duration;

use tinotify::WatchMask;
use tinotify::tree::{Options, Tree};

use crate::simulated::driver::drive;
use crate::simulated::field::{Field, ROOT};
use crate::simulated::rules::NAMES;

/// The cost of a task.
#[derive(Clone, Copy)]
pub struct Cost {
    pub calls: u64,
    pub events: u64,
    pub reported: u64,
    /// Processor time of this thread: only for the output, and for `TINOTIFY_GROWTH_TIME`.
    pub time: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, events, reported, time } = self;
        write!(f, "{calls} calls, {events} events, {reported} reported, {time:?}")
    }
}

/// A task in two parts: what exists when the tree is set up, and the changes after that, which are read at
/// the end.
pub struct Task {
    pub name: &'static str,
    track_files: bool,
    begin: fn(&mut Field, usize),
    then: fn(&mut Field, usize),
}

fn name(at: usize) -> String {
    format!("n{at}")
}

fn many_dirs(field: &mut Field, n: usize) {
    for at in 0..n {
        field.mkdir(ROOT, &name(at));
    }
}

fn many_files(field: &mut Field, n: usize) {
    for at in 0..n {
        field.make(ROOT, &name(at), false);
    }
}

fn chain(field: &mut Field, n: usize) {
    let mut at = ROOT;
    for _ in 0..n {
        at = field.mkdir(at, "d");
    }
}

fn nothing(_: &mut Field, _: usize) {}

pub fn tasks() -> Vec<Task> {
    [false, true]
        .into_iter()
        .flat_map(|track_files| [renaming(track_files), others(track_files)])
        .flatten()
        .collect()
}

fn task(
    name: &'static str,
    track_files: bool,
    begin: fn(&mut Field, usize),
    then: fn(&mut Field, usize),
) -> Task {
    Task { name, track_files, begin, then }
}

fn renaming(track_files: bool) -> Vec<Task> {
    vec![
        task("set up n directories", track_files, many_dirs, nothing),
        task("set up a chain n deep", track_files, chain, nothing),
        task(
            "n events on one name",
            track_files,
            |field, _| many_files(field, 1),
            |field, n| {
                (0..n).for_each(|_| field.write(ROOT, "n0"));
            },
        ),
        task(
            "n renames of a file",
            track_files,
            |field, _| many_files(field, 1),
            |field, n| {
                (0..n).for_each(|at| field.rename((ROOT, &name(at)), (ROOT, &name(at + 1))));
            },
        ),
        task(
            "n renames of a directory",
            track_files,
            |f, _| many_dirs(f, 1),
            |field, n| {
                (0..n).for_each(|at| field.rename((ROOT, &name(at)), (ROOT, &name(at + 1))));
            },
        ),
        task("n directories renamed", track_files, many_dirs, |field, n| {
            let to = field.mkdir(ROOT, "to");
            (0..n).for_each(|at| field.rename((ROOT, &name(at)), (to, &name(at))));
        }),
        task("n files renamed over others", track_files, many_files, |field, n| {
            (1..n).for_each(|at| field.rename((ROOT, &name(at - 1)), (ROOT, &name(at))));
        }),
    ]
}

fn others(track_files: bool) -> Vec<Task> {
    vec![
        task("mkdir and rmdir of n", track_files, nothing, |field, n| {
            for at in 0..n {
                field.mkdir(ROOT, &name(at));
                field.remove(ROOT, &name(at));
            }
        }),
        task("mkdir and rmdir of one, n times", track_files, nothing, |field, n| {
            for _ in 0..n {
                field.mkdir(ROOT, "n");
                field.remove(ROOT, "n");
            }
        }),
        task("a chain n deep is made", track_files, nothing, chain),
        task("n entries, half removed in an overflow", track_files, many_files, |field, n| {
            (0..n / 2).for_each(|at| field.remove(ROOT, &name(2 * at)));
            field.overflow();
        }),
        task("n directories, half removed in an overflow", track_files, many_dirs, |field, n| {
            (0..n / 2).for_each(|at| field.remove(ROOT, &name(2 * at)));
            field.overflow();
        }),
        task("n unreadable directories, ATTRIB on each", track_files, denied, |field, n| {
            (0..n).for_each(|at| field.chmod(ROOT, &name(at), true));
        }),
        task("n unreadable directories become readable", track_files, denied, |field, n| {
            (0..n).for_each(|at| field.chmod(ROOT, &name(at), false));
        }),
    ]
}

fn denied(field: &mut Field, n: usize) {
    many_dirs(field, n);
    (0..n).for_each(|at| field.chmod(ROOT, &name(at), true));
}

impl Task {
    pub fn title(&self) -> String {
        format!("{}{}", self.name, if self.track_files { " (track_files)" } else { "" })
    }

    /// Returns the cost at a size, with the set-up.
    pub fn run(&self, n: usize) -> Cost {
        let mut field = Field::new();
        (self.begin)(&mut field, n);
        let mut options = Options::new(NAMES | WatchMask::MODIFY | WatchMask::CLOSE_WRITE);
        options.track_files = self.track_files;
        options.report_existing = true;
        let mut tree = Tree::new(options);
        let begin = now();
        tree.start(&mut field).unwrap();
        let mut reported = drive(&mut tree, &mut field);
        let set_up = now() - begin;
        (self.then)(&mut field, n);
        let begin = now();
        reported += drive(&mut tree, &mut field);
        let time = set_up + (now() - begin);
        Cost { calls: field.calls, events: field.events, reported, time }
    }
}

/// Returns the processor time of this thread.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

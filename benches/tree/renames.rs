//! A rename of a directory with many beneath it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::ClockId;
use tinotify::Watcher;

use crate::forest::Forest;
use crate::rivals::{LOST, MASK, NotifyEvents, end_notify, notify_tree, tinotify_tree};
use crate::support::{Mode, median};
use crate::table::{Table, estimate, milliseconds};

/// The directories beneath the renamed one: 1 + 10 + 100 + 1,000 + 10,000.
const BELOW_RENAMED: usize = 11_111;

/// Returns the processor time of all threads of this process.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// A directory that is renamed to and fro, and a file that is created in its depths right after.
struct Renaming {
    forest: Forest,
    names: [PathBuf; 2],
    /// The deepest directory, beneath the renamed one.
    depths: PathBuf,
    turn: usize,
}

impl Renaming {
    fn new(place: &Path, below: usize) -> Self {
        fs::create_dir(place).unwrap();
        let forest = Forest::create(place.join("before"), below + 1, 0);
        let depths = forest.deepest.strip_prefix(&forest.root).unwrap().to_owned();
        let names = [place.join("before"), place.join("after")];
        Self { forest, names, depths, turn: 0 }
    }

    /// Renames the directory, creates the file, and returns its true path.
    fn rename(&mut self) -> PathBuf {
        let [from, to] = [self.turn, self.turn + 1].map(|turn| &self.names[turn % 2]);
        let file = to.join(&self.depths).join("new.txt");
        self.turn += 1;
        fs::rename(from, to).unwrap();
        File::create(&file).unwrap();
        file
    }
}

/// Nanoseconds of wall time and of processor time.
fn time_rename(renaming: &mut Renaming, watcher: &mut Watcher) -> [f64; 2] {
    let (start, start_cpu) = (Instant::now(), cpu_time());
    let file = renaming.rename();
    let mut is_found = false;
    while !is_found {
        let event = watcher.recv_timeout(LOST).unwrap().expect("the event is lost");
        is_found = event.path() == file;
    }
    let times = [start.elapsed(), cpu_time() - start_cpu];
    fs::remove_file(&file).unwrap();
    while watcher.try_recv().unwrap().is_some() {}
    times.map(|time| time.as_nanos() as f64)
}

/// Measures the same with notify, without a wall time if the event does not come.
fn time_rename_in_notify(renaming: &mut Renaming, events: &NotifyEvents) -> [Option<f64>; 2] {
    let (start, start_cpu) = (Instant::now(), cpu_time());
    let file = renaming.rename();
    let came = loop {
        match events.recv_timeout(LOST) {
            Ok(event) if event.as_ref().is_ok_and(|event| event.paths.contains(&file)) => {
                break Some(start.elapsed());
            }
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    let times = [came, Some(cpu_time() - start_cpu)];
    fs::remove_file(&file).unwrap();
    while events.recv_timeout(LOST / 10).is_ok() {}
    times.map(|time| time.map(|time| time.as_nanos() as f64))
}

pub fn measure(place: &Path, mode: &Mode, table: &mut Table) {
    let below = if mode.quick { 111 } else { BELOW_RENAMED };
    let mut renaming = Renaming::new(&place.join("renaming"), below);
    let root = place.join("renaming");
    assert_eq!(renaming.forest.directories, below + 1);

    let mut watcher = tinotify_tree(&root, MASK);
    let times: Vec<[f64; 2]> =
        (0..mode.rounds(200)).map(|_| time_rename(&mut renaming, &mut watcher)).collect();
    drop(watcher);
    let (notify, events) = notify_tree(&root);
    let of_notify: Vec<_> = (0..5).map(|_| time_rename_in_notify(&mut renaming, &events)).collect();
    end_notify(notify);

    let of_notify = |which: usize| {
        let came: Vec<f64> = of_notify.iter().filter_map(|times| times[which]).collect();
        match came.len() {
            0 => "notify: never came".to_owned(),
            len => format!("notify {:.2} ms ({len} of 5 came)", milliseconds(median(&came))),
        }
    };
    for (which, what) in ["until a true path", "processor's time"].into_iter().enumerate() {
        let times: Vec<f64> = times.iter().map(|times| milliseconds(times[which])).collect();
        let (value, plus_minus) = estimate(&times);
        table.row(
            &format!("rename with {below} below: {what}"),
            format!("{value:.3} ms"),
            of_notify(which),
        );
        let what = format!("milliseconds after a rename, {what}");
        table.verdicts.at_most(&what, 2.0, value, plus_minus);
    }
}

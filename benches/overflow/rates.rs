//! Finds the highest rate that each rival sustains.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::places::Place;
use crate::programs::Program;
use crate::queue_limit;
use crate::readers::{Bare, Reader, WithPaths};
use crate::rivals::has_inotifywait;
use crate::support::{Mode, Verdicts, median};
use crate::writer::Writer;

/// The first rate, in events per second.
const FIRST: f64 = 100_000.0;
/// The accuracy of the search.
const ACCURACY: f64 = 1.03;

#[derive(Clone, Copy, PartialEq)]
enum Rival {
    Bare,
    Watcher,
    Tool,
    Inotifywait,
    Notify,
}

type Entry = (Rival, Place, &'static str);

const RIVALS: [Entry; 7] = [
    (Rival::Bare, Place::Directory, "read(2), one directory"),
    (Rival::Bare, Place::Tree, "read(2), tree"),
    (Rival::Watcher, Place::Directory, "Watcher, one directory, with paths"),
    (Rival::Watcher, Place::Tree, "Watcher, tree, with paths"),
    (Rival::Tool, Place::Tree, "tinotify -m -r"),
    (Rival::Inotifywait, Place::Tree, "inotifywait -m -r"),
    (Rival::Notify, Place::Tree, "notify, tree"),
];

impl Rival {
    fn start(self, place: Place, root: &Path, writer: &mut Writer) -> Box<dyn Reader> {
        match self {
            Self::Bare => Box::new(Bare::new(place, root)),
            Self::Watcher => Box::new(WithPaths::new(place, root)),
            Self::Tool => {
                Box::new(Program::start_tool(env!("CARGO_BIN_EXE_tinotify"), root, writer))
            }
            Self::Inotifywait => Box::new(Program::start_tool("inotifywait", root, writer)),
            Self::Notify => Box::new(Program::start_notify(root, writer)),
        }
    }
}

/// One run of the writer.
#[derive(Clone, Copy)]
struct Run {
    /// The events per second that were written.
    rate: f64,
    is_lost: bool,
}

/// What a rival sustained.
#[derive(Clone, Copy)]
struct Sustained {
    rate: f64,
    /// Whether the writer was no faster.
    is_limited_by_writer: bool,
    /// The nanoseconds of processor time for each event of a full queue.
    cost: f64,
}

/// The search for the highest rate of one rival.
struct Search<'a> {
    reader: &'a mut dyn Reader,
    writer: &'a mut Writer,
    quick: bool,
}

impl Search<'_> {
    /// Writes a number of queues at a rate, or as fast as possible.
    fn try_once(&mut self, rate: Option<f64>, queues: usize) -> Run {
        let least = rate.unwrap_or(0.0) * if self.quick { 0.05 } else { 0.5 };
        let events = (queues * queue_limit()).max(least as usize);
        self.reader.begin();
        self.writer.order(events, rate);
        let is_lost = self.reader.read(events, self.writer);
        Run { rate: events as f64 / self.writer.time().as_secs_f64(), is_lost }
    }

    /// The same, with a second try after a loss, since another process may have disturbed the first.
    fn try_rate(&mut self, rate: Option<f64>) -> Run {
        let queues = if self.quick { 3 } else { 10 };
        let run = self.try_once(rate, queues);
        if run.is_lost { self.try_once(rate, queues) } else { run }
    }

    /// Finds the highest rate, and measures the cost of an event.
    fn run(&mut self) -> Sustained {
        let (rate, is_limited_by_writer) = self.find_rate();
        let drains = if self.quick { 3 } else { 9 };
        let costs: Vec<f64> = (0..drains).map(|_| self.drain()).collect();
        Sustained { rate, is_limited_by_writer, cost: median(&costs) }
    }

    /// Returns the nanoseconds of processor time for each event of a full queue.
    fn drain(&mut self) -> f64 {
        let events = queue_limit() - 1;
        self.reader.begin();
        self.reader.pause();
        self.writer.order(events, None);
        while !self.writer.is_done() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let start = self.reader.cpu_time();
        self.reader.resume();
        assert!(!self.reader.read(events, self.writer), "events of a full queue were lost");
        let time = self.reader.cpu_time() - start;
        self.writer.time();
        time.as_secs_f64() * 1e9 / events as f64
    }

    /// Finds the highest rate without a loss. Returns it, and `true` if the writer was no faster.
    fn find_rate(&mut self) -> (f64, bool) {
        let mut good: Option<Run> = None;
        let mut rate = FIRST;
        loop {
            let run = self.try_rate(Some(rate));
            if run.is_lost {
                return (self.bisect(good, rate.min(run.rate)), false);
            }
            if run.rate < rate * 0.9 {
                let run = self.try_rate(None);
                if run.is_lost {
                    return (self.bisect(good, run.rate), false);
                }
                return (good.map_or(run.rate, |good| run.rate.max(good.rate)), true);
            }
            good = Some(run);
            rate *= 2.0;
        }
    }

    /// Finds the highest rate between a sustained one, if there is one, and one with a loss.
    fn bisect(&mut self, mut good: Option<Run>, mut bad: f64) -> f64 {
        let Run { rate: mut best, .. } = loop {
            let rate = match good {
                Some(good) if bad / good.rate <= ACCURACY => break good,
                Some(good) => (good.rate * bad).sqrt(),
                None => bad / 2.0,
            };
            let run = self.try_rate(Some(rate));
            match good {
                _ if run.is_lost => bad = rate.min(run.rate),
                // The writer can't reach the rate.
                Some(good) if run.rate <= good.rate => break good,
                _ => good = Some(run),
            }
        };
        // A longer run confirms it.
        loop {
            let run = self.try_once(Some(best), if self.quick { 6 } else { 40 });
            if !run.is_lost {
                return run.rate;
            }
            best /= ACCURACY;
        }
    }
}

/// The rates of each rival, one for each round. Empty if the rival is missing.
pub struct Rates(Vec<Vec<Sustained>>);

impl Rates {
    pub fn measure(mode: &Mode) -> Self {
        let rounds = if mode.quick { 1 } else { 3 };
        let parent = TempDir::new().unwrap();
        let places =
            [Place::Directory, Place::Tree].map(|place| (place, place.create(parent.path())));
        let has_inotifywait = has_inotifywait();
        let mut rates = vec![Vec::new(); RIVALS.len()];
        for _ in 0..rounds {
            for ((rival, place, _), rates) in RIVALS.into_iter().zip(&mut rates) {
                if rival == Rival::Inotifywait && !has_inotifywait {
                    continue;
                }
                let root = root_of(&places, place);
                let mut writer = Writer::start(place, root);
                let mut reader = rival.start(place, root, &mut writer);
                let mut search =
                    Search { reader: &mut *reader, writer: &mut writer, quick: mode.quick };
                rates.push(search.run());
            }
        }
        parent.close().unwrap();
        Self(rates)
    }

    pub fn print(&self, verdicts: &mut Verdicts) {
        println!(
            "\nEvents per second without a loss, queue of {} events. Medians of {} rounds. ns/event: \
             processor time for each event of a full queue.",
            queue_limit(),
            self.0[0].len()
        );
        println!("{:<36} {:>12} {:>22} {:>9}", "", "events/s", "of the faster read(2)", "ns/event");
        let bare = self.rate(0).max(self.rate(1));
        for (rival, (_, _, title)) in RIVALS.iter().enumerate() {
            if self.0[rival].is_empty() {
                println!("{title:<36} {:>12}", "SKIPPED");
                continue;
            }
            let sign = if self.is_limited_by_writer(rival) { ">= " } else { "" };
            let rate = self.rate(rival);
            let value = format!("{sign}{rate:.0}");
            println!("{title:<36} {value:>12} {:>22.2} {:>9.0}", rate / bare, self.cost(rival));
        }
        println!(">=: the writer was no faster, so the rival may be.");
        self.check(Rival::Tool, Rival::Inotifywait, verdicts);
        self.check(Rival::Watcher, Rival::Notify, verdicts);
    }

    /// Compares two rivals on the tree.
    fn check(&self, ours: Rival, theirs: Rival, verdicts: &mut Verdicts) {
        let find = |rival| {
            let is_same = |entry: &Entry| entry.0 == rival && entry.1 == Place::Tree;
            RIVALS.iter().position(is_same).unwrap()
        };
        let [ours, theirs] = [find(ours), find(theirs)];
        if self.0[theirs].is_empty() {
            return;
        }
        let what = format!("{} / {}", RIVALS[ours].2, RIVALS[theirs].2);
        let cost = self.cost(ours) / self.cost(theirs);
        verdicts.at_most(&format!("processor time per event, {what}"), 1.0, cost, 0.0);
        if !self.is_limited_by_writer(theirs) {
            let rate = self.rate(ours) / self.rate(theirs);
            verdicts.at_least(&format!("events per second, {what}"), 1.0, rate, 0.0);
        }
    }

    fn is_limited_by_writer(&self, rival: usize) -> bool {
        self.0[rival].iter().any(|sustained| sustained.is_limited_by_writer)
    }

    fn rate(&self, rival: usize) -> f64 {
        median(&self.0[rival].iter().map(|sustained| sustained.rate).collect::<Vec<_>>())
    }

    fn cost(&self, rival: usize) -> f64 {
        median(&self.0[rival].iter().map(|sustained| sustained.cost).collect::<Vec<_>>())
    }
}

fn root_of(places: &[(Place, PathBuf)], place: Place) -> &Path {
    &places.iter().find(|(known, _)| *known == place).unwrap().1
}

//! One schedule: a world, its changes, and the order of changes and reads.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tinotify::WatchMask;

use super::choices::Choices;
use super::distributions::Distribution;
use super::driver::Run;
use super::world::World;

/// Counts of what happened in several schedules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub schedules: u64,
    pub rests: u64,
    pub events: u64,
    pub walks: u64,
    pub failed_walks: u64,
    pub reports: u64,
    pub found: u64,
    pub forced_walks: u64,
}

impl Totals {
    pub fn add(&mut self, more: Self) {
        self.schedules += more.schedules;
        self.rests += more.rests;
        self.events += more.events;
        self.walks += more.walks;
        self.failed_walks += more.failed_walks;
        self.reports += more.reports;
        self.found += more.found;
        self.forced_walks += more.forced_walks;
    }
}

impl Run {
    /// Walks if a walk is pending. Sometimes repeats a walk that fails.
    fn walk_if_pending(&mut self) -> Result<(), String> {
        for _ in 0..3 {
            if !self.follower.is_pending() {
                break;
            }
            self.world.record(|_| "walk".into());
            if self.walk()? || self.world.choices.chance(1, 2) {
                break;
            }
        }
        Ok(())
    }

    fn read_some(&mut self) -> Result<(), String> {
        let max = 1 + self.world.choices.below(self.world.rules.batch);
        let walks_each = self.world.choices.chance(1, 2);
        self.world.record(|_| format!("read {max}"));
        self.read(max);
        while !self.inbox.is_empty() {
            self.world.record(|_| "feed".into());
            self.feed()?;
            if walks_each {
                self.walk_if_pending()?;
            }
        }
        self.walk_if_pending()
    }

    fn run_rounds(&mut self) -> Result<u64, String> {
        self.world.record(|_| "start".into());
        self.world.is_quiet = false;
        self.world.ops = self.world.choices.below(3);
        self.walk_if_pending()?;
        let rounds = 1 + self.world.choices.below(6);
        for _ in 0..rounds {
            self.world.ops = self.world.choices.below(self.world.rules.burst + 1);
            while self.world.ops > 0 {
                if self.world.choices.chance(1, 2) {
                    self.read_some()?;
                } else {
                    self.world.change();
                }
            }
            if self.world.choices.chance(1, 12) {
                let masks = [WatchMask::MODIFY, WatchMask::CLOSE_WRITE, WatchMask::ALL_EVENTS];
                let mask = masks[self.world.choices.below(3) as usize];
                self.set_mask(mask);
                self.walk_if_pending()?;
            }
            if !self.world.choices.chance(1, 3) {
                self.world.record(|_| "rest".into());
                self.rest()?;
                self.reported.clear();
            }
        }
        self.world.record(|_| "rest".into());
        // Sometimes the follower ends with a pending walk and unread events.
        if !self.world.choices.chance(1, 8) {
            self.rest()?;
        }
        self.end()?;
        Ok(u64::from(rounds))
    }
}

/// Returns the message of a panic.
pub fn panicked(what: &(dyn std::any::Any + Send)) -> String {
    let text = what.downcast_ref::<String>().cloned();
    let text = text.or_else(|| what.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("panics: {}", text.unwrap_or_default())
}

/// Runs the schedule of these choices. Returns its result, its script if `wants_script`, and its choices.
pub fn run_in(
    mut choices: Choices,
    distribution: Distribution,
    wants_script: bool,
) -> (Result<Totals, String>, Vec<String>, Choices) {
    let rules = distribution.rules(&mut choices);
    let path = distribution.path(&mut choices);
    let mut world = World::new(choices, rules);
    world.script = wants_script.then(|| vec![format!("follow {path} {}", rules.mask)]);
    if rules.queue_limit < 1000 {
        world.record(|_| format!("limit {}", rules.queue_limit));
    }
    world.follow(path.as_bytes());
    world.create_initial_files();
    world.flush(false);
    // Other subscribers may have events of the initial changes.
    world.relevant_changes = 1 + world.queue.len() as u32;
    world.is_silent = false;
    let mut run = Run::new(world);
    let result = catch_unwind(AssertUnwindSafe(|| run.run_rounds()));
    let result = result.unwrap_or_else(|what| Err(panicked(&*what)));
    let totals = result.map(|rests| Totals {
        schedules: 1,
        rests,
        events: run.events,
        walks: run.walks,
        failed_walks: run.failed_walks,
        reports: run.reports_total,
        found: run.found,
        forced_walks: run.forced_walks,
    });
    let script = run.world.script.take().unwrap_or_default();
    (totals, script, run.world.choices)
}

//! One schedule: a world, one or two trees in it, and a reader.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tinotify::WatchMask;

use super::changes::Op;
use super::choices::Choices;
use super::distributions::Distribution;
use super::driver::Driver;
use super::inode::{Ino, Kind};
use super::names::{ELSEWHERE, ROOT};
use super::oracle::Oracle;
use super::recorder::Recorder;
use super::rules::is_left_out;
use super::truth::truth;
use super::world::{Moves, World, trace};

/// Statistics of schedules, which show whether they are useful.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub schedules: u64,
    pub calls: u64,
    pub events: u64,
    pub reported: u64,
    pub rests: u64,
    pub overflows: u64,
    /// The reported paths that never existed, while a check was open.
    pub guesses: u64,
}

impl Totals {
    pub fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.calls += other.calls;
        self.events += other.events;
        self.reported += other.reported;
        self.rests += other.rests;
        self.overflows += other.overflows;
        self.guesses += other.guesses;
    }
}

/// More steps than any schedule needs: it is in an endless loop.
const ENOUGH: u64 = 20_000;

/// The rounds at rest after which everything has been retried, in spite of growing intervals.
const IDLE_ROUNDS: u32 = 300;

pub struct Run {
    pub world: World,
    pub driver: Driver,
    pub oracles: Vec<Oracle>,
    pub totals: Totals,
    /// The reports, if they are recorded.
    pub reports: Option<Vec<String>>,
    steps: u64,
}

impl Run {
    /// Creates a schedule whose rules, world and changes come from the choices.
    fn chosen(mut choices: Choices, distribution: Distribution, tracing: bool) -> Self {
        let rules = distribution.rules(&mut choices);
        let mut world = World::populated(choices, rules);
        world.ops = 3 + world.choices.below(rules.most);
        if tracing {
            world.trace = Some(vec![format!("{} {}", distribution.name(), rules.differences())]);
            for entry in truth(&world, world.root) {
                let kind = world.nodes[entry.ino].kind;
                trace!(world, "{kind:?} {} inode {}", entry.path, entry.ino);
            }
        }
        world.add_others();
        if tracing {
            world.recorder = Some(Recorder::new(&world));
        }
        Self::new(world)
    }

    /// Creates trees in an existing world.
    pub fn new(world: World) -> Self {
        let driver = Driver::new(&world);
        let oracles = (0..driver.len()).map(|index| Oracle::new(&world, index)).collect();
        let totals = Totals { schedules: 1, ..Totals::default() };
        Self { world, driver, oracles, totals, reports: None, steps: 0 }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        for oracle in &mut self.oracles {
            oracle.look_for_root(&self.world);
        }
        if self.steps > ENOUGH { Err("the engine never comes to rest".into()) } else { Ok(()) }
    }

    /// Starts all trees. Returns `false` if none is left.
    pub fn start(&mut self) -> Result<bool, String> {
        for index in 0..self.driver.len() {
            if let Err(errno) = self.driver.start(&mut self.world, index) {
                trace!(self.world, "start: {errno}");
            }
            self.take_reports()?;
        }
        Ok(!self.is_over())
    }

    fn is_over(&self) -> bool {
        (0..self.driver.len()).all(|index| self.driver.is_over(index))
    }

    fn run(&mut self) -> Result<(), String> {
        if !self.start()? {
            return self.no_watch_is_left();
        }
        let mut is_last = false;
        loop {
            self.drive_to_rest()?;
            if self.is_over() {
                return self.no_watch_is_left();
            }
            self.compare_at_rest()?;
            if self.world.ops == 0 {
                if is_last || !self.world.rules.faults_end {
                    break;
                }
                is_last = true;
                self.end_faults()?;
                continue;
            }
            let is_rest = |line: &String| line == "rest";
            if !self.world.trace.iter().any(|trace| trace.last().is_some_and(is_rest)) {
                trace!(self.world, "rest");
            }
            for _ in 0..1 + self.world.choices.below(self.world.rules.burst) {
                self.world.change();
            }
        }
        self.budget()?;
        if self.world.choices.chance(1, 4) {
            for index in 0..self.driver.len() {
                self.driver.stop(&mut self.world, index);
            }
            self.no_watch_is_left()?;
        }
        Ok(())
    }

    /// Reads and feeds until nothing is left to do.
    pub fn drive_to_rest(&mut self) -> Result<(), String> {
        loop {
            self.step()?;
            self.take_reports()?;
            if self.is_over() {
                return Ok(());
            }
            if self.driver.feed(&mut self.world).is_some() {
                self.totals.events += 1;
                continue;
            }
            let changes_before_calls = self.world.rules.changes_before_calls;
            if self.world.choices.chance(changes_before_calls, 64) {
                self.world.change();
            }
            let room = |world: &mut World| 48 + u64::from(world.choices.below(400));
            if self.driver.turn(&mut self.world, room) {
                continue;
            }
            if self.world.is_renaming() {
                self.world.finish_rename();
                continue;
            }
            return self.take_reports();
        }
    }

    /// Ends all faults. One unrelated event comes (after false errors: an overflow), and then the reader
    /// finds nothing for a long time.
    pub fn end_faults(&mut self) -> Result<(), String> {
        trace!(self.world, "no call fails any more");
        self.world.failing = false;
        self.world.record_step(|| "faults end".into());
        // This step of a script does all of it.
        let recorder = self.world.recorder.take();
        let root = self.world.root;
        let wakes = if self.world.rules.false_errors {
            2 * self.world.rules.queue_limit.min(64)
        } else {
            1
        };
        if self.world.rules.false_errors {
            self.world.queue.set_limit(1);
        }
        for _ in 0..wakes {
            if !self.world.apply(Op::Create(root, ELSEWHERE)) {
                self.world.apply(Op::Remove(root, ELSEWHERE));
            }
        }
        self.world.queue.set_limit(self.world.rules.queue_limit);
        let waited = (0..IDLE_ROUNDS).try_for_each(|_| self.drive_to_rest());
        self.world.recorder = recorder;
        waited?;
        for oracle in &mut self.oracles {
            oracle.has_retried = true;
        }
        Ok(())
    }

    /// Takes all reports of the trees.
    pub fn take_reports(&mut self) -> Result<(), String> {
        for index in 0..self.driver.len() {
            while let Some(event) = self.driver.next(&mut self.world, index) {
                self.step()?;
                trace!(self.world, "reported: {event}");
                self.totals.reported += 1;
                if let Some(reports) = &mut self.reports {
                    reports.push(event.to_string());
                }
                self.oracles[index].note_known(self.driver.known(index));
                self.oracles[index].mirror.is_sure = self.driver.is_sure(index);
                self.oracles[index].observe(&self.world, &event)?;
            }
        }
        Ok(())
    }

    fn no_watch_is_left(&mut self) -> Result<(), String> {
        self.world.close_dropped();
        let left = |node: &super::inode::Inode| node.wd != 0 && node.user.is_empty();
        match self.world.nodes.iter().position(left) {
            Some(ino) => Err(format!("the tree is over, but inode {ino} is still watched")),
            None => Ok(()),
        }
    }

    pub fn compare_at_rest(&mut self) -> Result<(), String> {
        self.world.record_step(|| "rest".into());
        self.totals.rests += 1;
        // The ends of all watches are read by now, or were lost in an overflow.
        self.world.unread_ends.clear();
        let overflows = self.world.queue.overflows_read;
        self.world.silent.retain(|(_, before)| *before == overflows);
        for index in 0..self.driver.len() {
            if !self.driver.is_over(index) {
                self.oracles[index].compare_at_rest(&self.world, &self.driver)?;
            }
        }
        let first_new = self.world.nodes.len();
        self.world.moves = Moves { first_new, ..Moves::default() };
        Ok(())
    }

    /// Checks the number of calls, unless faults or other subscribers interfere.
    fn budget(&self) -> Result<(), String> {
        let rules = &self.world.rules;
        let is_alone =
            self.driver.len() == 1 && rules.faults == 0 && rules.remounts == 0 && !rules.links;
        if is_alone && !self.oracles[0].root_was_away && !is_left_out("budget") {
            self.oracles[0].budget(&self.world, self.totals.events, self.totals.rests)?;
        }
        Ok(())
    }
}

impl World {
    /// Adds a second tree and other subscribers, if the rules have them.
    fn add_others(&mut self) {
        if self.rules.second_tree {
            let root = self.root;
            let entries = self.nodes[root].entries.clone();
            let beneath: Vec<_> = entries.iter().filter(|entry| self.is_dir(entry.1)).collect();
            let inner = self.choices.pick(&beneath).filter(|_| true);
            let second = match inner {
                Some((name, ino)) if self.choices.chance(2, 3) => {
                    (vec![ROOT, *name], self.over(*ino))
                }
                _ => (vec![ROOT], root),
            };
            trace!(self, "a second tree at inode {}", second.1);
            self.roots.push(second);
            self.was_away.push(false);
            self.remember();
        }
        let users = if is_left_out("users") { 0 } else { self.rules.users };
        for _ in 0..users {
            let ino = self.some_dir();
            if self.nodes[ino].kind == Kind::Dir && self.nodes[ino].user.is_empty() {
                let masks = [WatchMask::ATTRIB, WatchMask::CREATE | WatchMask::MODIFY];
                let user = self.choices.pick(&masks).unwrap_or(WatchMask::ATTRIB);
                trace!(self, "another subscriber watches inode {ino} for {user}");
                self.add_user(ino, user);
            }
        }
    }

    /// Adds a watch of another subscriber. Returns `false` if that fails.
    pub fn add_user(&mut self, dir: Ino, user: WatchMask) -> bool {
        let is_added = self.add_watch(dir, user | WatchMask::MASK_ADD).is_ok();
        if is_added {
            self.nodes[dir].user = user;
        }
        is_added
    }

    /// Returns `true` if the kernel refuses new watches now.
    pub fn is_short_of_watches(&self) -> bool {
        self.watched >= self.rules.watch_limit
            || (1..=self.rules.last_wd.min(1_000)).all(|wd| self.watch_of(wd).is_some())
    }
}

/// The result of a schedule: its totals or the error; its trace; and the choices.
pub type Ended = (Result<Totals, String>, Vec<String>, Choices);

/// Runs one schedule of the mixed distribution, as for the bytes of a fuzzer.
pub fn run(choices: Choices, tracing: bool) -> Ended {
    run_in(choices, Distribution::Mixed, tracing)
}

/// Runs one schedule.
pub fn run_in(choices: Choices, distribution: Distribution, tracing: bool) -> Ended {
    let mut run = Run::chosen(choices, distribution, tracing);
    let result = catch_unwind(AssertUnwindSafe(|| run.run()));
    let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    run.totals.calls = run.world.calls;
    run.totals.overflows = run.world.queue.overflows_read;
    run.totals.guesses = run.oracles.iter().map(|oracle| oracle.mirror.guesses).sum();
    let totals = run.totals;
    if let Some(script) = run.world.recorder.take() {
        let script = format!("as a script:\n{}\n", script.text());
        run.world.trace.get_or_insert_default().push(script);
    }
    (result.map(|()| totals), run.world.trace.unwrap_or_default(), run.world.choices)
}

pub fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
    format!("panicked: {}", text.unwrap_or_default())
}

/// Returns `true` if the trace is printed at once, for schedules that do not end.
pub fn prints_trace() -> bool {
    std::env::var_os("TINOTIFY_PRINT_TRACE").is_some()
}

/// Explains the failure of a mixed schedule.
pub fn explain(choices: Choices) -> String {
    super::shrink::explain(choices, Distribution::Mixed)
}

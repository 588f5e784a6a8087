//! One schedule: a world, a tree in it, a reader, and what must be true whenever all is quiet.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tinotify::EventMask;
use tinotify::tree::{Options, Tree};

use super::choices::Choices;
use super::kernel::Handle;
use super::mirror::{Mirror, truth};
use super::names::{self, PRUNED, Path};
use super::queue::Record;
use super::rules::Rules;
use super::world::{World, trace};

/// What happened in schedules, for those who want to know whether they are of any worth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub schedules: u64,
    pub calls: u64,
    pub events: u64,
    pub told: u64,
    pub quiets: u64,
    pub overflows: u64,
}

impl Totals {
    pub fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.calls += other.calls;
        self.events += other.events;
        self.told += other.told;
        self.quiets += other.quiets;
        self.overflows += other.overflows;
    }
}

/// More steps than any schedule needs: it goes round in circles.
const ENOUGH: u64 = 20_000;

struct Run {
    world: World,
    tree: Tree<Handle>,
    mirror: Mirror,
    /// Bytes of the stream that were fed.
    fed: u64,
    read: std::collections::VecDeque<Record>,
    totals: Totals,
    steps: u64,
    /// The root is not where its path leads, or was not at some time: nothing new can be found.
    blind: bool,
}

impl Run {
    fn new(mut choices: Choices, tracing: bool) -> Self {
        let rules = Rules::chosen(&mut choices);
        let mut world = World::populated(choices, rules);
        world.ops = 3 + world.choices.below(60);
        if tracing {
            world.trace = Some(vec![rules.differences()]);
            for entry in truth(&world) {
                let kind = world.nodes[entry.ino].kind;
                trace!(world, "{kind:?} {} inode {}", entry.path, entry.ino);
            }
        }
        let mut options = Options::new(rules.mask);
        options.depth = rules.depth;
        options.same_file_system = rules.same_fs;
        options.snapshot = rules.snapshot;
        options.existing = rules.existing;
        if rules.prune {
            options.prune = Some(Box::new(|path: &[u8]| {
                path.rsplit(|byte| *byte == b'/').next() == Some(names::bytes(PRUNED))
            }));
        }
        Self {
            world,
            tree: Tree::new(options),
            mirror: Mirror::new(rules),
            fed: 0,
            read: Default::default(),
            totals: Totals { schedules: 1, ..Totals::default() },
            steps: 0,
            blind: false,
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        self.blind |= !self.world.root_in_place();
        if self.steps > ENOUGH { Err("it never comes to rest".into()) } else { Ok(()) }
    }

    fn run(&mut self) -> Result<(), String> {
        if let Err(errno) = self.tree.start(&mut self.world) {
            trace!(self.world, "start: {errno}");
            self.tree.stop(&mut self.world);
            return self.no_watch_is_left();
        }
        let heat = self.world.rules.heat;
        loop {
            self.step()?;
            self.hear()?;
            if self.tree.is_over() {
                return self.no_watch_is_left();
            }
            if let Some(record) = self.read.pop_front() {
                trace!(self.world, "feed at {}: {record:?}", self.fed);
                self.tree.feed(&mut self.world, record.event(), self.fed);
                self.fed += record.size();
                self.totals.events += 1;
                self.hear()?;
                if record.mask.contains(EventMask::IGNORED) {
                    self.world.untold.retain(|wd| *wd != record.wd);
                }
                continue;
            }
            if self.world.choices.chance(heat, 64) {
                self.world.change();
            }
            let room = 48 + u64::from(self.world.choices.below(400));
            self.read = self.world.read(room).into();
            if !self.read.is_empty() {
                continue;
            }
            let more = { let at = self.world.consumed; self.tree.idle(&mut self.world, at) };
            if more {
                trace!(self.world, "caught up: more");
            }
            self.world.close_dropped();
            if more || !self.world.queue.is_empty() {
                continue;
            }
            if self.world.is_renaming() {
                self.world.finish_rename();
                continue;
            }
            self.hear()?;
            self.quiet()?;
            if self.world.ops == 0 {
                break;
            }
            if self.world.trace.as_ref().and_then(|trace| trace.last()).is_none_or(|l| l != "quiet")
            {
                trace!(self.world, "quiet");
            }
            for _ in 0..1 + self.world.choices.below(8) {
                self.world.change();
            }
        }
        if self.world.choices.chance(1, 4) {
            self.tree.stop(&mut self.world);
            self.no_watch_is_left()?;
        }
        Ok(())
    }

    /// Takes all that the tree has to tell.
    fn hear(&mut self) -> Result<(), String> {
        while let Some(event) = self.tree.next(&mut self.world) {
            self.step()?;
            trace!(self.world, "told: {event}");
            self.totals.told += 1;
            if !self.blind {
                self.mirror.hear(&self.world, &event).map_err(|why| format!("{event}: {why}"))?;
            }
        }
        Ok(())
    }

    fn no_watch_is_left(&mut self) -> Result<(), String> {
        self.world.close_dropped();
        match self.world.nodes.iter().position(|node| node.wd != 0) {
            Some(ino) => Err(format!("it is over, and inode {ino} is still watched")),
            None => Ok(()),
        }
    }

    fn quiet(&mut self) -> Result<(), String> {
        self.totals.quiets += 1;
        // All ends are told by now, those that were lost by an overflow.
        self.world.untold.clear();
        self.blind |= !self.world.root_in_place();
        if self.blind {
            return Ok(());
        }
        let truth = truth(&self.world);
        let mut known = Vec::new();
        for (path, wd) in self.tree.directories() {
            let parsed = Path::parse(&path).ok_or("a directory with a path of no world")?;
            known.push((parsed, wd.map_or(0, |wd| wd.as_raw())));
        }
        if known.len() != self.tree.len() {
            return Err(format!("{} directories, and len {}", known.len(), self.tree.len()));
        }
        for entry in truth.iter().filter(|entry| entry.is_dir) {
            if self.mirror.may_be_blind(entry.path) {
                continue;
            }
            let wd = self.world.nodes[entry.ino].wd;
            match known.iter().find(|known| known.0 == entry.path) {
                None => return Err(format!("unknown: {} (inode {})", entry.path, entry.ino)),
                Some((_, 0)) if !entry.entered => {}
                Some((_, known)) if entry.entered && *known == wd && wd != 0 => {}
                Some((_, known)) => {
                    let (path, ino) = (entry.path, entry.ino);
                    return Err(format!("{path} (inode {ino}) has wd {wd}, known is {known}"));
                }
            }
        }
        for (path, wd) in &known {
            if known.iter().filter(|known| known.0 == *path).count() > 1 {
                return Err(format!("known twice: {path}"));
            }
            let there = truth.iter().any(|entry| entry.is_dir && entry.path == *path);
            if !there && !self.mirror.may_be_blind(*path) {
                return Err(format!("known, but it is not there: {path} with wd {wd}"));
            }
        }
        // The kernel's list of watches: each directory beneath the root at most once, by nature of
        // inodes, and nothing else.
        for (ino, node) in self.world.nodes.iter().enumerate() {
            if node.wd == 0 {
                continue;
            }
            let blind = |path| self.mirror.may_be_blind(path);
            if known.iter().any(|known| known.1 == node.wd && blind(known.0)) {
                continue;
            }
            if !truth.iter().any(|entry| entry.ino == ino && entry.entered) {
                return Err(format!("watched, but not in the tree: inode {ino}, wd {}", node.wd));
            }
            if !known.iter().any(|known| known.1 == node.wd) {
                return Err(format!("watched, but not known: inode {ino}, wd {}", node.wd));
            }
        }
        for (path, wd) in known {
            let has_ended = wd != 0 && self.world.watch_of(wd).is_none();
            if has_ended && !self.mirror.may_be_blind(path) {
                return Err(format!("the watch of {path}, wd {wd}, has ended"));
            }
        }
        self.mirror.compare(&self.world, &truth)
    }
}

/// Runs one schedule; the error says what was wrong.
pub fn run(choices: Choices, tracing: bool) -> (Result<Totals, String>, Vec<String>, Choices) {
    let mut run = Run::new(choices, tracing);
    let result = catch_unwind(AssertUnwindSafe(|| run.run()));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    run.totals.calls = run.world.calls;
    run.totals.overflows = u64::from(run.mirror.overflows);
    let totals = run.totals;
    (result.map(|()| totals), run.world.trace.unwrap_or_default(), run.world.choices)
}

/// The words of a failure without the names and numbers that are its own.
pub fn kind(why: &str) -> String {
    let unnamed = why.split('"').step_by(2).collect::<Vec<_>>().join("_");
    let own = |word: &&str| {
        !word.contains(['/', '(', '\\', ',']) && !word.contains(|c: char| c.is_ascii_digit())
    };
    unnamed
        .split_whitespace()
        .filter(|word| word.len() > 2)
        .filter(own)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Makes a failing list of choices shorter and duller for as long as it fails in the same way.
fn shrink(mut list: Vec<u32>, why: &str) -> Vec<u32> {
    let why = kind(why);
    let mut tries = 0;
    let mut fails = |list: &[u32]| {
        tries += 1;
        tries < 40_000
            && run(Choices::list(list.to_vec()), false).0.is_err_and(|other| kind(&other) == why)
    };
    loop {
        let before = list.clone();
        let mut size = list.len().next_power_of_two();
        while size > 0 {
            let mut at = list.len().saturating_sub(size);
            loop {
                let end = (at + size).min(list.len());
                if at < end {
                    let mut shorter = list.clone();
                    shorter.drain(at..end);
                    if fails(&shorter) {
                        list = shorter;
                    } else if list[at..end].iter().any(|choice| *choice != 0) {
                        let mut duller = list.clone();
                        duller[at..end].fill(0);
                        if fails(&duller) {
                            list = duller;
                        }
                    }
                }
                if at == 0 {
                    break;
                }
                at = at.saturating_sub(size);
            }
            size /= 2;
        }
        for at in 0..list.len() {
            while list[at] > 0 {
                let mut duller = list.clone();
                duller[at] -= 1;
                if !fails(&duller) {
                    break;
                }
                list = duller;
            }
        }
        if list == before {
            return list;
        }
    }
}

/// What went wrong in a schedule, in short and in full.
pub fn explain(choices: Choices) -> String {
    let (result, _, choices) = run(choices.keeping(), false);
    let list = shrink(choices.kept(), &result.err().unwrap_or_default());
    let (result, trace, _) = run(Choices::list(list.clone()), true);
    let mut text = String::new();
    for line in trace {
        let _ = writeln!(text, "{line}");
    }
    match result {
        Err(why) => writeln!(text, "WRONG: {why}\nchoices: {list:?}"),
        Ok(_) => writeln!(text, "(shrunk, it does not fail)"),
    }
    .unwrap();
    text
}

/// Whether the trace is printed as it comes: for schedules that do not end.
pub fn is_loud() -> bool {
    std::env::var_os("TINOTIFY_LOUD").is_some()
}

/// Runs the schedule of a seed, which must be right.
pub fn check(seed: u64) -> Totals {
    match run(Choices::seeded(seed), is_loud()).0 {
        Ok(totals) => totals,
        Err(why) => {
            let shrunk = explain(Choices::seeded(seed));
            panic!("seed {seed}: {why}\n\nshrunk:\n{shrunk}\nTINOTIFY_SEED={seed} runs it alone")
        }
    }
}

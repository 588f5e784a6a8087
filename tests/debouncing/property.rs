//! Random histories: the groups lead to the same files as the events, and are emitted in time.

use std::time::{Duration, Instant};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tinotify::WatchEventBuf;
use tinotify::debounce::Debouncer;

use super::replay::Replay;
use super::world::{Act, World};
use super::{QUIET, popped};

/// A pause before an act, in milliseconds. `QUIET` is 100.
const PAUSES: [u64; 10] = [0, 0, 0, 1, 1, 10, 50, 99, 100, 250];

#[derive(Clone, Debug)]
struct History {
    in_tree: bool,
    per_watch: bool,
    /// In milliseconds.
    max_delay: Option<u64>,
    /// `true` if the program pops at each deadline, `false` if it pops at every fourth act.
    prompt: bool,
    before: Vec<Act>,
    acts: Vec<(usize, Act)>,
}

impl Arbitrary for History {
    fn arbitrary(g: &mut Gen) -> Self {
        Self {
            in_tree: bool::arbitrary(g),
            per_watch: u8::arbitrary(g) % 4 == 0,
            max_delay: *g.choose(&[None, None, Some(30), Some(120), Some(300)]).unwrap(),
            prompt: u8::arbitrary(g) % 4 != 0,
            before: Vec::arbitrary(g),
            acts: Vec::arbitrary(g),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        let fewer = self.acts.shrink().map(move |acts| Self { acts, ..this.clone() });
        let this = self.clone();
        let smaller = self.before.shrink().map(move |before| Self { before, ..this.clone() });
        let mut plainer = Vec::new();
        if self.max_delay.is_some() {
            plainer.push(Self { max_delay: None, ..self.clone() });
        }
        if self.per_watch {
            plainer.push(Self { per_watch: false, ..self.clone() });
        }
        Box::new(fewer.chain(smaller).chain(plainer))
    }
}

/// A debouncer, the file system whose events it gets, and the program that gets its groups.
struct Run {
    debouncer: Debouncer,
    world: World,
    replay: Replay,
    max_delay: Option<Duration>,
    prompt: bool,
    /// The times of all events.
    times: Vec<Instant>,
    log: Vec<String>,
}

impl Run {
    fn new(history: &History) -> Self {
        let mut world = World::new(history.in_tree);
        for &act in &history.before {
            world.act(act);
        }
        world.settle();
        let mut debouncer = Debouncer::new(QUIET);
        let max_delay = history.max_delay.map(Duration::from_millis);
        if let Some(max_delay) = max_delay {
            debouncer = debouncer.max_delay(max_delay);
        }
        if history.per_watch {
            debouncer = debouncer.per_watch();
        }
        let replay = Replay { nodes: world.nodes.clone() };
        let prompt = history.prompt;
        Self { debouncer, world, replay, max_delay, prompt, times: Vec::new(), log: Vec::new() }
    }

    fn push(&mut self, event: WatchEventBuf, now: Instant) {
        self.log.push(format!("{event}"));
        self.times.push(now);
        self.debouncer.push(event, now);
    }

    /// Handles all groups that are due.
    fn pop(&mut self, now: Instant) -> Result<(), String> {
        for group in popped(&mut self.debouncer, now) {
            self.log.push(format!("    {group}"));
            self.replay.apply(&group, &self.world.nodes)?;
            let cap = self.max_delay.map(|delay| group.first_at() + delay);
            let is_over = |&time: &Instant| self.max_delay.is_some_and(|delay| time + delay <= now);
            if now < group.last_at() + QUIET && !self.times.iter().any(is_over) {
                return Err(format!("too early: {group}"));
            }
            if self.prompt && cap.is_some_and(|cap| now > cap) {
                return Err(format!("too late: {group}"));
            }
        }
        match self.debouncer.next_deadline() {
            Some(deadline) if deadline <= now => Err("the deadline is still due".to_owned()),
            _ => Ok(()),
        }
    }

    /// Advances the time, and pops at each deadline if the program is prompt.
    fn advance(&mut self, until: Instant) -> Result<(), String> {
        while self.prompt
            && let Some(deadline) = self.debouncer.next_deadline()
            && deadline <= until
        {
            self.pop(deadline)?;
        }
        Ok(())
    }

    fn run(&mut self, history: &History) -> Result<(), String> {
        let mut now = Instant::now();
        for (i, &(pause, act)) in history.acts.iter().enumerate() {
            let before = now;
            now += Duration::from_millis(PAUSES[pause % PAUSES.len()]);
            self.advance(now)?;
            if now > before && i % 4 == 0 {
                self.pop(now)?;
            }
            for event in self.world.act(act) {
                self.push(event, now);
                if pause % 3 == 0 {
                    // A read can end between two events of one act.
                    now += Duration::from_millis(1);
                    self.advance(now)?;
                }
            }
        }
        now += QUIET;
        self.advance(now)?;
        self.pop(now)?;
        if !self.debouncer.is_empty() {
            return Err("not empty at the end".to_owned());
        }
        self.compare()
    }

    fn compare(&self) -> Result<(), String> {
        let shown = |nodes: &super::world::Nodes| -> Vec<_> {
            nodes.iter().map(|(path, node)| (path.clone(), node.is_dir, node.content)).collect()
        };
        let (actual, expected) = (shown(&self.replay.nodes), shown(&self.world.nodes));
        if actual != expected {
            return Err(format!("is {actual:?}\nexpected {expected:?}"));
        }
        for (path, node) in &self.replay.nodes {
            if node.touched && !self.world.nodes[path].touched {
                return Err(format!("{} was reported, but did not change", path.display()));
            }
        }
        Ok(())
    }
}

fn holds(history: History) -> Result<bool, String> {
    let mut run = Run::new(&history);
    let result = run.run(&history);
    result.map(|()| true).map_err(|error| format!("{error}\n{}", run.log.join("\n")))
}

#[test]
fn groups_lead_to_the_same_files_as_the_events() {
    let tests = std::env::var("TINOTIFY_DEBOUNCE_RUNS").map_or(3000, |runs| runs.parse().unwrap());
    for size in [6, 20, 60] {
        let mut check = QuickCheck::new().rng(Gen::new(size)).tests(tests).max_tests(tests);
        check.quickcheck(holds as fn(History) -> Result<bool, String>);
    }
}

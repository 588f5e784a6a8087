//! Finds commands that change what they are run for, and breaks the loop.
//!
//! An event that comes while the command runs may be its own work. If a path changes during each of [`LIMIT`] runs in a
//! row, the command seems to change it: from then on, its events during a run do not start another run. Its events
//! between two runs still do.

use std::collections::HashMap;

/// The number of runs in a row.
const LIMIT: u32 = 10;

/// The maximum number of counted paths. A command that changes more of them in one run is not recognised by its paths.
const MAX_PATHS: usize = 4096;

#[derive(Debug, Default)]
pub struct Loops {
    /// The number of the current run, or of the last one.
    run: u64,
    /// For each path that changed during the last runs.
    paths: HashMap<Vec<u8>, Count>,
    /// The number of runs in a row for events that came during the run before.
    chain: u32,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    /// The last run during which it changed.
    run: u64,
    /// The number of runs in a row during which it changed.
    runs: u32,
}

/// What a loop does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Runs,
    /// Does not run the command. This is the first such event of the path.
    Broken,
    /// Does not run the command.
    Ignored,
}

impl Loops {
    /// Begins the next run. `caused` is `true` if all of its events came during a run. Returns `true` if the runs
    /// form a chain that is as long as only a loop makes it; at most once for each chain.
    pub fn begin_run(&mut self, caused: bool) -> bool {
        self.run += 1;
        self.chain = if caused { self.chain.saturating_add(1) } else { 0 };
        // What has not changed during the last run is not in a loop, unless it was already recognised.
        let last = self.run - 1;
        self.paths.retain(|_, count| count.runs >= LIMIT || count.run >= last);
        self.chain == 5 * LIMIT
    }

    /// Decides about an event that came during the current run.
    pub fn during_run(&mut self, path: &[u8]) -> Verdict {
        let run = self.run;
        if let Some(count) = self.paths.get_mut(path) {
            if count.runs >= LIMIT {
                return Verdict::Ignored;
            }
            if count.run != run {
                *count = Count { run, runs: count.runs + 1 };
                if count.runs == LIMIT {
                    return Verdict::Broken;
                }
            }
        } else if self.paths.len() < MAX_PATHS {
            self.paths.insert(path.to_vec(), Count { run, runs: 1 });
        }
        Verdict::Runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_changes_in_each_run_ends_the_loop() {
        let mut loops = Loops::default();
        let mut verdicts = Vec::new();
        for _ in 0..LIMIT + 2 {
            loops.begin_run(true);
            verdicts.push(loops.during_run(b"log"));
            loops.during_run(b"log");
        }
        let runs = LIMIT as usize - 1;
        assert!(verdicts[..runs].iter().all(|verdict| *verdict == Verdict::Runs), "{verdicts:?}");
        assert_eq!(verdicts[runs..], [Verdict::Broken, Verdict::Ignored, Verdict::Ignored]);
    }

    #[test]
    fn a_path_that_changes_in_some_runs_is_not_in_a_loop() {
        let mut loops = Loops::default();
        for run in 0..20 * LIMIT {
            loops.begin_run(true);
            if run % LIMIT != 0 {
                assert_eq!(loops.during_run(b"busy"), Verdict::Runs);
            }
            assert_eq!(loops.during_run(format!("new-{run}").as_bytes()), Verdict::Runs);
        }
    }

    #[test]
    fn a_chain_of_new_names_is_named_once() {
        let mut loops = Loops::default();
        let named = (0..20 * LIMIT).filter(|_| loops.begin_run(true)).count();
        assert_eq!(named, 1);
        loops.begin_run(false);
        assert_eq!((0..20 * LIMIT).filter(|_| loops.begin_run(true)).count(), 1);
    }
}

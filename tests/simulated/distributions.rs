//! Distributions of worlds, each with its own emphasis.

use std::env;
use std::sync::OnceLock;

use tinotify::WatchMask;

use super::choices::Choices;
use super::rules::{Rules, is_left_out};

/// A distribution of worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distribution {
    /// Some of everything.
    Mixed,
    /// Three names, and changes before most calls of the engine.
    Concurrent,
    /// Mostly renames and exchanges of known directories.
    Renames,
    /// A short queue that is seldom read.
    Overflows,
    /// Calls fail, but no longer at the end.
    Failing,
    /// Many changes between two reads, none during the engine's work.
    Bursts,
    /// The queue is read after every change.
    Prompt,
    /// Permissions to read and search are granted and taken.
    Permissions,
    /// File systems are mounted and unmounted; renames leave whiteouts.
    Mounts,
    /// Other subscribers watch the same inodes: a second tree, or single watches.
    Shared,
    /// Links lead to directories and are followed. Runs only if it is named.
    Links,
}

use Distribution as D;

pub const ALL: [Distribution; 10] = [
    D::Mixed,
    D::Concurrent,
    D::Renames,
    D::Overflows,
    D::Failing,
    D::Bursts,
    D::Prompt,
    D::Permissions,
    D::Mounts,
    D::Shared,
];

impl Distribution {
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Returns the distribution of a seed: they take turns, unless `TINOTIFY_DISTRIBUTION` names one.
    pub fn of_seed(seed: u64) -> Self {
        Self::asked_for().unwrap_or(ALL[(seed % ALL.len() as u64) as usize])
    }

    /// Returns the distribution that `TINOTIFY_DISTRIBUTION` names.
    pub fn asked_for() -> Option<Self> {
        static ASKED: OnceLock<Option<Distribution>> = OnceLock::new();
        *ASKED.get_or_init(|| {
            let name = env::var("TINOTIFY_DISTRIBUTION").ok().filter(|name| name != "all")?;
            let mut all = ALL.into_iter().chain([D::Links]);
            let found = all.find(|distribution| distribution.name() == name);
            let names = ALL.map(Self::name).join(", ");
            Some(found.unwrap_or_else(|| panic!("TINOTIFY_DISTRIBUTION={name}: expected {names}")))
        })
    }

    pub fn rules(self, choices: &mut Choices) -> Rules {
        let mut rules = self.all_rules(choices);
        rules.exchanges &= !is_left_out("exchanges");
        rules.faults *= u32::from(!is_left_out("faults"));
        rules
    }

    fn all_rules(self, choices: &mut Choices) -> Rules {
        let mut rules = match self {
            D::Mixed => Rules::mixed(choices),
            _ => Rules { distribution: self, ..common(choices) },
        };
        match self {
            D::Concurrent => {
                (rules.names, rules.changes_before_calls, rules.most) =
                    (3, 24 + choices.below(20), 160);
                (rules.moves, rules.exchanges) = (choices.below(6), true);
                split(&mut rules, choices);
            }
            D::Renames => {
                (rules.names, rules.moves) = (3 + choices.below(4) as u8, 11);
                rules.changes_before_calls = [0, 0, 4, 16][choices.below(4) as usize];
                rules.exchanges = true;
                split(&mut rules, choices);
            }
            D::Overflows => {
                (rules.queue_limit, rules.burst) = (2 + choices.below(7) as usize, 24);
                rules.changes_before_calls = [0, 4, 16][choices.below(3) as usize];
                rules.moves = choices.below(6);
                split(&mut rules, choices);
            }
            D::Failing => {
                rules.faults = 4 + choices.below(40);
                (rules.faults_end, rules.false_errors) = (true, choices.chance(1, 4));
                rules.changes_before_calls = [0, 4, 16][choices.below(3) as usize];
                if choices.chance(1, 4) {
                    rules.watch_limit = 2 + choices.below(10);
                }
            }
            D::Bursts => {
                (rules.burst, rules.most, rules.moves) = (40, 160, choices.below(8));
                rules.exchanges = true;
            }
            D::Prompt => {
                (rules.burst, rules.moves, rules.exchanges) = (1, choices.below(8), true);
                rules.open_dirs = choices.chance(1, 4);
            }
            D::Links => {
                (rules.links, rules.report_existing) = (true, true);
                (rules.names, rules.last_wd) = (2 + choices.below(5) as u8, i32::MAX);
                (rules.moves, rules.exchanges) = (choices.below(6), true);
                rules.changes_before_calls = [0, 0, 4, 16][choices.below(4) as usize];
                split(&mut rules, choices);
                // A directory may be listed by a link before the mask of its real parent is narrowed.
                if !rules.mask.contains(WatchMask::OPEN) && choices.chance(1, 4) {
                    rules.queue_limit = 4 + choices.below(14) as usize;
                }
            }
            D::Mixed | D::Permissions | D::Mounts | D::Shared => {
                self.surroundings(&mut rules, choices)
            }
        }
        if matches!(self, D::Concurrent | D::Failing | D::Permissions) && choices.chance(1, 2) {
            // Directories are opened again while their listings are in progress.
            rules.max_open = Some(1 + choices.below(3) as usize);
        }
        if rules.mask.contains(WatchMask::OPEN) {
            // Room for the events of the tree's own listings.
            rules.queue_limit = rules.queue_limit.max(24);
        }
        rules
    }

    /// Sets the features that have nothing to do with names.
    fn surroundings(self, rules: &mut Rules, choices: &mut Choices) {
        match self {
            D::Permissions => {
                rules.chmods = 2 + choices.below(5);
                rules.changes_before_calls = [0, 0, 4, 16][choices.below(4) as usize];
                (rules.moves, rules.unreadable) = (choices.below(4), true);
                if choices.chance(1, 3) {
                    rules.queue_limit = 2 + choices.below(14) as usize;
                }
            }
            D::Mounts => {
                rules.changes_before_calls = [0, 0, 4, 16][choices.below(4) as usize];
                (rules.mounts, rules.binds) = (choices.chance(1, 2), choices.chance(1, 4));
                (rules.remounts, rules.whiteouts) = (choices.below(4), choices.below(3));
                // An entry that was covered at the beginning may become visible, and was never reported then.
                rules.report_existing = true;
                rules.same_file_system = choices.chance(1, 4);
                if choices.chance(1, 3) {
                    rules.queue_limit = 2 + choices.below(14) as usize;
                }
            }
            D::Shared => {
                (rules.second_tree, rules.users) = (choices.chance(2, 3), choices.below(4));
                rules.changes_before_calls = [0, 0, 4, 16][choices.below(4) as usize];
                rules.moves = choices.below(6);
                // A listing of a directory that others watch always queues its events.
                if !rules.mask.contains(WatchMask::OPEN) && choices.chance(1, 4) {
                    rules.queue_limit = 4 + choices.below(14) as usize;
                }
            }
            _ => {}
        }
    }
}

/// Makes the choices that all distributions except [`Distribution::Mixed`] share.
fn common(choices: &mut Choices) -> Rules {
    let mut rules = Rules::plain();
    rules.names = 2 + choices.below(6) as u8;
    rules.counts_links = !choices.chance(1, 2);
    rules.reuse_inodes = choices.chance(1, 2);
    rules.no_proc = choices.chance(1, 8);
    if choices.chance(1, 4) {
        rules.last_wd = 24 + choices.below(20) as i32;
    }
    rules.track_files = choices.chance(1, 2);
    rules.report_existing = rules.track_files || !choices.chance(1, 3);
    rules.choose_mask(choices);
    rules
}

fn split(rules: &mut Rules, choices: &mut Choices) {
    rules.split_renames = [0, 0, 4, 12][choices.below(4) as usize];
    rules.late_renames = choices.chance(1, 4);
}

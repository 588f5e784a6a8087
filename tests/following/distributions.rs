//! Distributions of schedules: each makes some kinds of changes more likely.

use std::env;
use std::sync::OnceLock;

use tinotify::WatchMask;

use super::choices::Choices;

/// The name of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distribution {
    /// All kinds of changes.
    Mixed,
    /// Atomic saves, and writes in place.
    Saves,
    /// Volumes as Kubernetes mounts them.
    Volumes,
    /// Links that are retargeted, that form loops, and that have dots.
    Links,
    /// Directories on the path are removed, moved and created again.
    Ancestors,
    /// Read and search permissions are granted and denied.
    Permissions,
    /// Calls fail because a limit is reached.
    Scarce,
    /// The queue is short and is read rarely.
    Overflows,
    /// File systems are mounted and unmounted.
    Mounts,
    /// Other subscribers watch the same inodes. Files have several names and are open.
    Shared,
}

use Distribution as D;

pub const ALL: [Distribution; 10] = [
    D::Mixed,
    D::Saves,
    D::Volumes,
    D::Links,
    D::Ancestors,
    D::Permissions,
    D::Scarce,
    D::Overflows,
    D::Mounts,
    D::Shared,
];

/// The relative frequency of each kind of change.
#[derive(Clone, Copy)]
pub struct Weights {
    pub file: u32,
    pub dir: u32,
    pub link: u32,
    pub hard: u32,
    pub remove: u32,
    pub rename: u32,
    pub exchange: u32,
    pub write: u32,
    pub chmod: u32,
    pub hold: u32,
    pub mount: u32,
    pub user: u32,
    pub remove_all: u32,
    pub save: u32,
    pub volume: u32,
    pub recreate: u32,
}

const SOME: Weights = Weights {
    file: 4,
    dir: 3,
    link: 3,
    hard: 1,
    remove: 4,
    rename: 5,
    exchange: 2,
    write: 5,
    chmod: 0,
    hold: 1,
    mount: 0,
    user: 0,
    remove_all: 1,
    save: 2,
    volume: 0,
    recreate: 1,
};

#[derive(Clone, Copy)]
pub struct Rules {
    pub queue_limit: usize,
    pub watch_limit: u32,
    /// The chance in 16 that the world changes before a call.
    pub disturb: u32,
    /// The chance in 64 that a call fails.
    pub faults: u32,
    /// `true` if events may be queued later than the changes that they report.
    pub late: bool,
    /// `true` if inode numbers are reused.
    pub reuse: bool,
    /// The maximum number of records of one read.
    pub batch: u32,
    /// The maximum number of changes between two rests. 0 for a script.
    pub burst: u32,
    pub mask: WatchMask,
    pub weights: Weights,
}

impl Rules {
    /// Returns the rules of a script.
    pub fn plain() -> Self {
        Self {
            queue_limit: 1000,
            watch_limit: 1000,
            disturb: 0,
            faults: 0,
            late: false,
            reuse: true,
            batch: 16,
            burst: 0,
            mask: WatchMask::CLOSE_WRITE,
            weights: SOME,
        }
    }
}

impl Distribution {
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Returns the distribution of a seed: the one that `TINOTIFY_DISTRIBUTION` names, or else each in
    /// turn.
    pub fn of_seed(seed: u64) -> Self {
        static CHOSEN: OnceLock<Option<Distribution>> = OnceLock::new();
        let chosen =
            *CHOSEN.get_or_init(|| {
                let name = env::var("TINOTIFY_DISTRIBUTION").ok()?;
                let found = ALL.into_iter().find(|distribution| distribution.name() == name);
                Some(found.unwrap_or_else(|| {
                    panic!("TINOTIFY_DISTRIBUTION={name}: unknown distribution")
                }))
            });
        chosen.unwrap_or(ALL[(seed % ALL.len() as u64) as usize])
    }

    fn weights(self) -> Weights {
        match self {
            D::Mixed => Weights { chmod: 1, mount: 1, user: 1, volume: 1, ..SOME },
            D::Saves => Weights { save: 12, write: 8, ..SOME },
            D::Volumes => Weights { volume: 14, write: 3, save: 2, ..SOME },
            D::Links => Weights { link: 14, dir: 5, exchange: 4, ..SOME },
            D::Ancestors => {
                Weights { dir: 8, recreate: 8, remove_all: 5, rename: 9, exchange: 5, ..SOME }
            }
            D::Permissions => Weights { chmod: 14, ..SOME },
            D::Scarce | D::Overflows => Weights { recreate: 3, save: 5, ..SOME },
            D::Mounts => Weights { mount: 10, dir: 8, ..SOME },
            D::Shared => Weights { user: 7, hard: 5, hold: 5, ..SOME },
        }
    }

    /// Chooses the rules of one schedule.
    pub fn rules(self, choices: &mut Choices) -> Rules {
        let plain = Rules::plain();
        let masks = [
            WatchMask::CLOSE_WRITE,
            WatchMask::MODIFY,
            WatchMask::CLOSE_WRITE | WatchMask::ATTRIB,
            WatchMask::ALL_EVENTS,
        ];
        let queue_limit = match self {
            D::Overflows => 1 + choices.below(8) as usize,
            D::Scarce if choices.chance(1, 4) => 1 + choices.below(4) as usize,
            _ if choices.chance(1, 16) => 6,
            _ => plain.queue_limit,
        };
        let (faults, watch_limit) = match self {
            D::Scarce => (1 + choices.below(6), [1000, 8, 4][choices.below(3) as usize]),
            D::Mixed => (choices.below(2), 1000),
            _ => (0, 1000),
        };
        Rules {
            queue_limit,
            watch_limit,
            faults,
            disturb: [3, 0, 1, 6][choices.below(4) as usize],
            late: choices.chance(1, 4),
            reuse: !choices.chance(1, 4),
            batch: [16, 1, 3][choices.below(3) as usize],
            burst: [4, 1, 10][choices.below(3) as usize],
            mask: masks[choices.below(4) as usize],
            weights: self.weights(),
        }
    }

    /// Chooses the path that is followed.
    pub fn path(self, choices: &mut Choices) -> &'static str {
        let paths: &[&str] = match self {
            D::Volumes => &["/a/f", "/f", "/a/..data/f"],
            D::Saves | D::Overflows => &["/a/f", "/a/b/f", "/f"],
            _ => &[
                "/a/b/f",
                "/a/f",
                "/f",
                "/a/b/c/f",
                "/a/../b/f",
                "/a/b/../f",
                "/a/b/",
                "/a/b/.",
                "/a/./f",
                "/a/b/..",
                "/a/f/",
                "/a/b/a",
                "/a/a/a",
                "//a//f",
                "/../a/f",
                "/",
            ],
        };
        choices.pick(paths).unwrap_or("/f")
    }
}

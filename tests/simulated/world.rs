//! A file system and the inotify instance that watches it.
//!
//! Inodes, entries, link counts, mounts and watches. Each change queues the events that Linux 6.18 queues, in
//! its order; `tree_simulation.rs` compares the two.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use tinotify::{Errno, WatchMask};

use super::changes::{Op, Pending};
use super::choices::Choices;
use super::inode::{Hash, Ino, Inode, Kind};
use super::names::{MOUNT, Name, OUT, ROOT, SECOND_MOUNT};
use super::queue::Queue;
use super::recorder::Recorder;
use super::rules::Rules;

/// The renames since the last rest, for the promise "one event for one rename".
#[derive(Default)]
pub struct Moves {
    /// The number of renames of each inode.
    pub done: HashMap<Ino, u32, Hash>,
    /// The inodes with a rename of which not all events were queued, and all inodes beneath them.
    pub unclear: HashSet<Ino, Hash>,
    /// The numbers of changed permissions, changed mounts, and merged rename events.
    pub chmods: u32,
    pub mounts: u32,
    pub merged: u64,
    /// The first inode that was created since.
    pub first_new: Ino,
}

pub struct World {
    pub choices: Choices,
    pub rules: Rules,
    pub nodes: Vec<Inode>,
    pub queue: Queue,
    /// The root of the tree.
    pub root: Ino,
    /// The changes that are left to make.
    pub ops: u32,
    /// The number of the engine's calls.
    pub calls: u64,
    pub(super) watched: u32,
    pub(super) last_wd: i32,
    /// The watches whose end was not read yet.
    pub unread_ends: Vec<i32>,
    pub(super) cookie: u32,
    pub(super) pending: Option<Pending>,
    /// The rest of a change in progress, such as `rm -r`.
    pub(super) plan: VecDeque<Op>,
    /// The inodes of dropped handles.
    pub(super) closed: Rc<RefCell<Vec<Ino>>>,
    /// All paths beneath the root that ever existed.
    pub(super) paths: HashSet<(Ino, u128), Hash>,
    /// Each name that a directory ever had in it, and its inode.
    pub(super) named: HashMap<(Ino, Name), Vec<Ino>, Hash>,
    /// The trees in this world: the path of each root from [`TOP`], and its directory at the beginning.
    pub roots: Vec<(Vec<Name>, Ino)>,
    /// Whether each root was away from its path at some time.
    pub was_away: Vec<bool>,
    /// The tree that makes the current call.
    pub acting: usize,
    /// The watches that the other trees need.
    pub kept: Vec<i32>,
    /// The bytes of the stream that were read.
    pub consumed: u64,
    /// The renames since the last rest.
    pub moves: Moves,
    /// The directories with a changed mount, and the number of overflows that had been read by then.
    pub silent: Vec<(Ino, u64)>,
    /// Whether calls fail, if the rules have faults.
    pub failing: bool,
    /// The number of calls that failed at random.
    pub faults: u64,
    /// The error of the next call that can fail.
    pub next_fault: Option<Errno>,
    /// The changes just before a call, by its number.
    pub ambush: Vec<(u64, String)>,
    /// The number of events of the next rename that are queued at once; the others come later.
    pub split: Option<u32>,
    pub(super) devices: u64,
    /// The schedule as a script; recorded with the trace.
    pub recorder: Option<Recorder>,
    /// Whether the engine is at work: a change now is just before one of its calls.
    pub is_working: bool,
    /// The trace for the reader of a failure; recorded on demand.
    pub trace: Option<Vec<String>>,
    /// Whether changes are recorded in `log`, to be repeated on a real directory.
    pub logging: bool,
    pub log: Vec<(Op, Vec<Vec<Name>>, bool)>,
}

macro_rules! trace {
    ($world:expr, $($text:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            let line = format!($($text)*);
            if $crate::simulated::schedule::prints_trace() {
                eprintln!("{line}");
            }
            trace.push(line);
        }
    };
}
pub(super) use trace;

/// The directory that holds the root and the outside.
pub const TOP: Ino = 0;

impl World {
    /// Creates an empty world: a root, and an outside.
    pub fn new(choices: Choices, rules: Rules) -> Self {
        let mut world = Self {
            choices,
            queue: Queue::new(rules.queue_limit),
            rules,
            nodes: Vec::new(),
            root: 0,
            ops: 0,
            calls: 0,
            watched: 0,
            last_wd: 0,
            unread_ends: Vec::new(),
            cookie: 0,
            pending: None,
            plan: VecDeque::new(),
            closed: Rc::default(),
            paths: HashSet::default(),
            named: HashMap::default(),
            roots: vec![(vec![ROOT], 1)],
            was_away: vec![false],
            acting: 0,
            kept: Vec::new(),
            consumed: 0,
            moves: Moves::default(),
            silent: Vec::new(),
            failing: true,
            faults: 0,
            next_fault: None,
            ambush: Vec::new(),
            split: None,
            devices: 2,
            recorder: None,
            is_working: false,
            trace: None,
            logging: false,
            log: Vec::new(),
        };
        world.inode(Kind::Dir, 1);
        world.apply(Op::Mkdir(TOP, ROOT));
        world.apply(Op::Mkdir(TOP, OUT));
        world.root = 1;
        world
    }

    /// Creates a world with random content, as the rules say.
    pub fn populated(choices: Choices, rules: Rules) -> Self {
        let mut world = Self::new(choices, rules);
        let ops = 2 + world.choices.below(24);
        for _ in 0..ops {
            let dir = world.some_dir();
            let name = world.some_name();
            if world.choices.chance(1, 3) {
                world.apply(Op::Create(dir, name));
            } else {
                world.apply(Op::Mkdir(dir, name));
            }
        }
        if world.rules.mounts {
            let dev = 2;
            let covered = world.mount_point(MOUNT);
            let root = world.inode(Kind::Dir, dev);
            world.mount(covered, root);
            for _ in 0..world.choices.below(5) {
                let on: Vec<Ino> =
                    (root..world.nodes.len()).filter(|ino| world.is_dir(*ino)).collect();
                let (dir, name) = (world.choices.pick(&on).unwrap(), world.some_name());
                world.apply(Op::Mkdir(dir, name));
            }
        }
        if world.rules.binds {
            let covered = world.mount_point(SECOND_MOUNT);
            let dir = world.some_dir();
            let dir = world.over(dir);
            if dir != TOP && !world.reaches(dir, covered) {
                world.mount(covered, dir);
            }
        }
        world.remember();
        world
    }

    fn mount_point(&mut self, name: Name) -> Ino {
        let dir = loop {
            let dir = self.some_dir();
            if dir != TOP {
                break dir;
            }
        };
        self.apply(Op::Mkdir(dir, name));
        self.entry(dir, name).unwrap_or(dir)
    }

    pub fn inode(&mut self, kind: Kind, dev: u64) -> Ino {
        let ino = self.nodes.len();
        let mut number = ino as u64 + 100;
        if self.rules.reuse_inodes {
            let in_use = |number: u64| {
                let alive = |node: &&Inode| !node.is_gone();
                self.nodes.iter().filter(alive).any(|node| (node.dev, node.number) == (dev, number))
            };
            number = (100..).find(|number| !in_use(*number)).unwrap();
        }
        self.nodes.push(Inode {
            kind,
            dev,
            number,
            target: None,
            links: 1,
            was_linked: false,
            entries: Vec::new(),
            parent: None,
            mounted: None,
            was_mounted: Vec::new(),
            is_mounted: false,
            open: 0,
            held: false,
            pins: 0,
            pinned: None,
            read: true,
            search: true,
            whiteout: false,
            dead: false,
            wd: 0,
            mask: WatchMask::empty(),
            user: WatchMask::empty(),
            version: ino as u64,
        });
        ino
    }

    pub fn is_dir(&self, ino: Ino) -> bool {
        self.nodes[ino].kind == Kind::Dir
    }

    /// Returns the inode of a name in a directory, beneath any mount.
    pub fn entry(&self, dir: Ino, name: Name) -> Option<Ino> {
        self.nodes[dir].entries.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Returns the inode that is visible at a directory, with mounts.
    pub fn over(&self, mut ino: Ino) -> Ino {
        while let Some(mounted) = self.nodes[ino].mounted {
            ino = mounted;
        }
        ino
    }

    /// Returns `true` if a walk from a directory, through mounts too, reaches another.
    pub fn reaches(&self, from: Ino, to: Ino) -> bool {
        from == to
            || self.nodes[from].mounted.is_some_and(|mounted| self.reaches(mounted, to))
            || self.nodes[from].entries.iter().any(|(_, ino)| self.reaches(*ino, to))
    }

    pub fn height(&self, ino: Ino) -> u32 {
        let over = self.over(ino);
        let heights = self.nodes[over].entries.iter().map(|entry| 1 + self.height(entry.1));
        heights.max().unwrap_or(0)
    }

    /// Returns the depth of a directory beneath [`TOP`], by its longest path.
    pub fn level(&self, ino: Ino) -> u32 {
        let beneath = self.nodes[ino].parent.map(|(parent, _)| 1 + self.level(parent));
        let through = self.covered_by(ino).map(|covered| self.level(covered));
        beneath.max(through).unwrap_or(0)
    }

    /// Returns the names of one path from [`TOP`] to a directory.
    pub fn names_to(&self, dir: Ino) -> Vec<Name> {
        let mut names = Vec::new();
        let mut at = dir;
        while at != TOP {
            if let Some((parent, name)) = self.nodes[at].parent {
                names.push(name);
                at = parent;
            } else if let Some(covered) = self.covered_by(at) {
                at = covered;
            } else {
                break;
            }
        }
        names.reverse();
        names
    }

    /// Returns the directories with a mount.
    pub fn covered_by(&self, root: Ino) -> Option<Ino> {
        self.nodes.iter().position(|node| node.mounted == Some(root))
    }

    /// Returns `true` if the root is at its path.
    pub fn root_in_place(&self) -> bool {
        self.entry(TOP, ROOT) == Some(self.root)
    }

    /// Returns `true` if the path of a tree leads to its root.
    pub fn is_in_place(&self, tree: usize) -> bool {
        let (names, root) = &self.roots[tree];
        let mut at = Some(TOP);
        for name in names {
            at = at.and_then(|at| self.entry(at, *name)).map(|ino| self.over(ino));
        }
        at == Some(*root)
    }
}

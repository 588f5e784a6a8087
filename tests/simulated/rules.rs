//! What can happen in a world, and what the tree is asked for.

use std::env;
use std::sync::OnceLock;

use tinotify::WatchMask;

use super::choices::Choices;
use super::distributions::Distribution;

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub distribution: Distribution,
    // The world.
    /// How many names are in use.
    pub names: u8,
    pub queue_limit: usize,
    pub watch_limit: u32,
    /// The largest watch descriptor; then they begin again.
    pub last_wd: i32,
    /// Descriptors may come again before it was told that their watch has ended. The kernel does so
    /// when it has handed out 2^31 others meanwhile.
    pub reuse_wds_early: bool,
    pub reuse_inodes: bool,
    /// Directories count their subdirectories in their links.
    pub counts_links: bool,
    pub mounts: bool,
    pub binds: bool,
    pub unreadable: bool,
    /// Permissions mean nothing.
    pub superuser: bool,
    pub open_dirs: bool,
    pub exchanges: bool,
    pub root_moves: bool,
    pub root_dies: bool,
    /// In how many of 16 cases the reader comes between the events of a rename.
    pub split_renames: u32,
    /// Also between the rename and its first event.
    pub late_renames: bool,
    /// In how many of 64 calls the world changes first.
    pub changes_before_calls: u32,
    /// In how many of 256 calls the kernel fails for no reason.
    pub faults: u32,
    /// Calls fail until nothing changes any more, and then no longer.
    pub faults_end: bool,
    /// Among the faults are those that contradict what is there: `ENOENT`, `ESTALE`.
    pub false_errors: bool,
    /// Without /proc: watching an open directory needs search.
    pub no_proc: bool,
    // In how many of 16 changes it is one of these; the rest is a common one.
    /// A rename or an exchange, mostly of directories.
    pub moves: u32,
    /// New permissions: read and search apart.
    pub chmods: u32,
    /// A mount that comes or goes.
    pub remounts: u32,
    /// A rename that leaves a whiteout.
    pub whiteouts: u32,
    /// The most changes between two rests.
    pub burst: u32,
    /// The most changes in all.
    pub most: u32,
    /// Inodes that another subscriber of the same instance watches.
    pub users: u32,
    /// Links lead to directories, and the tree follows them.
    pub links: bool,
    /// A second tree in the same instance, at the same root or beneath it.
    pub second_tree: bool,

    // The tree.
    pub max_depth: Option<u32>,
    pub exclude: bool,
    pub same_file_system: bool,
    pub track_files: bool,
    pub report_existing: bool,
    /// How many directories its listings have open, if that is not the usual number.
    pub max_open: Option<usize>,
    pub mask: WatchMask,
}

/// Whether `TINOTIFY_WITHOUT`, a list of words, has this one: to see what else goes wrong.
pub fn is_left_out(what: &str) -> bool {
    static WITHOUT: OnceLock<String> = OnceLock::new();
    let without = WITHOUT.get_or_init(|| env::var("TINOTIFY_WITHOUT").unwrap_or_default());
    without.split(',').any(|word| word == what)
}

/// Whether `TINOTIFY_WITH` has this word: what a kernel does, but none in this world's lifetime.
fn is_asked_for(what: &str) -> bool {
    static WITH: OnceLock<String> = OnceLock::new();
    let with = WITH.get_or_init(|| env::var("TINOTIFY_WITH").unwrap_or_default());
    with.split(',').any(|word| word == what)
}

/// The events that every engine asks for beside those of its options.
pub const NEEDED: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ATTRIB);

/// All events that tell of names, and more that the mirror can bear.
pub const NAMES: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE).union(WatchMask::MOVE);

impl Rules {
    /// Nothing special.
    pub fn plain() -> Self {
        Self {
            distribution: Distribution::Mixed,
            names: 4,
            queue_limit: 16_384,
            watch_limit: u32::MAX,
            last_wd: i32::MAX,
            reuse_wds_early: false,
            reuse_inodes: false,
            counts_links: true,
            mounts: false,
            binds: false,
            unreadable: false,
            superuser: false,
            open_dirs: false,
            exchanges: false,
            root_moves: false,
            root_dies: false,
            split_renames: 0,
            late_renames: false,
            changes_before_calls: 0,
            faults: 0,
            faults_end: false,
            false_errors: false,
            no_proc: false,
            moves: 0,
            chmods: 0,
            remounts: 0,
            whiteouts: 0,
            burst: 8,
            most: 60,
            users: 0,
            links: false,
            second_tree: false,
            max_depth: None,
            exclude: false,
            same_file_system: false,
            track_files: false,
            report_existing: true,
            max_open: None,
            mask: NAMES,
        }
    }

    /// Some of all, so that most worlds have few specialities.
    pub fn mixed(choices: &mut Choices) -> Self {
        let mut rules = Self::plain();
        rules.names = 2 + choices.below(6) as u8;
        rules.changes_before_calls = [0, 4, 16, 32][choices.below(4) as usize];
        rules.split_renames = [0, 4, 12][choices.below(3) as usize];
        rules.late_renames = choices.chance(1, 4);
        rules.counts_links = !choices.chance(1, 2);
        rules.reuse_inodes = choices.chance(1, 2);
        rules.open_dirs = choices.chance(1, 4);
        if choices.chance(1, 3) {
            rules.queue_limit = 2 + choices.below(14) as usize;
        }
        if choices.chance(1, 4) {
            rules.last_wd = 12 + choices.below(20) as i32;
            rules.reuse_wds_early = choices.chance(1, 2) && is_asked_for("reuse_wds_early");
        }
        rules.exchanges = choices.chance(1, 4);
        rules.mounts = choices.chance(1, 8);
        rules.binds = choices.chance(1, 8);
        rules.unreadable = choices.chance(1, 8);
        rules.no_proc = choices.chance(1, 8);
        rules.root_moves = choices.chance(1, 16);
        rules.root_dies = choices.chance(1, 16);
        if choices.chance(1, 8) {
            rules.watch_limit = 1 + choices.below(10);
        }
        if choices.chance(1, 8) {
            rules.faults = 1 + choices.below(12);
        }
        if choices.chance(1, 8) {
            rules.max_depth = Some(choices.below(4));
        }
        rules.exclude = choices.chance(1, 8);
        rules.same_file_system = choices.chance(1, 4);
        rules.track_files = choices.chance(1, 3);
        rules.report_existing = rules.track_files || !choices.chance(1, 3);
        rules.choose_mask(choices);
        rules
    }

    /// Adds kinds of events to what the tree is asked for: none, some, or nearly all.
    pub fn choose_mask(&mut self, choices: &mut Choices) {
        if choices.chance(1, 2) {
            self.mask |= WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
        }
        if choices.chance(1, 4) {
            self.mask |= WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
            // The engine's own looks cause these.
            if self.mask.contains(WatchMask::MODIFY) {
                self.mask |= WatchMask::OPEN | WatchMask::ACCESS | WatchMask::CLOSE_NOWRITE;
            }
        }
    }

    /// What is not plain.
    pub fn differences(&self) -> String {
        let (this, plain) = (format!("{self:?}"), format!("{:?}", Self::plain()));
        let different: Vec<&str> = this
            .split(", ")
            .zip(plain.split(", "))
            .filter(|(a, b)| a != b)
            .map(|(a, _)| a)
            .collect();
        different.join(", ")
    }
}

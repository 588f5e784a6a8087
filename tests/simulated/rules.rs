//! The rules of a world: which changes can happen, and the tree's options.

use std::env;
use std::sync::OnceLock;

use tinotify::WatchMask;

use super::choices::Choices;
use super::distributions::Distribution;

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub distribution: Distribution,
    // The world.
    /// The number of names in use.
    pub names: u8,
    pub queue_limit: usize,
    pub watch_limit: u32,
    /// The largest watch descriptor, after which they begin again.
    pub last_wd: i32,
    /// Whether a watch descriptor is reused before the end of its watch was read. The kernel does so only
    /// after 2^31 others.
    pub reuse_wds_early: bool,
    pub reuse_inodes: bool,
    /// Whether the link count of a directory counts its subdirectories.
    pub counts_links: bool,
    pub mounts: bool,
    pub binds: bool,
    pub unreadable: bool,
    /// Whether permissions are ignored.
    pub superuser: bool,
    pub open_dirs: bool,
    pub exchanges: bool,
    pub root_moves: bool,
    pub root_dies: bool,
    /// In how many of 16 cases the queue is read between the events of a rename.
    pub split_renames: u32,
    /// Whether it is also read between the rename and its first event.
    pub late_renames: bool,
    /// Before how many of 64 calls the world changes.
    pub changes_before_calls: u32,
    /// How many of 256 calls fail at random.
    pub faults: u32,
    /// Whether calls no longer fail once nothing changes any more.
    pub faults_end: bool,
    /// Whether calls also fail as if a directory were gone: `ENOENT`, `ESTALE`.
    pub false_errors: bool,
    /// Whether /proc is missing, so that watching an open directory needs permission to search.
    pub no_proc: bool,
    // How many of 16 changes are one of these; the others are common ones.
    /// A rename or an exchange, mostly of directories.
    pub moves: u32,
    /// New permissions to read and to search.
    pub chmods: u32,
    /// A mount or its removal.
    pub remounts: u32,
    /// A rename that leaves a whiteout.
    pub whiteouts: u32,
    /// The largest number of changes between two rests.
    pub burst: u32,
    /// The largest number of changes in a schedule.
    pub most: u32,
    /// The number of inodes that another subscriber of the same instance watches.
    pub users: u32,
    /// Whether links lead to directories, and the tree follows them.
    pub links: bool,
    /// Whether a second tree is in the same instance, at the same root or beneath it.
    pub second_tree: bool,

    // The tree.
    pub max_depth: Option<u32>,
    pub exclude: bool,
    pub same_file_system: bool,
    pub track_files: bool,
    pub report_existing: bool,
    /// The limit of open directories, if it is not the default.
    pub max_open: Option<usize>,
    pub mask: WatchMask,
}

/// Returns `true` if `TINOTIFY_WITHOUT`, a list of words, contains this word.
pub fn is_left_out(what: &str) -> bool {
    static WITHOUT: OnceLock<String> = OnceLock::new();
    let without = WITHOUT.get_or_init(|| env::var("TINOTIFY_WITHOUT").unwrap_or_default());
    without.split(',').any(|word| word == what)
}

/// Returns `true` if `TINOTIFY_WITH` contains this word: behaviour of the kernel that needs more time than
/// any world has.
fn is_asked_for(what: &str) -> bool {
    static WITH: OnceLock<String> = OnceLock::new();
    let with = WITH.get_or_init(|| env::var("TINOTIFY_WITH").unwrap_or_default());
    with.split(',').any(|word| word == what)
}

/// The events that the engine itself needs.
pub const NEEDED: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ATTRIB);

/// The events of names.
pub const NAMES: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE).union(WatchMask::MOVE);

impl Rules {
    /// Returns a world without special features.
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

    /// Chooses from all features, so that most worlds have a few.
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

    /// Adds kinds of events to the mask: none, some, or nearly all.
    pub fn choose_mask(&mut self, choices: &mut Choices) {
        if choices.chance(1, 2) {
            self.mask |= WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
        }
        if choices.chance(1, 4) {
            self.mask |= WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
            // The engine's own scans cause these.
            if self.mask.contains(WatchMask::MODIFY) {
                self.mask |= WatchMask::OPEN | WatchMask::ACCESS | WatchMask::CLOSE_NOWRITE;
            }
        }
    }

    /// Returns the rules that differ from [`plain`](Self::plain).
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

//! The oracle: what must be true of a tree at each rest.

use tinotify::WatchMask;
use tinotify::tree::TreeEvent;

use super::driver::{self, Driver};
use super::excuses::Excuse;
use super::inode::Ino;
use super::links::LinkMirror;
use super::mirror::Mirror;
use super::names::{Name, Path};
use super::rules::is_left_out;
use super::truth::{Entry, truth};
use super::world::{TOP, World};

/// The most calls that a tree may make: somewhat more than any of 100,000 schedules needed.
pub mod budget {
    pub const EACH_EVENT: u64 = 6;
    pub const EACH_FOUND: u64 = 6;
    pub const EACH_RENAME: u64 = 4;
    /// For each entry, each time the whole tree is scanned.
    pub const EACH_LOOK: u64 = 8;
    /// Calls that are not permitted, or over a limit, are retried at a rest.
    pub const EACH_REST: u64 = 8;
    pub const START: u64 = 64;
}

pub struct Oracle {
    index: usize,
    root: Ino,
    pub mirror: Mirror,
    links: LinkMirror,
    /// Whether the root is not at its path, or was not at some time: nothing new can be found.
    pub root_was_away: bool,
    /// The largest number of entries so far.
    entries: u64,
    /// The inodes that were known at the last rest, and the numbers of overflows and faults by then.
    known: Vec<Ino>,
    overflows: u64,
    faults: u64,
    /// Whether so much time has passed that everything must have been retried.
    pub has_retried: bool,
}

/// Returns `false` for a check that `TINOTIFY_WITHOUT` leaves out.
fn is_checked(what: &str) -> bool {
    !is_left_out(what)
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

/// A directory as the tree knows it.
type Dir = (Path, i32);

impl Oracle {
    pub fn new(world: &World, index: usize) -> Self {
        let root = world.roots[index].1;
        Self {
            index,
            root,
            mirror: Mirror::new(world.rules, root),
            links: LinkMirror::default(),
            root_was_away: false,
            entries: 0,
            known: Vec::new(),
            overflows: 0,
            faults: 0,
            has_retried: false,
        }
    }

    /// Notes the number of known directories.
    pub fn note_known(&mut self, known: usize) {
        self.entries = self.entries.max(known as u64);
    }

    /// Applies a reported event.
    pub fn observe(&mut self, world: &World, event: &TreeEvent) -> Result<(), String> {
        if world.rules.links {
            return self.links.observe(world, event);
        }
        self.look_for_root(world);
        if self.root_was_away {
            return Ok(());
        }
        self.mirror.tolerant |= self.is_misled(world);
        self.mirror.observe(world, event).map_err(|why| format!("{event}: {why}"))
    }

    pub fn look_for_root(&mut self, world: &World) {
        self.root_was_away |= world.was_away[self.index] || !world.is_in_place(self.index);
    }

    /// Returns `true` if a call may have failed as if a directory were gone: the tree may rely on that until
    /// an overflow makes it scan everything.
    fn is_misled(&self, world: &World) -> bool {
        world.rules.false_errors && world.failing
    }

    /// Checks everything at a rest.
    pub fn compare_at_rest(&mut self, world: &World, driver: &Driver) -> Result<(), String> {
        if world.rules.links {
            return self.links.compare_at_rest(world, driver, self.index);
        }
        self.look_for_root(world);
        if self.root_was_away || self.is_misled(world) {
            return Ok(());
        }
        let truth = truth(world, self.root);
        self.entries = self.entries.max(truth.len() as u64);
        self.excuse(world, &truth);
        self.recovered(world, &truth)?;
        let known = self.directories(driver)?;
        let was_learning = self.mirror.learning;
        self.known_is_true(world, &truth, &known)?;
        self.watches_are_its(world, &truth, &known, driver)?;
        self.mirror.compare(world, &truth)?;
        if is_checked("masks") {
            self.masks_are_as_asked(world, &truth, driver)?;
        }
        if is_checked("one_rename") && !was_learning {
            self.renames_are_one(world, &truth)?;
        }
        let rules = &world.rules;
        // A directory that could not be watched waits for a retry.
        let waits = self.mirror.excused.has_reported();
        if is_checked("rests")
            && !waits
            && world.faults == 0
            && world.silent.is_empty()
            && !rules.unreadable
        {
            require(self.mirror.established == 1, || {
                "at rest, the set-up was not reported as complete".into()
            })?;
            require(!self.mirror.is_resyncing, || {
                "at rest, an overflow was not followed by Resynced".into()
            })?;
            require(driver.rests(self.index), || "at rest, it keeps more than its nodes".into())?;
            require(!driver.is_checking(self.index), || "at rest, a check is open".into())?;
            require(rules.track_files || driver.is_plain(self.index), || {
                "at rest, no event can be reported as it comes".into()
            })?;
        }
        self.remember(world, &truth);
        Ok(())
    }

    /// Returns the directories that the tree knows.
    fn directories(&self, driver: &Driver) -> Result<Vec<Dir>, String> {
        let mut known = Vec::new();
        for (path, wd) in driver.directories(self.index) {
            let parsed = Path::parse(&path).ok_or("a directory with an unknown path")?;
            require(!known.iter().any(|known: &Dir| known.0 == parsed), || {
                format!("known twice: {parsed}")
            })?;
            known.push((parsed, wd));
        }
        let len = driver.known(self.index);
        require(known.len() == len, || format!("{} directories, and len {len}", known.len()))?;
        Ok(known)
    }

    /// Forgets what can't be known: entries on a file system that is excluded now.
    fn excuse(&mut self, world: &World, truth: &[Entry]) {
        if world.rules.remounts > 0 {
            // A directory that is excluded for its file system is no longer part of the tree.
            for entry in truth.iter().filter(|e| e.is_dir && !e.entered && !e.silent) {
                self.mirror.empty(entry.path);
            }
        }
    }

    /// Removes excuses that no longer hold: no directory stays unwatched for a reason that has passed. A
    /// granted permission is noticed at once, other reasons after the time for a retry. The entries must have
    /// been reported then.
    fn recovered(&mut self, world: &World, truth: &[Entry]) -> Result<(), String> {
        let may_fail = world.rules.faults > 0 && !self.has_retried;
        let mut adopted = Vec::new();
        let excused = self.mirror.excused.take();
        let outer: Vec<Path> = excused.iter().map(|(path, _)| *path).collect();
        for (path, excuse) in excused {
            let entry = truth.iter().find(|entry| entry.path == path && entry.is_dir);
            let denied = entry.is_some_and(|entry| is_denied(world, self.index, entry));
            // Its entries can't be examined, even if it can be listed.
            let closed =
                entry.is_some_and(|entry| !world.rules.superuser && !world.nodes[entry.ino].search);
            let is_there = entry.is_some_and(|entry| !entry.silent);
            if entry.is_none() && outer.iter().any(|outer| *outer != path && path.is_in(*outer)) {
                // In a directory that can't be examined, it may still be known.
                self.mirror.excused.add(path, excuse);
                continue;
            }
            match excuse {
                Excuse::Unlisted if !denied && !closed && !may_fail => {
                    require(!is_there, || {
                        format!("listable, but not reported as watched: {path}")
                    })?;
                }
                Excuse::Moved if is_there && !denied && !may_fail => adopted.push(path),
                Excuse::Reported(ref why)
                    if entry.is_some_and(|entry| !self.has_reason(world, entry, why)) => {}
                excuse => self.mirror.excused.add(path, excuse),
            }
        }
        self.mirror.unclear |= !adopted.is_empty();
        for path in &adopted {
            // An entry beneath a mount may become visible again.
            let silent = |at: Path| truth.iter().any(|entry| entry.silent && at.is_in(entry.path));
            self.mirror.entries.retain(|entry| {
                entry.path == *path || !entry.path.is_in(*path) || silent(entry.path)
            });
            let is_known = self.mirror.entries.iter().any(|known| known.path == *path);
            for entry in truth.iter().filter(|e| e.path.is_in(*path)) {
                if entry.path == *path && is_known || self.mirror.is_excused(entry.path) {
                    continue;
                }
                if entry.silent {
                    // Only an overflow shows whether it was reported.
                    if entry.is_dir {
                        self.mirror.excused.add(entry.path, Excuse::Moved);
                    }
                    continue;
                }
                let (path, is_dir) = (entry.path, entry.is_dir);
                let known = super::mirror::Known { path, is_dir, id: None, renames: 0 };
                self.mirror.entries.push(known);
            }
        }
        Ok(())
    }

    /// Returns `true` if a directory may still be unwatched for the reported reason.
    fn has_reason(&self, world: &World, entry: &Entry, why: &str) -> bool {
        let may_fail = world.rules.faults > 0 && !self.has_retried;
        if !is_checked("unwatched")
            || !entry.entered
            || entry.silent
            || why.contains("WatchedElsewhere")
        {
            return true;
        }
        if world.is_short_of_watches() {
            // Whatever the first reason was, it would be this one now.
            return true;
        }
        let is_limited = world.rules.watch_limit < u32::MAX || world.rules.last_wd < i32::MAX;
        if why.contains("EACCES") && is_limited {
            // Another reason may have come after this one.
            return !self.has_retried;
        }
        if why.contains("EACCES") {
            // For a file system that is mounted twice, only one path reports new permissions.
            let is_reported = !world.rules.binds && world.rules.remounts == 0;
            return may_fail
                || !is_reported && !self.has_retried
                || is_denied(world, self.index, entry);
        }
        // An exhausted resource is retried at growing intervals.
        !self.has_retried
    }

    fn may_be_unwatched(&self, path: Path) -> bool {
        self.mirror.excused.include(path)
    }

    /// Checks that each directory is known by its path with its watch, and no other.
    fn known_is_true(&self, world: &World, truth: &[Entry], known: &[Dir]) -> Result<(), String> {
        let silent = |path: Path| truth.iter().any(|entry| entry.silent && path.is_in(entry.path));
        for entry in truth.iter().filter(|entry| entry.is_dir) {
            if self.may_be_unwatched(entry.path) || entry.silent {
                continue;
            }
            let wd = world.nodes[entry.ino].wd;
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
        for &(path, wd) in known {
            if self.may_be_unwatched(path) || silent(path) {
                continue;
            }
            let is_there = truth.iter().any(|entry| entry.is_dir && entry.path == path);
            require(is_there, || format!("known, but it does not exist: {path} with wd {wd}"))?;
            let has_ended = wd != 0 && world.watch_of(wd).is_none();
            require(!has_ended, || format!("the watch of {path}, wd {wd}, has ended"))?;
        }
        Ok(())
    }

    /// Checks the kernel's list of watches: each directory beneath a root at most once, the watches of other
    /// subscribers, and no others.
    fn watches_are_its(
        &self,
        world: &World,
        truth: &[Entry],
        known: &[Dir],
        driver: &Driver,
    ) -> Result<(), String> {
        if !world.silent.is_empty() {
            return Ok(());
        }
        for (ino, node) in world.nodes.iter().enumerate().filter(|(_, node)| node.wd != 0) {
            let is_unwatched = |dir: &&Dir| self.may_be_unwatched(dir.0);
            if known.iter().filter(is_unwatched).any(|known| known.1 == node.wd)
                || !node.user.is_empty()
                || self.is_others(driver, node.wd)
            {
                continue;
            }
            let is_in = truth.iter().any(|entry| entry.ino == ino && entry.entered);
            require(is_in, || {
                format!("watched, but not in the tree: inode {ino}, wd {}", node.wd)
            })?;
            let is_known = known.iter().any(|known| known.1 == node.wd);
            require(is_known, || format!("watched, but not known: inode {ino}, wd {}", node.wd))?;
        }
        for (ino, node) in world.nodes.iter().enumerate() {
            let is_alive = !node.user.is_empty() && !node.dead;
            require(!is_alive || node.wd != 0, || {
                format!("another subscriber's watch was ended: inode {ino}")
            })?;
        }
        Ok(())
    }

    fn is_others(&self, driver: &Driver, wd: i32) -> bool {
        let others = (0..driver.len()).filter(|other| *other != self.index);
        others.into_iter().any(|other| driver.directories(other).iter().any(|dir| dir.1 == wd))
    }

    /// Checks that each watch has exactly the mask that was asked for. Only where no call to restore it can
    /// have failed: no faults, no permission taken.
    fn masks_are_as_asked(
        &self,
        world: &World,
        truth: &[Entry],
        driver: &Driver,
    ) -> Result<(), String> {
        if world.rules.faults > 0 || world.rules.unreadable {
            return Ok(());
        }
        let asked = driver::asked(&world.rules);
        for entry in truth.iter().filter(|entry| entry.entered && !entry.silent) {
            let node = &world.nodes[entry.ino];
            let (least, most) = (asked | node.user, asked | node.user);
            if node.wd == 0 || self.may_be_unwatched(entry.path) {
                continue;
            }
            let fits = node.mask.contains(least) && most.contains(node.mask);
            require(fits, || {
                let (more, less) = (node.mask - most, least - node.mask);
                format!("the mask at rest has {more} too much, {less} too little: {}", entry.path)
            })?;
        }
        let _ = driver;
        self.users_masks(world)
    }

    fn users_masks(&self, world: &World) -> Result<(), String> {
        for (ino, node) in world.nodes.iter().enumerate().filter(|(_, node)| node.wd != 0) {
            let less: WatchMask = node.user - node.mask;
            require(less.is_empty(), || {
                format!("another subscriber's watch lost {less}: inode {ino}")
            })?;
        }
        Ok(())
    }

    /// Checks that one rename is reported as one event.
    ///
    /// That is promised for an entry that was known at the last rest and still exists, in a tree without
    /// limits, if since then no event was lost, no call failed, no permission or mount changed, no rename
    /// event merged, and each rename was between watched directories ([`World::half`]). For files only if
    /// they are tracked and have one name.
    fn renames_are_one(&self, world: &World, truth: &[Entry]) -> Result<(), String> {
        let rules = &world.rules;
        // An entry that leaves the tree to an excluded directory may come back.
        let is_whole = self.root == world.root
            && rules.max_depth.is_none()
            && !rules.exclude
            && !rules.same_file_system;
        let is_calm = self.overflows == world.queue.overflows_read
            && self.faults == world.faults
            && (world.moves.chmods, world.moves.mounts, world.moves.merged) == (0, 0, 0);
        if self.mirror.unclear
            || !is_whole
            || !is_calm
            || rules.mounts
            || rules.binds
            || rules.remounts > 0
        {
            return Ok(());
        }
        for entry in truth {
            let ino = entry.ino;
            let is_promised = self.known.contains(&ino)
                && !world.moves.unclear.contains(&ino)
                && !self.may_be_unwatched(entry.path)
                && (entry.is_dir || rules.track_files && !world.nodes[ino].was_linked)
                && !world.nodes[ino].whiteout;
            let Some(known) = self.mirror.entries.iter().find(|k| k.path == entry.path) else {
                continue;
            };
            if !is_promised {
                continue;
            }
            let (path, done) = (entry.path, world.moves.done.get(&ino).copied().unwrap_or(0));
            require(known.id == Some(ino), || {
                format!("discovered again, but it was only renamed: {path} (inode {ino})")
            })?;
            require(known.renames <= done, || {
                let reported = known.renames;
                format!("renamed {done} times, reported {reported} times: {path} (inode {ino})")
            })?;
        }
        Ok(())
    }

    /// Stores what is known, for the next rest.
    fn remember(&mut self, world: &World, truth: &[Entry]) {
        for known in &mut self.mirror.entries {
            let entry = truth.iter().find(|entry| entry.path == known.path);
            (known.id, known.renames) = (entry.map(|entry| entry.ino), 0);
        }
        // A directory that could not be examined then may have been since.
        self.mirror.unclear = !self.mirror.excused.is_empty();
        let entries = &self.mirror.entries;
        self.known = entries.iter().filter_map(|known| known.id).collect();
        (self.overflows, self.faults) = (world.queue.overflows_read, world.faults);
    }

    /// Checks the number of calls at the end, for one tree alone in its world.
    pub fn budget(&self, world: &World, events: u64, rests: u64) -> Result<(), String> {
        use budget as b;
        let looks = 1 + world.queue.overflows_read;
        let rules = &world.rules;
        let is_limited = rules.watch_limit < u32::MAX || rules.last_wd < i32::MAX;
        let rests = if rules.unreadable || is_limited { rests } else { 0 };
        let most = b::START
            + b::EACH_EVENT * events
            + b::EACH_FOUND * self.mirror.found
            + b::EACH_RENAME * self.mirror.renamed
            + b::EACH_LOOK * looks * self.entries
            + b::EACH_REST * rests;
        require(world.calls <= most, || {
            let (calls, found) = (world.calls, self.mirror.found);
            format!(
                "{calls} calls for {events} events and {found} entries found; at most {most} are allowed"
            )
        })
    }
}

/// Returns `true` if a directory can't be watched or listed now for lack of a permission: to search on the
/// way, to read the directory, and to read each directory above it in the tree, since only a watch shows
/// which directory was opened.
fn is_denied(world: &World, tree: usize, entry: &Entry) -> bool {
    if world.rules.superuser {
        return false;
    }
    let mut at = TOP;
    let above = world.roots[tree].0.len();
    let names: Vec<Name> = world.roots[tree].0.iter().copied().chain(entry.path.names()).collect();
    for (depth, name) in names.into_iter().enumerate() {
        let node = &world.nodes[at];
        if !node.search || depth >= above && !node.read {
            return true;
        }
        match world.entry(at, name) {
            Some(ino) => at = world.over(ino),
            None => return false,
        }
    }
    !world.nodes[at].read || world.rules.no_proc && !world.nodes[at].search
}

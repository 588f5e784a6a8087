//! Compares the watcher with a simple model and with the kernel's own list, over random sequences of
//! operations by users and file systems.

mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tinotify::{
    Errno, Error, WatchError, WatchEventBuf, WatchId, WatchMask, WatchOptions, Watcher,
};
use watching::{Place, Watchdog, kernel_watches, overflow};

/// The number of names that files can have. Each name has a symbolic link to it.
const NAMES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Adds a watch by the name or by its symbolic link.
    Add {
        name: usize,
        by_link: bool,
        mask: u8,
    },
    AddStrict {
        name: usize,
        mask: u8,
    },
    /// Adds a watch with one of a few aliases.
    AddWithAlias {
        name: usize,
        alias: u8,
    },
    SetMask {
        which: usize,
        mask: u8,
    },
    SetPath {
        which: usize,
        name: usize,
    },
    Unwatch {
        which: usize,
    },
    Create {
        name: usize,
    },
    Link {
        from: usize,
        to: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Delete {
        name: usize,
    },
    /// Opens the file, writes to it and closes it.
    Write {
        name: usize,
    },
    /// Reads one event. The others of the same read stay in the buffer.
    ReadOne,
    ReadAll,
    Overflow,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut below = |n: u32| u32::arbitrary(g) % n;
        let (name, other) = (below(NAMES as u32) as usize, below(NAMES as u32) as usize);
        let (which, mask, yes) = (below(1000) as usize, below(7) as u8 + 1, below(2) == 0);
        match below(64) {
            0..12 => Self::Add { name, by_link: yes, mask },
            12..15 => Self::AddStrict { name, mask },
            15..19 => Self::AddWithAlias { name, alias: mask % 3 },
            19..25 => Self::SetMask { which, mask },
            25..27 => Self::SetPath { which, name },
            27..34 => Self::Unwatch { which },
            34..41 => Self::Create { name },
            41..45 => Self::Link { from: name, to: other },
            45..48 => Self::Rename { from: name, to: other },
            48..52 => Self::Delete { name },
            52..58 => Self::Write { name },
            58..60 => Self::ReadOne,
            // Rare, since it is slow.
            60 if below(3) == 0 => Self::Overflow,
            _ => Self::ReadAll,
        }
    }
}

/// Returns a mask of some of the three events of [`Op::Write`].
fn mask_of(bits: u8) -> WatchMask {
    let all = [WatchMask::OPEN, WatchMask::MODIFY, WatchMask::CLOSE_WRITE];
    all.into_iter().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, flag)| flag).collect()
}

/// The expected state of a watch.
#[derive(Clone, Debug)]
struct Model {
    inode: usize,
    path: PathBuf,
    alias: Option<String>,
    mask: WatchMask,
    /// The events that it must report at least once before the queue is empty.
    required: WatchMask,
    /// The events that it may report: those of its inode since it was added.
    allowed: WatchMask,
}

struct World {
    place: Place,
    watcher: Watcher,
    noise: WatchId,
    noise_ino: u64,
    /// The inode of each name.
    names: [Option<usize>; NAMES],
    inodes: usize,
    watches: BTreeMap<WatchId, Model>,
    /// The watches whose inode was deleted, with the event still unread.
    ending: BTreeSet<WatchId>,
    /// The watches that have ended, by an event of their inode or an overflow, and whose own `IGNORED` is
    /// not yet reported.
    ended: BTreeMap<WatchId, Model>,
    gone: Vec<WatchId>,
    overflowed: bool,
    /// The number of reported ends.
    ends: u32,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        for name in 0..NAMES {
            symlink(name.to_string(), place.at(format!("link {name}"))).unwrap();
        }
        let watcher = Watcher::new().unwrap();
        let noise_dir = place.dir("noise");
        let noise = watcher.watch(&noise_dir, WatchMask::ATTRIB).unwrap();
        let noise_ino = fs::metadata(noise_dir).unwrap().ino();
        Self {
            place,
            watcher,
            noise,
            noise_ino,
            names: [None; NAMES],
            inodes: 0,
            watches: BTreeMap::new(),
            ending: BTreeSet::new(),
            ended: BTreeMap::new(),
            gone: Vec::new(),
            overflowed: false,
            ends: 0,
        }
    }

    fn path(&self, name: usize) -> PathBuf {
        self.place.at(name.to_string())
    }

    fn link(&self, name: usize) -> PathBuf {
        self.place.at(format!("link {name}"))
    }

    /// Returns the name of a path or of its link's path.
    fn named(&self, path: &PathBuf) -> Option<usize> {
        (0..NAMES).find(|name| [self.path(*name), self.link(*name)].contains(path))
    }

    /// Returns one of the present and former watches.
    fn choose(&self, which: usize) -> Option<WatchId> {
        let all: Vec<WatchId> = self.watches.keys().chain(&self.gone).copied().collect();
        all.get(which % all.len().max(1)).copied()
    }

    fn is_watched(&self, inode: usize) -> bool {
        self.watches.values().any(|watch| watch.inode == inode)
    }

    /// Removes a name from its inode. The watches end with the last name.
    fn remove_name(&mut self, name: usize) {
        let Some(inode) = self.names[name].take() else { return };
        if !self.names.contains(&Some(inode)) {
            let ending = self.watches.iter().filter(|(_, watch)| watch.inode == inode);
            self.ending.extend(ending.map(|(watch, _)| *watch));
        }
    }

    fn forget(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
        self.ending.remove(&watch);
        self.gone.push(watch);
    }

    /// Ends the watches whose end was read. Each must still be reported.
    fn end(&mut self, which: impl Fn(&Model) -> bool) {
        let ending = std::mem::take(&mut self.ending).into_iter();
        let (ended, ending) = ending.partition(|watch| which(&self.watches[watch]));
        self.ending = ending;
        let ended: BTreeSet<WatchId> = ended;
        for watch in ended {
            let model = self.watches[&watch].clone();
            self.forget(watch);
            self.ended.insert(watch, model);
        }
    }

    fn add(&mut self, path: PathBuf, mask: WatchMask, alias: Option<String>) {
        let inode = self.names[self.named(&path).unwrap()];
        let options = match &alias {
            Some(alias) => WatchOptions::new().alias(alias),
            None => WatchOptions::new(),
        };
        let added = self.watcher.watch_with(&path, mask, options);
        let taken = self.watches.values().any(|watch| watch.alias == alias);
        let error = |errno| {
            let error = Error::AddWatch(errno);
            Err(WatchError::Path { path: path.clone(), error })
        };
        let strict = mask.contains(WatchMask::MASK_CREATE);
        match (inode, alias.clone().filter(|_| taken)) {
            (_, Some(alias)) => assert_eq!(added, Err(WatchError::AliasTaken(alias.into()))),
            (None, _) => assert_eq!(added, error(Errno::ENOENT)),
            (Some(inode), _) if strict && self.is_watched(inode) => {
                assert_eq!(added, error(Errno::EEXIST));
            }
            (Some(inode), _) => {
                let (required, allowed) = (WatchMask::empty(), WatchMask::empty());
                let model = Model { inode, path, alias, mask, required, allowed };
                let added = added.unwrap();
                assert!(!self.gone.contains(&added), "a removed watch is returned again");
                assert!(self.watches.insert(added, model).is_none());
            }
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Add { name, by_link, mask } => {
                let path = if by_link { self.link(name) } else { self.path(name) };
                self.add(path, mask_of(mask), None);
            }
            Op::AddStrict { name, mask } => {
                self.add(self.path(name), mask_of(mask) | WatchMask::MASK_CREATE, None);
            }
            Op::AddWithAlias { name, alias } => {
                self.add(self.path(name), WatchMask::OPEN, Some(format!("alias {alias}")));
            }
            Op::SetMask { which, mask } => {
                let Some(watch) = self.choose(which) else { return };
                self.set_mask(watch, mask_of(mask));
            }
            Op::SetPath { which, name } => {
                let Some(watch) = self.choose(which) else { return };
                self.set_path(watch, self.path(name));
            }
            Op::Unwatch { which } => {
                let Some(watch) = self.choose(which) else { return };
                self.unwatch(watch);
            }
            Op::ReadOne => self.read(true),
            Op::ReadAll => self.read(false),
            Op::Overflow => self.overflowed |= overflow(&self.place.at("noise")),
            op => self.change_files(op),
        }
    }

    /// Runs an operation on files. Does nothing if it is not possible.
    fn change_files(&mut self, op: Op) {
        match op {
            Op::Create { name } if self.names[name].is_none() => {
                File::create_new(self.path(name)).unwrap();
                self.names[name] = Some(self.inodes);
                self.inodes += 1;
            }
            Op::Link { from, to } if self.names[from].is_some() && self.names[to].is_none() => {
                fs::hard_link(self.path(from), self.path(to)).unwrap();
                self.names[to] = self.names[from];
            }
            // rename(2) does nothing if both names lead to one inode.
            Op::Rename { from, to }
                if self.names[from].is_some() && self.names[from] != self.names[to] =>
            {
                fs::rename(self.path(from), self.path(to)).unwrap();
                let inode = self.names[from];
                self.remove_name(to);
                self.names[to] = inode;
                self.names[from] = None;
            }
            Op::Delete { name } if self.names[name].is_some() => {
                fs::remove_file(self.path(name)).unwrap();
                self.remove_name(name);
            }
            Op::Write { name } if self.names[name].is_some() => {
                fs::write(self.path(name), "text").unwrap();
                let caused = mask_of(7);
                for watch in self.watches.values_mut() {
                    if Some(watch.inode) == self.names[name] {
                        if !self.overflowed {
                            watch.required |= watch.mask & caused;
                        }
                        watch.allowed |= caused;
                    }
                }
            }
            _ => {}
        }
    }

    fn set_path(&mut self, watch: WatchId, path: PathBuf) {
        let set = self.watcher.watches().set_path(watch, &path);
        match self.watches.get_mut(&watch) {
            Some(model) => {
                set.unwrap();
                model.path = path;
            }
            None => assert_eq!(set, Err(WatchError::NoSuchWatch(watch))),
        }
    }

    fn unwatch(&mut self, watch: WatchId) {
        let removed = self.watcher.unwatch(watch);
        if self.watches.contains_key(&watch) {
            removed.unwrap();
            self.forget(watch);
        } else {
            assert_eq!(removed, Err(WatchError::NoSuchWatch(watch)));
        }
    }

    fn set_mask(&mut self, watch: WatchId, mask: WatchMask) {
        let set = self.watcher.watches().set_mask(watch, mask);
        let Some(model) = self.watches.get(&watch) else {
            assert_eq!(set, Err(WatchError::NoSuchWatch(watch)));
            return;
        };
        let path = model.path.clone();
        match self.names[self.named(&path).unwrap()] {
            None => {
                let error = Error::AddWatch(Errno::ENOENT);
                assert_eq!(set, Err(WatchError::Path { path, error }));
            }
            Some(inode) if inode != model.inode => assert_eq!(set, Err(WatchError::Moved(path))),
            Some(_) => {
                set.unwrap();
                let model = self.watches.get_mut(&watch).unwrap();
                model.mask = mask;
                // Events that are no longer in the mask are not required. New ones are allowed.
                model.required &= mask;
            }
        }
    }

    /// Reads one event or all, and checks them against the model.
    fn read(&mut self, one: bool) {
        while let Some(event) = self.watcher.try_recv().unwrap() {
            if event.is_overflow() {
                assert!(self.overflowed, "an overflow without a loss");
                self.end(|_| true);
            } else if event.watch() != Some(self.noise) {
                let event = event.to_buf();
                self.check(&event);
            }
            if one {
                return;
            }
        }
        self.assert_agreement();
    }

    fn check(&mut self, event: &WatchEventBuf) {
        let watch = event.watch().unwrap();
        if event.is_ignored() {
            if let Some(inode) = self.watches.get(&watch).map(|model| model.inode) {
                self.end(|model| model.inode == inode);
            }
            let model = self.ended.remove(&watch);
            let model = model.unwrap_or_else(|| panic!("{event} of a live watch, or twice"));
            assert!(self.overflowed || model.required.is_empty(), "an early end: {model:?}");
            assert_event_of(event, &model);
            self.ends += 1;
            return;
        }
        let model = self.watches.get_mut(&watch);
        let model = model.unwrap_or_else(|| panic!("{event} of a removed watch"));
        assert_event_of(event, model);
        let flag = WatchMask::from_bits_retain(event.mask().bits());
        model.required.remove(flag);
        assert!(model.mask.contains(flag), "{event} is not in the mask");
        assert!(model.allowed.contains(flag), "{event} is older than its watch");
    }

    /// Asserts that the watcher, the kernel and the model agree once all events are read.
    fn assert_agreement(&mut self) {
        assert!(!self.watcher.has_buffered());
        assert!(self.ending.is_empty() && self.ended.is_empty(), "an end was not reported");
        for model in self.watches.values_mut() {
            assert!(self.overflowed || model.required.is_empty(), "missing events: {model:?}");
            model.required = WatchMask::empty();
            model.allowed = WatchMask::empty();
        }
        self.overflowed = false;

        let list = self.watcher.watches().list();
        assert_eq!(list.len(), 1 + self.watches.len());
        let mut wds = BTreeMap::new();
        for info in list.iter().filter(|info| info.watch != self.noise) {
            let model = &self.watches[&info.watch];
            let alias = info.alias.as_ref().map(|alias| alias.to_str().unwrap());
            assert_eq!((&info.path, info.mask), (&model.path, model.mask));
            assert_eq!(alias, model.alias.as_deref());
            if let Some(alias) = alias {
                assert_eq!(self.watcher.watches().with_alias(alias), Ok(info.watch));
            }
            let wd = wds.entry(model.inode).or_insert(info.wd.unwrap());
            assert_eq!(Some(*wd), info.wd, "one watch descriptor per inode");
        }

        // By inode number, which is unique among live inodes.
        let mut expected = BTreeMap::from([(self.noise_ino, WatchMask::ATTRIB)]);
        for model in self.watches.values() {
            let name = self.names.iter().position(|inode| *inode == Some(model.inode)).unwrap();
            let ino = fs::metadata(self.path(name)).unwrap().ino();
            *expected.entry(ino).or_insert(WatchMask::empty()) |= model.mask;
        }
        let kernel = kernel_watches(&self.watcher);
        assert_eq!(kernel.len(), expected.len(), "each inode once, and no other inode");
        for watch in kernel.values() {
            let mask = expected.get(&watch.ino).expect("a watched inode");
            let events = mask.events().bits();
            assert_eq!(watch.mask & events, events, "all events of the mask");
        }
    }
}

fn assert_event_of(event: &WatchEventBuf, model: &Model) {
    assert_eq!(event.path(), model.path);
    assert_eq!(event.alias().map(|alias| alias.to_str().unwrap()), model.alias.as_deref());
}

#[test]
fn the_watcher_agrees_with_the_model_and_the_kernel() {
    fn agrees(ops: Vec<Op>) {
        let mut world = World::new();
        for name in 0..NAMES {
            world.run(Op::Create { name });
        }
        for op in ops {
            world.run(op);
        }
        world.run(Op::ReadAll);
        // All watches can be removed.
        for watch in world.watches.keys().copied().collect::<Vec<_>>() {
            world.watcher.unwatch(watch).unwrap();
            world.forget(watch);
        }
        world.run(Op::ReadAll);
    }
    let tests = std::env::var("QUICKCHECK_TESTS").ok().and_then(|tests| tests.parse().ok());
    let _watchdog = tests.is_none().then(Watchdog::new);
    QuickCheck::new()
        .tests(tests.unwrap_or(100))
        .rng(Gen::new(200))
        .quickcheck(agrees as fn(Vec<Op>));
}

#[test]
fn the_model_covers_reported_and_lost_ends() {
    let add = |name| Op::Add { name, by_link: false, mask: 7 };
    let mut world = World::new();
    for op in [
        Op::Create { name: 0 },
        add(0),
        Op::Add { name: 0, by_link: true, mask: 1 },
        Op::Link { from: 0, to: 1 },
        Op::Write { name: 1 },
        add(1),
        Op::Delete { name: 0 },
        Op::ReadAll,
        Op::Delete { name: 1 },
        Op::ReadOne,
        Op::Create { name: 0 },
        add(0),
        Op::Overflow,
        Op::Rename { from: 0, to: 1 },
        Op::Delete { name: 1 },
        Op::ReadAll,
    ] {
        world.run(op);
    }
    assert_eq!(world.ends, 4);
    assert!(world.watches.is_empty());
}

//! The watcher's bookkeeping against a simple model and the kernel's own list, over random sequences
//! of what users and file systems do.

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

/// The names that files can have. Each has a symbolic link to it as well.
const NAMES: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// By the name, or by the symbolic link.
    Add {
        name: usize,
        by_link: bool,
        mask: u8,
    },
    Strict {
        name: usize,
        mask: u8,
    },
    /// With an alias, of which there are few.
    Alias {
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
    /// Opens the file, writes to it, and closes it.
    Poke {
        name: usize,
    },
    /// One event into the buffer, and the rest with it.
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
            12..15 => Self::Strict { name, mask },
            15..19 => Self::Alias { name, alias: mask % 3 },
            19..25 => Self::SetMask { which, mask },
            25..27 => Self::SetPath { which, name },
            27..34 => Self::Unwatch { which },
            34..41 => Self::Create { name },
            41..45 => Self::Link { from: name, to: other },
            45..48 => Self::Rename { from: name, to: other },
            48..52 => Self::Delete { name },
            52..58 => Self::Poke { name },
            58..60 => Self::ReadOne,
            // It takes its time.
            60 if below(3) == 0 => Self::Overflow,
            _ => Self::ReadAll,
        }
    }
}

/// The three events of a poke, in any choice but none.
fn mask_of(bits: u8) -> WatchMask {
    let all = [WatchMask::OPEN, WatchMask::MODIFY, WatchMask::CLOSE_WRITE];
    all.into_iter().enumerate().filter(|(i, _)| bits & 1 << i != 0).map(|(_, flag)| flag).collect()
}

/// A watch as it should be.
#[derive(Clone, Debug)]
struct Model {
    inode: usize,
    path: PathBuf,
    alias: Option<String>,
    mask: WatchMask,
    /// What it must be given, at least once, when all is read.
    due: WatchMask,
    /// What it may be given: what its inode was poked with since it began.
    allowed: WatchMask,
}

struct World {
    place: Place,
    watcher: Watcher,
    noise: WatchId,
    noise_ino: u64,
    /// Which inode each name leads to.
    names: [Option<usize>; NAMES],
    inodes: usize,
    watches: BTreeMap<WatchId, Model>,
    /// Of these, those whose inode is gone; nobody has read of it yet.
    dying: BTreeSet<WatchId>,
    /// Retired with another one of their inode, or by an overflow; their own `IGNORED` is to come.
    retired: BTreeMap<WatchId, Model>,
    gone: Vec<WatchId>,
    overflowed: bool,
    /// How often what happened, to see that the test tests.
    told: u32,
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
            dying: BTreeSet::new(),
            retired: BTreeMap::new(),
            gone: Vec::new(),
            overflowed: false,
            told: 0,
        }
    }

    fn path(&self, name: usize) -> PathBuf {
        self.place.at(name.to_string())
    }

    fn link(&self, name: usize) -> PathBuf {
        self.place.at(format!("link {name}"))
    }

    /// A name by its path or that of its link.
    fn named(&self, path: &PathBuf) -> Option<usize> {
        (0..NAMES).find(|name| [self.path(*name), self.link(*name)].contains(path))
    }

    /// One of the watches that ever were.
    fn pick(&self, which: usize) -> Option<WatchId> {
        let all: Vec<WatchId> = self.watches.keys().chain(&self.gone).copied().collect();
        all.get(which % all.len().max(1)).copied()
    }

    fn is_watched(&self, inode: usize) -> bool {
        self.watches.values().any(|watch| watch.inode == inode)
    }

    /// A name no longer leads to its inode.
    fn unname(&mut self, name: usize) {
        let Some(inode) = self.names[name].take() else { return };
        if !self.names.contains(&Some(inode)) {
            let ending = self.watches.iter().filter(|(_, watch)| watch.inode == inode);
            self.dying.extend(ending.map(|(watch, _)| *watch));
        }
    }

    fn forget(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
        self.dying.remove(&watch);
        self.gone.push(watch);
    }

    /// The end of these was read, and each is to be told.
    fn retire(&mut self, which: impl Fn(&Model) -> bool) {
        let dying = std::mem::take(&mut self.dying).into_iter();
        let (retired, dying) = dying.partition(|watch| which(&self.watches[watch]));
        self.dying = dying;
        let retired: BTreeSet<WatchId> = retired;
        for watch in retired {
            let model = self.watches[&watch].clone();
            self.forget(watch);
            self.retired.insert(watch, model);
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
                let (due, allowed) = (WatchMask::empty(), WatchMask::empty());
                let model = Model { inode, path, alias, mask, due, allowed };
                let added = added.unwrap();
                assert!(!self.gone.contains(&added), "a watch that is gone has come back");
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
            Op::Strict { name, mask } => {
                self.add(self.path(name), mask_of(mask) | WatchMask::MASK_CREATE, None);
            }
            Op::Alias { name, alias } => {
                self.add(self.path(name), WatchMask::OPEN, Some(format!("alias {alias}")));
            }
            Op::SetMask { which, mask } => {
                let Some(watch) = self.pick(which) else { return };
                self.set_mask(watch, mask_of(mask));
            }
            Op::SetPath { which, name } => {
                let Some(watch) = self.pick(which) else { return };
                let path = self.path(name);
                let set = self.watcher.watches().set_path(watch, &path);
                match self.watches.get_mut(&watch) {
                    Some(model) => {
                        set.unwrap();
                        model.path = path;
                    }
                    None => assert_eq!(set, Err(WatchError::NoSuchWatch(watch))),
                }
            }
            Op::Unwatch { which } => {
                let Some(watch) = self.pick(which) else { return };
                let removed = self.watcher.unwatch(watch);
                if self.watches.contains_key(&watch) {
                    removed.unwrap();
                    self.forget(watch);
                } else {
                    assert_eq!(removed, Err(WatchError::NoSuchWatch(watch)));
                }
            }
            Op::Create { name } if self.names[name].is_none() => {
                File::create_new(self.path(name)).unwrap();
                self.names[name] = Some(self.inodes);
                self.inodes += 1;
            }
            Op::Link { from, to } if self.names[from].is_some() && self.names[to].is_none() => {
                fs::hard_link(self.path(from), self.path(to)).unwrap();
                self.names[to] = self.names[from];
            }
            // Of two names of one inode rename(2) changes nothing.
            Op::Rename { from, to }
                if self.names[from].is_some() && self.names[from] != self.names[to] =>
            {
                fs::rename(self.path(from), self.path(to)).unwrap();
                let inode = self.names[from];
                self.unname(to);
                self.names[to] = inode;
                self.names[from] = None;
            }
            Op::Delete { name } if self.names[name].is_some() => {
                fs::remove_file(self.path(name)).unwrap();
                self.unname(name);
            }
            Op::Poke { name } if self.names[name].is_some() => {
                fs::write(self.path(name), "text").unwrap();
                let poked = mask_of(7);
                for watch in self.watches.values_mut() {
                    if Some(watch.inode) == self.names[name] {
                        if !self.overflowed {
                            watch.due |= watch.mask & poked;
                        }
                        watch.allowed |= poked;
                    }
                }
            }
            Op::ReadOne => self.read(true),
            Op::ReadAll => self.read(false),
            Op::Overflow => {
                self.overflowed |= overflow(&self.place.at("noise"));
            }
            _ => {}
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
                // What it no longer wants it need not get; what it wants only now it may.
                model.due &= mask;
            }
        }
    }

    /// Reads one event, or all, and compares with what was due.
    fn read(&mut self, one: bool) {
        while let Some(event) = self.watcher.try_recv().unwrap() {
            if event.is_overflow() {
                assert!(self.overflowed, "nothing was lost");
                self.retire(|_| true);
            } else if event.watch() != Some(self.noise) {
                let event = event.to_buf();
                self.take(&event);
            }
            if one {
                return;
            }
        }
        self.is_quiet();
    }

    fn take(&mut self, event: &WatchEventBuf) {
        let watch = event.watch().unwrap();
        if event.is_ignored() {
            if let Some(inode) = self.watches.get(&watch).map(|model| model.inode) {
                self.retire(|model| model.inode == inode);
            }
            let model = self.retired.remove(&watch);
            let model = model.unwrap_or_else(|| panic!("{event} of a watch that lives, or again"));
            assert!(self.overflowed || model.due.is_empty(), "the end before {model:?}");
            is_of(event, &model);
            self.told += 1;
            return;
        }
        let model = self.watches.get_mut(&watch);
        let model = model.unwrap_or_else(|| panic!("{event} of a watch that is gone"));
        is_of(event, model);
        let flag = WatchMask::from_bits_retain(event.mask().bits());
        model.due.remove(flag);
        assert!(model.mask.contains(flag), "{event} was not asked for");
        assert!(model.allowed.contains(flag), "{event} is of before its watch");
    }

    /// All is read: the watcher, the kernel and the model agree.
    fn is_quiet(&mut self) {
        assert!(!self.watcher.has_buffered());
        assert!(self.dying.is_empty() && self.retired.is_empty(), "never told of their end");
        for (watch, model) in &mut self.watches {
            assert!(self.overflowed || model.due.is_empty(), "{watch:?} lacks {:?}", model.due);
            model.due = WatchMask::empty();
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
            assert_eq!(Some(*wd), info.wd, "one descriptor an inode");
        }

        // By inode number, which each live inode has to itself.
        let mut expected = BTreeMap::from([(self.noise_ino, WatchMask::ATTRIB)]);
        for model in self.watches.values() {
            let name = self.names.iter().position(|inode| *inode == Some(model.inode)).unwrap();
            let ino = fs::metadata(self.path(name)).unwrap().ino();
            *expected.entry(ino).or_insert(WatchMask::empty()) |= model.mask;
        }
        let kernel = kernel_watches(&self.watcher);
        assert_eq!(kernel.len(), expected.len(), "each inode once, and none else");
        for watch in kernel.values() {
            let mask = expected.get(&watch.ino).expect("somebody watches it");
            let events = mask.events().bits();
            assert_eq!(watch.mask & events, events, "all that is asked for");
        }
    }
}

fn is_of(event: &WatchEventBuf, model: &Model) {
    assert_eq!(event.path(), model.path);
    assert_eq!(event.alias().map(|alias| alias.to_str().unwrap()), model.alias.as_deref());
}

#[test]
fn the_bookkeeping_agrees_with_the_model_and_the_kernel() {
    fn agrees(ops: Vec<Op>) {
        let mut world = World::new();
        for name in 0..NAMES {
            world.run(Op::Create { name });
        }
        for op in ops {
            world.run(op);
        }
        world.run(Op::ReadAll);
        // And all of it can be let go.
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
fn the_model_sees_ends_told_and_ends_lost() {
    let add = |name| Op::Add { name, by_link: false, mask: 7 };
    let mut world = World::new();
    for op in [
        Op::Create { name: 0 },
        add(0),
        Op::Add { name: 0, by_link: true, mask: 1 },
        Op::Link { from: 0, to: 1 },
        Op::Poke { name: 1 },
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
    assert_eq!(world.told, 4);
    assert!(world.watches.is_empty());
}

//! The calls of the engine, with changes of the world before each of them.

use std::cell::RefCell;
use std::rc::Rc;

use tinotify::tree::{Kernel, Stat};
use tinotify::{Errno, EventMask, WatchMask, Wd};

use super::names::{Name, Path, ROOT, bytes, number};
use super::queue::Record;
use super::world::{Ino, Kind, TOP, World, trace};

/// An open directory.
pub struct Handle {
    ino: Ino,
    /// Where it was opened: what a watch goes by in a world without /proc; empty in others.
    path: Vec<Name>,
    closed: Rc<RefCell<Vec<Ino>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.closed.borrow_mut().push(self.ino);
    }
}

/// More calls than any schedule needs: somebody goes round in circles.
const ENOUGH: u64 = 10_000;

impl World {
    /// What may happen before any call.
    fn meddle(&mut self) {
        self.close_dropped();
        while self.choices.chance(if self.ops == 0 { 0 } else { self.rules.heat }, 64) {
            self.change();
        }
    }

    /// A call of the engine.
    fn call(&mut self) {
        self.meddle();
        self.calls += 1;
        assert!(self.calls < ENOUGH, "it never comes to rest");
    }

    fn fault(&mut self, among: &[Errno]) -> Result<(), Errno> {
        if self.rules.faults > 0 && self.choices.chance(self.rules.faults, 256) {
            return Err(self.choices.pick(among).unwrap_or(Errno::ENOMEM));
        }
        Ok(())
    }

    /// What a name in a directory leads to, mounts and all.
    fn look_up(&self, dir: Ino, name: Name) -> Result<Ino, Errno> {
        if self.nodes[dir].kind != Kind::Dir {
            return Err(Errno::ENOTDIR);
        }
        self.entry(dir, name).map(|ino| self.over(ino)).ok_or(Errno::ENOENT)
    }

    /// openat2 from [`TOP`].
    fn resolve(&self, names: impl IntoIterator<Item = Name>) -> Result<Ino, Errno> {
        let mut at = TOP;
        for name in names {
            at = self.look_up(at, name)?;
        }
        match self.nodes[at].kind {
            Kind::Dir => Ok(at),
            Kind::File => Err(Errno::ENOTDIR),
            Kind::Link => Err(Errno::ELOOP),
        }
    }

    fn handle(&mut self, ino: Ino, path: Vec<Name>) -> Result<Handle, Errno> {
        let node = &mut self.nodes[ino];
        match node.kind {
            Kind::Dir if !node.readable && !self.rules.superuser => return Err(Errno::EACCES),
            Kind::Dir => node.open += 1,
            Kind::File => return Err(Errno::ENOTDIR),
            // ENOTDIR of O_DIRECTORY and O_NOFOLLOW comes before ELOOP of O_NOFOLLOW alone.
            Kind::Link => return Err(Errno::ENOTDIR),
        }
        Ok(Handle { ino, path, closed: Rc::clone(&self.closed) })
    }

    fn stat_of(&self, ino: Ino) -> Stat {
        let node = &self.nodes[ino];
        let is_dir = node.kind == Kind::Dir;
        let has_subdirectories = node.entries.iter().any(|entry| self.is_dir(entry.1));
        Stat {
            is_dir,
            is_leaf: is_dir && self.rules.counts_links && !has_subdirectories,
            dev: node.dev,
            ino: node.number,
            size: node.version,
            mtime: (node.version as i64, 0),
        }
    }

    /// inotify_add_watch, with what is asked before it.
    fn watch_inode(&mut self, ino: Ino, mask: WatchMask) -> Result<Wd, Errno> {
        let node = &self.nodes[ino];
        if mask.contains(WatchMask::ONLYDIR) && node.kind != Kind::Dir {
            return Err(Errno::ENOTDIR);
        }
        if !node.readable && !self.rules.superuser {
            return Err(Errno::EACCES);
        }
        let before = node.wd;
        let wd = self.add_watch(ino, mask | WatchMask::MASK_ADD);
        trace!(self, "        inode {ino}, wd before: {before}");
        wd.map(Wd::from_raw)
    }
}

fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

const OPENING: [Errno; 4] = [Errno::EMFILE, Errno::ENOMEM, Errno::EACCES, Errno::ENFILE];
const LOOKING: [Errno; 2] = [Errno::ENOMEM, Errno::EACCES];
const WATCHING: [Errno; 3] = [Errno::ENOMEM, Errno::ENOSPC, Errno::EACCES];

impl Kernel for World {
    type Dir = Handle;

    fn open(&mut self, path: &[u8]) -> Result<Handle, Errno> {
        self.call();
        let result = self.fault(&OPENING).and_then(|()| {
            let path = Path::parse(path).ok_or(Errno::ENOENT)?;
            let names = [ROOT].into_iter().chain(path.names());
            let ino = self.resolve(names.clone())?;
            let path = if self.rules.no_proc { names.collect() } else { Vec::new() };
            self.handle(ino, path)
        });
        let told = result.as_ref().map(|handle| handle.ino).map_err(|errno| *errno);
        trace!(self, "  open {:?}: {told:?}", shown(path));
        result
    }

    fn open_child(&mut self, dir: &Handle, name: &[u8]) -> Result<Handle, Errno> {
        self.call();
        let result = self.fault(&OPENING).and_then(|()| {
            let name = number(name).ok_or(Errno::ENOENT)?;
            let ino = self.look_up(dir.ino, name)?;
            let mut path = dir.path.clone();
            if !path.is_empty() {
                path.push(name);
            }
            self.handle(ino, path)
        });
        let told = result.as_ref().map(|handle| handle.ino).map_err(|errno| *errno);
        trace!(self, "  open child of {} {:?}: {told:?}", dir.ino, shown(name));
        result
    }

    fn watch(&mut self, dir: &Handle, mask: WatchMask) -> Result<Wd, Errno> {
        self.call();
        let result = self.fault(&WATCHING).and_then(|()| {
            if !dir.path.is_empty() {
                // By path: what is found there must be what was opened, or it is let go.
                let there = self.resolve(dir.path.iter().copied())?;
                if there != dir.ino {
                    let before = self.nodes[there].wd;
                    let wd = self.watch_inode(there, mask)?;
                    if before == 0 {
                        let _ = self.remove_watch(wd.as_raw());
                    }
                    return Err(ESTALE());
                }
            }
            self.watch_inode(dir.ino, mask)
        });
        trace!(self, "  watch {} {mask}: {result:?}", dir.ino);
        result
    }

    fn watch_child(&mut self, dir: &Handle, name: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        self.call();
        let result = self.fault(&WATCHING).and_then(|()| {
            let number = number(name).ok_or(Errno::ENOENT)?;
            let ino = self.look_up(dir.ino, number)?;
            self.watch_inode(ino, mask)
        });
        trace!(self, "  watch child of {} {:?}: {result:?}", dir.ino, shown(name));
        result
    }

    fn hush(&mut self, dir: &Handle, wd: Wd, mask: WatchMask) {
        self.call();
        trace!(self, "  hush {}", dir.ino);
        if self.nodes[dir.ino].wd == wd.as_raw() {
            let _ = self.add_watch(dir.ino, mask);
        }
    }

    fn unwatch(&mut self, wd: Wd) {
        self.call();
        trace!(self, "  unwatch {wd}");
        let _ = self.remove_watch(wd.as_raw());
    }

    fn stat(&mut self, dir: &Handle) -> Result<Stat, Errno> {
        self.call();
        self.fault(&LOOKING)?;
        trace!(self, "  stat {}", dir.ino);
        Ok(self.stat_of(dir.ino))
    }

    fn stat_child(&mut self, dir: &Handle, name: &[u8]) -> Result<Stat, Errno> {
        self.call();
        let result = self.fault(&LOOKING).and_then(|()| {
            let number = number(name).ok_or(Errno::ENOENT)?;
            let ino = self.look_up(dir.ino, number)?;
            Ok(self.stat_of(ino))
        });
        trace!(
            self,
            "  stat child of {} {:?}: {:?}",
            dir.ino,
            shown(name),
            result.map(|stat| (stat.ino, stat.is_dir, stat.is_leaf))
        );
        result
    }

    fn list(&mut self, dir: &mut Handle, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Errno> {
        self.call();
        self.fault(&LOOKING)?;
        trace!(self, "  list {}", dir.ino);
        self.tell_listing(dir.ino, EventMask::OPEN);
        let listed = self.give_entries(dir, each);
        self.tell_listing(dir.ino, EventMask::CLOSE_NOWRITE);
        listed
    }

    fn settle(&mut self, dir: &mut Handle) -> Result<(), Errno> {
        self.call();
        trace!(self, "  settle {}", dir.ino);
        self.lock(dir.ino);
        if self.nodes[dir.ino].dead { Err(Errno::ENOENT) } else { Ok(()) }
    }

    fn end(&mut self) -> u64 {
        self.call();
        let end = self.consumed + self.queue.bytes();
        trace!(self, "  end {end}");
        end
    }
}

impl World {
    /// The directory and its parent tell of who lists it.
    fn tell_listing(&mut self, dir: Ino, mask: EventMask) {
        self.tell(dir, mask | EventMask::ISDIR, 0, 0);
        if let Some((parent, name)) = self.nodes[dir].parent {
            self.tell(parent, mask | EventMask::ISDIR, 0, name);
        }
    }

    fn give_entries(
        &mut self,
        dir: &mut Handle,
        each: &mut dyn FnMut(&[u8], bool),
    ) -> Result<(), Errno> {
        self.lock(dir.ino);
        let in_pieces = self.rules.heat > 0 && self.choices.chance(1, 4);
        // What was there at the beginning: changed meanwhile, it may come or not.
        let entries = self.nodes[dir.ino].entries.clone();
        for (name, ino) in entries {
            if self.nodes[dir.ino].dead {
                return Err(Errno::ENOENT);
            }
            let is_there = self.entry(dir.ino, name) == Some(ino);
            if is_there || self.choices.chance(1, 2) {
                trace!(self, "      {}", shown(bytes(name)));
                each(bytes(name), self.is_dir(ino));
            }
            if in_pieces {
                self.meddle();
                self.lock(dir.ino);
            }
        }
        if self.nodes[dir.ino].dead {
            return Err(Errno::ENOENT);
        }
        self.fault(&LOOKING)
    }
}

/// What the reader does.
impl World {
    /// read(2) into a buffer of that size.
    pub fn read(&mut self, mut room: u64) -> Vec<Record> {
        self.meddle();
        let mut records = Vec::new();
        while let Some(record) = self.queue.pop(room) {
            room -= record.size();
            self.consumed += record.size();
            records.push(record);
        }
        if !records.is_empty() {
            trace!(self, "read: {records:?}");
        }
        records
    }

    /// `FIONREAD`.
    pub fn queued_bytes(&mut self) -> u64 {
        self.meddle();
        self.queue.bytes()
    }
}

#[expect(non_snake_case, reason = "the name of the error, which is no constant of the crate")]
fn ESTALE() -> Errno {
    Errno::from_raw(116)
}

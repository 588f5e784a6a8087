//! The engine's system calls, with changes of the world before each.

use std::cell::RefCell;
use std::rc::Rc;

use tinotify::tree::{Kernel, Stat};
use tinotify::{Errno, EventMask, WatchMask, Wd};

use super::inode::{Ino, Kind};
use super::names::{Name, Path, bytes, number};
use super::queue::Record;
use super::rules::is_left_out;
use super::world::{TOP, World, trace};

/// An open directory.
pub struct Handle {
    ino: Ino,
    closed: Rc<RefCell<Vec<Ino>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.closed.borrow_mut().push(self.ino);
    }
}

/// More calls than any schedule needs: the engine is in an endless loop.
const ENOUGH: u64 = 10_000;

impl World {
    /// Makes the changes before a call.
    fn change_before_call(&mut self) {
        self.close_dropped();
        while self
            .choices
            .chance(if self.ops == 0 { 0 } else { self.rules.changes_before_calls }, 64)
        {
            self.change();
        }
    }

    /// Counts a call of the engine.
    fn call(&mut self) {
        self.change_before_call();
        self.calls += 1;
        while let Some(at) = self.ambush.iter().position(|(call, _)| *call <= self.calls) {
            let (_, line) = self.ambush.remove(at);
            self.change_by_line(&line);
        }
        assert!(self.calls < ENOUGH, "the engine never comes to rest");
    }

    /// Fails at random with one of these errors, or with a false error if the rules allow that.
    fn fault(&mut self, among: &[Errno]) -> Result<(), Errno> {
        if let Some(errno) = self.next_fault.take() {
            self.faults += 1;
            return Err(errno);
        }
        if self.rules.faults == 0 || !self.failing {
            return Ok(());
        }
        if !self.choices.chance(self.rules.faults, 256) {
            return Ok(());
        }
        let lies = [ESTALE(), Errno::ENOENT];
        let errno = if self.rules.false_errors && self.choices.chance(1, 3) {
            self.choices.pick(&lies)
        } else {
            self.choices.pick(among)
        };
        let errno = errno.unwrap_or(Errno::ENOMEM);
        if is_left_out(&format!("{errno:?}").to_lowercase()) {
            return Ok(());
        }
        self.faults += 1;
        let name = if errno == ESTALE() { "ESTALE".into() } else { format!("{errno:?}") };
        self.record_fault(&name);
        Err(errno)
    }

    fn may_search(&self, dir: Ino) -> Result<(), Errno> {
        let may = self.nodes[dir].search || self.rules.superuser;
        may.then_some(()).ok_or(Errno::EACCES)
    }

    fn may_read(&self, dir: Ino) -> Result<(), Errno> {
        let may = self.nodes[dir].read || self.rules.superuser;
        may.then_some(()).ok_or(Errno::EACCES)
    }

    /// Resolves a name in a directory, with mounts.
    fn look_up(&self, dir: Ino, name: Name) -> Result<Ino, Errno> {
        if self.nodes[dir].kind != Kind::Dir {
            return Err(Errno::ENOTDIR);
        }
        self.may_search(dir)?;
        let ino = self.entry(dir, name).ok_or(Errno::ENOENT)?;
        Ok(self.over(self.led(ino)))
    }

    /// Resolves a path from [`TOP`] (openat2(2)).
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

    /// Opens an inode with `O_PATH`, which needs no permission of the directory itself.
    fn handle(&mut self, ino: Ino) -> Result<Handle, Errno> {
        let node = &mut self.nodes[ino];
        match node.kind {
            Kind::Dir => node.open += 1,
            Kind::File => return Err(Errno::ENOTDIR),
            // `ENOTDIR` of `O_DIRECTORY` and `O_NOFOLLOW` comes before `ELOOP` of `O_NOFOLLOW` alone.
            Kind::Link => return Err(Errno::ENOTDIR),
        }
        Ok(Handle { ino, closed: Rc::clone(&self.closed) })
    }

    fn stat_of(&self, ino: Ino) -> Stat {
        let node = &self.nodes[ino];
        let is_dir = node.kind == Kind::Dir;
        let has_subdirectories = node.entries.iter().any(|entry| self.is_dir(entry.1));
        Stat {
            is_dir,
            is_leaf: is_dir && self.rules.counts_links && !has_subdirectories,
            is_link: node.kind == Kind::Link,
            dev: node.dev,
            ino: node.number,
            size: node.version,
            mtime: (node.version as i64, 0),
        }
    }

    /// Fails at random. `ENOSPC` only for an inode that is not watched: the limit does not apply to the
    /// others.
    fn watching_fault(&mut self, ino: Option<Ino>) -> Result<(), Errno> {
        let is_watched = ino.is_some_and(|ino| self.nodes[ino].wd != 0);
        match self.fault(&WATCHING) {
            Err(Errno::ENOSPC) if is_watched => Ok(()),
            fault => fault,
        }
    }

    /// Watches an inode as inotify_add_watch(2) does, with its checks.
    fn watch_inode(&mut self, ino: Ino, mask: WatchMask) -> Result<Wd, Errno> {
        let node = &self.nodes[ino];
        if mask.contains(WatchMask::ONLYDIR) && node.kind != Kind::Dir {
            return Err(Errno::ENOTDIR);
        }
        self.may_read(ino)?;
        let before = node.wd;
        let wd = self.add_watch(ino, mask | WatchMask::MASK_ADD);
        trace!(self, "        inode {ino}, wd before: {before}");
        wd.map(Wd::from_raw)
    }
}

fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

// The errors of each kind of call, besides the false ones.
const OPENING: [Errno; 4] = [Errno::EMFILE, Errno::ENOMEM, Errno::EACCES, Errno::ENFILE];
const LOOKING: [Errno; 2] = [Errno::ENOMEM, Errno::EACCES];
const WATCHING: [Errno; 3] = [Errno::ENOMEM, Errno::ENOSPC, Errno::EACCES];

impl Kernel for World {
    type Dir = Handle;

    fn open(&mut self, path: &[u8]) -> Result<Handle, Errno> {
        self.call();
        let result = self.fault(&OPENING).and_then(|()| {
            // A path through links can be longer.
            if !self.rules.links {
                Path::parse(path).ok_or(Errno::ENOENT)?;
            }
            let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
            let names: Option<Vec<Name>> = names.map(number).collect();
            let root = self.roots[self.acting].0.clone();
            let names = root.into_iter().chain(names.ok_or(Errno::ENOENT)?);
            let ino = self.resolve(names)?;
            self.handle(ino)
        });
        let shown_result = result.as_ref().map(|handle| handle.ino).map_err(|errno| *errno);
        trace!(self, "  open {:?}: {shown_result:?}", shown(path));
        result
    }

    fn open_child(&mut self, dir: &Handle, name: &[u8]) -> Result<Handle, Errno> {
        self.call();
        let result = self.fault(&OPENING).and_then(|()| {
            let name = number(name).ok_or(Errno::ENOENT)?;
            let ino = self.look_up(dir.ino, name)?;
            self.handle(ino)
        });
        let shown_result = result.as_ref().map(|handle| handle.ino).map_err(|errno| *errno);
        trace!(self, "  open child of {} {:?}: {shown_result:?}", dir.ino, shown(name));
        result
    }

    fn watch(&mut self, dir: &Handle, mask: WatchMask) -> Result<Wd, Errno> {
        self.call();
        let result = self.watching_fault(Some(dir.ino)).and_then(|()| {
            self.may_enter(dir.ino)?;
            self.watch_inode(dir.ino, mask)
        });
        trace!(self, "  watch {} {mask}: {result:?}", dir.ino);
        result
    }

    fn watch_child(&mut self, dir: &Handle, name: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        self.call();
        let child = number(name).and_then(|number| self.look_up(dir.ino, number).ok());
        let result = self.watching_fault(child).and_then(|()| {
            let number = number(name).ok_or(Errno::ENOENT)?;
            let ino = self.look_up(dir.ino, number)?;
            self.watch_inode(ino, mask)
        });
        trace!(self, "  watch child of {} {:?}: {result:?}", dir.ino, shown(name));
        result
    }

    fn narrow_mask(&mut self, dir: &Handle, wd: Wd, mask: WatchMask) {
        self.call();
        trace!(self, "  narrow_mask {}", dir.ino);
        let is_shared = self.is_needed(wd.as_raw());
        let may = self.may_read(dir.ino).is_ok() && self.may_enter(dir.ino).is_ok();
        if self.nodes[dir.ino].wd == wd.as_raw() && may && !is_shared {
            let _ = self.add_watch(dir.ino, mask);
        }
    }

    fn unwatch(&mut self, wd: Wd) {
        self.call();
        trace!(self, "  unwatch {wd}");
        if !self.is_needed(wd.as_raw()) {
            let _ = self.remove_watch(wd.as_raw());
        }
    }

    fn is_shared(&self, wd: Wd) -> bool {
        self.is_needed(wd.as_raw())
    }

    fn is_watching(&mut self, wd: Wd) -> Option<bool> {
        self.call();
        Some(self.watch_of(wd.as_raw()).is_some())
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
            let is_link = self.entry(dir.ino, number) != Some(ino);
            let stat = self.stat_of(ino);
            if self.rules.links && is_link {
                return Ok(Stat { is_leaf: false, is_link, ..stat });
            }
            Ok(stat)
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
        let may = self.may_open_list(dir);
        trace!(self, "  list {}: {may:?}", dir.ino);
        may?;
        self.queue_listing_events(dir.ino, EventMask::OPEN);
        let listed = self.list_entries(dir, each);
        self.queue_listing_events(dir.ino, EventMask::CLOSE_NOWRITE);
        listed
    }

    fn barrier(&mut self, dir: &mut Handle) -> Result<(), Errno> {
        self.call();
        // By a look-up, which needs permission to search, else by a listing, which needs permission to read.
        let fails = self.fault(&OPENING).and_then(|()| match self.may_search(dir.ino) {
            Err(_) => self.may_open_list(dir),
            searchable => searchable,
        });
        trace!(self, "  barrier {}: {fails:?}", dir.ino);
        fails?;
        self.lock(dir.ino);
        if self.nodes[dir.ino].dead { Err(Errno::ENOENT) } else { Ok(()) }
    }

    fn front(&self) -> u64 {
        self.consumed
    }

    fn end(&mut self) -> u64 {
        self.call();
        let end = self.consumed + self.queue.bytes();
        trace!(self, "  end {end}");
        end
    }
}

impl World {
    /// Checks the permission to search, which a call without /proc needs: it names a directory as `.` in
    /// itself.
    fn may_enter(&self, dir: Ino) -> Result<(), Errno> {
        if self.rules.no_proc { self.may_search(dir) } else { Ok(()) }
    }

    fn may_open_list(&self, dir: &Handle) -> Result<(), Errno> {
        self.may_enter(dir.ino)?;
        self.may_read(dir.ino)
    }

    /// Returns `true` if another subscriber needs the watch.
    fn is_needed(&self, wd: i32) -> bool {
        let user = |ino: Ino| !self.nodes[ino].user.is_empty();
        self.kept.contains(&wd) || self.watch_of(wd).is_some_and(user)
    }

    /// Queues the events of a listing, in the directory and in its parent.
    fn queue_listing_events(&mut self, dir: Ino, mask: EventMask) {
        self.queue_event(dir, mask | EventMask::ISDIR, 0, 0);
        if let Some((parent, name)) = self.nodes[dir].parent {
            self.queue_event(parent, mask | EventMask::ISDIR, 0, name);
        }
    }

    fn list_entries(
        &mut self,
        dir: &mut Handle,
        each: &mut dyn FnMut(&[u8], bool),
    ) -> Result<(), Errno> {
        self.lock(dir.ino);
        let in_pieces = self.rules.changes_before_calls > 0 && self.choices.chance(1, 4);
        // The entries at the beginning. One that changes meanwhile may be listed or not.
        let entries = self.nodes[dir.ino].entries.clone();
        for (name, ino) in entries {
            if self.nodes[dir.ino].dead {
                return Err(Errno::ENOENT);
            }
            let is_there = self.entry(dir.ino, name) == Some(ino);
            if is_there || self.choices.chance(1, 2) {
                trace!(self, "      {}", shown(bytes(name)));
                each(bytes(name), self.leads_to_dir(ino));
            }
            if in_pieces {
                self.change_before_call();
                self.lock(dir.ino);
            }
        }
        if self.nodes[dir.ino].dead {
            return Err(Errno::ENOENT);
        }
        self.fault(&LOOKING)
    }
}

/// The calls of the reader.
impl World {
    /// Reads records as read(2) does, into a buffer of this size.
    pub fn read(&mut self, mut room: u64) -> Vec<Record> {
        self.change_before_call();
        let mut records = Vec::new();
        while let Some(record) = self.queue.pop(room) {
            room -= record.size();
            records.push(record);
        }
        self.consumed += records.iter().map(Record::size).sum::<u64>();
        if !records.is_empty() {
            trace!(self, "read: {records:?}");
        }
        records
    }

    /// Returns the number of queued bytes (`FIONREAD`).
    pub fn queued_bytes(&mut self) -> u64 {
        self.change_before_call();
        self.queue.bytes()
    }
}

#[expect(non_snake_case, reason = "the name of the error, which is no constant of the crate")]
fn ESTALE() -> Errno {
    Errno::from_raw(116)
}

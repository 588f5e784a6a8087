//! Implements the follower's `Kernel` for the simulated world.

use tinotify::follow::{Entry, Kernel};
use tinotify::{Errno, WatchMask, Wd};

use super::driver::MAX_CALLS;
use super::inode::{Ino, Kind};
use super::resolve::Trace;
use super::world::{InjectedStep, World};

impl World {
    /// Watches an inode, and adds to its mask.
    pub fn add_watch(&mut self, ino: Ino, mask: WatchMask) -> i32 {
        if self.nodes[ino].wd == 0 {
            // The kernel assigns descriptors cyclically.
            self.wds.push(ino);
            self.nodes[ino].wd = self.wds.len() as i32;
            self.watched += 1;
        }
        self.nodes[ino].mask |= mask;
        self.nodes[ino].wd
    }

    /// Returns the inode of a descriptor.
    pub fn watched_as(&self, wd: i32) -> Option<Ino> {
        self.wds.get(usize::try_from(wd).ok()?.checked_sub(1)?).copied()
    }

    /// Changes the world before a call of the engine. Returns an error if the call must fail.
    fn before(&mut self, call: &str, path: &[u8]) -> Result<(), Errno> {
        if !self.injections.is_empty() {
            self.inject(&format!("{call} {}", String::from_utf8_lossy(path)))?;
        }
        if self.is_quiet {
            return Ok(());
        }
        if !self.late.is_empty() && self.choices.chance(1, 2) {
            self.flush(true);
        }
        let from = self.script.as_ref().map_or(0, Vec::len);
        while self.ops > 0 && self.choices.chance(self.rules.disturb, 16) {
            self.change();
        }
        let label = || format!("before {call} {}: ", String::from_utf8_lossy(path));
        if let Some(script) = &mut self.script {
            for line in script.iter_mut().skip(from) {
                line.insert_str(0, &label());
            }
        }
        if call != "unwatch" && self.choices.chance(self.rules.faults, 64) {
            let all = match call {
                "watch" => [Errno::ENOSPC, Errno::ENOMEM],
                _ => [Errno::EMFILE, Errno::ENFILE],
            };
            let errno = self.choices.pick(&all).unwrap_or(Errno::ENOMEM);
            let line = label();
            self.record(|_| format!("{line}fail {}", errno.name().unwrap_or_default()));
            return Err(errno);
        }
        Ok(())
    }

    /// Makes the changes that a script lists for this call.
    fn inject(&mut self, call: &str) -> Result<(), Errno> {
        while let Some(at) =
            self.injections.iter().position(|injection| injection.call == call.trim_end())
        {
            match self.injections.remove(at).step {
                InjectedStep::Fail(errno) => return Err(errno),
                InjectedStep::Op(line) => match self.op(&line) {
                    Ok(op) => {
                        self.apply(op);
                    }
                    Err(why) => self.violation = Some(why),
                },
            }
        }
        Ok(())
    }
}

impl Kernel for World {
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        self.calls += 1;
        self.before("watch", path)?;
        if !mask.contains(WatchMask::DONT_FOLLOW) || mask.intersects(WatchMask::MASK_ADD) {
            self.violation = Some(format!("watch with the mask {mask}"));
        }
        let ino = self.resolve(path, false, &mut Trace::default())?;
        let node = &self.nodes[ino];
        if mask.contains(WatchMask::ONLYDIR) && !node.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !node.read {
            return Err(Errno::EACCES);
        }
        if node.wd == 0 && !self.is_quiet && self.watched >= self.rules.watch_limit {
            return Err(Errno::ENOSPC);
        }
        let wd = self.add_watch(ino, mask);
        self.follower_wds.insert(wd);
        Ok(Wd::from_raw(wd))
    }

    fn unwatch(&mut self, wd: Wd) {
        let _ = self.before("unwatch", b"");
        if !self.follower_wds.remove(&wd.as_raw()) {
            self.violation = Some(format!("unwatch of {wd}, which the follower does not have"));
        }
        let ino = self.nodes.iter().position(|node| node.wd == wd.as_raw());
        if let Some(ino) = ino.filter(|ino| self.nodes[*ino].other.is_empty()) {
            self.end_watch(ino);
        }
    }

    fn stat(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        self.calls += 1;
        assert!(self.calls < 10 * MAX_CALLS, "the walk does not end");
        self.before("stat", path)?;
        let ino = self.resolve(path, false, &mut Trace::default())?;
        self.last_stat = ino;
        let node = &self.nodes[ino];
        Ok(match &node.kind {
            Kind::Link(text) => Entry::Link(text.to_vec()),
            _ => Entry::File { dev: node.dev, ino: node.number },
        })
    }
}

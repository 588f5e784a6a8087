//! What the follower asks of the simulated kernel.

use tinotify::follow::{Entry, Kernel};
use tinotify::{Errno, WatchMask, Wd};

use super::driver::MOST_CALLS;
use super::inode::{Ino, Kind};
use super::truth::Trace;
use super::world::{AmbushStep, World};

impl World {
    /// Has an inode watched, for this too.
    pub fn add_watch(&mut self, ino: Ino, mask: WatchMask) -> i32 {
        if self.nodes[ino].wd == 0 {
            // The kernel hands them out cyclically.
            self.wds.push(ino);
            self.nodes[ino].wd = self.wds.len() as i32;
            self.watched += 1;
        }
        self.nodes[ino].mask |= mask;
        self.nodes[ino].wd
    }

    /// What a descriptor was given for.
    pub fn watched_as(&self, wd: i32) -> Option<Ino> {
        self.wds.get(usize::try_from(wd).ok()?.checked_sub(1)?).copied()
    }

    /// What happens just before a call of the engine. An error is what the call fails with.
    fn before(&mut self, call: &str, path: &[u8]) -> Result<(), Errno> {
        if !self.ambush.is_empty() {
            self.spring(&format!("{call} {}", String::from_utf8_lossy(path)))?;
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

    /// Does what a script wants done before a call.
    fn spring(&mut self, call: &str) -> Result<(), Errno> {
        while let Some(at) = self.ambush.iter().position(|ambush| ambush.call == call.trim_end()) {
            match self.ambush.remove(at).step {
                AmbushStep::Fail(errno) => return Err(errno),
                AmbushStep::Op(line) => match self.op(&line) {
                    Ok(op) => {
                        self.apply(op);
                    }
                    Err(why) => self.wrong = Some(why),
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
            self.wrong = Some(format!("a watch with {mask}"));
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
        self.held.insert(wd);
        Ok(Wd::from_raw(wd))
    }

    fn unwatch(&mut self, wd: Wd) {
        let _ = self.before("unwatch", b"");
        if !self.held.remove(&wd.as_raw()) {
            self.wrong = Some(format!("takes back watch {wd}, which it does not hold"));
        }
        let ino = self.nodes.iter().position(|node| node.wd == wd.as_raw());
        if let Some(ino) = ino.filter(|ino| self.nodes[*ino].other.is_empty()) {
            self.end_watch(ino);
        }
    }

    fn look(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        self.calls += 1;
        assert!(self.calls < 10 * MOST_CALLS, "a walk does not end");
        self.before("look", path)?;
        let ino = self.resolve(path, false, &mut Trace::default())?;
        self.last_look = ino;
        let node = &self.nodes[ino];
        Ok(match &node.kind {
            Kind::Link(text) => Entry::Link(text.to_vec()),
            _ => Entry::File { dev: node.dev, ino: node.number },
        })
    }
}

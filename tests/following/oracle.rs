//! Checks what must be true at rest, when nothing is queued and no walk is pending.

use std::collections::BTreeSet;

use tinotify::WatchMask;

use super::driver::Run;
use super::inode::{NAMES, Name};
use super::world::World;

/// The name of a step with a dot, or with the slash at the end.
const DOT: Name = Name::MAX;

type Watches = BTreeSet<(i32, Option<Name>)>;

impl World {
    /// Returns the watches that the followed path needs.
    fn needed(&self) -> Watches {
        let dirs = self.now.hops.iter().filter(|hop| self.nodes[hop.dir].read);
        let steps = dirs.map(|hop| (self.nodes[hop.dir].wd, Some(hop.name)));
        let dots = self.now.dots.iter().filter(|dir| self.nodes[**dir].read);
        let dots = dots.map(|dir| (self.nodes[*dir].wd, Some(DOT)));
        let target = self.now.end.filter(|ino| self.nodes[*ino].read);
        steps.chain(dots).chain(target.map(|ino| (self.nodes[ino].wd, None))).collect()
    }
}

impl Run {
    /// Comes to rest, then checks everything.
    pub fn rest(&mut self) -> Result<(), String> {
        let was_quiet = std::mem::replace(&mut self.world.is_quiet, true);
        self.settle()?;
        if std::mem::take(&mut self.world.is_silent) {
            // A change caused no event, so the caller starts a walk.
            self.forced_walks += 1;
            self.walk()?;
            self.settle()?;
        }
        self.found += u64::from(self.world.now.end.is_some());
        self.compare_name()?;
        self.compare_watches()?;
        self.compare_count()?;
        self.compare_cost()?;
        (self.world.relevant_changes, self.reports, self.overflows, self.masks) = (0, 0, 0, 0);
        self.world.recent_targets = self.world.now.end.into_iter().collect();
        self.world.is_quiet = was_quiet;
        Ok(())
    }

    /// Checks that the last report is current.
    fn compare_name(&self) -> Result<(), String> {
        let world = &self.world;
        let Some(ino) = world.now.end else {
            return if self.is_reported {
                Err("reported as present, but missing".into())
            } else {
                Ok(())
            };
        };
        if !self.is_reported {
            return Err("present, but not reported".into());
        }
        let Some(reading) = self.reading else { return Err("present, but not read".into()) };
        let (file, read) = (&world.nodes[ino], &world.nodes[reading.ino]);
        if !file.read {
            // It can't be watched, so its inode number is its identity.
            let same = (file.dev, file.number) == (read.dev, read.number);
            return if same { Ok(()) } else { Err("another file, not watched".into()) };
        }
        if reading.ino != ino {
            return Err(format!("inode {ino} is present, but inode {} was read", reading.ino));
        }
        let writes = WatchMask::MODIFY | WatchMask::CLOSE_WRITE;
        if reading.version != file.version && world.rules.mask.intersects(writes) {
            return Err(format!(
                "version {} is present, {} was read",
                file.version, reading.version
            ));
        }
        Ok(())
    }

    /// Checks that the kernel has the watches of the follower and of other subscribers, and no others.
    fn compare_watches(&self) -> Result<(), String> {
        let name = |entry: &[u8]| NAMES.iter().position(|name| name.to_bytes() == entry);
        let returned: Watches = self
            .follower
            .watches()
            .map(|(wd, _, entry)| {
                (wd.as_raw(), entry.map(|entry| name(entry).map_or(DOT, |at| at as Name)))
            })
            .collect();
        let needed = self.world.needed();
        if returned != needed {
            return Err(format!("watches() returns {returned:?}, needed: {needed:?}"));
        }
        for (wd, mask, _) in self.follower.watches() {
            let node = self.world.nodes.iter().find(|node| node.wd == wd.as_raw());
            if node.is_none_or(|node| !node.mask.contains(mask)) {
                return Err(format!("watch {wd} lacks some of {mask}"));
            }
        }
        for (ino, node) in self.world.nodes.iter().enumerate() {
            let is_needed = self.world.follower_wds.contains(&node.wd) || !node.other.is_empty();
            if is_needed != (node.wd != 0) || !node.mask.contains(node.other) {
                return Err(format!("inode {ino}: watch {}, needed: {is_needed}", node.wd));
            }
        }
        Ok(())
    }

    /// Checks that the number of reports is within a limit for the number of changes.
    fn compare_count(&self) -> Result<(), String> {
        let max = 5 * self.world.relevant_changes + self.overflows + self.masks;
        if self.reports > max {
            let (changes, reports) = (self.world.relevant_changes, self.reports);
            return Err(format!("{reports} reports for {changes} relevant changes"));
        }
        Ok(())
    }

    /// Checks that a walk at rest makes two calls for each name and changes nothing.
    fn compare_cost(&mut self) -> Result<(), String> {
        if !self.is_scripted() && !self.world.choices.chance(1, 8) {
            return Ok(());
        }
        let reports = self.reports;
        self.walk()?;
        let max = 2 * (self.world.now.hops.len() + self.world.now.dots.len() + 1);
        if self.world.calls > max {
            return Err(format!("{} calls where {max} are enough", self.world.calls));
        }
        if self.reports != reports || self.follower.is_pending() {
            return Err("a walk at rest has an effect".into());
        }
        if self.world.queue.len() > 0 {
            return Err("a walk at rest adds or removes a watch".into());
        }
        Ok(())
    }
}

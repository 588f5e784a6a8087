//! What has to be true at rest: nothing is queued, and no walk is pending.

use std::collections::BTreeSet;

use tinotify::WatchMask;

use super::driver::Run;
use super::inode::{NAMES, Name};
use super::world::World;

/// In place of a dot, or of the slash at the end.
const DOT: Name = Name::MAX;

type Watches = BTreeSet<(i32, Option<Name>)>;

impl World {
    /// The watches that the way needs.
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
    /// Comes to rest, and compares everything.
    pub fn rest(&mut self) -> Result<(), String> {
        let was_quiet = std::mem::replace(&mut self.world.is_quiet, true);
        self.settle()?;
        if std::mem::take(&mut self.world.is_silent) {
            // What nobody could hear: somebody says so.
            self.poked += 1;
            self.walk()?;
            self.settle()?;
        }
        self.found += u64::from(self.world.now.end.is_some());
        self.compare_name()?;
        self.compare_watches()?;
        self.compare_count()?;
        self.compare_cost()?;
        (self.world.touched, self.announced, self.overflows, self.masks) = (0, 0, 0, 0);
        self.world.ends = self.world.now.end.into_iter().collect();
        self.world.is_quiet = was_quiet;
        Ok(())
    }

    /// What was announced last is what is there.
    fn compare_name(&self) -> Result<(), String> {
        let world = &self.world;
        let Some(ino) = world.now.end else {
            return if self.is_announced { Err("announced, and not there".into()) } else { Ok(()) };
        };
        if !self.is_announced {
            return Err("there, and not announced".into());
        }
        let Some(reading) = self.reading else { return Err("there, and not read".into()) };
        let (file, read) = (&world.nodes[ino], &world.nodes[reading.ino]);
        if !file.read {
            // Known by its number alone.
            let same = (file.dev, file.number) == (read.dev, read.number);
            return if same { Ok(()) } else { Err("another file, not watched".into()) };
        }
        if reading.ino != ino {
            return Err(format!("inode {ino} is there, and inode {} was read", reading.ino));
        }
        let hears = WatchMask::MODIFY | WatchMask::CLOSE_WRITE;
        if reading.version != file.version && world.rules.mask.intersects(hears) {
            return Err(format!("written {} times, read at {}", file.version, reading.version));
        }
        Ok(())
    }

    /// The kernel watches what is needed, and what others need.
    fn compare_watches(&self) -> Result<(), String> {
        let name = |entry: &[u8]| NAMES.iter().position(|name| name.to_bytes() == entry);
        let says: Watches = self
            .follower
            .watches()
            .map(|(wd, _, entry)| {
                (wd.as_raw(), entry.map(|entry| name(entry).map_or(DOT, |at| at as Name)))
            })
            .collect();
        let needed = self.world.needed();
        if says != needed {
            return Err(format!("watches {says:?} and needs {needed:?}"));
        }
        for (wd, mask, _) in self.follower.watches() {
            let node = self.world.nodes.iter().find(|node| node.wd == wd.as_raw());
            if node.is_none_or(|node| !node.mask.contains(mask)) {
                return Err(format!("watch {wd} lacks some of {mask}"));
            }
        }
        for (ino, node) in self.world.nodes.iter().enumerate() {
            let is_needed = self.world.held.contains(&node.wd) || !node.other.is_empty();
            if is_needed != (node.wd != 0) || !node.mask.contains(node.other) {
                return Err(format!("inode {ino}: watch {}, needed: {is_needed}", node.wd));
            }
        }
        Ok(())
    }

    /// Nothing is announced where nothing changed, and not more often than something did.
    fn compare_count(&self) -> Result<(), String> {
        let most = 5 * self.world.touched + self.overflows + self.masks;
        if self.announced > most {
            let (touched, announced) = (self.world.touched, self.announced);
            return Err(format!("{touched} changes that matter, {announced} announcements"));
        }
        Ok(())
    }

    /// A walk at rest makes two calls for each name and changes nothing.
    fn compare_cost(&mut self) -> Result<(), String> {
        if !self.is_scripted() && !self.world.choices.chance(1, 8) {
            return Ok(());
        }
        let announced = self.announced;
        self.walk()?;
        let most = 2 * (self.world.now.hops.len() + self.world.now.dots.len() + 1);
        if self.world.calls > most {
            return Err(format!("{} calls where {most} are enough", self.world.calls));
        }
        if self.announced != announced || self.follower.is_pending() {
            return Err("a walk at rest changes something".into());
        }
        if self.world.queue.len() > 0 {
            return Err("a walk at rest ends or makes a watch".into());
        }
        Ok(())
    }
}

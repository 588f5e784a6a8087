//! Mounts: those of the beginning, and those that come and go without an event.

use tinotify::EventMask;

use super::inode::{Ino, Inode, Kind};
use super::world::{TOP, World};

impl World {
    pub fn mount(&mut self, covered: Ino, root: Ino) {
        self.nodes[covered].mounted = Some(root);
        self.nodes[covered].was_mounted.push(root);
        self.nodes[root].is_mounted = true;
    }

    /// Returns a directory, the root of the mount on it, the root of the mount on that, and so on.
    pub fn mounts_on(&self, ino: Ino) -> impl Iterator<Item = Ino> {
        std::iter::successors(Some(ino), |ino| self.nodes[*ino].mounted)
    }

    pub fn is_silent(&self, covered: Ino) -> bool {
        self.silent.iter().any(|silent| silent.0 == covered)
    }

    /// Mounts a new file system, or a directory once more, over a directory.
    pub fn cover(&mut self, dir: Ino, with: Option<Ino>) -> Option<()> {
        let node = &self.nodes[dir];
        let may = self.is_dir(dir)
            && !node.dead
            && node.mounted.is_none()
            && node.parent.is_some_and(|(parent, _)| parent != TOP)
            && !self.is_locked(dir);
        may.then_some(())?;
        if let Some(with) = with {
            let node = &self.nodes[with];
            let fits = self.is_dir(with)
                && !node.dead
                && with != TOP
                && !self.reaches(with, dir)
                && self.level(dir) + 1 + self.height(with) < super::names::DEEPEST;
            fits.then_some(())?;
        }
        let root = with.unwrap_or_else(|| {
            self.devices += 1;
            self.inode(Kind::Dir, self.devices)
        });
        self.mount(dir, root);
        self.silent(dir);
        Some(())
    }

    /// Removes a mount whose file system is mounted elsewhere too.
    pub fn uncover(&mut self, root: Ino) -> Option<()> {
        let covered = self.covered_by(root)?;
        let dev = self.nodes[root].dev;
        let elsewhere = dev == 1
            || self.nodes.iter().enumerate().any(|(ino, node)| {
                ino != covered && node.mounted.is_some_and(|root| self.nodes[root].dev == dev)
            });
        elsewhere.then_some(())?;
        self.finish_rename();
        self.nodes[covered].mounted = None;
        self.nodes[root].is_mounted = self.covered_by(root).is_some();
        self.silent(covered);
        Some(())
    }

    /// Notes a change that no event reports. Only a scan after an overflow finds it.
    fn silent(&mut self, covered: Ino) {
        self.moves.mounts += 1;
        self.silent.retain(|(known, _)| *known != covered);
        self.silent.push((covered, self.queue.overflows_read));
    }

    /// Returns `true` if no event of an unmount is useful: the root of the mount is not watched, or it is on an
    /// excluded file system, and only watched during a scan.
    fn is_unreported(&self, root: Ino) -> bool {
        let dev = self.nodes[self.root].dev;
        self.nodes[root].wd == 0 || self.rules.same_file_system && self.nodes[root].dev != dev
    }

    /// Unmounts a file system everywhere.
    pub fn unmount(&mut self, root: Ino) -> Option<()> {
        let covered = self.covered_by(root)?;
        let dev = self.nodes[root].dev;
        let here = |node: &Inode| node.dev == dev;
        if dev == self.nodes[covered].dev
            // Without a watch there is no event, so the engine can't know it.
            || self.is_unreported(root) && !self.is_silent(covered)
            || self.nodes.iter().any(|node| {
                here(node) && (node.open > 0 || node.held || node.mounted.is_some())
            })
            // A part of it is mounted elsewhere: only this mount goes, and the file system stays.
            || self.nodes.iter().filter(|node| {
                node.mounted.is_some_and(|mounted| here(&self.nodes[mounted]))
            }).count() > 1
        {
            return None;
        }
        self.finish_rename();
        if self.is_unreported(root) {
            self.silent(covered);
        }
        self.nodes[covered].mounted = None;
        self.nodes[root].is_mounted = false;
        let len = self.nodes.len();
        let first = self.choices.below(len as u32) as usize;
        for ino in (first..len).chain(0..first) {
            if self.nodes[ino].dev == dev {
                let is_dir = self.is_dir(ino);
                self.nodes[ino].entries.clear();
                self.nodes[ino].parent = None;
                self.nodes[ino].links = 0;
                self.nodes[ino].dead = is_dir;
                if self.nodes[ino].wd != 0 {
                    self.queue_event(ino, EventMask::UNMOUNT | EventMask::ISDIR, 0, 0);
                    self.end_watch(ino);
                }
            }
        }
        Some(())
    }
}

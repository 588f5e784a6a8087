//! A program that keeps a copy of the file system from the groups only.

use std::path::Path;

use tinotify::debounce::{Change, Group};

use super::world::{Nodes, exchange};

/// The program's copy. The program reads a file when a group reports that its content may be new.
#[derive(Clone, Debug)]
pub struct Replay {
    pub nodes: Nodes,
}

/// A file that could not be read.
const UNREAD: u32 = u32::MAX;

impl Replay {
    /// Applies a group. `actual` is the state of the file system.
    pub fn apply(&mut self, group: &Group, actual: &Nodes) -> Result<(), String> {
        let path = group.path();
        let known = self.nodes.contains_key(path);
        match group.change() {
            Change::Created | Change::Replaced => {
                self.remove(path);
                let node = super::world::Node { is_dir: group.is_dir(), content: 0, touched: true };
                self.nodes.insert(path.to_owned(), node);
            }
            Change::Modified | Change::Removed | Change::Other if !known => {
                return Err(format!("unknown path: {group}"));
            }
            Change::Removed | Change::Absent => self.remove(path),
            Change::Renamed { from } => {
                if !self.nodes.contains_key(from) {
                    return Err(format!("unknown old path: {group}"));
                }
                self.remove(path);
                self.rename(from, path);
            }
            Change::Exchanged { with } => exchange(&mut self.nodes, path, with),
            _ => {}
        }
        if group.is_modified()
            && let Some(node) = self.nodes.get_mut(path)
            && !node.is_dir
        {
            node.touched = true;
            let found = actual.get(path).filter(|found| !found.is_dir);
            node.content = found.map_or(UNREAD, |found| found.content);
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        self.nodes.retain(|other, _| !other.starts_with(path));
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let old = std::mem::take(&mut self.nodes);
        for (path, node) in old {
            let path = match path.strip_prefix(from) {
                Ok(beneath) => to.join(beneath),
                Err(_) => path,
            };
            self.nodes.insert(path.components().collect(), node);
        }
    }
}

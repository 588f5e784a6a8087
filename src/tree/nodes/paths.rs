//! The paths of nodes. Nodes hold names only, so a path is composed on a walk from the node to the root.

use alloc::vec::Vec;

use super::{NONE, NodeRef, Nodes};

/// The longest path that is composed in one walk, in bytes. Most are shorter.
const ROOM: usize = 256;

impl Nodes {
    /// Sets `path` to the path of a directory, or of a name in it.
    pub fn path(&self, dir: NodeRef, name: &[u8], path: &mut Vec<u8>) {
        path.clear();
        self.push_path(dir, path);
        if !name.is_empty() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
    }

    /// Appends the path of a directory to `path`: nothing for the root.
    pub fn push_path(&self, dir: NodeRef, path: &mut Vec<u8>) {
        if !self.exists(dir) {
            return;
        }
        let mut place = [0; ROOM];
        if let Some(len) = self.write_path(dir.id, &mut place) {
            let begin = ROOM.saturating_sub(len);
            return path.extend_from_slice(place.get(begin..).unwrap_or_default());
        }
        // Another walk, for the length, so that the path takes no more memory than it needs.
        let start = path.len();
        let len = self
            .ancestors(dir)
            .fold(0, |len: usize, dir| len.saturating_add(self.name(dir).len()).saturating_add(1));
        // The root has no name, and no slash is in front of the first name.
        path.resize(start.saturating_add(len).saturating_sub(2), 0);
        self.write_path(dir.id, path.get_mut(start..).unwrap_or_default());
    }

    /// Writes the path of a directory at the end of `place`, since the walk begins at its last name. Returns
    /// the length, `None` if there is not enough room.
    fn write_path(&self, mut id: u32, place: &mut [u8]) -> Option<usize> {
        let (room, mut rest) = (place.len(), place);
        let mut is_last = true;
        // The root has no name here, and no slash.
        while let Some(node) = self.get(id).filter(|node| node.parent != NONE) {
            if !core::mem::replace(&mut is_last, false) {
                let (slash, before) = rest.split_last_mut()?;
                *slash = b'/';
                rest = before;
            }
            if self.names.len(&node.name) > rest.len() {
                return None;
            }
            (id, rest) = (node.parent, self.names.write(&node.name, rest));
        }
        Some(room.saturating_sub(rest.len()))
    }
}

//! The real content of the tree, reported or not.

use super::inode::Ino;
use super::names::{DEEPEST, EXCLUDED, Path};
use super::world::World;

/// A real entry of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub path: Path,
    pub is_dir: bool,
    pub ino: Ino,
    /// Whether it is a directory that has to be watched.
    pub entered: bool,
    /// Whether it came without an event, so that the tree can't know of it: a whiteout, or a mount.
    pub silent: bool,
}

/// Returns all entries of the tree, parents first, without the content of excluded directories.
pub fn truth(world: &World, root: Ino) -> Vec<Entry> {
    let rules = &world.rules;
    let dev = world.nodes[root].dev;
    let root = Entry { path: Path::ROOT, is_dir: true, ino: root, entered: true, silent: false };
    let mut entries = vec![root];
    let mut next = 0;
    while let Some(&dir) = entries.get(next) {
        next += 1;
        if !dir.entered || dir.path.depth() > DEEPEST {
            continue;
        }
        for (name, ino) in &world.nodes[dir.ino].entries {
            let covered = world.mounts_on(*ino).any(|at| world.is_silent(at));
            let silent = dir.silent || covered || world.nodes[*ino].whiteout;
            let (path, ino) = (dir.path.join(*name), world.over(*ino));
            let entered = world.is_dir(ino)
                && rules.max_depth.is_none_or(|depth| path.depth() <= depth)
                && !(rules.exclude && *name == EXCLUDED)
                && !(rules.same_file_system && world.nodes[ino].dev != dev);
            entries.push(Entry { path, is_dir: world.is_dir(ino), ino, entered, silent });
        }
    }
    entries
}

//! An inode of the simulated file system, and a fast hash for numbers.

use std::hash::{BuildHasherDefault, Hasher};

use tinotify::WatchMask;

use super::names::Name;

/// An inode, by its index in [`World::nodes`]. Never reused within a world.
pub type Ino = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    Link,
}

pub struct Inode {
    pub kind: Kind,
    pub dev: u64,
    /// The inode number of stat(2). A freed number may be reused.
    pub number: u64,
    /// The directory that a link leads to.
    pub target: Option<Ino>,
    /// The number of names of a file.
    pub links: u32,
    /// Whether it ever had more than one name.
    pub was_linked: bool,
    pub entries: Vec<(Name, Ino)>,
    /// The place of a directory; `None` for the root of a mount.
    pub parent: Option<(Ino, Name)>,
    /// The root of the mount on this directory.
    pub mounted: Option<Ino>,
    /// The roots of all mounts that were ever on it.
    pub was_mounted: Vec<Ino>,
    /// Whether this directory is mounted somewhere, which keeps it.
    pub is_mounted: bool,
    /// The number of the engine's open descriptors on it.
    pub open: u32,
    /// Whether another process has it open.
    pub held: bool,
    /// The number of directories that were removed from this one and are still open: each keeps its parent.
    pub pins: u32,
    /// The parent that this removed, open directory keeps.
    pub pinned: Option<Ino>,
    /// Permission to list it, and to watch it.
    pub read: bool,
    /// Permission to reach its entries.
    pub search: bool,
    /// Whether it is a whiteout: a rename leaves one at the old name, without an event.
    pub whiteout: bool,
    /// Whether it is a removed directory.
    pub dead: bool,
    /// The watch descriptor, 0 if not watched.
    pub wd: i32,
    pub mask: WatchMask,
    /// The mask of another subscriber of the same instance; empty if there is none.
    pub user: WatchMask,
    /// Size and time change together, with each write.
    pub version: u64,
}

/// A hash for numeric keys.
#[derive(Default)]
pub struct Fibonacci(u64);

impl Hasher for Fibonacci {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64 ^ (word >> 64) as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
}

pub type Hash = BuildHasherDefault<Fibonacci>;

impl Inode {
    pub fn is_kept(&self) -> bool {
        self.open > 0 || self.held || self.pins > 0 || self.is_mounted
    }

    pub fn is_gone(&self) -> bool {
        match self.kind {
            Kind::Dir => self.dead && !self.is_kept(),
            _ => self.links == 0,
        }
    }
}

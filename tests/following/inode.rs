//! Inodes and names of the simulated file system.

use std::rc::Rc;

use tinotify::WatchMask;

/// An inode, by its place in `World::nodes`. Never used again within one world.
pub type Ino = usize;

/// A name, by its place in [`NAMES`].
pub type Name = u8;

pub const NAMES: [&std::ffi::CStr; 10] =
    [c"a", c"b", c"c", c"d", c"f", c"..data", c"..1", c"..2", c"f~", c"..tmp"];

pub const A: Name = 0;
pub const B: Name = 1;
pub const C: Name = 2;
pub const F: Name = 4;
pub const DATA: Name = 5;
pub const VERSION: [Name; 2] = [6, 7];
pub const SPARE: Name = 8;
pub const SPARE_LINK: Name = 9;

/// The name of these bytes.
pub fn name_of(bytes: &[u8]) -> Option<Name> {
    NAMES.iter().position(|name| name.to_bytes() == bytes).map(|at| at as Name)
}

pub fn text_of(name: Name) -> &'static str {
    NAMES[usize::from(name)].to_str().unwrap()
}

/// A directory, and a name in it.
pub type Place = (Ino, Name);

pub enum Kind {
    Dir {
        entries: Vec<(Name, Ino)>,
        /// Where it is. The root and the roots of mounts are in themselves.
        parent: Place,
    },
    File,
    Link(Rc<[u8]>),
}

pub struct Inode {
    pub kind: Kind,
    pub dev: u64,
    /// The inode number that lstat(2) gives. A freed number may be used again.
    pub number: u64,
    pub links: u32,
    /// Whether somebody has it open.
    pub held: bool,
    pub is_dead: bool,
    /// Permission to read it, and so to watch it.
    pub read: bool,
    /// Permission to reach what is in it.
    pub search: bool,
    /// What is mounted on this directory.
    pub mounted: Option<Ino>,
    /// What this root of a mount covers.
    pub covers: Option<Ino>,
    /// Raised by each write.
    pub version: u64,
    /// 0: not watched.
    pub wd: i32,
    pub mask: WatchMask,
    /// What another subscriber of the same instance asked for. Empty if there is none.
    pub other: WatchMask,
}

impl Inode {
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir { .. })
    }

    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File)
    }

    pub fn entries(&self) -> &[(Name, Ino)] {
        match &self.kind {
            Kind::Dir { entries, .. } => entries,
            _ => &[],
        }
    }
}

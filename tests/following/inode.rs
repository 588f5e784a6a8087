//! Inodes and names of the simulated file system.

use std::rc::Rc;

use tinotify::WatchMask;

/// The index of an inode in `World::nodes`. Never reused within one world.
pub type Ino = usize;

/// The index of a name in [`NAMES`].
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

/// Returns the name with these bytes.
pub fn name_of(bytes: &[u8]) -> Option<Name> {
    NAMES.iter().position(|name| name.to_bytes() == bytes).map(|at| at as Name)
}

pub fn text_of(name: Name) -> &'static str {
    NAMES[usize::from(name)].to_str().unwrap()
}

/// A directory, and a name in it, which may not exist.
pub type Dentry = (Ino, Name);

pub enum Kind {
    Dir {
        entries: Vec<(Name, Ino)>,
        /// Its entry in the parent directory. The root and the roots of mounts are their own parents.
        parent: Dentry,
    },
    File,
    Link(Rc<[u8]>),
}

pub struct Inode {
    pub kind: Kind,
    pub dev: u64,
    /// The inode number that lstat(2) returns. A free number may be reused.
    pub number: u64,
    pub links: u32,
    /// Whether a process has it open.
    pub is_open: bool,
    pub is_dead: bool,
    /// Whether it has read permission, so that it can be watched.
    pub read: bool,
    /// Whether it has search permission, so that its entries can be reached.
    pub search: bool,
    /// The root of the file system that is mounted on this directory.
    pub mounted: Option<Ino>,
    /// The directory that this root of a mount covers.
    pub covers: Option<Ino>,
    /// Each write increments it.
    pub version: u64,
    /// 0 if it is not watched.
    pub wd: i32,
    pub mask: WatchMask,
    /// The mask of another subscriber of the same instance, or empty.
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

//! A few names, so that they collide, and paths of them packed in an integer.

use std::ffi::CStr;
use std::fmt;

/// A name of an entry, as a number from 1 to 15; 0 is none.
pub type Name = u8;

/// Short names, one on each side of the edge of the padding, and one that is not UTF-8.
const NAMES: [&CStr; 16] = [
    c"",
    c"a",
    c"b",
    c"c",
    c"d",
    c"ab",
    c"\xFFz",
    c"fifteen-bytes-x",
    c"sixteen-bytes-xx",
    c"in",
    c"m",
    c"n",
    c"excluded",
    c"out",
    c"root",
    c"elsewhere",
];

/// The names 1 to this one have no special meaning.
pub const COMMON: Name = 8;
pub const INTO: Name = 9;
pub const MOUNT: Name = 10;
pub const SECOND_MOUNT: Name = 11;
pub const EXCLUDED: Name = 12;
pub const OUT: Name = 13;
pub const ROOT: Name = 14;
pub const ELSEWHERE: Name = 15;

pub fn c_name(name: Name) -> &'static CStr {
    NAMES[usize::from(name)]
}

pub fn bytes(name: Name) -> &'static [u8] {
    c_name(name).to_bytes()
}

/// Returns the number of a name; `None` for a name that no world has.
pub fn number(bytes: &[u8]) -> Option<Name> {
    let at = NAMES[1..].iter().position(|name| name.to_bytes() == bytes)?;
    Some(at as Name + 1)
}

/// A path: four bits for each name, the first one highest. Empty is the root of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub u128);

/// No path is deeper. A path that is wrong for a while may be twice as deep.
pub const DEEPEST: u32 = 14;

impl Path {
    pub const ROOT: Self = Self(0);

    pub fn depth(self) -> u32 {
        (128 - self.0.leading_zeros()).div_ceil(4)
    }

    pub fn join(self, name: Name) -> Self {
        Self(self.0 << 4 | u128::from(name))
    }

    pub fn parent(self) -> Self {
        Self(self.0 >> 4)
    }

    /// Returns the last name; 0 for the root.
    pub fn name(self) -> Name {
        (self.0 & 15) as Name
    }

    /// Returns `true` if it is `above` or beneath that.
    pub fn is_in(self, above: Self) -> bool {
        let (depth, limit) = (self.depth(), above.depth());
        depth >= limit && self.0 >> (4 * (depth - limit)) == above.0
    }

    /// Returns the path after `from` was renamed to `to`.
    pub fn moved(self, from: Self, to: Self) -> Self {
        let below = 4 * (self.depth() - from.depth());
        Self(to.0 << below | self.0 & ((1 << below) - 1))
    }

    pub fn names(self) -> impl Iterator<Item = Name> + Clone {
        (0..self.depth()).rev().map(move |at| (self.0 >> (4 * at) & 15) as Name)
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::ROOT);
        }
        let mut path = Self::ROOT;
        for name in bytes.split(|byte| *byte == b'/') {
            if path.depth() > 2 * DEEPEST {
                return None;
            }
            path = path.join(number(name)?);
        }
        Some(path)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ROOT {
            return f.write_str("(root)");
        }
        for (at, name) in self.names().enumerate() {
            let slash = if at == 0 { "" } else { "/" };
            write!(f, "{slash}{}", bytes(name).escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

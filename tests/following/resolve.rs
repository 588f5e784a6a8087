//! Resolves paths as the kernel does (path_resolution(7)): by inodes, not by strings.

use tinotify::Errno;

use super::inode::{Ino, Kind, Name, name_of};
use super::world::{ROOT, World};

/// One name on a path, and its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    pub dir: Ino,
    pub name: Name,
    pub child: Option<Ino>,
    /// The permissions of the child.
    pub read: bool,
    pub search: bool,
}

impl Hop {
    /// Returns the hop of a name in a directory without search permission.
    fn nowhere(dir: Ino, name: Name) -> Self {
        Self { dir, name, child: None, read: false, search: false }
    }
}

/// A resolved path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub hops: Vec<Hop>,
    /// The directories in which a dot, or the slash at the end, was resolved.
    pub dots: Vec<Ino>,
    /// The file that the path leads to.
    pub end: Option<Ino>,
}

#[derive(Clone, Copy)]
enum Part {
    Name(Name),
    /// A name that no entry ever has.
    Unknown,
    Dot,
    Up,
    Slash,
}

fn push_parts(todo: &mut Vec<Part>, path: &[u8]) {
    if path.last() == Some(&b'/') {
        todo.push(Part::Slash);
    }
    todo.extend(path.split(|byte| *byte == b'/').rev().filter_map(|part| match part {
        b"" => None,
        b"." => Some(Part::Dot),
        b".." => Some(Part::Up),
        name => Some(name_of(name).map_or(Part::Unknown, Part::Name)),
    }));
}

impl World {
    pub fn child(&self, dir: Ino, name: Name) -> Option<Ino> {
        self.nodes[dir].entries().iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Returns the root of the topmost mount on a directory, or the inode itself.
    pub fn topmost(&self, mut ino: Ino) -> Ino {
        while let Some(over) = self.nodes[ino].mounted {
            ino = over;
        }
        ino
    }

    /// Returns the directory that `..` leads to.
    fn above(&self, mut dir: Ino) -> Ino {
        while let Some(covered) = self.nodes[dir].covers {
            dir = covered;
        }
        match self.nodes[dir].kind {
            Kind::Dir { parent, .. } => self.topmost(parent.0),
            _ => dir,
        }
    }

    /// Resolves a path. The hops are added to `trace`.
    pub fn resolve(&self, path: &[u8], follow: bool, trace: &mut Trace) -> Result<Ino, Errno> {
        let mut todo = Vec::with_capacity(16);
        push_parts(&mut todo, path);
        let (mut at, mut links) = (ROOT, 0);
        while let Some(part) = todo.pop() {
            let node = &self.nodes[at];
            if !node.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            let name = match part {
                Part::Slash => {
                    if todo.is_empty() {
                        trace.dots.push(at);
                    }
                    continue;
                }
                _ if !node.search => {
                    match part {
                        Part::Name(name) => trace.hops.push(Hop::nowhere(at, name)),
                        _ => trace.dots.push(at),
                    }
                    return Err(Errno::EACCES);
                }
                Part::Dot => {
                    trace.dots.push(at);
                    continue;
                }
                Part::Up => {
                    trace.dots.push(at);
                    at = self.above(at);
                    continue;
                }
                Part::Unknown => return Err(Errno::ENOENT),
                Part::Name(name) => name,
            };
            let child = self.child(at, name).map(|child| self.topmost(child));
            let (read, search) =
                child.map_or((false, false), |ino| (self.nodes[ino].read, self.nodes[ino].search));
            trace.hops.push(Hop { dir: at, name, child, read, search });
            let child = child.ok_or(Errno::ENOENT)?;
            match &self.nodes[child].kind {
                Kind::Link(text) if follow || !todo.is_empty() => {
                    links += 1;
                    if links > 40 {
                        return Err(Errno::ELOOP);
                    }
                    if text.first() == Some(&b'/') {
                        at = ROOT;
                    }
                    push_parts(&mut todo, text);
                }
                _ => at = child,
            }
        }
        Ok(at)
    }

    /// Resolves the followed path.
    pub fn trace(&self) -> Trace {
        let mut trace = Trace::default();
        trace.end = self.resolve(&self.path, true, &mut trace).ok();
        trace
    }
}

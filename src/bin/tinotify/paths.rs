//! The paths of the command line: the watch of each, and how events print it.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::args::Options;

/// The watch of one path.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A plain watch of one file or directory.
    One,
    /// A tree, except these relative paths.
    Tree { without: HashSet<PathBuf> },
    /// No watch, because the path is already watched.
    Nothing,
}

/// Decides what to watch for each path, so that each file and directory is watched once.
#[derive(Debug, Default)]
pub struct Targets {
    /// Absolute paths of excluded directories.
    excluded: Vec<PathBuf>,
    /// Device and inode of each plain watch.
    ones: HashSet<(u64, u64)>,
    /// The real paths of the watched trees.
    trees: Vec<PathBuf>,
}

impl Targets {
    pub fn new(excluded: &[PathBuf]) -> Self {
        let absolute = excluded.iter().filter_map(|path| std::path::absolute(path).ok());
        Self { excluded: absolute.collect(), ..Self::default() }
    }

    /// Returns what to watch for a path, and remembers it.
    pub fn target(&mut self, path: &Path, recursive: bool, no_dereference: bool) -> Target {
        let metadata = if no_dereference { fs::symlink_metadata(path) } else { fs::metadata(path) };
        // The attempt to watch it will return the error.
        let Ok(metadata) = metadata else { return Target::One };
        if !recursive || !metadata.is_dir() {
            let new = self.ones.insert((metadata.dev(), metadata.ino()));
            return if new { Target::One } else { Target::Nothing };
        }
        let mut without = HashSet::new();
        if let Ok(root) = std::path::absolute(path) {
            let beneath = self.excluded.iter().filter_map(|path| path.strip_prefix(&root).ok());
            without.extend(beneath.filter(|path| !path.as_os_str().is_empty()).map(PathBuf::from));
        }
        let Ok(root) = fs::canonicalize(path) else { return Target::Tree { without } };
        if self.trees.iter().any(|tree| root.starts_with(tree)) {
            return Target::Nothing;
        }
        without.extend(
            self.trees.iter().filter_map(|tree| Some(tree.strip_prefix(&root).ok()?.into())),
        );
        self.trees.push(root);
        Target::Tree { without }
    }
}

/// Returns a path as events print it. The path of a directory ends with a slash, but not a followed name.
pub fn printed(path: &Path, options: &Options) -> Vec<u8> {
    let mut name = path.as_os_str().as_bytes().to_vec();
    let is_link = options.no_dereference && path.is_symlink();
    let is_dir = !options.follow && !is_link && path.is_dir();
    if is_dir && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

/// Reads the lines of a file, or of standard input for `-`.
pub fn lines(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().read_to_end(&mut text)?;
    } else {
        text = fs::read(path)?;
    }
    Ok(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect())
}

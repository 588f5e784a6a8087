//! What is watched: each thing once, however often it is named.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is watched for one of the paths.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// One file or directory.
    One,
    /// A directory and all beneath it, without these; their paths are relative.
    Tree { without: HashSet<PathBuf> },
    /// Nothing: it is watched already.
    Nothing,
}

/// What was decided so far.
#[derive(Debug, Default)]
pub struct Targets {
    left_out: Vec<PathBuf>,
    ones: HashSet<(u64, u64)>,
    /// The real paths of the trees.
    trees: Vec<PathBuf>,
}

impl Targets {
    pub fn new(left_out: &[PathBuf]) -> Self {
        let absolute = left_out.iter().filter_map(|path| std::path::absolute(path).ok());
        Self { left_out: absolute.collect(), ..Self::default() }
    }

    /// What to watch for a path, for `recursive` and for links as they are.
    pub fn target(&mut self, path: &Path, recursive: bool, no_dereference: bool) -> Target {
        let metadata = if no_dereference { fs::symlink_metadata(path) } else { fs::metadata(path) };
        // The kernel says what is wrong.
        let Ok(metadata) = metadata else { return Target::One };
        if !recursive || !metadata.is_dir() {
            let new = self.ones.insert((metadata.dev(), metadata.ino()));
            return if new { Target::One } else { Target::Nothing };
        }
        let mut without = HashSet::new();
        if let Ok(root) = std::path::absolute(path) {
            let beneath = self.left_out.iter().filter_map(|path| path.strip_prefix(&root).ok());
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

/// A path as events show it: a directory's ends with a slash.
pub fn shown(path: &Path, no_dereference: bool) -> Vec<u8> {
    let mut name = path.as_os_str().as_bytes().to_vec();
    let is_dir = if no_dereference { !path.is_symlink() && path.is_dir() } else { path.is_dir() };
    if is_dir && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

/// The lines of a file, or of standard input.
pub fn lines(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().read_to_end(&mut text)?;
    } else {
        text = fs::read(path)?;
    }
    Ok(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect())
}

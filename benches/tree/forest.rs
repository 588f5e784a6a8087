//! The tree of directories that is watched.

use std::fs::{self, File};
use std::path::PathBuf;

const BREADTH: usize = 10;
/// The files in each directory.
pub const FILES: usize = 3;

/// Directories level by level, ten in each.
pub struct Forest {
    pub root: PathBuf,
    pub directories: usize,
    /// The bytes in all names.
    pub names: usize,
    pub deepest: PathBuf,
}

impl Forest {
    /// Creates this many directories, with the root.
    pub fn create(root: PathBuf, directories: usize, files: usize) -> Self {
        fs::create_dir(&root).unwrap();
        let mut all = vec![root.clone()];
        let mut names = root.file_name().unwrap().len();
        for parent in 0.. {
            let path = all[parent].clone();
            for file in 0..files {
                File::create(path.join(format!("file-{file}.txt"))).unwrap();
            }
            for child in 0..BREADTH.min(directories.saturating_sub(all.len())) {
                let name = format!("module-{child}");
                names += name.len();
                let path = path.join(name);
                fs::create_dir(&path).unwrap();
                all.push(path);
            }
            if parent + 1 == all.len() {
                break;
            }
        }
        assert_eq!(all.len(), directories);
        Self { root, directories, names, deepest: all.pop().unwrap() }
    }
}

//! Directories with numbered entries.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::growth::sizes;

/// Returns the paths of numbered entries of a directory.
pub fn numbered(dir: &Path) -> impl Fn(usize) -> PathBuf + use<> {
    let dir = dir.to_owned();
    move |number| dir.join(format!("item-{number:07}"))
}

/// Returns three directories with n, 4n and 16n numbered entries, in a directory that is removed on drop.
pub fn create_three(n: usize, create: impl Fn(&Path)) -> (TempDir, [PathBuf; 3]) {
    let place = TempDir::new().unwrap();
    let roots = sizes(n).map(|count| {
        let root = place.path().join(format!("of-{count}"));
        fs::create_dir(&root).unwrap();
        (0..count).map(numbered(&root)).for_each(|path| create(&path));
        root
    });
    (place, roots)
}

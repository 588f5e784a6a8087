//! The directories in which the writer writes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the events happen.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// Two files in one directory.
    Directory,
    /// One file in each of 1,000 directories, three levels beneath the root.
    Tree,
}

impl Place {
    /// Returns the name of the place, which is also that of its directory.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Tree => "tree",
        }
    }

    pub fn files(self, root: &Path) -> Vec<PathBuf> {
        match self {
            Self::Directory => ["one.txt", "two.txt"].map(|name| root.join(name)).to_vec(),
            Self::Tree => (0..1_000)
                .map(|leaf| {
                    let [first, second, third] = [leaf / 100, leaf / 10 % 10, leaf % 10];
                    root.join(format!("dir-{first}/dir-{second}/dir-{third}/one.txt"))
                })
                .collect(),
        }
    }

    /// Creates the directories and files, and returns the root.
    pub fn create(self, parent: &Path) -> PathBuf {
        let root = parent.join(self.name());
        for file in self.files(&root) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "text").unwrap();
        }
        root
    }

    pub fn open(self, root: &Path) -> Vec<File> {
        let open = |file| File::options().write(true).open(file).unwrap();
        self.files(root).into_iter().map(open).collect()
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let place = [Self::Directory, Self::Tree].into_iter().find(|place| place.name() == name);
        place.ok_or_else(|| format!("invalid place {name:?}: expected directory or tree"))
    }
}

//! `--ext` and `--type`.

use crate::args::FileType;
use crate::filter::kind::Kind;
use crate::output::Location;

/// `--ext`: shows only files whose name has one of these extensions, given without the dot.
pub struct Extensions(pub Vec<String>);

impl Kind for Extensions {
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool {
        let name = at.last_name();
        let has = |extension: &String| {
            let stem = name.strip_suffix(extension.as_bytes());
            stem.is_some_and(|stem| stem.len() > 1 && stem.ends_with(b"."))
        };
        is_dir || at.is_watched_dir() || !self.0.iter().any(has)
    }
}

/// `--type`: shows only entries of one of these types.
pub struct Types(pub Vec<FileType>);

impl Kind for Types {
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool {
        let is_dir = is_dir || at.is_watched_dir();
        !self.0.contains(if is_dir { &FileType::Directory } else { &FileType::File })
    }
}

//! `--existing` for a watched file or name. A directory is watched as a tree, which reports its entries.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use tinotify::EventMask;

use crate::emit::Emitter;
use crate::failure::Failure;
use crate::output::Location;

/// Emits what is at a path, if anything is, and the end of what exists there.
pub fn emit(path: &[u8], no_dereference: bool, emitter: &mut Emitter) -> Result<(), Failure> {
    let (at, file) = (Location::watched(path), OsStr::from_bytes(path));
    let metadata = if no_dereference { fs::symlink_metadata(file) } else { fs::metadata(file) };
    if let Ok(metadata) = metadata {
        let is_dir = if metadata.is_dir() { EventMask::ISDIR } else { EventMask::empty() };
        emitter.existing(at, is_dir)?;
    }
    emitter.note("ESTABLISHED", at, false, "")?;
    Ok(())
}

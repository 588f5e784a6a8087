//! `--existing` for plain watches: lists what is there. A tree reports it itself.
//!
//! It is watched first and listed second. So an entry that is created meanwhile is shown twice: as
//! `EXISTING`, and by its event.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tinotify::{Errno, Escaped, EventMask};

use crate::emit::Emitter;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::output::Location;

/// Emits the entries of a watched directory, or the watched file itself, and the end of them.
pub fn emit(
    root: &[u8],
    no_dereference: bool,
    messages: &Messages,
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    let (at, path) = (Location::watched(root), Path::new(OsStr::from_bytes(root)));
    if root.ends_with(b"/") {
        let mut emitted = Ok(());
        let listed = list(path, |name, mask| {
            let path = [root, name].concat();
            emitted = emitter.existing(Location::new(&path, name.len()), mask);
            emitted.is_ok()
        });
        emitted?;
        if let Err(error) = listed {
            let why = Errno::from_raw(error.raw_os_error().unwrap_or_default()).to_string();
            messages.warn(format_args!("cannot list {}: {why}", Escaped(root)));
            emitter.note("UNLISTED", at, true, &why)?;
        }
    } else {
        let metadata = if no_dereference { fs::symlink_metadata(path) } else { fs::metadata(path) };
        // Without it, a followed name does not exist yet, or the file is gone by now.
        if let Ok(metadata) = metadata {
            emitter.existing(at, is_dir(metadata.is_dir()))?;
        }
    }
    emitter.note("ESTABLISHED", at, false, "")?;
    Ok(())
}

/// Calls `each` with the entries of a directory, until it returns `false`.
fn list(path: &Path, mut each: impl FnMut(&[u8], EventMask) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // It fails if the entry is gone by now.
        let Ok(kind) = entry.file_type() else { continue };
        if !each(entry.file_name().as_bytes(), is_dir(kind.is_dir())) {
            break;
        }
    }
    Ok(())
}

fn is_dir(is_dir: bool) -> EventMask {
    if is_dir { EventMask::ISDIR } else { EventMask::empty() }
}

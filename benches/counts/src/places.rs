//! The file systems of directories.

use std::path::Path;
use std::process::Command;

/// Where a tmpfs usually is.
pub const TMPFS: &str = "/dev/shm";

/// A tmpfs that is mounted for one row. Its inode numbers are the same in each run. A resynchronisation reads
/// them as text, and takes instructions for each digit.
pub const NEW_TMPFS: &str = "new tmpfs";

/// Returns `true` if there is a tmpfs.
pub fn has_tmpfs() -> bool {
    name_of(Path::new(TMPFS)).as_deref() == Some("tmpfs")
}

/// Returns the type of the file system of a directory.
pub fn name_of(dir: &Path) -> Option<String> {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output().ok()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // stat(1) can't distinguish the types that have the same number.
    Some(if name == "ext2/ext3" { "ext4".to_owned() } else { name })
}

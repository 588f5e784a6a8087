//! Everything that happens in a directory, with full paths, as in Python's asyncinotify.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_lite::StreamExt;
use tinotify::{TokioWatcher, WatchMask, Watcher};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temp = tempfile::tempdir()?;
    let dir = temp.path().join("watched");
    fs::create_dir(&dir)?;

    let watcher = Watcher::builder().stop_without_watches(true).build()?;
    let mut watcher = TokioWatcher::tokio(watcher)?;
    let mask = WatchMask::ACCESS
        | WatchMask::MODIFY
        | WatchMask::OPEN
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::ATTRIB
        | WatchMask::CLOSE
        | WatchMask::MOVE
        | WatchMask::ONLYDIR;
    watcher.get_ref().watch(&dir, mask)?;

    // In another thread, while this task waits.
    let changes = tokio::task::spawn_blocking(move || make_changes(&dir));

    // Ends when the directory is removed, because no watch is left.
    while let Some(event) = watcher.try_next().await? {
        println!("{} {:?}", event.mask(), event.path());
    }
    Ok(changes.await??)
}

fn make_changes(dir: &Path) -> std::io::Result<()> {
    let (old, new) = (dir.join("old"), dir.join("new"));
    fs::write(&old, "text")?;
    fs::read(&old)?;
    fs::set_permissions(&old, Permissions::from_mode(0o600))?;
    fs::rename(&old, &new)?;
    fs::remove_file(&new)?;
    fs::remove_dir(dir)
}

//! A watch with an alias, which its events carry, as in Python's aionotify.

use std::fs;

use futures_lite::StreamExt;
use tinotify::{TokioWatcher, WatchMask, WatchOptions, Watcher};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;

    // No runtime is needed yet: watches can be added before reading begins.
    let watcher = Watcher::builder().stop_without_watches(true).build()?;
    watcher.watch_with(dir.path(), WatchMask::MODIFY, WatchOptions::new().alias("logs"))?;

    let mut watcher = TokioWatcher::tokio(watcher)?;
    fs::write(dir.path().join("service.log"), "started\n")?;

    while let Some(event) = watcher.try_next().await? {
        println!(
            "Event(flags={}, cookie={}, name={:?}, alias={:?})",
            event.mask(),
            event.cookie(),
            event.name().unwrap_or_default(),
            event.alias().unwrap_or_default(),
        );
        // One event is enough. The loop ends when no watch is left.
        watcher.get_ref().unwatch_alias("logs")?;
    }
    Ok(())
}

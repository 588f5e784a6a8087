//! A task that waits for one batch, and a task that continues, as in Python's asyncwatch.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tinotify::{Escaped, EventMask, TokioWatcher, WatchError, WatchEventBuf, WatchMask, Watcher};

fn watch(path: &Path, mask: WatchMask) -> Result<TokioWatcher, WatchError> {
    TokioWatcher::tokio(Watcher::builder().path(path).mask(mask).build()?)
}

/// Waits for the first events. Dropping the watcher ends its watch.
async fn watch_once(mut watcher: TokioWatcher) -> Result<(), WatchError> {
    for event in watcher.recv_batch().await? {
        println!("Received event of type {} for filename {}", event.mask(), name(&event));
    }
    Ok(())
}

async fn watch_continuously(mut watcher: TokioWatcher) -> Result<(), WatchError> {
    loop {
        for event in watcher.recv_batch().await? {
            if event.mask().intersects(EventMask::CLOSE) {
                println!("Closed: {}", name(&event));
            } else if event.mask().intersects(EventMask::MODIFY) {
                println!("Modified {}", name(&event));
            }
            if event.name().is_some_and(|name| name == "done") {
                println!("Done watching");
                return Ok(());
            }
        }
    }
}

fn name(event: &WatchEventBuf) -> String {
    Escaped(event.name().unwrap_or_default().as_encoded_bytes()).to_string()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;

    // Watch before the tasks run, so that they miss no event.
    let once = watch(dir.path(), WatchMask::CREATE)?;
    let continuous = watch(dir.path(), WatchMask::CLOSE | WatchMask::MODIFY)?;
    let once = tokio::spawn(watch_once(once));
    let continuous = tokio::spawn(watch_continuously(continuous));

    let mut file = File::create(dir.path().join("newfile"))?;
    once.await??;

    file.write_all(b"Hello")?;
    drop(file);
    File::create(dir.path().join("done"))?;
    continuous.await??;
    Ok(())
}

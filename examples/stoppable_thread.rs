//! A thread that watches until it is told to stop, as in the manual of Python's inotify_simple,
//! without a pipe of one's own.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tinotify::{EventKind, StopHandle, WatchError, WatchEventBuf, WatchMask, Watcher};

struct WatchThread {
    stop: StopHandle,
    thread: JoinHandle<Result<(), WatchError>>,
}

impl WatchThread {
    /// What happens in `path` once this has returned goes to `each`.
    fn start(
        path: &Path,
        mut each: impl FnMut(WatchEventBuf) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let mut watcher = Watcher::new()?;
        watcher.watch(path, WatchMask::ALL_EVENTS)?;
        let stop = watcher.stop_handle();
        let thread = thread::spawn(move || {
            for event in &mut watcher {
                each(event?);
            }
            Ok(())
        });
        Ok(Self { stop, thread })
    }

    /// Wakes the thread, however long it would have waited, and sees it off.
    fn stop(self) -> Result<(), WatchError> {
        self.stop.stop();
        self.thread.join().expect("the thread does not panic")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (sender, events) = mpsc::channel();
    let thread = WatchThread::start(dir.path(), move |event| {
        // Fails when nobody listens any more, which is no reason to end.
        let _ = sender.send(event);
    })?;

    fs::write(dir.path().join("file"), "text")?;
    for event in &events {
        println!("{event}");
        if event.kind() == EventKind::CloseWrite {
            break;
        }
    }

    thread.stop()?;
    println!("stopped");
    Ok(())
}

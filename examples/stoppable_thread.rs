//! A thread that watches until it is stopped, as in the manual of Python's inotify_simple, but without
//! a pipe.

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
    /// Calls `handle` for every event in `path` that happens after this call has returned.
    fn start(
        path: &Path,
        mut handle: impl FnMut(WatchEventBuf) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let mut watcher = Watcher::new()?;
        watcher.watch(path, WatchMask::ALL_EVENTS)?;
        let stop = watcher.stop_handle();
        let thread = thread::spawn(move || {
            for event in &mut watcher {
                handle(event?);
            }
            Ok(())
        });
        Ok(Self { stop, thread })
    }

    /// Wakes the thread, and waits until it has ended.
    fn stop(self) -> Result<(), WatchError> {
        self.stop.stop();
        self.thread.join().expect("the thread does not panic")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (sender, events) = mpsc::channel();
    let thread = WatchThread::start(dir.path(), move |event| {
        // Fails if the receiver was dropped. The thread continues.
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

//! Shows the progress of the set-up of trees as a line on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time until the line appears. A shorter set-up shows no line.
const DELAY: Duration = Duration::from_millis(300);
/// The time between two updates of the line.
const STEP: Duration = Duration::from_millis(100);

/// Shows the line until it is dropped.
#[derive(Debug)]
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts to show the number of directories. Returns `None` if standard error is not a terminal.
    /// Stops when the value is dropped.
    pub fn on_terminal(directories: &Arc<AtomicU64>) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let (done, wait) = mpsc::channel();
        let count = Arc::clone(directories);
        let begun = Instant::now();
        let show = move || {
            let mut timeout = DELAY;
            while wait.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
                timeout = STEP;
                let count = count.load(Ordering::Relaxed);
                let milliseconds = begun.elapsed().as_millis().max(1);
                let rate = u128::from(count) * 1000 / milliseconds;
                let _ = write!(io::stderr(), "\r{count} directories, {rate} a second\x1b[K");
            }
            if timeout == STEP {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        };
        let thread = thread::Builder::new().spawn(show).ok();
        Some(Self { done: Some(done), thread })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

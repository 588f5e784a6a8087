//! A line on a terminal that tells how far the set-up of trees is.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Whoever waits longer than this wants to know.
const PATIENCE: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(100);

/// Shows the line while it lives.
#[derive(Debug)]
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// `None` where nobody looks.
    pub fn on_terminal(directories: &Arc<AtomicU64>) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let (done, wait) = mpsc::channel();
        let count = Arc::clone(directories);
        let begun = Instant::now();
        let show = move || {
            let mut patience = PATIENCE;
            while wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                patience = STEP;
                let count = count.load(Ordering::Relaxed);
                let rate = count as f64 / begun.elapsed().as_secs_f64();
                let _ = write!(io::stderr(), "\r{count} directories, {rate:.0} a second\x1b[K");
            }
            if patience == STEP {
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

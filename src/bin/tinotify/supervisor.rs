//! Ends the program after SIGINT, SIGTERM or SIGHUP, whatever the main thread is doing.
//!
//! The main thread can be blocked: by a full pipe, by a command, by a tree that is listed after an overflow. So a thread
//! of its own waits for these signals. During the set-up there is no output to write, so their default action is right.
//!
//! ```text
//! signal ──► supervisor: signals the command, wakes the main thread
//!              │               main thread: writes its output, calls finish
//!              ▼ then, or after a time
//!            waits for the command, or kills it after --stop-timeout
//!              ▼
//!            ends the program by the signal
//! ```
//!
//! A second signal kills the command at once.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::exec::Running;
use crate::signals::{self, EndSignals};

/// The size of the thread's stack, in bytes. It needs a few hundred.
const STACK: usize = 64 * 1024;

/// Used by the main thread.
#[derive(Debug)]
pub struct Supervisor {
    thread: Thread,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    has_signal: AtomicBool,
    /// The main thread may have output to write.
    has_output: AtomicBool,
    /// The main thread has written its output.
    is_finished: AtomicBool,
}

/// What happens after a signal.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The time that the main thread has to write its output.
    pub grace: Duration,
    pub running: Running,
    pub signal: Signal,
    pub timeout: Duration,
}

impl Supervisor {
    /// Starts the thread. It writes a byte to `wake` after a signal.
    pub fn start(wake: UnixStream, stop: Stop) -> io::Result<Self> {
        let signals = EndSignals::catch()?;
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        let supervise = move || {
            let signal = signals.next();
            shared.has_signal.store(true, Ordering::Relaxed);
            stop.running.close(stop.signal);
            let _ = (&wake).write(&[0]);
            shared.wait(stop.grace);
            stop.running.wait_or_kill(stop.timeout, |pause| signals.is_repeated(pause));
            signals::die_of(signal);
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn(supervise)?;
        Ok(Self { thread: thread.thread().clone(), state })
    }

    /// Gives the main thread time to write its output after a signal. Call it before the first event.
    pub fn begin_output(&self) {
        self.state.has_output.store(true, Ordering::Relaxed);
    }

    /// Returns `true` after a signal that ends the program.
    pub fn has_signal(&self) -> bool {
        self.state.has_signal.load(Ordering::Relaxed)
    }

    /// Lets the supervisor end the program, after all output is written. Call it after a signal.
    pub fn finish(&self) -> ! {
        self.state.is_finished.store(true, Ordering::Release);
        self.thread.unpark();
        loop {
            thread::park();
        }
    }
}

impl State {
    /// Waits in the supervisor until the main thread has written its output, at most for `grace`.
    fn wait(&self, grace: Duration) {
        let begun = Instant::now();
        while self.has_output.load(Ordering::Relaxed) && !self.is_finished.load(Ordering::Acquire) {
            match grace.checked_sub(begun.elapsed()) {
                Some(left) => thread::park_timeout(left),
                None => return,
            }
        }
    }
}

//! `--exec`: runs a command for events, one at a time.
//!
//! ```text
//! event ─► batch ─► queue ─► command ─► running ─► ended
//!            └─ loops: not for what the command changes itself
//! ```
//!
//! Invariant: a run is over only when the events that it caused have been read. So an event is known to have come
//! during a run or between two runs.

mod batch;
mod command;
mod loops;
mod running;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use tinotify::Escaped;

use crate::args::{self, OnBusy};
use batch::Batch;
use loops::{Loops, Verdict};

pub use batch::Occurrence;
pub use command::{CommandError, check};
pub use running::Running;

/// The maximum number of runs that wait for the current one.
const MAX_QUEUE: usize = 1024;

/// Runs one command repeatedly, with the paths of events.
#[derive(Debug)]
pub struct Exec {
    options: args::Exec,
    /// With `--debounce`, one run is for all events until [`end_batch`](Self::end_batch).
    debounce: Option<args::Debounce>,
    running: Running,
    state: State,
    /// The time of the last change from `Running` to `Idle`.
    last_end: Option<Instant>,
    last_start: Option<Instant>,
    /// The events of the next run, until [`end_batch`](Self::end_batch).
    next: Pending,
    queue: VecDeque<Pending>,
    /// `true` if it was reported that the queue was full.
    is_full_reported: bool,
    loops: Loops,
    failure: Option<u8>,
    has_not_started: bool,
    notes: Vec<Note>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    Running,
    /// The command has got the signal, and is killed at this time.
    Stopping {
        until: Option<Instant>,
    },
    /// The command has ended, but not all of its events have been read.
    Ended,
}

/// The events of a run that has not begun.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    /// When the first event was read.
    first: Option<Instant>,
    /// `true` if an event came between two runs.
    is_from_outside: bool,
}

/// What the user should know.
#[derive(Debug)]
pub enum Note {
    /// The program cannot be run.
    NotStarted(OsString, io::Error),
    Failed(OsString, ExitStatus),
    /// The command seems to change this path.
    Loop(Vec<u8>),
    /// The command has run this many times for events that came while it ran.
    Chain,
    /// The queue was full.
    Full,
}

impl Exec {
    pub fn new(options: args::Exec, debounce: Option<args::Debounce>, running: Running) -> Self {
        let mut queue = VecDeque::new();
        if options.run_at_start {
            queue.push_back(Pending { is_from_outside: true, ..Pending::default() });
        }
        Self {
            options,
            debounce,
            running,
            state: State::Idle,
            last_end: None,
            last_start: None,
            next: Pending::default(),
            queue,
            is_full_reported: false,
            loops: Loops::default(),
            failure: None,
            has_not_started: false,
            notes: Vec::new(),
        }
    }

    /// Adds an event, which may be merged from those between two times.
    pub fn push(&mut self, event: Occurrence, (first, last): (Instant, Instant)) {
        let is_from_outside = !(self.is_during_run(first) && self.is_during_run(last));
        if !is_from_outside {
            match self.loops.during_run(&event.path) {
                Verdict::Runs if self.options.on_busy == OnBusy::Ignore => return,
                Verdict::Runs => {}
                Verdict::Broken => return self.notes.push(Note::Loop(event.path)),
                Verdict::Ignored => return,
            }
        }
        self.next.is_from_outside |= is_from_outside;
        self.next.first = self.next.first.or(Some(first));
        self.next.batch.push(event);
        if self.debounce.is_none() || self.next.batch.is_full() {
            self.end_batch();
        }
    }

    /// Returns `true` if the command ran at this time.
    fn is_during_run(&self, at: Instant) -> bool {
        let has_begun = self.last_start.is_some_and(|start| start <= at);
        has_begun && (self.state != State::Idle || self.last_end.is_none_or(|end| at <= end))
    }

    /// Returns when the batch ends because of the cap.
    fn batch_due(&self) -> Option<Instant> {
        self.next.first?.checked_add(self.debounce?.cap?)
    }

    /// Runs the command for the events so far, at once or later.
    pub fn end_batch(&mut self) {
        if self.next.batch.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.next);
        let is_busy = self.state != State::Idle;
        match self.options.on_busy {
            OnBusy::Queue => self.enqueue(pending),
            OnBusy::Ignore if is_busy => {}
            OnBusy::Signal if is_busy => self.running.signal(self.options.signal),
            // One run is enough for all events before it.
            OnBusy::Ignore | OnBusy::Signal => self.merge(pending),
            OnBusy::Restart => {
                self.merge(pending);
                self.stop();
            }
        }
    }

    /// Adds a run to the queue, unless one for the same events is there.
    fn enqueue(&mut self, pending: Pending) {
        let is_same = |other: &&mut Pending| other.batch.has_same_events(&pending.batch);
        if let Some(other) = self.queue.iter_mut().find(is_same) {
            other.is_from_outside |= pending.is_from_outside;
        } else if self.queue.len() < MAX_QUEUE {
            self.queue.push_back(pending);
        } else if !std::mem::replace(&mut self.is_full_reported, true) {
            self.notes.push(Note::Full);
        }
    }

    /// Adds the events to the next run.
    fn merge(&mut self, pending: Pending) {
        match self.queue.back_mut() {
            Some(next) => {
                next.is_from_outside |= pending.is_from_outside;
                next.batch.append(pending.batch);
            }
            None => self.queue.push_back(pending),
        }
    }

    /// Sends the signal to the running command. [`advance`](Self::advance) kills it later.
    fn stop(&mut self) {
        if self.state == State::Running {
            self.running.stop(self.options.signal);
            let until = Instant::now().checked_add(self.options.stop_timeout);
            self.state = State::Stopping { until };
        }
    }

    /// Ends the run that is over, and starts the next. `is_drained` means that all events so far have been read. The
    /// end of a command sends SIGCHLD.
    ///
    /// # Errors
    ///
    /// Fails if wait4(2) fails.
    pub fn advance(&mut self, is_drained: bool) -> io::Result<()> {
        if self.batch_due().is_some_and(|due| due <= Instant::now()) {
            self.end_batch();
        }
        match self.state {
            State::Idle => {}
            State::Running => {
                if let Some(status) = self.running.ended()? {
                    self.state = State::Ended;
                    self.report(status);
                }
                return Ok(());
            }
            State::Stopping { until } => {
                let _ = self.running.ended()?;
                if self.running.is_gone() {
                    self.state = State::Ended;
                } else if until.is_some_and(|until| until <= Instant::now()) {
                    self.running.signal(rustix::process::Signal::KILL);
                }
                return Ok(());
            }
            State::Ended if !is_drained => return Ok(()),
            State::Ended => {
                self.state = State::Idle;
                self.last_end = Some(Instant::now());
            }
        }
        if let Some(next) = self.queue.pop_front() {
            self.start(&next);
        }
        Ok(())
    }

    /// Keeps the status of a command that has failed.
    fn report(&mut self, status: ExitStatus) {
        if !status.success() {
            let code = status.code().or_else(|| status.signal().map(|signal| signal + 128));
            self.failure = Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            self.notes.push(Note::Failed(self.program(), status));
        }
    }

    fn start(&mut self, next: &Pending) {
        let Some(mut command) = command::of_batch(&self.options.words, &next.batch) else { return };
        if self.loops.begin_run(!next.is_from_outside) {
            self.notes.push(Note::Chain);
        }
        self.last_start = Some(Instant::now());
        match self.running.start(&mut command) {
            Ok(()) => self.state = State::Running,
            Err(error) => {
                // The status of a shell for a program that cannot be run.
                self.failure = Some(126);
                self.has_not_started = true;
                self.notes.push(Note::NotStarted(command.get_program().to_owned(), error));
            }
        }
    }

    fn program(&self) -> OsString {
        self.options.words.first().cloned().unwrap_or_default()
    }

    /// Returns when to call [`advance`](Self::advance) next, unless there is an event or SIGCHLD before.
    pub fn due(&self) -> Option<Instant> {
        let next = match self.state {
            State::Running => None,
            State::Idle if self.queue.is_empty() => None,
            State::Stopping { .. } => Instant::now().checked_add(running::CHECK),
            State::Idle | State::Ended => Some(Instant::now()),
        };
        next.into_iter().chain(self.batch_due()).min()
    }

    /// Starts all pending runs, one at a time, and waits for the end of the last. With `--restart`, and after a
    /// failure with `--exit-on-error`, stops the command instead.
    ///
    /// # Errors
    ///
    /// Fails if wait4(2) fails.
    pub fn finish(&mut self) -> io::Result<()> {
        self.end_batch();
        loop {
            if self.options.on_busy == OnBusy::Restart || self.is_over().is_some() {
                self.queue.clear();
                self.stop();
            }
            self.advance(true)?;
            match self.state {
                State::Idle if self.queue.is_empty() => return Ok(()),
                State::Running => self.running.wait(),
                State::Stopping { .. } => thread::sleep(running::CHECK),
                State::Idle | State::Ended => {}
            }
        }
    }

    /// Stops the command, and waits until it has ended or was killed.
    pub fn abandon(&self) {
        self.running.close(self.options.signal);
        self.running.wait_or_kill(self.options.stop_timeout, |pause: Duration| {
            thread::sleep(pause);
            false
        });
    }

    /// With `--exit-on-error`, returns the status of the command that has failed.
    pub fn is_over(&self) -> Option<u8> {
        self.failure.filter(|_| self.options.exit_on_error)
    }

    /// Returns `true` if a command could not be started.
    pub fn has_not_started(&self) -> bool {
        self.has_not_started
    }

    /// Returns what the user should know since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(program, error) => {
                write!(f, "cannot run: {}: {error}", Escaped(program.as_bytes()))
            }
            Self::Failed(program, status) => {
                write!(f, "command failed: {}: {status}", Escaped(program.as_bytes()))
            }
            Self::Loop(path) => write!(
                f,
                "loop: {}: it changes in each run of the command, which seems to change it; its events \
                 during a run are left out from now on; exclude it with --exclude",
                Escaped(path)
            ),
            Self::Chain => f.write_str(
                "loop: the command has run 50 times in a row for events that came while it ran; if it \
                 causes them, exclude their paths with --exclude",
            ),
            Self::Full => write!(
                f,
                "queue full: {MAX_QUEUE} runs of the command are pending: further events do not run it; \
                 use --debounce or --on-busy"
            ),
        }
    }
}

//! The main loop: reads a burst of events, then handles signals, commands and the timeout.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tinotify::{WatchError, Watcher};

use crate::args::{Options, Timeout};
use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::messages::Messages;
use crate::report::Report;
use crate::rewatch::Rewatch;
use crate::signals::Signals;
use crate::stats::Stats;

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Without `--monitor`: a selected event was emitted.
    Seen,
    TimedOut,
    /// A watch ended, or events were lost.
    Ended,
    /// The tool got this signal.
    Killed(i32),
}

/// The maximum number of events of one burst.
const BURST: usize = 1024;

pub struct Session<'a> {
    monitor: bool,
    messages: &'a Messages,
    watcher: Watcher,
    signals: Signals,
    report: Report<'a>,
    emitter: Emitter,
    rewatch: Rewatch,
    idle: Idle,
}

impl<'a> Session<'a> {
    pub fn new(
        options: &Options,
        messages: &'a Messages,
        (watcher, signals): (Watcher, Signals),
        report: Report<'a>,
        emitter: Emitter,
        rewatch: Rewatch,
    ) -> Self {
        let idle = Idle::new(options.timeout);
        let monitor = options.monitor;
        Self { monitor, messages, watcher, signals, report, emitter, rewatch, idle }
    }

    /// Runs until there is a reason to end, then prints everything pending.
    pub fn run(&mut self) -> Result<Outcome, Failure> {
        let outcome = loop {
            let is_drained = match self.read_burst()? {
                Continue(is_drained) => is_drained,
                Break(outcome) => break outcome,
            };
            if let Break(outcome) = self.between_bursts()? {
                break outcome;
            }
            let now = Instant::now();
            let deadline = self.idle.deadline();
            if is_drained && deadline.is_some_and(|deadline| deadline <= now) {
                break Outcome::TimedOut;
            }
            let dues = [deadline, self.emitter.sink().command_due(), self.report.due()];
            let next_due = dues.into_iter().flatten().min();
            self.wait(match next_due {
                _ if !is_drained => Some(Duration::ZERO),
                Some(due) => Some(due.saturating_duration_since(now)),
                None => None,
            })?;
        };
        self.finish(outcome)
    }

    /// Reports at most [`BURST`] events. Returns `true` if none is left.
    fn read_burst(&mut self) -> Result<ControlFlow<Outcome, bool>, Failure> {
        for _ in 0..BURST {
            let effect = match self.watcher.try_recv() {
                Ok(Some(event)) => self.report.event(&event, &mut self.emitter)?,
                Ok(None) => return Ok(Continue(true)),
                Err(error @ WatchError::Path { .. }) => {
                    self.messages.warn(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Break(outcome) = self.after(effect) {
                return Ok(Break(outcome));
            }
            if self.report.is_over() {
                if self.monitor {
                    self.messages.inform("Nothing is left to watch.");
                }
                return Ok(Break(Outcome::Ended));
            }
        }
        Ok(Continue(false))
    }

    fn between_bursts(&mut self) -> Result<ControlFlow<Outcome>, Failure> {
        let effect = self.report.emit_overdue(&mut self.emitter)?;
        if let Break(outcome) = self.after(effect) {
            return Ok(Break(outcome));
        }
        self.emitter.sink_mut().flush()?;
        self.signals.clear_wakeups();
        if let Some(signal) = self.signals.end() {
            return Ok(Break(Outcome::Killed(signal)));
        }
        if self.signals.take_reopen() {
            self.emitter.sink_mut().reopen()?;
        }
        if let Err(error) = self.emitter.sink_mut().run_commands() {
            self.messages.warn(error);
        }
        self.rewatch.if_stale(self.messages);
        Ok(Continue(()))
    }

    /// Restarts the timeout after an emitted event. Without `--monitor`, ends the session.
    fn after(&mut self, effect: Effect) -> ControlFlow<Outcome> {
        match effect {
            Effect::Emitted if !self.monitor => return Break(Outcome::Seen),
            Effect::Interrupted if !self.monitor => return Break(Outcome::Ended),
            Effect::Emitted => self.idle.restart(),
            Effect::Interrupted | Effect::Nothing => {}
        }
        Continue(())
    }

    /// Waits for an event, a signal, the close of the output by its reader, or the end of `timeout`.
    fn wait(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let (events, signals) = (self.watcher.as_fd(), self.signals.as_fd());
        // If the output is silent, polls the signals twice.
        let reader = self.emitter.sink().reader().unwrap_or(signals);
        let mut fds = [
            PollFd::from_borrowed_fd(events, PollFlags::IN),
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            // poll(2) always reports an error.
            PollFd::from_borrowed_fd(reader, PollFlags::empty()),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) if fds[2].revents().contains(PollFlags::ERR) => {
                Err(Failure::Output(io::ErrorKind::BrokenPipe.into()))
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::System("cannot wait for events", error.into())),
        }
    }

    /// Emits and writes all pending events, and runs the pending commands.
    fn finish(&mut self, outcome: Outcome) -> Result<Outcome, Failure> {
        if self.monitor {
            self.report.emit_all(&mut self.emitter)?;
        }
        self.emitter.sink_mut().flush()?;
        if !matches!(outcome, Outcome::Killed(_)) {
            if let Err(error) = self.emitter.sink_mut().finish_commands() {
                self.messages.warn(error);
            }
        }
        Ok(match outcome {
            Outcome::Seen if self.emitter.sink().has_failed_command() => Outcome::Ended,
            outcome => outcome,
        })
    }

    pub fn stats(&self) -> &Stats {
        self.emitter.sink().stats()
    }
}

/// `--timeout`: the maximum time without an event.
#[derive(Debug)]
struct Idle {
    timeout: Option<Duration>,
    last_event: Instant,
}

impl Idle {
    fn new(timeout: Timeout) -> Self {
        let timeout = match timeout {
            Timeout::After(timeout) => Some(timeout),
            Timeout::Never | Timeout::Negative => None,
        };
        Self { timeout, last_event: Instant::now() }
    }

    fn restart(&mut self) {
        if self.timeout.is_some() {
            self.last_event = Instant::now();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.last_event.checked_add(self.timeout?)
    }
}

//! The main loop: reads a burst of events, then handles signals, commands and the timeout.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tinotify::{WatchError, Watcher};

use crate::args::Options;
use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::messages::Messages;
use crate::report::Report;
use crate::rewatch::Rewatch;
use crate::setup;
use crate::signals::Wakeups;
use crate::stats::Stats;
use crate::supervisor::Supervisor;
use crate::timeout::Idle;

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event was emitted that was waited for, or the last of `--count`.
    Seen,
    TimedOut,
    /// A watch ended, or events were lost.
    Ended,
    /// With `--exit-on-error`, a command failed with this status.
    Failed(u8),
    /// The tool got a signal.
    Killed,
}

/// Makes the failure of a command that cannot be waited for.
const CHILD: fn(io::Error) -> Failure =
    |error| Failure::System("cannot wait for the command", error);

/// The maximum number of events of one burst.
const BURST: usize = 1024;

pub struct Session<'a> {
    monitor: bool,
    /// `true` if signals end the count, and the counts are printed then.
    is_stat: bool,
    messages: &'a Messages,
    watcher: Watcher,
    wakeups: &'a Wakeups,
    supervisor: &'a Supervisor,
    report: Report<'a>,
    emitter: Emitter,
    rewatch: Rewatch,
    idle: Idle,
}

impl<'a> Session<'a> {
    pub fn new(
        options: &Options,
        messages: &'a Messages,
        watcher: Watcher,
        (wakeups, supervisor): (&'a Wakeups, &'a Supervisor),
        report: Report<'a>,
        emitter: Emitter,
        rewatch: Rewatch,
    ) -> Self {
        let idle = Idle::new(options, setup::BUFFER);
        Self {
            monitor: options.monitor,
            is_stat: options.counting.is_some(),
            messages,
            watcher,
            wakeups,
            supervisor,
            report,
            emitter,
            rewatch,
            idle,
        }
    }

    /// Runs until there is a reason to end, then prints everything pending.
    pub fn run(&mut self) -> Result<Outcome, Failure> {
        let outcome = loop {
            let is_drained = match self.read_burst()? {
                Continue(is_drained) => is_drained,
                Break(outcome) => break outcome,
            };
            if let Break(outcome) = self.between_bursts(is_drained)? {
                break outcome;
            }
            if self.idle.is_ending(&self.watcher)? {
                continue;
            }
            let now = Instant::now();
            let dues = [self.idle.deadline(), self.emitter.sink().command_due(), self.report.due()];
            let next_due = dues.into_iter().flatten().min();
            self.wait(match next_due {
                _ if !is_drained => Some(Duration::ZERO),
                Some(due) => Some(due.saturating_duration_since(now)),
                None => None,
            })?;
        };
        self.finish(outcome)
    }

    /// Reports at most [`BURST`] events. Returns `true` if none is left. Breaks at the end of the timeout.
    fn read_burst(&mut self) -> Result<ControlFlow<Outcome, bool>, Failure> {
        for _ in 0..BURST {
            if self.idle.is_over(&self.watcher) {
                return Ok(Break(Outcome::TimedOut));
            }
            let effect = match self.watcher.try_recv() {
                Ok(Some(event)) => self.report.event(&event, &mut self.emitter)?,
                Ok(None) if self.idle.is_over_when_empty() => {
                    return Ok(Break(Outcome::TimedOut));
                }
                Ok(None) => return Ok(Continue(true)),
                Err(error @ WatchError::Path { .. }) => {
                    self.report.unfollowed(&error, &mut self.emitter)?;
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

    fn between_bursts(&mut self, is_drained: bool) -> Result<ControlFlow<Outcome>, Failure> {
        let effect = self.report.emit_overdue(&mut self.emitter)?;
        if let Break(outcome) = self.after(effect) {
            return Ok(Break(outcome));
        }
        self.emitter.sink_mut().flush()?;
        if is_drained {
            self.report.summarise();
        }
        self.wakeups.clear();
        if self.supervisor.has_signal() {
            if !self.is_stat {
                return Ok(Break(Outcome::Killed));
            }
            self.idle.expire();
        }
        if self.wakeups.take_reopen() {
            self.emitter.sink_mut().reopen()?;
        }
        let is_quiet = self.report.is_quiet();
        self.emitter.sink_mut().run_commands(is_drained, is_quiet).map_err(CHILD)?;
        self.rewatch.if_stale(self.messages);
        Ok(self.report_commands())
    }

    /// Reports what happened to commands. Ends the session after a failure with `--exit-on-error`.
    fn report_commands(&mut self) -> ControlFlow<Outcome> {
        let sink = self.emitter.sink_mut();
        sink.take_notes().iter().for_each(|note| self.messages.warn(note));
        match sink.fatal_status() {
            Some(status) => Break(Outcome::Failed(status)),
            None => Continue(()),
        }
    }

    /// Restarts the timeout after an emitted event. Ends the session after the last one.
    fn after(&mut self, effect: Effect) -> ControlFlow<Outcome> {
        match effect {
            Effect::Last => return Break(Outcome::Seen),
            Effect::Interrupted if !self.monitor => return Break(Outcome::Ended),
            Effect::Emitted => self.idle.restart(),
            Effect::Interrupted | Effect::Nothing => {}
        }
        Continue(())
    }

    /// Waits for an event, a signal, the close of the output by its reader, or the end of `timeout`.
    fn wait(&self, timeout: Option<Duration>) -> Result<(), Failure> {
        // A time that is too long for the kernel is no limit.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let (events, signals) = (self.watcher.as_fd(), self.wakeups.as_fd());
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
        if self.emitter.sink_mut().print_counts() == Some(0) {
            self.messages.inform("No events occurred.");
        }
        self.emitter.sink_mut().flush()?;
        if outcome == Outcome::Killed {
            return Ok(outcome);
        }
        self.emitter.sink_mut().finish_commands().map_err(CHILD)?;
        Ok(match self.report_commands() {
            Break(failed) => failed,
            Continue(()) if self.emitter.sink().has_unstarted_command() => Outcome::Ended,
            Continue(()) => outcome,
        })
    }

    /// Stops the command, after a failure of the tool.
    pub fn abandon_command(&self) {
        self.emitter.sink().abandon_command();
    }

    pub fn stats(&self) -> &Stats {
        self.emitter.sink().stats()
    }
}

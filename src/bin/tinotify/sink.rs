//! Prints and counts emitted events, and passes their paths to the command.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::exec::Exec;
use crate::output::{Event, Output};
use crate::stats::Stats;

pub struct Sink {
    output: Output,
    /// `--exec`
    exec: Option<Exec>,
    stats: Stats,
}

impl Sink {
    pub fn new(output: Output, exec: Option<Exec>) -> Self {
        Self { output, exec, stats: Stats::new() }
    }

    /// Prints and counts an event, and passes its path to the command.
    pub fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.output.event(event)?;
        self.stats.count(event.mask);
        if let Some(exec) = &mut self.exec {
            exec.push([event.dir, event.name].concat());
        }
        Ok(())
    }

    /// Prints an event in JSON only.
    pub fn note(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.output.is_json() { self.output.event(event) } else { Ok(()) }
    }

    /// Counts an overflow. Prints it if it is selected, and always in JSON.
    pub fn overflow(&mut self, event: &Event<'_>, selected: bool) -> io::Result<()> {
        self.stats.count_overflow();
        if selected || self.output.is_counting() {
            self.output.event(event)
        } else {
            self.note(event)
        }
    }

    pub fn count_hidden(&mut self) {
        self.stats.count_hidden();
    }

    /// Prints the counts of `stat`. Returns the number of rows, or `None` without `stat`.
    pub fn print_counts(&mut self) -> Option<usize> {
        self.output.print_counts()
    }

    /// Writes the printed events.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Opens `--outfile` again.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.output.reopen()
    }

    /// Returns the descriptor that reports an error when the reader of the events has closed it.
    pub fn reader(&self) -> Option<BorrowedFd<'_>> {
        self.output.reader()
    }

    /// Starts the next command if it is due and none is running.
    pub fn run_commands(&mut self) -> io::Result<()> {
        self.exec.as_mut().map_or(Ok(()), Exec::start_due)
    }

    /// Returns when a command is due next.
    pub fn command_due(&self) -> Option<Instant> {
        self.exec.as_ref().and_then(Exec::due)
    }

    /// Runs all pending commands, and waits for them.
    pub fn finish_commands(&mut self) -> io::Result<()> {
        self.exec.as_mut().map_or(Ok(()), Exec::finish)
    }

    /// Returns `true` if a command could not be started.
    pub fn has_failed_command(&self) -> bool {
        self.exec.as_ref().is_some_and(Exec::has_failed)
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

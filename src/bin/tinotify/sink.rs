//! Prints and counts emitted events, and passes their paths to the command.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::exec::{Exec, Note, Occurrence};
use crate::output::{Event, Output};
use crate::stats::Stats;

pub struct Sink {
    output: Output,
    /// `--exec`
    exec: Option<Exec>,
    stats: Stats,
    times: Option<(Instant, Instant)>,
}

impl Sink {
    pub fn new(output: Output, exec: Option<Exec>) -> Self {
        Self { output, exec, stats: Stats::new(), times: None }
    }

    /// Prints and counts an event, and passes its path to the command.
    pub fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.output.event(event)?;
        self.stats.count(event.mask);
        if let Some(exec) = &mut self.exec {
            let now = Instant::now();
            exec.push(occurrence(event), self.times.unwrap_or((now, now)));
        }
        Ok(())
    }

    /// Returns `true` with `--json`.
    pub fn is_json(&self) -> bool {
        self.output.is_json()
    }

    /// Prints an event in JSON only.
    pub fn note(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.is_json() { self.output.event(event) } else { Ok(()) }
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

    /// Starts the next command if none is running. `is_drained` means that all events so far have been read,
    /// `is_quiet` that none of them is pending.
    pub fn run_commands(&mut self, is_drained: bool, is_quiet: bool) -> io::Result<()> {
        let Some(exec) = &mut self.exec else { return Ok(()) };
        if is_quiet {
            exec.end_batch();
        }
        exec.advance(is_drained)
    }

    /// Returns what the user should know about commands since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.exec.as_mut().map(Exec::take_notes).unwrap_or_default()
    }

    /// Returns `true` with `--exec`.
    pub fn has_commands(&self) -> bool {
        self.exec.is_some()
    }

    /// Returns when a command is due next.
    pub fn command_due(&self) -> Option<Instant> {
        self.exec.as_ref().and_then(Exec::due)
    }

    /// Runs all pending commands, and waits for them.
    pub fn finish_commands(&mut self) -> io::Result<()> {
        self.exec.as_mut().map_or(Ok(()), Exec::finish)
    }

    /// Returns the status of a command that failed, if that ends the program.
    pub fn fatal_status(&self) -> Option<u8> {
        self.exec.as_ref().and_then(Exec::is_over)
    }

    /// Returns `true` if a command could not be started.
    pub fn has_unstarted_command(&self) -> bool {
        self.exec.as_ref().is_some_and(Exec::has_not_started)
    }

    /// Sets the times of the first and the last event that the next emitted event is merged from. Default: now.
    pub fn set_times(&mut self, times: Option<(Instant, Instant)>) {
        self.times = times;
    }

    /// Stops the command, and waits until it has ended or was killed.
    pub fn abandon_command(&self) {
        self.exec.iter().for_each(Exec::abandon);
    }

    /// Returns `true` if a path is the file that the events are written to.
    pub fn is_own_output(&self, path: &[u8]) -> bool {
        self.output.is_at(path)
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

fn occurrence(event: &Event<'_>) -> Occurrence {
    Occurrence {
        path: [event.dir, event.name].concat(),
        names: event.names().collect::<Vec<_>>().join(","),
        from: event.from.to_vec(),
    }
}

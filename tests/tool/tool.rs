//! The tool in a directory of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, thread};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{self, DEADLINE, Ended, Program, lossy};

/// The running tool in a new directory.
pub struct Tool {
    pub dir: TempDir,
    pub program: Program,
}

impl Tool {
    /// Starts the tool in a new directory with the directory `d`.
    pub fn start(args: &[&str]) -> Self {
        Self::prepared(args, |dir| fs::create_dir(dir.join("d")).unwrap())
    }

    /// Starts the tool in a new directory, after `prepare`.
    pub fn prepared(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let program = Program::established(&mut support::tool(dir.path(), args));
        Self { dir, program }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str) {
        support::write(self.path(name), "text");
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Makes empty directories.
    pub fn make(&self, names: &[&str]) {
        names.iter().for_each(|name| fs::create_dir(self.path(name)).unwrap());
    }

    /// Waits until the tool ends.
    pub fn end(mut self) -> Ended {
        self.program.end()
    }

    /// Ends the tool by a signal.
    pub fn stop(mut self, signal: Signal) -> Ended {
        self.program.signal(signal);
        self.program.end()
    }

    /// Returns the output so far.
    pub fn so_far(&self) -> String {
        lossy(&self.program.events.so_far())
    }

    /// Waits for a text, and returns the output so far.
    pub fn until(&self, text: &str) -> String {
        lossy(&self.program.events.until(text))
    }
}

/// Waits until a condition holds.
pub fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_there() {
        assert!(begin.elapsed() < DEADLINE, "timeout: no {what}");
        thread::yield_now();
    }
}

//! Each difference from inotifywait in the list of docs/tool.md, by its number there. A test asserts what both
//! programs do. If inotifywait is missing, it asserts only what the tool does.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use support::{Ended, Program, lossy};
use tempfile::TempDir;

#[path = "tool/mod.rs"]
mod support;

#[path = "differences/options.rs"]
mod options;
#[path = "differences/output.rs"]
mod output;
#[path = "differences/trees.rs"]
mod trees;

/// One of the two programs.
pub struct Who {
    program: OsString,
    /// The major version of inotifywait, `None` for the tool.
    pub version: Option<u32>,
}

impl Who {
    fn ours() -> Self {
        Self { program: env!("CARGO_BIN_EXE_tinotify").into(), version: None }
    }

    fn theirs() -> Option<Self> {
        let (program, major) = support::inotifywait()?;
        Some(Self { program, version: Some(major) })
    }

    pub fn is_ours(&self) -> bool {
        self.version.is_none()
    }

    pub fn command(&self, dir: &Path, args: &[impl AsRef<OsStr>]) -> Command {
        support::program(&self.program, dir, args)
    }

    /// Runs the program to its end, in a directory with the directory `d` and the file `f`.
    pub fn run(&self, args: &[&str]) -> Ended {
        let dir = prepared(&["d/"]);
        support::write(dir.path().join("f"), "");
        Program::start(&mut self.command(dir.path(), args)).end()
    }

    /// Starts the program in a new directory with these directories, and waits for its watches.
    pub fn start(&self, args: &[&str], dirs: &[&str]) -> Run {
        let dir = prepared(dirs);
        let program = Program::established(&mut self.command(dir.path(), args));
        Run { dir, program }
    }
}

fn prepared(dirs: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in dirs {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    dir
}

/// A running program in its own directory.
pub struct Run {
    dir: TempDir,
    pub program: Program,
}

impl Run {
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>) {
        support::write(self.path(name), "text");
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Waits for a text, and returns the events so far.
    pub fn until(&self, text: &str) -> String {
        lossy(&self.program.events.until(text))
    }

    /// Creates a file, waits for its event, and returns the events so far.
    pub fn until_new(&self, file: &str) -> String {
        self.write(file);
        self.until(file.rsplit('/').next().unwrap_or(file))
    }

    /// Ends the program by a signal, if it has not ended by itself.
    pub fn stop(mut self) -> Ended {
        self.program.signal(Signal::TERM);
        self.program.end()
    }

    pub fn end(mut self) -> Ended {
        self.program.end()
    }
}

/// Does the same with both programs, and checks the result of each.
pub fn compare<T: Debug + PartialEq>(run: impl Fn(&Who) -> T, theirs: &T, ours: &T) {
    assert_eq!(run(&Who::ours()), *ours, "tinotify");
    if let Some(inotifywait) = Who::theirs() {
        assert_eq!(run(&inotifywait), *theirs, "inotifywait {:?}", inotifywait.version);
    }
}

/// Like [`compare`], for a difference that these versions of inotifywait have. Others are not run.
pub fn compare_versions<T: Debug + PartialEq>(
    has_difference: impl Fn(u32) -> bool,
    run: impl Fn(&Who) -> T,
    theirs: &T,
    ours: &T,
) {
    assert_eq!(run(&Who::ours()), *ours, "tinotify");
    if let Some(who) = Who::theirs().filter(|who| who.version.is_some_and(&has_difference)) {
        assert_eq!(run(&who), *theirs, "inotifywait {:?}", who.version);
    }
}

//! Runs the tool and the real inotifywait on the same changes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support;
use crate::support::{Ended, Program, inotifywait, lossy, write};

/// The name of the file that most tests with `--monitor` create at the end.
pub const END: &str = "the-end";

/// Both programs, running.
pub struct Both {
    dir: TempDir,
    pub theirs: Program,
    pub ours: Program,
    args: String,
}

impl Both {
    /// Starts both programs. Returns `None` if inotifywait is not installed.
    pub fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        Self::start_with(args, prepare, Program::established)
    }

    pub fn start_with(
        args: &[&str],
        prepare: impl FnOnce(&Path),
        start: impl Fn(&mut Command) -> Program,
    ) -> Option<Self> {
        let (program, _) = inotifywait()?;
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let theirs = start(&mut support::program(&program, dir.path(), args));
        let ours = start(&mut support::tool(dir.path(), args));
        Some(Self { dir, theirs, ours, args: args.join(" ") })
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Waits until both end, and checks that their output is the same. Returns the events.
    pub fn agree(mut self) -> String {
        let (theirs, ours) = (self.theirs.end(), self.ours.end());
        assert_eq!(show(&ours), show(&theirs), "{}", self.args);
        lossy(&theirs.events)
    }

    pub fn agree_until_the_end(self, at: &str) -> String {
        self.agree_until(at, END)
    }

    /// Creates the file `end` in `at`, and checks that the output before it is the same. Returns the
    /// events.
    pub fn agree_until(self, at: &str, end: &str) -> String {
        write(self.path(at).join(end), "");
        let before = |program: &Program| {
            let text = lossy(&program.events.until(end));
            // The kernel merges identical neighbours, unless the first has already been read.
            let mut lines: Vec<&str> = text.split(end).next().unwrap().split('\n').collect();
            lines.dedup();
            lines.join("\n")
        };
        let (theirs, ours) = (before(&self.theirs), before(&self.ours));
        assert_eq!(ours, theirs, "{}", self.args);
        let [their_messages, our_messages] = [&self.theirs, &self.ours].map(|program| {
            // Later messages are difference 6.
            let messages = lossy(&program.messages.until(support::ESTABLISHED));
            messages.split_inclusive("established.\n").next().unwrap_or_default().to_owned()
        });
        assert_eq!(our_messages, their_messages, "{}", self.args);
        theirs
    }
}

pub fn show(ended: &Ended) -> (Option<i32>, String, &str) {
    (ended.code, lossy(&ended.events), &ended.messages)
}

/// Runs both programs to their ends, one after the other, in a directory with `d` and `f`.
pub fn both(args: &[&str]) -> Option<[Ended; 2]> {
    let (program, _) = inotifywait()?;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    write(dir.path().join("f"), "");
    let theirs = Program::start(&mut support::program(&program, dir.path(), args)).end();
    let ours = Program::start(&mut support::tool(dir.path(), args)).end();
    Some([theirs, ours])
}

pub fn with_d(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
}

/// Makes all kinds of changes in `d`.
pub fn make_changes(both: &Both) {
    let d = |name: &str| both.path("d").join(name);
    write(d("file"), "text");
    fs::read(d("file")).unwrap();
    fs::set_permissions(d("file"), Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(d("file"), d("link")).unwrap();
    symlink("file", d("symlink")).unwrap();
    fs::rename(d("file"), d("other")).unwrap();
    fs::rename(d("other"), both.path("outside")).unwrap();
    fs::rename(both.path("outside"), d("inside")).unwrap();
    fs::rename(d("inside"), d("link")).unwrap();
    fs::remove_file(d("link")).unwrap();
    fs::remove_file(d("symlink")).unwrap();
    fs::create_dir(d("sub")).unwrap();
    fs::read_dir(d("sub")).unwrap().for_each(drop);
    fs::set_permissions(d("sub"), Permissions::from_mode(0o700)).unwrap();
    fs::rename(d("sub"), d("bus")).unwrap();
    fs::remove_dir(d("bus")).unwrap();
    fs::read_dir(both.path("d")).unwrap().for_each(drop);
    fs::set_permissions(both.path("d"), Permissions::from_mode(0o700)).unwrap();
}

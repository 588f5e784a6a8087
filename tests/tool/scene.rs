//! Shared by the tests of filters: the running tool, the paths that it shows, and its watches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;

use super::{DEADLINE, Program, lossy, write};

/// The running tool in a new directory, with its watches set up.
pub struct Scene {
    pub dir: TempDir,
    pub program: Program,
}

impl Scene {
    /// Starts the tool with `-m` in a new directory, after `prepare`. It prints one path a line.
    pub fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let program = Program::established(&mut tool(dir.path(), args));
        Self { dir, program }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn touch(&self, names: &[&str]) {
        names.iter().for_each(|name| write(self.path(name), ""));
    }

    /// Creates a file with this name, and returns the lines before its line.
    pub fn shown_until(&self, last: &str) -> Vec<String> {
        write(self.path(last), "");
        let last = last.rsplit('/').next().unwrap();
        let text = lossy(&self.program.events.until(format!("{last}\n")));
        let lines = text.lines().map(str::to_owned);
        lines.take_while(|line| line.rsplit('/').next() != Some(last)).collect()
    }

    pub fn watches(&self) -> usize {
        watches(&self.program.child)
    }

    /// Waits until the tool has exactly this number of watches.
    pub fn until_watches(&self, count: usize) {
        let begin = Instant::now();
        while self.watches() != count {
            assert!(begin.elapsed() < DEADLINE, "not {count}, but {}", self.watches());
            std::thread::yield_now();
        }
    }
}

/// Returns the number of watches that the kernel lists for a program.
pub fn watches(child: &Child) -> usize {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", child.id())).unwrap().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.matches("inotify wd:").count()).sum()
}

/// Returns a command that runs the tool without the user's own ignore file.
pub fn tool(dir: &Path, args: &[&str]) -> Command {
    let mut command = super::tool(dir, &["-m", "--format", "%w%f"]);
    command.args(args).env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_CONFIG_GLOBAL");
    command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

pub fn directories(dir: &Path, beneath: &[&str]) {
    beneath.iter().for_each(|name| fs::create_dir_all(dir.join(name)).unwrap());
}

/// Makes a directory the root of a repository, and creates directories in it.
pub fn repository(dir: &Path, beneath: &[&str]) {
    directories(dir, &[".git/info"]);
    directories(dir, beneath);
}

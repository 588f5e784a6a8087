//! `--exec`: runs a command for events, one at a time.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tinotify::Escaped;

use crate::daemon;

/// The placeholder of the path.
const PLACEHOLDER: &[u8] = b"{}";

/// The maximum number of bytes of paths for one command. Linux allows four times as many (execve(2)).
const MAX_BYTES: usize = 512 * 1024;

/// Runs one command repeatedly, with the paths of events.
#[derive(Debug)]
pub struct Exec {
    words: Vec<OsString>,
    debounce: Option<Duration>,
    /// The paths of each pending run.
    queue: VecDeque<Vec<Vec<u8>>>,
    /// The paths of the current burst, in order, each once.
    burst: Vec<Vec<u8>>,
    in_burst: HashSet<Vec<u8>>,
    /// The end of the burst, unless there is another event before.
    burst_ends: Option<Instant>,
    running: Option<Child>,
    /// `true` if a run could not be started.
    failed: bool,
}

impl Exec {
    /// With `debounce`, an event belongs to the same burst as the event before if less than this time
    /// has passed between them.
    pub fn new(words: Vec<OsString>, debounce: Option<Duration>) -> Self {
        Self {
            words,
            debounce,
            queue: VecDeque::new(),
            burst: Vec::new(),
            in_burst: HashSet::new(),
            burst_ends: None,
            running: None,
            failed: false,
        }
    }

    /// Adds the path of an event.
    pub fn push(&mut self, path: Vec<u8>) {
        match self.debounce {
            None => self.queue.push_back(vec![path]),
            Some(quiet) => {
                // `None` if the time is beyond the range of the clock.
                self.burst_ends = Instant::now().checked_add(quiet);
                if self.in_burst.insert(path.clone()) {
                    self.burst.push(path);
                }
            }
        }
    }

    /// Returns when a run is due, unless there is another event before. The end of a run sends SIGCHLD.
    pub fn due(&self) -> Option<Instant> {
        self.burst_ends
    }

    /// Starts the next run if it is due and none is running.
    pub fn start_due(&mut self) -> io::Result<()> {
        if self.burst_ends.is_some_and(|end| end <= Instant::now()) {
            self.end_burst();
        }
        if let Some(child) = &mut self.running {
            if child.try_wait()?.is_none() {
                return Ok(());
            }
            self.running = None;
        }
        match self.queue.pop_front() {
            Some(paths) => self.start(&paths),
            None => Ok(()),
        }
    }

    /// Starts all pending runs, one at a time, and waits for the end of the last.
    pub fn finish(&mut self) -> io::Result<()> {
        self.end_burst();
        loop {
            if let Some(mut child) = self.running.take() {
                child.wait()?;
            }
            match self.queue.pop_front() {
                Some(paths) => self.start(&paths)?,
                None => return Ok(()),
            }
        }
    }

    /// Returns `true` if a run could not be started.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn end_burst(&mut self) {
        self.burst_ends = None;
        self.in_burst.clear();
        let mut size = 0;
        let mut paths = Vec::new();
        for path in self.burst.drain(..) {
            // In the worst case each path is a separate word, with a NUL and a pointer.
            size += path.len() + 16;
            if size > MAX_BYTES && !paths.is_empty() {
                self.queue.push_back(std::mem::take(&mut paths));
                size = 0;
            }
            paths.push(path);
        }
        if !paths.is_empty() {
            self.queue.push_back(paths);
        }
    }

    /// Starts the command for these paths.
    fn start(&mut self, paths: &[Vec<u8>]) -> io::Result<()> {
        let mut words = words(&self.words, paths).into_iter();
        let Some(program) = words.next() else { return Ok(()) };
        let mut command = Command::new(&program);
        command.args(words).stdin(Stdio::null()).env_remove(daemon::MARK);
        match command.spawn() {
            Ok(child) => {
                self.running = Some(child);
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                let program = Escaped(program.as_bytes());
                Err(io::Error::new(error.kind(), format!("cannot run: {program}: {error}")))
            }
        }
    }
}

/// Returns the words of the command. A word with the placeholder is repeated for each path.
fn words(words: &[OsString], paths: &[Vec<u8>]) -> Vec<OsString> {
    let mut all = Vec::new();
    for word in words {
        if find(word.as_bytes()).is_none() {
            all.push(word.clone());
        } else {
            all.extend(paths.iter().map(|path| fill(word, path)));
        }
    }
    all
}

/// Returns the offset of the first placeholder.
fn find(word: &[u8]) -> Option<usize> {
    word.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER)
}

/// Replaces each placeholder by the path.
fn fill(word: &OsStr, path: &[u8]) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::new();
    while let Some(at) = find(rest) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(path);
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_the_placeholder_is_repeated_for_each_path() {
        let template = ["cp", "-t", "to", "{}", "--as={}-{}"].map(OsString::from);
        let paths = [b"a b".to_vec(), b"{}".to_vec()];
        let expected = ["cp", "-t", "to", "a b", "{}", "--as=a b-a b", "--as={}-{}"];
        assert_eq!(words(&template, &paths), expected.map(OsString::from));
    }

    #[test]
    fn a_burst_that_is_too_big_for_one_command_is_split() {
        let mut exec = Exec::new(vec!["true".into()], Some(Duration::from_secs(1)));
        for number in 0..40_000 {
            exec.push(format!("/some/directory/file-{number}").into_bytes());
            exec.push(b"/some/directory/file-0".to_vec());
        }
        exec.end_burst();
        let all: Vec<_> = exec.queue.iter().flatten().collect();
        assert_eq!(all.len(), 40_000);
        assert!(exec.queue.len() > 1);
    }
}

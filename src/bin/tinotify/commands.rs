//! `--exec`: commands that are run for events, one after another.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What stands for the path.
const PLACE: &[u8] = b"{}";

/// So many bytes of paths are given to one command; Linux takes four times that.
const ENOUGH: usize = 512 * 1024;

#[derive(Debug)]
pub struct Commands {
    words: Vec<OsString>,
    debounce: Option<Duration>,
    /// The paths for which it is to be run, once for each of these.
    queue: VecDeque<Vec<Vec<u8>>>,
    burst: Vec<Vec<u8>>,
    /// The paths in the burst.
    known: HashSet<Vec<u8>>,
    burst_ends: Option<Instant>,
    running: Option<Child>,
    /// One could not be started.
    pub failed: bool,
}

impl Commands {
    pub fn new(words: Vec<OsString>, debounce: Option<Duration>) -> Self {
        Self {
            words,
            debounce,
            queue: VecDeque::new(),
            burst: Vec::new(),
            known: HashSet::new(),
            burst_ends: None,
            running: None,
            failed: false,
        }
    }

    /// Something happened there.
    pub fn event(&mut self, path: Vec<u8>) {
        match self.debounce {
            None => self.queue.push_back(vec![path]),
            Some(quiet) => {
                // A time too far away for the clock is never.
                self.burst_ends = Instant::now().checked_add(quiet);
                if self.known.insert(path.clone()) {
                    self.burst.push(path);
                }
            }
        }
    }

    /// When there will be something to do, if nothing comes before.
    pub fn due(&self) -> Option<Instant> {
        self.burst_ends
    }

    /// Starts what can be started.
    pub fn go_on(&mut self) -> io::Result<()> {
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

    /// Runs all that is left, and waits for it.
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

    fn end_burst(&mut self) {
        self.burst_ends = None;
        self.known.clear();
        let mut size = 0;
        let mut paths = Vec::new();
        for path in self.burst.drain(..) {
            // A word for each, in the worst case, and its place in the list.
            size += path.len() + 16;
            if size > ENOUGH && !paths.is_empty() {
                self.queue.push_back(std::mem::take(&mut paths));
                size = 0;
            }
            paths.push(path);
        }
        if !paths.is_empty() {
            self.queue.push_back(paths);
        }
    }

    fn start(&mut self, paths: &[Vec<u8>]) -> io::Result<()> {
        let mut words = words(&self.words, paths).into_iter();
        let Some(program) = words.next() else { return Ok(()) };
        let mut command = Command::new(&program);
        command.args(words).stdin(Stdio::null()).env_remove(crate::daemon::MARK);
        match command.spawn() {
            Ok(child) => {
                self.running = Some(child);
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                let program = tinotify::Escaped(program.as_bytes()).to_string();
                Err(io::Error::new(error.kind(), format!("cannot run {program}: {error}")))
            }
        }
    }
}

/// The words of the command, each one that has the place repeated for each path.
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

fn find(word: &[u8]) -> Option<usize> {
    word.windows(PLACE.len()).position(|window| window == PLACE)
}

fn fill(word: &OsStr, path: &[u8]) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::new();
    while let Some(at) = find(rest) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(path);
        rest = &rest[at + PLACE.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_the_place_is_repeated_for_each_path() {
        let template = ["cp", "-t", "to", "{}", "--as={}-{}"].map(OsString::from);
        let paths = [b"a b".to_vec(), b"{}".to_vec()];
        let expected = ["cp", "-t", "to", "a b", "{}", "--as=a b-a b", "--as={}-{}"];
        assert_eq!(words(&template, &paths), expected.map(OsString::from));
    }

    #[test]
    fn a_burst_that_is_too_big_for_one_command_is_cut() {
        let mut commands = Commands::new(vec!["true".into()], Some(Duration::from_secs(1)));
        for number in 0..40_000 {
            commands.event(format!("/some/directory/file-{number}").into_bytes());
            commands.event(b"/some/directory/file-0".to_vec());
        }
        commands.end_burst();
        let all: Vec<_> = commands.queue.iter().flatten().collect();
        assert_eq!(all.len(), 40_000);
        assert!(commands.queue.len() > 1);
    }
}

//! Sets up the watches, then waits and shows until it is time to end.

use std::collections::HashMap;
use std::ffi::{CString, NulError, OsString};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tinotify::{
    DecodeError, Error, Escaped, Event, EventMask, InitFlags, Inotify, MAX_RECORD_SIZE, WatchMask,
    Wd,
};

use crate::args::{Options, Timeout};
use crate::print::Output;

/// Why the waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An event that was asked for came.
    Seen,
    /// Nothing came in time.
    TimedOut,
    /// A watch ended, or events were lost.
    Ended,
}

/// Watches, and shows what comes.
pub fn run<W: Write>(options: &Options, output: &mut Output<W>) -> Result<Outcome, Failure> {
    output.message("Setting up watches.");
    let mut watches = Watches::new()?;
    for path in &options.paths {
        watches.add(path, options.events)?;
    }
    output.message("Watches established.");

    let timeout = match options.timeout {
        Timeout::Never => None,
        Timeout::After(timeout) => Some(timeout),
        Timeout::Negative => return Err(Failure::NegativeTimeout),
    };
    let mut buffer = [0; 16 * MAX_RECORD_SIZE];
    let mut last = Instant::now();
    loop {
        if !watches.wait(last, timeout)? {
            return Ok(Outcome::TimedOut);
        }
        let events = match watches.inotify.read(&mut buffer) {
            Ok(events) => events,
            Err(error) if error.is_interrupted() || error.is_would_block() => continue,
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let event = event?;
            let asked = event.mask().intersects(options.events);
            if asked {
                if let Some(path) = watches.paths.get(&event.wd()) {
                    output.event(path, &event)?;
                }
                last = Instant::now();
            }
            if !options.monitor {
                output.flush()?;
                return Ok(if asked { Outcome::Seen } else { watches.end(&event, output) });
            }
            if event.is_ignored() || event.is_overflow() {
                watches.end(&event, output);
            }
            if watches.paths.is_empty() {
                output.flush()?;
                output.message("Nothing is left to watch.");
                return Ok(Outcome::Ended);
            }
        }
        output.flush()?;
    }
}

/// An inotify instance, and the path of each watch as it is shown.
struct Watches {
    inotify: Inotify,
    paths: HashMap<Wd, PathBuf>,
}

impl Watches {
    fn new() -> Result<Self, Error> {
        Ok(Self { inotify: Inotify::init(InitFlags::NONBLOCK)?, paths: HashMap::new() })
    }

    /// Watches one path. A path that leads to a file which is watched already changes nothing.
    fn add(&mut self, path: &Path, events: EventMask) -> Result<(), Failure> {
        let fail = |why| Failure::Watch { path: path.to_owned(), why };
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|error| fail(WatchError::Nul(error)))?;
        let mut mask = WatchMask::from_bits_retain(events.bits()) & WatchMask::ALL_EVENTS;
        if mask.is_empty() {
            // UNMOUNT comes unasked, but a watch has to ask for something.
            mask = WatchMask::DELETE_SELF;
        }
        let wd = self
            .inotify
            .add_watch(&name, mask)
            .map_err(|error| fail(WatchError::Inotify(error)))?;
        self.paths.entry(wd).or_insert_with(|| shown(path));
        Ok(())
    }

    /// Waits for events, until `timeout` after `last`.
    fn wait(&self, last: Instant, timeout: Option<Duration>) -> Result<bool, Error> {
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(last.elapsed()));
            match self.inotify.poll(left) {
                Err(error) if error.is_interrupted() => {}
                answer => return answer,
            }
        }
    }

    /// Tells of an event that nobody asked for: the end of a watch, or a loss.
    fn end<W: Write>(&mut self, event: &Event<'_>, output: &Output<W>) -> Outcome {
        if event.is_overflow() {
            eprintln!(
                "tinotify: events were lost: they came faster than they could be shown; raising \
                 the sysctl fs.inotify.max_queued_events gives more room"
            );
        } else if event.is_ignored() {
            if let Some(path) = self.paths.remove(&event.wd()) {
                let path = Escaped(path.as_os_str().as_encoded_bytes());
                output.message(&format!("The watch of {path} has ended."));
            }
        }
        Outcome::Ended
    }
}

/// A path as events show it: a directory's ends with a slash.
fn shown(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned().into_vec();
    if path.is_dir() && !name.ends_with(b"/") {
        name.push(b'/');
    }
    PathBuf::from(OsString::from_vec(name))
}

/// What made the tool give up.
#[derive(Debug)]
pub enum Failure {
    Watch { path: PathBuf, why: WatchError },
    Inotify(Error),
    Decode(DecodeError),
    Output(io::Error),
    NegativeTimeout,
}

#[derive(Debug)]
pub enum WatchError {
    Inotify(Error),
    Nul(NulError),
}

impl Failure {
    /// Whether the reader of our output went away, as `head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch { path, why } => {
                let path = Escaped(path.as_os_str().as_encoded_bytes());
                match why {
                    WatchError::Inotify(error) => write!(f, "{path}: {error}"),
                    WatchError::Nul(error) => write!(f, "{path}: cannot watch: {error}"),
                }
            }
            Self::Inotify(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the events: {error}"),
            Self::NegativeTimeout => {
                f.write_str("the watches were set up; the timeout is negative, so that is all")
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Inotify(error)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

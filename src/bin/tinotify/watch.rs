//! Sets up the watches, then waits and shows until it is time to end.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tinotify::{
    Barred, Escaped, EventMask, NameChange, TreeChange, TreeOptions, WatchError, WatchEvent,
    WatchId, WatchMask, Watcher,
};

use crate::commands::Commands;
use crate::daemon;
use crate::filter::{BadRegex, Filter};
use crate::messages::Messages;
use crate::options::{Options, Quiet, Timeout};
use crate::output::{Output, Shown};
use crate::paths::{self, Target, Targets};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::stats::Stats;

/// Why the waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An event that was asked for came.
    Seen,
    /// Nothing came in time.
    TimedOut,
    /// A watch ended, or events were lost.
    Ended,
    /// A signal asked for it.
    Killed(i32),
}

/// So many events are shown before anything else is looked after.
const BURST: usize = 1024;

/// How long the other half of a rename is waited for. Both are queued by one call, but a reader can
/// fall between them.
const GRACE: Duration = Duration::from_millis(20);

/// Watches, and shows what comes.
pub fn run(mut options: Options, messages: &Messages) -> Result<Outcome, Failure> {
    if options.daemon {
        daemon::leave().map_err(Failure::System)?;
    }
    if let Some(file) = options.fromfile.take() {
        let lines = paths::lines(&file).map_err(|error| Failure::File(file, error))?;
        let named = std::mem::take(&mut options.paths);
        lines.into_iter().for_each(|line| options.add_path(line));
        options.paths.extend(named);
    }
    if options.paths.is_empty() {
        return Err(Failure::NoPaths);
    }
    let filter = options.filter.as_ref().map(Filter::new).transpose()?.map(Arc::new);
    let output = Output::new(&options).map_err(|error| match &options.outfile {
        Some(file) => Failure::File(file.clone(), error),
        None => Failure::Output(error),
    })?;
    let signals = Signals::new().map_err(Failure::System)?;
    signals.catch_reopen().map_err(Failure::System)?;

    messages.tell(if options.recursive {
        "Setting up watches.  Beware: since -r was given, this may take a while!"
    } else {
        "Setting up watches."
    });
    let Watching { watcher, roots } = watch(&options, filter.as_ref())?;
    // Until here, a signal ends the program as it always does.
    signals.catch_end().map_err(Failure::System)?;
    let commands = match options.exec.take() {
        Some(words) => {
            signals.catch_children().map_err(Failure::System)?;
            Some(Commands::new(words, options.debounce))
        }
        None => None,
    };
    messages.tell("Watches established.");
    if options.daemon {
        daemon::ready().map_err(Failure::System)?;
    }
    if options.timeout == Timeout::Negative {
        return Err(Failure::NegativeTimeout);
    }

    let stats = Stats::new();
    let (halves, path) = (Vec::new(), PathBuf::new());
    let mut session =
        Session { options, messages, output, filter, roots, commands, stats, halves, path };
    let result = session.run(watcher, &signals);
    let result = match result {
        Ok(outcome) => session.finish(outcome),
        Err(error) => Err(error),
    };
    if session.options.stats {
        messages.warn(&session.stats);
    }
    result
}

/// How the path of each watch is shown.
type Roots = HashMap<WatchId, Vec<u8>>;

/// What the kernel is asked for.
fn asked(options: &Options) -> WatchMask {
    let mut mask = WatchMask::from_bits_retain(options.events.bits()) & WatchMask::ALL_EVENTS;
    if options.renames && mask.intersects(WatchMask::MOVE) {
        mask |= WatchMask::MOVE;
    }
    if mask.is_empty() {
        // The others come unasked, but a watch has to ask for something.
        mask = WatchMask::DELETE_SELF;
    }
    if options.no_dereference {
        mask |= WatchMask::DONT_FOLLOW;
    }
    mask
}

/// What was found by looking, told by a word that was asked for: nobody knows how it came about.
fn in_words(found: EventMask, asked: EventMask) -> EventMask {
    use EventMask as E;
    let words: &[E] = if found.contains(E::DELETE) {
        &[E::DELETE, E::MOVED_FROM]
    } else if found.contains(E::MODIFY) {
        &[E::MODIFY, E::CLOSE_WRITE, E::ATTRIB]
    } else if found.contains(E::ISDIR) {
        &[E::CREATE, E::MOVED_TO]
    } else {
        &[E::CREATE, E::CLOSE_WRITE, E::MOVED_TO, E::MODIFY]
    };
    let word = words.iter().find(|word| asked.intersects(**word));
    word.map_or(found, |word| *word | found & E::ISDIR)
}

/// What is watched.
struct Watching {
    watcher: Watcher,
    roots: Roots,
}

/// Sets up the watches. By itself, so that the rest needs no memory for what is in here.
#[inline(never)]
fn watch(options: &Options, filter: Option<&Arc<Filter>>) -> Result<Watching, Failure> {
    let mask = asked(options);
    let directories = Arc::new(AtomicU64::new(0));
    let watcher = Watcher::builder().build()?;
    let _progress = match (options.recursive, options.quiet) {
        (true, Quiet::No) => Progress::on_terminal(&directories),
        _ => None,
    };
    let mut targets = Targets::new(&options.left_out);
    let mut roots = Roots::new();
    for path in &options.paths {
        if options.follow {
            let watch = watcher.watch_name(path, mask)?;
            roots.insert(watch, path.as_os_str().as_bytes().to_vec());
            continue;
        }
        let shown = paths::shown(path, options.no_dereference);
        let watch = match targets.target(path, options.recursive, options.no_dereference) {
            Target::Nothing => continue,
            Target::One => watcher.watch(path, mask)?,
            Target::Tree { without } => {
                let mut tree = TreeOptions::new().follow_links(options.follow_links);
                let count = Arc::clone(&directories);
                tree = tree.exclude(move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    false
                });
                if !without.is_empty() {
                    tree = tree.exclude(move |path| without.contains(path));
                }
                if let Some(filter) = filter.filter(|filter| filter.can_prune()) {
                    let (filter, root) = (Arc::clone(filter), shown.clone());
                    tree = tree.exclude(move |path| {
                        let path = path.as_os_str().as_bytes();
                        filter.hides_all_beneath(&[&root[..], path, b"/"].concat())
                    });
                }
                watcher.watch_tree(path, mask, tree)?
            }
        };
        roots.insert(watch, shown);
    }
    Ok(Watching { watcher, roots })
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// Nothing that anybody wanted to know.
    Nothing,
    /// It was shown.
    Shown,
    /// It was not asked for, but tells that something is over.
    Unasked,
}

struct Session<'a> {
    options: Options,
    messages: &'a Messages,
    output: Output,
    filter: Option<Arc<Filter>>,
    roots: Roots,
    commands: Option<Commands>,
    stats: Stats,
    /// First halves of renames that wait for the other one.
    halves: Vec<Half>,
    /// The path of the event at hand.
    path: PathBuf,
}

/// `MOVED_FROM`, kept back.
#[derive(Debug)]
struct Half {
    path: Vec<u8>,
    name: usize,
    mask: EventMask,
    cookie: u32,
    due: Instant,
}

/// A path, and where in it the name begins.
#[derive(Clone, Copy, Debug)]
struct At<'a> {
    path: &'a [u8],
    name: usize,
}

impl<'a> At<'a> {
    fn new(path: &'a [u8]) -> Self {
        let slash = path.iter().rposition(|&byte| byte == b'/');
        Self { path, name: slash.map_or(0, |slash| slash + 1) }
    }

    /// An event there that the kernel told.
    fn shown(self, mask: EventMask) -> Shown<'a> {
        let (dir, name) = self.path.split_at(self.name);
        Shown { dir, name, mask, word: None, cookie: 0, from: b"", found: false }
    }
}

impl Session<'_> {
    fn run(&mut self, mut watcher: Watcher, signals: &Signals) -> Result<Outcome, Failure> {
        let mut last = Instant::now();
        let timeout = match self.options.timeout {
            Timeout::After(timeout) => Some(timeout),
            _ => None,
        };
        loop {
            let mut empty = false;
            for _ in 0..BURST {
                let next = watcher.try_recv();
                let came = match next {
                    Ok(Some(event)) => self.event(&event)?,
                    Ok(None) => {
                        empty = true;
                        break;
                    }
                    Err(error @ WatchError::Path { .. }) => {
                        self.messages.warn(error);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                match came {
                    Came::Nothing => {}
                    Came::Shown if self.options.monitor => {
                        if timeout.is_some() {
                            last = Instant::now();
                        }
                    }
                    Came::Shown => return Ok(Outcome::Seen),
                    Came::Unasked if !self.options.monitor => return Ok(Outcome::Ended),
                    Came::Unasked => {}
                }
                if self.roots.is_empty() {
                    if self.options.monitor {
                        self.messages.tell("Nothing is left to watch.");
                    }
                    return Ok(Outcome::Ended);
                }
            }
            if self.old_halves(Some(Instant::now()))? == Came::Shown {
                if !self.options.monitor {
                    return Ok(Outcome::Seen);
                }
                last = Instant::now();
            }
            self.output.flush()?;

            signals.awake();
            if let Some(signal) = signals.end() {
                return Ok(Outcome::Killed(signal));
            }
            if signals.reopen() {
                self.output.reopen()?;
            }
            if let Some(commands) = &mut self.commands {
                if let Err(error) = commands.go_on() {
                    self.messages.warn(error);
                }
            }
            let deadline = timeout.and_then(|timeout| last.checked_add(timeout));
            let now = Instant::now();
            if empty && deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Outcome::TimedOut);
            }
            let due = self.commands.as_ref().and_then(Commands::due);
            let half = self.halves.iter().map(|half| half.due).min();
            let wake = [deadline, due, half].into_iter().flatten().min();
            let left = match wake {
                _ if !empty => Some(Duration::ZERO),
                Some(wake) => Some(wake.saturating_duration_since(now)),
                None => None,
            };
            self.wait(&watcher, signals, left)?;
        }
    }

    /// Waits for an event, a signal, or the end of whoever reads what is shown.
    fn wait(
        &self,
        watcher: &Watcher,
        signals: &Signals,
        left: Option<Duration>,
    ) -> Result<(), Failure> {
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let reader = self.output.file().as_fd();
        let mut fds = [
            PollFd::from_borrowed_fd(watcher.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            // Errors come unasked.
            PollFd::from_borrowed_fd(reader, PollFlags::empty()),
        ];
        let count = if self.options.quiet == Quiet::Events { 2 } else { 3 };
        match poll(&mut fds[..count], left.as_ref()) {
            Ok(_) if fds[2].revents().contains(PollFlags::ERR) => {
                Err(Failure::Output(io::ErrorKind::BrokenPipe.into()))
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::System(error.into())),
        }
    }

    /// Shows what is left.
    fn finish(&mut self, outcome: Outcome) -> Result<Outcome, Failure> {
        if self.options.monitor {
            self.old_halves(None)?;
        }
        self.output.flush()?;
        let Some(commands) = &mut self.commands else { return Ok(outcome) };
        if !matches!(outcome, Outcome::Killed(_)) {
            if let Err(error) = commands.finish() {
                self.messages.warn(error);
            }
        }
        Ok(match outcome {
            Outcome::Seen if commands.failed => Outcome::Ended,
            outcome => outcome,
        })
    }

    fn event(&mut self, event: &WatchEvent<'_>) -> Result<Came, Failure> {
        let mask = event.mask();
        let Some(watch) = event.watch() else { return self.lost(mask) };
        if event.is_ignored() {
            return self.ended(watch, mask);
        }
        let mut path = std::mem::take(&mut self.path);
        event.path_into(&mut path);
        let result = self.event_at(watch, event, &path);
        self.path = path;
        result
    }

    fn event_at(
        &mut self,
        watch: WatchId,
        event: &WatchEvent<'_>,
        path: &Path,
    ) -> Result<Came, Failure> {
        let Some(root) = self.roots.get(&watch) else { return Ok(Came::Nothing) };
        let path = path.as_os_str().as_bytes();
        let shown;
        let at = match event.name() {
            Some(name) => At { path, name: path.len() - name.len() },
            None => {
                shown = root.clone();
                At { path: &shown, name: shown.len() }
            }
        };
        let (mask, cookie) = (event.mask(), event.cookie());
        if self.given_up(at, mask, cookie)? == Came::Shown && !self.options.monitor {
            return Ok(Came::Shown);
        }
        match event.name_change() {
            Some(NameChange::Appeared) => return self.say("APPEARED", at, mask),
            Some(NameChange::Replaced) => return self.say("REPLACED", at, mask),
            Some(NameChange::Vanished) => return self.say("VANISHED", at, mask),
            _ => {}
        }
        match event.tree_change() {
            Some(TreeChange::Renamed { from }) => {
                let from = from.as_os_str().as_bytes();
                self.renamed(At::new(from), at, mask & EventMask::ISDIR, cookie)
            }
            Some(TreeChange::Exchanged { with }) => {
                let with = At::new(with.as_os_str().as_bytes());
                self.exchanged(with, at, mask & EventMask::ISDIR, cookie)
            }
            Some(TreeChange::Unwatched(reason)) => {
                let why = match reason {
                    Barred::Errno(errno) => errno.to_string(),
                    Barred::Twice => "it is watched by another path".to_owned(),
                    Barred::RootMoved => "the root has been moved".to_owned(),
                    _ => "unknown".to_owned(),
                };
                // With --follow-links, that is as it should be.
                if !self.options.follow_links || reason != Barred::Twice {
                    self.messages.tell(format_args!("Cannot watch {}: {why}", Escaped(path)));
                }
                self.note("UNWATCHED", at, true)
            }
            Some(TreeChange::Unlisted(errno)) => {
                self.messages.warn(format_args!(
                    "cannot list {} after events were lost: {errno}; trying again later",
                    Escaped(path)
                ));
                self.note("UNLISTED", at, true)
            }
            Some(TreeChange::RootMoved) => {
                self.messages.warn(format_args!(
                    "{} no longer leads to the watched directory: its events go on, but new \
                     directories in it can't be watched",
                    Escaped(path)
                ));
                self.note("ROOT_MOVED", at, true)
            }
            Some(TreeChange::Watched) => self.note("WATCHED", at, true),
            Some(TreeChange::Established) => self.note("ESTABLISHED", at, false),
            Some(TreeChange::Resynced) => {
                self.messages.warn(format_args!(
                    "what was lost in {} is found and shown, as far as it can be",
                    Escaped(path)
                ));
                self.note("RESYNCED", at, true)
            }
            Some(TreeChange::Discovered) => {
                let mask = in_words(mask, self.options.events);
                self.show(at, mask, cookie, true)
            }
            None if self.options.renames && mask.contains(EventMask::MOVED_FROM) => {
                let due = Instant::now() + GRACE;
                self.halves.push(Half { path: path.to_vec(), name: at.name, mask, cookie, due });
                Ok(Came::Nothing)
            }
            None if mask.contains(EventMask::MOVED_TO) && !self.halves.is_empty() => {
                match self.halves.iter().position(|half| half.cookie == cookie) {
                    Some(index) => {
                        let half = self.halves.remove(index);
                        let from = At { path: &half.path, name: half.name };
                        self.renamed(from, at, mask & EventMask::ISDIR, cookie)
                    }
                    None => self.show(at, mask, cookie, false),
                }
            }
            _ => self.show(at, mask, cookie, false),
        }
    }

    /// Shows what the kernel said, if it was asked for.
    fn show(
        &mut self,
        at: At<'_>,
        mask: EventMask,
        cookie: u32,
        found: bool,
    ) -> Result<Came, Failure> {
        if !mask.intersects(self.options.events) {
            return Ok(Came::Nothing);
        }
        self.filtered(at, &Shown { cookie, found, ..at.shown(mask) })
    }

    /// Shows what the kernel has no word for.
    fn say(&mut self, word: &'static str, at: At<'_>, mask: EventMask) -> Result<Came, Failure> {
        self.filtered(at, &Shown { word: Some(word), found: true, ..at.shown(mask) })
    }

    /// Shows what is not to be hidden.
    fn filtered(&mut self, at: At<'_>, shown: &Shown<'_>) -> Result<Came, Failure> {
        if self.passes(at.path, shown.mask) {
            return self.put(shown);
        }
        self.stats.hidden += 1;
        Ok(Came::Nothing)
    }

    /// Reports to a program what people are told by messages.
    fn note(&mut self, word: &'static str, at: At<'_>, found: bool) -> Result<Came, Failure> {
        if self.output.is_json() {
            let shown = at.shown(EventMask::empty());
            self.output.event(&Shown { word: Some(word), found, ..shown })?;
        }
        Ok(Came::Nothing)
    }

    /// Shows a rename as one, or as two halves.
    fn renamed(
        &mut self,
        from: At<'_>,
        to: At<'_>,
        is_dir: EventMask,
        cookie: u32,
    ) -> Result<Came, Failure> {
        let (gone, come) = (EventMask::MOVED_FROM | is_dir, EventMask::MOVED_TO | is_dir);
        if self.options.renames && self.passes(from.path, gone) && self.passes(to.path, come) {
            return self.joined("RENAMED", from, to.shown(come), cookie);
        }
        match self.show(from, gone, cookie, false)? {
            Came::Shown if !self.options.monitor => Ok(Came::Shown),
            Came::Shown => {
                self.show(to, come, cookie, false)?;
                Ok(Came::Shown)
            }
            _ => self.show(to, come, cookie, false),
        }
    }

    /// Shows two directories that changed places, as one event or as two renames.
    fn exchanged(
        &mut self,
        one: At<'_>,
        other: At<'_>,
        is_dir: EventMask,
        cookie: u32,
    ) -> Result<Came, Failure> {
        let come = EventMask::MOVED_TO | is_dir;
        if self.options.renames && self.passes(one.path, come) && self.passes(other.path, come) {
            return self.joined("EXCHANGED", one, other.shown(come), cookie);
        }
        let first = self.renamed(one, other, is_dir, cookie)?;
        if first == Came::Shown && !self.options.monitor {
            return Ok(first);
        }
        match self.renamed(other, one, is_dir, cookie.wrapping_add(1))? {
            Came::Nothing => Ok(first),
            second => Ok(second),
        }
    }

    /// Shows one event that names both places, if renames were asked for.
    fn joined(
        &mut self,
        word: &'static str,
        from: At<'_>,
        to: Shown<'_>,
        cookie: u32,
    ) -> Result<Came, Failure> {
        if !self.options.events.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO) {
            return Ok(Came::Nothing);
        }
        self.put(&Shown { word: Some(word), cookie, from: from.path, ..to })
    }

    fn passes(&self, path: &[u8], mask: EventMask) -> bool {
        let is_dir = mask.contains(EventMask::ISDIR);
        self.filter.as_ref().is_none_or(|filter| filter.shows(path, is_dir))
    }

    fn put(&mut self, shown: &Shown<'_>) -> Result<Came, Failure> {
        self.output.event(shown)?;
        self.stats.count(shown.mask);
        if let Some(commands) = &mut self.commands {
            commands.event([shown.dir, shown.name].concat());
        }
        Ok(Came::Shown)
    }

    /// Shows the halves whose other half has not come in time, or all of them.
    fn old_halves(&mut self, now: Option<Instant>) -> Result<Came, Failure> {
        self.show_halves(|half| now.is_none_or(|now| half.due <= now))
    }

    /// Shows the halves whose other half would have come before this event: nothing in a directory is
    /// made, removed or renamed between the two.
    fn given_up(&mut self, at: At<'_>, mask: EventMask, cookie: u32) -> Result<Came, Failure> {
        const NAMES: EventMask = EventMask::CREATE
            .union(EventMask::DELETE)
            .union(EventMask::MOVED_FROM)
            .union(EventMask::MOVED_TO);
        if self.halves.is_empty() || !mask.intersects(NAMES) {
            return Ok(Came::Nothing);
        }
        let dir = at.path.get(..at.name);
        self.show_halves(|half| half.cookie != cookie && half.path.get(..half.name) == dir)
    }

    fn show_halves(&mut self, old: impl Fn(&Half) -> bool) -> Result<Came, Failure> {
        let mut came = Came::Nothing;
        while let Some(index) = self.halves.iter().position(&old) {
            let half = self.halves.remove(index);
            let at = At { path: &half.path, name: half.name };
            if self.show(at, half.mask, half.cookie, false)? == Came::Shown {
                came = Came::Shown;
                if !self.options.monitor {
                    break;
                }
            }
        }
        Ok(came)
    }

    /// Events were lost: that is told whoever is asked not to tell much.
    fn lost(&mut self, mask: EventMask) -> Result<Came, Failure> {
        self.stats.overflows += 1;
        self.messages.warn(
            "events were lost: they came faster than they could be shown; raising the sysctl \
             fs.inotify.max_queued_events gives more room",
        );
        let asked = self.options.events.contains(EventMask::Q_OVERFLOW);
        if asked || self.output.is_json() {
            self.output.event(&At::new(b"").shown(mask))?;
        }
        Ok(if asked { Came::Shown } else { Came::Unasked })
    }

    /// The watch has ended.
    fn ended(&mut self, watch: WatchId, mask: EventMask) -> Result<Came, Failure> {
        let Some(root) = self.roots.remove(&watch) else { return Ok(Came::Nothing) };
        if self.options.monitor {
            self.messages.tell(format_args!("The watch of {} has ended.", Escaped(&root)));
        }
        let at = At { path: &root, name: root.len() };
        match self.show(at, mask, 0, false)? {
            Came::Shown => Ok(Came::Shown),
            _ => Ok(Came::Unasked),
        }
    }
}

/// What made the tool give up.
#[derive(Debug)]
pub enum Failure {
    Watch(WatchError),
    Regex(BadRegex),
    File(PathBuf, io::Error),
    Output(io::Error),
    System(io::Error),
    NoPaths,
    NegativeTimeout,
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
            Self::Watch(error) => error.fmt(f),
            Self::Regex(error) => write!(f, "the regular expression makes no sense: {error}"),
            Self::File(path, error) => {
                write!(f, "cannot open {}: {error}", Escaped(path.as_os_str().as_bytes()))
            }
            Self::Output(error) => write!(f, "cannot write the events: {error}"),
            Self::System(error) => error.fmt(f),
            Self::NoPaths => f.write_str("no path to watch was given"),
            Self::NegativeTimeout => {
                f.write_str("the watches were set up; the timeout is negative, so that is all")
            }
        }
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        Self::Watch(error)
    }
}

impl From<BadRegex> for Failure {
    fn from(error: BadRegex) -> Self {
        Self::Regex(error)
    }
}

impl From<io::Error> for Failure {
    /// All that is written is what came.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

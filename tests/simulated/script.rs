//! Scripted worlds: named steps, which mean the same whatever the engine does.
//!
//! One step per line; `#` begins a comment. Paths are beneath the root, and `.` is the root itself. Paths
//! with a leading `/` begin at the directory that holds the root: `/root/a` is `a`, and `/out` is outside.
//!
//! | step | effect |
//! |---|---|
//! | `options WORDS` | first line: the rules, see below |
//! | `mkdir P`, `create P`, `symlink P`, `write P`, `rm P` | a change; before `start`, part of the initial world |
//! | `symlink P Q` | a link to the directory Q, which stays its target wherever Q is moved |
//! | `mv P Q`, `exchange P Q`, `whiteout P Q`, `link P Q` | renames, and a second name |
//! | `split N` | queues N events of the next rename now, and the others at `finish`, or when a barrier waits for them |
//! | `user P` | before `start`: another subscriber watches P |
//! | `chmod MODE P` | only the owner's digit counts: 4 is read, 1 is search |
//! | `open P`, `close INODE` | another process opens or closes a directory |
//! | `mount P`, `bind P Q`, `uncover P`, `umount P` | mounts a new file system, or Q, over P; removes it again |
//! | `start` | sets the tree up, to its first rest |
//! | `begin` | instead of `start`: sets the tree up as far as that goes before the first read |
//! | `read`, `read N` | reads everything, or N records at once, and feeds it |
//! | `idle` | calls the engine once with an empty queue |
//! | `overflow` | fills the queue until the next read |
//! | `before call N: STEP` | a change, or `fail ERRNO`, just before the Nth next call of the engine |
//! | `faults end` | calls no longer fail |
//! | `rest` | drives until nothing is left to do, and compares everything |
//! | `expect TEXT`, `never TEXT` | an event since the `rest` before the last one contains this text, or none does |
//!
//! Words of `options`: `track_files`, `skip_existing` (no `report_existing`), `exclude` (directories named
//! `excluded`), `links` (they are followed), `max_depth=N`, `max_open=N`, `same_file_system`,
//! `second_tree=PATH`; for the mask `modify_events`, `self_events`, `open_events`, `names_only`; for the world
//! `queue_limit=N`, `watch_limit=N`, `no_link_counts`, `no_proc`, `mounts`, `whiteouts`, `faults`,
//! `false_errors`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tinotify::{Errno, WatchMask};

use super::changes::Op;
use super::choices::Choices;
use super::inode::Ino;
use super::names::{Name, ROOT, bytes};
use super::rules::Rules;
use super::schedule::{Run, panicked};
use super::world::{TOP, World};

/// The mask of another subscriber.
const USER: WatchMask = WatchMask::CREATE.union(WatchMask::MODIFY);

/// Returns the rules of a line of options.
pub fn rules(line: &str) -> Result<Rules, String> {
    let mut rules = Rules { exchanges: true, open_dirs: true, unreadable: true, ..Rules::plain() };
    for word in line.split_whitespace() {
        let (word, value) = word.split_once('=').unwrap_or((word, ""));
        let value: u32 = value.parse().unwrap_or_default();
        match word {
            "track_files" => rules.track_files = true,
            "modify_events" => {
                rules.mask |= WatchMask::MODIFY | WatchMask::CLOSE_WRITE | WatchMask::ATTRIB;
            }
            "self_events" => rules.mask |= WatchMask::DELETE_SELF | WatchMask::MOVE_SELF,
            "open_events" => {
                rules.mask |= WatchMask::OPEN | WatchMask::ACCESS | WatchMask::CLOSE_NOWRITE;
            }
            "no_link_counts" => rules.counts_links = false,
            "same_file_system" => rules.same_file_system = true,
            "skip_existing" => rules.report_existing = false,
            "exclude" => rules.exclude = true,
            "links" => rules.links = true,
            "no_proc" => rules.no_proc = true,
            "mounts" => (rules.binds, rules.mounts, rules.remounts) = (true, true, 1),
            "whiteouts" => rules.whiteouts = 1,
            "faults" => (rules.faults, rules.faults_end) = (1, true),
            "false_errors" => rules.false_errors = true,
            "names_only" => rules.mask = super::rules::NAMES,
            "max_depth" => rules.max_depth = Some(value),
            "watch_limit" => rules.watch_limit = value,
            "max_open" => rules.max_open = Some(value as usize),
            "queue_limit" => rules.queue_limit = value as usize,
            "second_tree" => {}
            _ => return Err(format!("unknown option {word:?}")),
        }
    }
    Ok(rules)
}

impl World {
    /// Resolves a path of a script to a directory and a name in it.
    fn place(&self, path: &str) -> Option<(Ino, Name)> {
        let (mut at, names) = match path.strip_prefix('/') {
            Some(rest) => (TOP, rest),
            None if path == "." => return Some((TOP, ROOT)),
            None => (self.over(self.root), path),
        };
        let mut names = names.split('/').peekable();
        loop {
            let name = by_text(names.next()?)?;
            if names.peek().is_none() {
                return Some((at, name));
            }
            at = self.over(self.entry(at, name)?);
        }
    }

    /// Returns the inode at a path, with mounts.
    pub fn at(&self, path: &str) -> Option<Ino> {
        let (dir, name) = self.place(path)?;
        self.entry(dir, name).map(|ino| self.over(ino))
    }

    fn op(&self, line: &str) -> Option<Op> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = |at: usize| words.get(at).and_then(|path| self.place(path));
        let dir = |at: usize| words.get(at).and_then(|path| self.at(path));
        let covered = |at: usize| place(at).and_then(|(dir, name)| self.entry(dir, name));
        Some(match *words.first()? {
            "mkdir" => place(1).map(|(dir, name)| Op::Mkdir(dir, name))?,
            "create" => place(1).map(|(dir, name)| Op::Create(dir, name))?,
            "write" => place(1).map(|(dir, name)| Op::Write(dir, name))?,
            "rm" => place(1).map(|(dir, name)| Op::Remove(dir, name))?,
            "mv" => Op::Rename { from: place(1)?, to: place(2)? },
            "whiteout" => Op::Whiteout { from: place(1)?, to: place(2)? },
            "exchange" => Op::Exchange { one: place(1)?, other: place(2)? },
            "link" => Op::Link { from: place(1)?, to: place(2)? },
            "open" => Op::Hold(dir(1)?),
            "close" => Op::Release(words.get(1)?.parse().ok()?),
            "mount" => Op::Cover { dir: covered(1)?, with: None },
            "bind" => Op::Cover { dir: covered(1)?, with: Some(dir(2)?) },
            "uncover" => Op::Uncover(dir(1)?),
            "umount" => Op::Unmount(dir(1)?),
            "chmod" => {
                let mode = words.get(1)?.as_bytes().first()?;
                Op::Chmod { at: place(2)?, read: mode & 4 != 0, search: mode & 1 != 0 }
            }
            _ => return None,
        })
    }

    /// Schedules a change just before a call of the engine: `N: STEP`.
    fn prepare(&mut self, rest: &str) -> Result<(), String> {
        let (call, change) = rest.split_once(':').ok_or("expected `before call N: STEP`")?;
        let call: u64 = call.trim().parse().map_err(|_| "invalid number of a call")?;
        self.ambush.push((self.calls + call, change.trim().into()));
        Ok(())
    }

    /// Makes the change of a line. Returns `false` if it is not possible.
    pub fn change_by_line(&mut self, line: &str) -> bool {
        if let Some(name) = line.strip_prefix("fail ") {
            let raw = match name.trim() {
                "EACCES" => Errno::EACCES,
                "EMFILE" => Errno::EMFILE,
                "ENFILE" => Errno::ENFILE,
                "ENOMEM" => Errno::ENOMEM,
                "ENOSPC" => Errno::ENOSPC,
                "ENOENT" => Errno::ENOENT,
                _ => Errno::from_raw(116),
            };
            self.next_fault = Some(raw);
            return true;
        }
        if let Some(now) = line.strip_prefix("split ") {
            self.split = now.parse().ok();
            return self.split.is_some();
        }
        if let Some(path) = line.strip_prefix("user ") {
            self.rules.users = 1;
            return self.at(path).is_some_and(|dir| self.add_user(dir, USER));
        }
        if let Some(words) = line.strip_prefix("symlink ") {
            return self.make_link(words).is_some();
        }
        if line == "finish" {
            self.finish_rename();
            return true;
        }
        self.op(line).is_some_and(|op| self.apply(op))
    }

    /// Makes a link: `P`, which leads nowhere, or `P Q`, which leads to the directory Q.
    fn make_link(&mut self, words: &str) -> Option<()> {
        let mut paths = words.split_whitespace();
        let (dir, name) = self.place(paths.next()?)?;
        let target = match paths.next() {
            Some(path) => Some(self.at(path)?),
            None => None,
        };
        if !self.apply(Op::Symlink(dir, name)) {
            return None;
        }
        let link = self.entry(dir, name)?;
        self.nodes[link].target = target;
        Some(())
    }
}

/// Returns the number of a name in its printed form.
fn by_text(text: &str) -> Option<Name> {
    (1..=15).find(|name| bytes(*name).escape_ascii().to_string() == text)
}

/// Runs a script. The error names the line that failed and the reason.
pub fn run(text: &str, tracing: bool) -> (Result<(), String>, Vec<String>) {
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let first = lines.clone().find(|line| !line.is_empty()).unwrap_or_default();
    let options = first.strip_prefix("options").unwrap_or_default();
    let rules = match rules(options) {
        Ok(rules) => rules,
        Err(why) => return (Err(why), Vec::new()),
    };
    let mut world = World::new(Choices::list(Vec::new()), rules);
    world.trace = tracing.then(Vec::new);
    let mut start = "start";
    for line in lines.by_ref() {
        if matches!(line, "start" | "begin") {
            start = line;
            break;
        }
        if let Some(rest) = line.strip_prefix("before call ") {
            if let Err(why) = world.prepare(rest) {
                return (Err(why), Vec::new());
            }
            continue;
        }
        let is_change = !line.is_empty() && !line.starts_with("options");
        if is_change && !world.change_by_line(line) {
            return (Err(format!("{line}: not possible")), Vec::new());
        }
    }
    for word in options.split_whitespace() {
        if let Some(path) = word.strip_prefix("second_tree=") {
            let Some(root) = world.at(path) else { return (Err("no second root".into()), vec![]) };
            world.roots.push((world.names_to(root), root));
            world.was_away.push(false);
            world.remember();
        }
    }
    let mut run = Run::new(world);
    run.reports = Some(Vec::new());
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut started = run.start().map(|_| ());
        if start == "start" {
            started = started.and_then(|()| run.rest());
        }
        started.map_err(|why| format!("{start}: {why}"))?;
        for line in lines.filter(|line| !line.is_empty()) {
            run.step_by_line(line).map_err(|why| format!("{line}: {why}"))?;
        }
        run.rest().map_err(|why| format!("at the end: {why}"))
    }));
    let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    (result, run.world.trace.unwrap_or_default())
}

impl Run {
    /// Drives until nothing is left to do, and compares everything.
    pub fn rest(&mut self) -> Result<(), String> {
        self.drive_to_rest()?;
        self.compare_at_rest()
    }

    fn step_by_line(&mut self, line: &str) -> Result<(), String> {
        let reports = self.reports.get_or_insert_default();
        if let Some(rest) = line.strip_prefix("before call ") {
            return self.world.prepare(rest);
        }
        if let Some(text) = line.strip_prefix("expect ") {
            let found = reports.iter().any(|report| report.contains(text));
            return found.then_some(()).ok_or_else(|| format!("the reports were {reports:#?}"));
        }
        if let Some(text) = line.strip_prefix("never ") {
            let found = reports.iter().any(|report| report.contains(text));
            return (!found).then_some(()).ok_or_else(|| format!("the reports were {reports:#?}"));
        }
        match line {
            "rest" => {
                reports.clear();
                self.rest()
            }
            "read" => self.read_records(usize::MAX),
            "idle" => {
                self.read_records(0)?;
                self.driver.turn(&mut self.world, |_| 0);
                self.take_reports()
            }
            "overflow" => {
                self.world.queue.fill();
                Ok(())
            }
            "faults end" => self.end_faults(),
            _ => match line.strip_prefix("read ").map(str::parse) {
                Some(records) => self.read_records(records.map_err(|_| "invalid number")?),
                None if self.world.change_by_line(line) => Ok(()),
                None => Err("not possible".into()),
            },
        }
    }

    /// Reads this many records at once and feeds them, without the engine's idle work.
    fn read_records(&mut self, records: usize) -> Result<(), String> {
        self.world.queue.set_limit(self.world.rules.queue_limit);
        self.take_reports()?;
        if records > 0 && !self.world.queue.is_empty() {
            self.driver.turn(&mut self.world, |world| world.queue.first(records));
            self.take_reports()?;
        }
        while self.driver.feed(&mut self.world).is_some() {
            self.totals.events += 1;
            self.take_reports()?;
        }
        Ok(())
    }
}

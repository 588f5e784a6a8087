//! Records a schedule as a script, as far as a script can express it: not the result of a listing during a
//! change.

use super::changes::Op;
use super::names::{Name, ROOT, bytes};
use super::world::World;

/// The recorded script.
#[derive(Default)]
pub struct Recorder {
    lines: Vec<String>,
    /// The current step. Changes before its calls are written in front of it.
    step: Option<String>,
    /// The number of calls when the step began.
    base: u64,
    /// The number of events of the current rename that are queued at once.
    split: Option<u32>,
}

impl Recorder {
    /// Creates a script that begins with the present world.
    pub fn new(world: &World) -> Self {
        let mut lines = vec![options(world)];
        for entry in super::truth::truth(world, super::world::TOP) {
            let names: Vec<Name> = entry.path.names().collect();
            // The outside and the root always exist.
            if names.len() > 1 {
                let make = if entry.is_dir { "mkdir" } else { "create" };
                lines.push(format!("{make} {}", shown(&names)));
            }
        }
        for (ino, _) in world.nodes.iter().enumerate().filter(|(_, node)| !node.user.is_empty()) {
            lines.push(format!("user {}", shown(&world.names_to(ino))));
        }
        Self { lines, step: Some("begin".into()), base: world.calls, split: None }
    }

    fn flush(&mut self, calls: u64) {
        self.lines.extend(self.step.take());
        self.base = calls;
    }

    pub fn text(mut self) -> String {
        self.flush(0);
        // Coming to rest is one step, however many rounds it takes.
        let mut lines: Vec<String> = Vec::new();
        for line in self.lines {
            if line == "rest" && lines.last().is_some_and(|last| last == "idle") {
                lines.pop();
            }
            if line != "rest" || lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines.join("\n")
    }
}

impl World {
    /// Records the beginning of a step of the reader.
    pub fn record_step(&mut self, step: impl FnOnce() -> String) {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush(self.calls);
            recorder.step = Some(step());
        }
    }

    /// Records a change: on its own, or just before a call.
    pub fn record_change(&mut self, op: Op, paths: &[Vec<Name>]) {
        let line = self.line_of(op, paths);
        if let Some(now) = self.recorder.as_mut().and_then(|recorder| recorder.split.take()) {
            self.record_line(format!("split {now}"));
        }
        self.record_line(line);
    }

    /// Records how many events of the current rename are queued now.
    pub fn record_split(&mut self, now: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.split = Some(now);
        }
    }

    pub fn record_line(&mut self, line: String) {
        let Some(recorder) = &mut self.recorder else { return };
        if self.is_working {
            let call = self.calls + 1 - recorder.base;
            recorder.lines.push(format!("before call {call}: {line}"));
        } else {
            recorder.flush(self.calls);
            recorder.lines.push(line);
        }
    }

    /// Records that the current call fails.
    pub fn record_fault(&mut self, errno: &str) {
        if let Some(recorder) = &mut self.recorder {
            let call = self.calls - recorder.base;
            recorder.lines.push(format!("before call {call}: fail {errno}"));
        }
    }

    fn line_of(&self, op: Op, paths: &[Vec<Name>]) -> String {
        let verb = match op {
            Op::Mkdir(..) => "mkdir",
            Op::Create(..) => "create",
            Op::Symlink(..) => "symlink",
            Op::Link { .. } => "link",
            Op::Write(..) => "write",
            Op::Remove(..) => "rm",
            Op::Rename { .. } => "mv",
            Op::Whiteout { .. } => "whiteout",
            Op::Exchange { .. } => "exchange",
            Op::Hold(_) => "open",
            Op::Release(ino) => return format!("close {ino}"),
            Op::Unmount(_) => "umount",
            Op::Cover { with: None, .. } => "mount",
            Op::Cover { .. } => "bind",
            Op::Uncover(_) => "uncover",
            Op::Chmod { read, search, .. } => {
                let mode = u32::from(read) * 4 + u32::from(search);
                return format!(
                    "chmod {mode}00 {}",
                    paths.first().map(|p| shown(p)).unwrap_or_default()
                );
            }
        };
        let mut paths: Vec<String> = paths.iter().map(|path| shown(path)).collect();
        if let Op::Symlink(dir, name) = op {
            let target = self.entry(dir, name).and_then(|link| self.nodes[link].target);
            paths.extend(target.map(|target| shown(&self.names_to(target))));
        }
        format!("{verb} {}", paths.join(" "))
    }
}

/// Returns the line of options with the rules of a world.
fn options(world: &World) -> String {
    let rules = &world.rules;
    let mut options = String::from("options");
    let words = [
        (rules.track_files, " track_files"),
        (rules.mask.contains(tinotify::WatchMask::MODIFY), " modify_events"),
        (rules.mask.contains(tinotify::WatchMask::DELETE_SELF), " self_events"),
        (!rules.report_existing, " skip_existing"),
        (rules.mask.contains(tinotify::WatchMask::OPEN), " open_events"),
        (!rules.counts_links, " no_link_counts"),
        (rules.same_file_system, " same_file_system"),
        (rules.exclude, " exclude"),
        (rules.links, " links"),
        (rules.no_proc, " no_proc"),
        (rules.mounts || rules.binds || rules.remounts > 0, " mounts"),
        (rules.whiteouts > 0, " whiteouts"),
        (rules.faults > 0, " faults"),
        (rules.false_errors, " false_errors"),
    ];
    words.iter().filter(|word| word.0).for_each(|word| options += word.1);
    if let Some(depth) = rules.max_depth {
        options += &format!(" max_depth={depth}");
    }
    if rules.queue_limit < 1_000 {
        options += &format!(" queue_limit={}", rules.queue_limit);
    }
    if rules.watch_limit < 1_000 {
        options += &format!(" watch_limit={}", rules.watch_limit);
    }
    if let Some(open) = rules.max_open {
        options += &format!(" max_open={open}");
    }
    for (path, _) in world.roots.iter().skip(1) {
        options += &format!(" second_tree={}", shown(path));
    }
    options
}

/// Returns a path from [`TOP`](super::world::TOP) as a script writes it.
fn shown(names: &[Name]) -> String {
    let text = |names: &[Name]| {
        let names: Vec<String> =
            names.iter().map(|name| bytes(*name).escape_ascii().to_string()).collect();
        names.join("/")
    };
    match names {
        [ROOT] => ".".into(),
        [ROOT, beneath @ ..] => text(beneath),
        names => format!("/{}", text(names)),
    }
}

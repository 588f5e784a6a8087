//! The consumers in `examples` keep a copy of a tree, which equals the disk at each quiet.
//!
//! A storm makes random changes. In some rounds the consumer and the tool are stopped until the kernel's
//! queue is full, so that events are lost. `TINOTIFY_MIRROR_SEED` chooses another storm.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

use mirroring::changes::Changes;
use rustix::process::{Pid, Signal, kill_process_group};
use support::{DEADLINE, Program, lossy, skip};

mod mirroring;
#[path = "tool/mod.rs"]
mod support;
#[path = "support/mod.rs"]
mod users;

/// A consumer and what it needs.
const PYTHON: (&str, &str) = ("python3", "mirror.py");
const SHELL: (&str, &str) = ("jq", "mirror.sh");

/// Where the consumers find their programs, after the tool.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A running consumer. It and the tool are one process group.
struct Mirror {
    source: PathBuf,
    copy: PathBuf,
    program: Program,
    group: Pid,
    fences: u32,
    /// The number of times that events were lost.
    overflows: usize,
}

impl Mirror {
    /// Starts the consumer in a directory, or prints SKIPPED if it cannot be run.
    fn start(dir: &Path, (needed, example): (&str, &str)) -> Option<Self> {
        let tool = Path::new(env!("CARGO_BIN_EXE_tinotify"));
        let consumer = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        let command = |program: &OsStr| {
            let mut command = Command::new(program);
            let path = [tool.parent().unwrap().as_os_str().as_bytes(), PATH.as_bytes()].join(&b':');
            command.env("PATH", OsStr::from_bytes(&path)).env("LC_ALL", "C").current_dir(dir);
            command
        };
        for program in [OsStr::new(needed), tool.as_os_str()] {
            let output = support::output(command(program).arg("--version"));
            if !output.is_ok_and(|output| output.status.success()) {
                let program = program.display();
                skip(&format!("{example}: this user cannot run {program}"));
                return None;
            }
        }
        let mut command = command(consumer.as_os_str());
        let mut program = Program::start(command.args(["source", "copy"]).process_group(0));
        let group = Pid::from_child(&program.child);
        if program.child.try_wait().is_ok_and(|status| status.is_some()) {
            panic!("{example}: {}", lossy(&program.messages.to_end()));
        }
        let (source, copy) = (dir.join("source"), dir.join("copy"));
        Some(Self { source, copy, program, group, fences: 0, overflows: 0 })
    }

    fn signal(&self, signal: Signal) {
        kill_process_group(self.group, signal).unwrap();
    }

    fn messages(&self) -> String {
        lossy(&self.program.messages.so_far())
    }

    /// Waits until a new file is in the copy, and until the copy equals the disk.
    fn is_equal(&mut self, what: &str) {
        let [old, new] = [self.fences, self.fences + 1].map(|number| format!("fence-{number}"));
        self.fences += 1;
        let _ = fs::remove_file(self.source.join(old));
        fs::write(self.source.join(&new), "").unwrap();
        let begin = Instant::now();
        let disk = entries(&self.source);
        loop {
            let copy = entries(&self.copy);
            if copy == disk {
                break;
            }
            if begin.elapsed() > DEADLINE {
                let differing = |one: &Entries, other: &Entries| -> Vec<String> {
                    let differing =
                        one.iter().filter(|(path, entry)| other.get(*path) != Some(entry));
                    differing.map(|(path, entry)| format!("{path:?}: {entry:?}")).collect()
                };
                panic!(
                    "{what}: only on the disk: {:#?}; only in the copy: {:#?}; messages: {}",
                    differing(&disk, &copy),
                    differing(&copy, &disk),
                    self.messages()
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the tool until the queue is full and the changes are lost.
    fn overflow(&mut self, changes: impl FnOnce()) {
        self.signal(Signal::STOP);
        support::fill_queue(&self.source);
        changes();
        self.signal(Signal::CONT);
        self.overflows += 1;
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
        // All of them have ended when the pipe is closed. Otherwise one could still write to the copy.
        let _ = self.program.messages.to_end();
    }
}

type Entries = BTreeMap<PathBuf, Entry>;

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

/// Reads everything beneath a directory. What disappears meanwhile is left out.
fn entries(root: &Path) -> Entries {
    let mut entries = Entries::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root.join(&dir)).into_iter().flatten().flatten() {
            let path = dir.join(entry.file_name());
            let full = root.join(&path);
            let Ok(kind) = entry.file_type() else { continue };
            let entry = if kind.is_dir() {
                dirs.push(path.clone());
                Some(Entry::Directory)
            } else if kind.is_symlink() {
                fs::read_link(full).ok().map(Entry::Link)
            } else {
                fs::read(full).ok().map(Entry::File)
            };
            entries.extend(entry.map(|entry| (path, entry)));
        }
    }
    entries
}

/// Creates a directory of this user with `source` and `outside`.
fn scene() -> tempfile::TempDir {
    let dir = support::scratch_in_memory();
    fs::create_dir(dir.path().join("source")).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    dir
}

/// Runs one storm.
fn storm(dir: &Path, consumer: (&str, &str), seed: u64, mounts: bool) {
    let seed = env::var("TINOTIFY_MIRROR_SEED").map_or(seed, |seed| seed.parse().unwrap());
    let mut changes = Changes::new(dir, seed, mounts);
    changes.make(150);
    changes.restore();
    let Some(mut mirror) = Mirror::start(dir, consumer) else { return };
    let what = |round| format!("{} with seed {seed}, round {round}", consumer.1);
    mirror.is_equal(&what(0));
    for round in 1..=4 {
        if round == 3 {
            changes.make(100);
            mirror.overflow(|| {
                changes.make(150);
                changes.restore();
            });
        } else {
            changes.make(200);
            changes.restore();
        }
        mirror.is_equal(&what(round));
    }
    let lost = mirror.messages().matches("events were lost").count();
    assert!(lost >= mirror.overflows, "{}", mirror.messages());
}

fn storms(consumer: (&str, &str), seeds: RangeInclusive<u64>, mounts: bool) {
    for seed in seeds {
        let dir = scene();
        storm(dir.path(), consumer, seed, mounts);
    }
}

/// Runs storms of a user other than root.
fn plain_storms(consumer: (&str, &str), seeds: RangeInclusive<u64>) {
    for seed in seeds {
        let dir = scene();
        if users::is_root() {
            for path in ["", "source", "outside"] {
                chown(dir.path().join(path), Some(65534), Some(65534)).unwrap();
            }
        }
        users::as_plain_user(|| storm(dir.path(), consumer, seed, false));
    }
}

/// Checks that a directory without permissions is said, and copied when it has them.
fn unreadable(consumer: (&str, &str)) {
    let dir = scene();
    let secret = dir.path().join("source/secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("file"), "text").unwrap();
    if users::is_root() {
        for path in [dir.path(), &dir.path().join("source"), &secret, &secret.join("file")] {
            chown(path, Some(65534), Some(65534)).unwrap();
        }
    }
    users::as_plain_user(|| {
        let mode = |mode| fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        mode(0);
        let Some(mut mirror) = Mirror::start(dir.path(), consumer) else { return };
        mirror.program.messages.until("mirror: not watched: ./secret: EACCES");
        mode(0o755);
        mirror.is_equal(consumer.1);
    });
}

#[test]
fn what_is_unreadable_is_said_and_copied_as_soon_as_it_is_readable() {
    unreadable(PYTHON);
    unreadable(SHELL);
}

#[test]
fn the_copy_in_python_equals_the_disk_at_each_quiet_with_mounts() {
    if users::in_namespace("the_copy_in_python_equals_the_disk_at_each_quiet_with_mounts") {
        storms(PYTHON, 1..=2, true);
    }
}

#[test]
fn the_copy_in_the_shell_equals_the_disk_at_each_quiet_with_mounts() {
    if users::in_namespace("the_copy_in_the_shell_equals_the_disk_at_each_quiet_with_mounts") {
        storms(SHELL, 3..=3, true);
    }
}

#[test]
fn the_copy_in_python_equals_the_disk_at_each_quiet_without_privileges() {
    plain_storms(PYTHON, 11..=12);
}

#[test]
fn the_copy_in_the_shell_equals_the_disk_at_each_quiet_without_privileges() {
    plain_storms(SHELL, 13..=13);
}

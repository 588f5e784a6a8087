//! What a followed name reports, on the real kernel.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tinotify::{EventKind, NameChange, WatchError, WatchMask, WatchOptions, Watcher};

use NameChange::{Appeared, Changed, Replaced, Vanished};

/// A watcher that follows `name` in a new directory.
struct Followed {
    dir: TempDir,
    watcher: Watcher,
    path: PathBuf,
}

impl Followed {
    fn new(name: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let watcher = Watcher::new().unwrap();
        let path = dir.path().join(name);
        watcher.watch_name(&path, WatchMask::CLOSE_WRITE).unwrap();
        Self { dir, watcher, path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the changes that are reported so far: system calls queue their events before they return.
    fn changes(&mut self) -> Vec<NameChange> {
        let mut changes = Vec::new();
        while let Some(event) = self.watcher.try_recv().unwrap() {
            assert_eq!(event.path(), self.path);
            changes.push(event.name_change().unwrap());
        }
        changes
    }
}

/// Counts the kernel's watches of this watcher.
fn kernel_watches(watcher: &Watcher) -> usize {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&watcher.inotify_fd());
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    info.lines().filter(|line| line.starts_with("inotify")).count()
}

#[test]
fn a_write_in_place_is_reported_as_changed() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "1").unwrap());
    assert_eq!(name.changes(), []);
    fs::write(name.at("file"), "2").unwrap();
    assert_eq!(name.changes(), [Changed]);
}

#[test]
fn name_exists_is_known_at_once_and_changes_with_the_events() {
    for exists in [false, true] {
        let mut name = Followed::new("file", |dir| {
            if exists {
                fs::write(dir.join("file"), "1").unwrap();
            }
        });
        let watches = name.watcher.watches();
        let watch = watches.list()[0].watch;
        assert_eq!(watches.name_exists(watch), Ok(exists));
        if exists {
            fs::remove_file(name.at("file")).unwrap();
        } else {
            fs::write(name.at("file"), "1").unwrap();
        }
        // `name_exists` changes when the event is read.
        assert_eq!(watches.name_exists(watch), Ok(exists));
        assert_eq!(name.changes(), [if exists { Vanished } else { Appeared }]);
        assert_eq!(watches.name_exists(watch), Ok(!exists));
        let other = watches.watch(name.dir.path(), WatchMask::CREATE).unwrap();
        assert_eq!(watches.name_exists(other), Err(WatchError::NoSuchWatch(other)));
        watches.unwatch(watch).unwrap();
        assert_eq!(watches.name_exists(watch), Err(WatchError::NoSuchWatch(watch)));
    }
}

#[test]
fn each_atomic_save_is_reported_as_replaced() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "0").unwrap());
    for content in ["1", "2", "3"] {
        fs::write(name.at("file~"), content).unwrap();
        fs::rename(name.at("file~"), name.at("file")).unwrap();
        assert_eq!(name.changes(), [Replaced]);
    }
    fs::write(name.at("file"), "in place").unwrap();
    assert_eq!(name.changes(), [Changed]);
}

#[test]
fn a_deleted_file_vanishes_and_appears_again_when_recreated() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "0").unwrap());
    fs::remove_file(name.at("file")).unwrap();
    assert_eq!(name.changes(), [Vanished]);
    fs::write(name.at("file"), "1").unwrap();
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn a_file_deleted_and_recreated_before_the_next_read_is_replaced() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "0").unwrap());
    fs::remove_file(name.at("file")).unwrap();
    fs::write(name.at("file"), "1").unwrap();
    assert_eq!(name.changes(), [Replaced]);
}

#[test]
fn a_name_appears_after_its_missing_parents_are_created() {
    let mut name = Followed::new("a/b/c/file", |_| ());
    fs::create_dir_all(name.at("a/b")).unwrap();
    assert_eq!(name.changes(), []);
    fs::create_dir(name.at("a/b/c")).unwrap();
    assert_eq!(name.changes(), []);
    fs::write(name.at("a/b/c/file"), "1").unwrap();
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn a_name_created_with_its_parents_before_the_next_read_appears_once() {
    let mut name = Followed::new("a/b/c/file", |_| ());
    fs::create_dir_all(name.at("a/b/c")).unwrap();
    fs::write(name.at("a/b/c/file"), "1").unwrap();
    assert_eq!(name.changes(), [Appeared]);
    fs::write(name.at("a/b/c/file"), "2").unwrap();
    assert_eq!(name.changes(), [Changed]);
}

/// A volume as Kubernetes mounts it: `file -> ..data/file`, `..data -> ..VERSION`.
fn volume_version(dir: &Path, version: &str) {
    let data = dir.join(format!("..{version}"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), version).unwrap();
    symlink(format!("..{version}"), dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
}

#[test]
fn each_update_of_a_kubernetes_volume_is_reported_as_replaced() {
    let mut name = Followed::new("file", |dir| {
        volume_version(dir, "1");
        symlink("..data/file", dir.join("file")).unwrap();
    });
    for (old, new) in [("1", "2"), ("2", "3"), ("3", "4")] {
        volume_version(name.dir.path(), new);
        fs::remove_dir_all(name.at(&format!("..{old}"))).unwrap();
        assert_eq!(name.changes(), [Replaced]);
        assert_eq!(fs::read_to_string(&name.path).unwrap(), new);
    }
}

#[test]
fn links_are_followed_out_of_the_directory_and_through_parents() {
    let mut name = Followed::new("sub/link", |dir| {
        fs::create_dir_all(dir.join("sub/deep")).unwrap();
        fs::create_dir(dir.join("other")).unwrap();
        fs::write(dir.join("other/file"), "1").unwrap();
        symlink("deep/../../absolute", dir.join("sub/link")).unwrap();
        symlink(dir.join("other/file"), dir.join("absolute")).unwrap();
    });
    fs::write(name.at("other/file"), "2").unwrap();
    assert_eq!(name.changes(), [Changed]);
    fs::rename(name.at("other"), name.at("elsewhere")).unwrap();
    assert_eq!(name.changes(), [Vanished]);
    symlink("elsewhere", name.at("other")).unwrap();
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn a_name_in_a_loop_of_links_appears_once_the_loop_is_removed() {
    let mut name = Followed::new("a", |dir| {
        symlink("b", dir.join("a")).unwrap();
        symlink("a", dir.join("b")).unwrap();
    });
    assert_eq!(name.changes(), []);
    fs::remove_file(name.at("b")).unwrap();
    fs::write(name.at("b"), "1").unwrap();
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn a_parent_renamed_away_and_back_is_reported() {
    let mut name = Followed::new("dir/file", |dir| {
        fs::create_dir(dir.join("dir")).unwrap();
        fs::write(dir.join("dir/file"), "1").unwrap();
    });
    fs::rename(name.at("dir"), name.at("gone")).unwrap();
    assert_eq!(name.changes(), [Vanished]);
    fs::rename(name.at("gone"), name.at("dir")).unwrap();
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn a_replaced_parent_is_reported() {
    let mut name = Followed::new("dir/file", |dir| {
        fs::create_dir(dir.join("dir")).unwrap();
        fs::write(dir.join("dir/file"), "1").unwrap();
    });
    fs::rename(name.at("dir"), name.at("old")).unwrap();
    fs::create_dir(name.at("dir")).unwrap();
    fs::write(name.at("dir/file"), "2").unwrap();
    assert_eq!(name.changes(), [Replaced]);
}

#[test]
fn a_new_hard_link_of_the_file_is_not_reported() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "1").unwrap());
    fs::hard_link(name.at("file"), name.at("same")).unwrap();
    fs::rename(name.at("same"), name.at("third")).unwrap();
    assert_eq!(name.changes(), []);
    fs::write(name.at("third"), "through the other name").unwrap();
    assert_eq!(name.changes(), [Changed]);
}

#[test]
fn changes_of_other_names_are_not_reported() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "1").unwrap());
    fs::write(name.at("other"), "1").unwrap();
    fs::rename(name.at("other"), name.at("filex")).unwrap();
    fs::remove_file(name.at("filex")).unwrap();
    assert_eq!(name.changes(), []);
}

#[test]
fn a_name_and_its_file_can_be_watched_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "1").unwrap();
    let mut watcher = Watcher::new().unwrap();
    let file = watcher.watch(&path, WatchMask::MODIFY).unwrap();
    let name = watcher.watch_name(&path, WatchMask::CLOSE_WRITE).unwrap();
    fs::write(&path, "22").unwrap();

    let mut events = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        events.push((event.watch().unwrap(), event.kind()));
    }
    events.dedup();
    assert_eq!(events, [(file, EventKind::Modify), (name, EventKind::CloseWrite)]);
}

#[test]
fn mask_create_ignores_the_internal_watches_of_a_name() {
    let mut name = Followed::new("dir/file", |dir| fs::create_dir(dir.join("dir")).unwrap());
    let strict = WatchMask::CREATE | WatchMask::MASK_CREATE;
    let watch = name.watcher.watch(name.at("dir"), strict).unwrap();
    let error = name.watcher.watch(name.at("dir"), strict).unwrap_err();
    assert_eq!(error.errno(), Some(tinotify::Errno::EEXIST), "{error}");

    fs::write(name.at("dir/file"), "1").unwrap();
    assert_eq!(name.watcher.recv().unwrap().watch(), Some(watch));
    assert_eq!(name.changes(), [Appeared]);
}

#[test]
fn aliases_distinguish_two_names_of_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::new().unwrap();
    for name in ["a", "b"] {
        let options = WatchOptions::new().alias(name);
        let path = dir.path().join(name);
        watcher.watches().watch_name_with(path, WatchMask::CLOSE_WRITE, options).unwrap();
    }
    fs::write(dir.path().join("b"), "1").unwrap();
    assert_eq!(watcher.recv().unwrap().alias().unwrap(), "b");
    assert!(watcher.try_recv().unwrap().is_none());
}

#[test]
fn the_mask_of_a_name_can_be_changed() {
    let mut name = Followed::new("file", |dir| fs::write(dir.join("file"), "1").unwrap());
    let watch = name.watcher.watches().list()[0].watch;
    name.watcher.watches().set_mask(watch, WatchMask::ATTRIB).unwrap();
    fs::write(name.at("file"), "2").unwrap();
    assert_eq!(name.changes(), []);
    let permissions = fs::Permissions::from_mode(0o600);
    fs::set_permissions(name.at("file"), permissions).unwrap();
    assert_eq!(name.changes(), [Changed]);
}

#[test]
fn unwatch_discards_the_events_of_a_name_and_removes_its_watches() {
    let mut name = Followed::new("a/file", |dir| {
        fs::create_dir(dir.join("a")).unwrap();
        fs::write(dir.join("a/file"), "1").unwrap();
    });
    assert!(kernel_watches(&name.watcher) >= 3);
    let watch = name.watcher.watches().list()[0].watch;
    fs::write(name.at("a/file"), "2").unwrap();
    fs::remove_file(name.at("a/file")).unwrap();
    name.watcher.unwatch(watch).unwrap();
    assert_eq!(name.changes(), []);
    assert_eq!(kernel_watches(&name.watcher), 0);
    assert!(name.watcher.watches().is_empty());
}

#[test]
fn a_hundred_replacements_leak_no_watch() {
    let mut name = Followed::new("a/file", |dir| fs::create_dir(dir.join("a")).unwrap());
    fs::write(name.at("a/file"), "0").unwrap();
    assert_eq!(name.changes(), [Appeared]);
    let before = kernel_watches(&name.watcher);
    for _ in 0..100 {
        fs::write(name.at("a/new"), "1").unwrap();
        fs::rename(name.at("a/new"), name.at("a/file")).unwrap();
        assert_eq!(name.changes(), [Replaced]);
    }
    assert_eq!(kernel_watches(&name.watcher), before);
}

/// Changes the file that a name leads to in many ways, each time with new content.
struct Storm {
    root: PathBuf,
    random: u64,
    count: u64,
}

impl Storm {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64: the same seed makes the same storm.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn content(&mut self) -> String {
        self.count += 1;
        format!("content {}", self.count)
    }

    /// Makes one change to `live/etc/file`, where `live` is a link to a directory. Afterwards `live/etc`
    /// exists, with or without the file.
    fn change(&mut self) {
        let at = |name: &str| self.root.join(name);
        let (live, etc, file, spare) =
            (at("live"), at("live/etc"), at("live/etc/file"), at("live/etc/file~"));
        let (link, outside) = (at("link~"), at("outside"));
        let content = self.content();
        let make_version = |root: &Path, count: u64, content: &str| {
            let version = root.join(format!("version-{count}"));
            fs::create_dir_all(version.join("etc")).unwrap();
            fs::write(version.join("etc/file"), content).unwrap();
            version
        };
        match self.below(9) {
            0 | 1 => fs::write(&file, content).unwrap(),
            2 => {
                fs::write(&spare, content).unwrap();
                fs::rename(&spare, &file).unwrap();
            }
            3 => {
                let _ = fs::remove_file(&file);
                fs::write(&file, content).unwrap();
            }
            4 => {
                let old = fs::read_link(&live).unwrap();
                symlink(make_version(&self.root, self.count, &content), &link).unwrap();
                fs::rename(&link, &live).unwrap();
                fs::remove_dir_all(old).unwrap();
            }
            5 => {
                fs::rename(&etc, live.join("old")).unwrap();
                fs::create_dir(&etc).unwrap();
                fs::write(&file, content).unwrap();
                fs::remove_dir_all(live.join("old")).unwrap();
            }
            6 => {
                let _ = fs::remove_file(&file);
            }
            7 => {
                let _ = fs::remove_file(&outside);
                fs::write(&outside, content).unwrap();
                symlink(&outside, &spare).unwrap();
                fs::rename(&spare, &file).unwrap();
            }
            _ => {
                let old = fs::read_link(&live).unwrap();
                fs::remove_file(&live).unwrap();
                fs::remove_dir_all(old).unwrap();
                symlink(make_version(&self.root, self.count, &content), &live).unwrap();
            }
        }
    }
}

const STORM: &str = "TINOTIFY_STORM";
const CHANGES: u64 = 10_000;

/// The process that makes the storm of the next test. Does nothing if it runs on its own.
#[test]
fn storm_process() {
    let Ok(root) = std::env::var(STORM) else { return };
    let mut storm = Storm { root: root.into(), random: 0x9E37_79B9_7F4A_7C15, count: 0 };
    let mut answers = std::io::stdin().lines();
    while storm.count < CHANGES {
        for _ in 0..=storm.below(40) {
            storm.change();
        }
        println!("pause");
        std::io::stdout().flush().unwrap();
        answers.next().unwrap().unwrap();
    }
}

#[test]
fn the_current_file_has_been_reported_whenever_a_storm_pauses() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("version-0/etc")).unwrap();
    symlink(root.join("version-0"), root.join("live")).unwrap();
    let path = root.join("live/etc/file");
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_name(&path, WatchMask::CLOSE_WRITE).unwrap();

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "storm_process", "--nocapture"])
        .env(STORM, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut go_on = child.stdin.take().unwrap();
    let (send, pause) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        // The test harness prints other text too, even on the same line.
        for _ in lines.map(Result::unwrap).filter(|line| line.ends_with("pause")) {
            send.send(()).unwrap();
        }
    });

    let deadline = Instant::now() + Duration::from_secs(300);
    let mut reported = None;
    let mut pauses = 0;
    let mut events = 0_u64;
    'storm: loop {
        assert!(Instant::now() < deadline, "the storm takes too long");
        let is_pause = match pause.try_recv() {
            Ok(()) => true,
            Err(mpsc::TryRecvError::Empty) => false,
            Err(mpsc::TryRecvError::Disconnected) => break 'storm,
        };
        // All events from before the pause are queued by now.
        loop {
            let wait = if is_pause { Duration::ZERO } else { Duration::from_millis(1) };
            let Some(event) = watcher.recv_timeout(wait).unwrap() else { break };
            events += 1;
            reported = match event.name_change().unwrap() {
                Vanished => None,
                // The file may be gone already. That is reported next.
                _ => fs::read_to_string(&path).ok(),
            };
        }
        if is_pause {
            assert_eq!(reported, fs::read_to_string(&path).ok(), "after {pauses} pauses");
            pauses += 1;
            go_on.write_all(b"go on\n").unwrap();
        }
    }
    reader.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(pauses > 100, "{pauses} pauses, {events} events");
    println!("{CHANGES} changes, {pauses} pauses, {events} events");
}

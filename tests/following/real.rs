//! Runs the scripts with the real kernel.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::follow::{Entry, Follower, Kernel, NameChange};
use tinotify::{Errno, InitFlags, Inotify, WatchMask, Wd};

use super::script::{head, mask};

/// The real kernel, with the watches of the follower and of other subscribers.
struct Real {
    inotify: Inotify,
    follower_wds: BTreeSet<Wd>,
    others: BTreeSet<Wd>,
}

fn path_of(path: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(path))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO.as_raw()))
}

impl Real {
    fn add(&self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        let path = CString::new(path).map_err(|_| Errno::ENOENT)?;
        let added = self.inotify.add_watch(&path, mask | WatchMask::MASK_ADD);
        added.map_err(|error| error.errno().unwrap_or(Errno::EINVAL))
    }

    fn end(&self, wd: Wd) {
        if !self.follower_wds.contains(&wd) && !self.others.contains(&wd) {
            // The kernel may have removed it already.
            let _ = self.inotify.rm_watch(wd);
        }
    }

    fn watches(&self) -> usize {
        let info = format!("/proc/self/fdinfo/{}", self.inotify.as_raw());
        let info = fs::read_to_string(info).unwrap();
        info.lines().filter(|line| line.starts_with("inotify")).count()
    }
}

impl Kernel for Real {
    fn watch(&mut self, path: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        let wd = self.add(path, mask)?;
        self.follower_wds.insert(wd);
        Ok(wd)
    }

    fn unwatch(&mut self, wd: Wd) {
        assert!(self.follower_wds.remove(&wd), "unwatch of {wd}, which the follower does not have");
        self.end(wd);
    }

    fn stat(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        let path = path_of(path);
        let file = fs::symlink_metadata(path).map_err(|error| errno(&error))?;
        if file.is_symlink() {
            let text = fs::read_link(path).map_err(|error| errno(&error))?;
            return Ok(Entry::Link(text.as_os_str().as_bytes().to_vec()));
        }
        Ok(Entry::File { dev: file.dev(), ino: file.ino() })
    }
}

/// A run of a script with the real kernel.
struct Run {
    root: PathBuf,
    path: PathBuf,
    mask: WatchMask,
    kernel: Real,
    follower: Follower,
    reported: Vec<NameChange>,
    /// The inode and the length of the file at the last report.
    reading: Option<(u64, u64)>,
}

/// Steps that only the simulated world has.
const SIMULATED: [&str; 9] =
    ["before ", "limit ", "mount ", "umount ", "hold ", "release ", "read ", "feed", "walk"];

impl Run {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn file(&self) -> Option<(u64, u64)> {
        let file = fs::metadata(&self.path).ok()?;
        // A write to a file does not determine the size of its directory.
        Some((file.ino(), if file.is_file() { file.len() } else { 0 }))
    }

    fn report(&mut self, change: NameChange) {
        self.reported.push(change);
        self.reading = self.file();
    }

    fn rest(&mut self) {
        let mut buffer = [0; 1 << 16];
        loop {
            let events = match self.kernel.inotify.read(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.is_would_block() && self.follower.is_pending() => {
                    if let Some(change) = self.follower.walk(&mut self.kernel).unwrap() {
                        self.report(change);
                    }
                    continue;
                }
                Err(error) if error.is_would_block() => break,
                Err(error) => panic!("{error}"),
            };
            for event in events {
                let event = event.unwrap();
                if event.is_ignored() {
                    self.kernel.follower_wds.remove(&event.wd());
                    self.kernel.others.remove(&event.wd());
                }
                if let Some(change) = self.follower.feed(&event) {
                    self.report(change);
                }
            }
        }
        assert_eq!(self.follower.is_found(), self.file().is_some(), "is_found()");
        let returned: BTreeSet<Wd> = self.follower.watches().map(|(wd, ..)| wd).collect();
        assert_eq!(returned, self.kernel.follower_wds, "watches()");
        let all = returned.union(&self.kernel.others).count();
        assert_eq!(self.kernel.watches(), all, "the number of watches in the kernel");
    }

    /// Checks that the file at the last report is the current one.
    fn compare(&self) {
        if self.mask.intersects(WatchMask::MODIFY | WatchMask::CLOSE_WRITE) {
            assert_eq!(self.reading.filter(|_| self.follower.is_found()), self.file());
        }
    }

    fn change(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let first = self.at(words[1]);
        let second = || self.at(words[2]);
        match words[0] {
            "file" => drop(OpenOptions::new().write(true).create_new(true).open(first).unwrap()),
            "dir" => fs::create_dir(first).unwrap(),
            "link" => match words[2].strip_prefix('/') {
                Some(_) => symlink(second(), first).unwrap(),
                None => symlink(words[2], first).unwrap(),
            },
            "hard" => fs::hard_link(first, second()).unwrap(),
            "rm" if fs::symlink_metadata(&first).unwrap().is_dir() => {
                fs::remove_dir(first).unwrap();
            }
            "rm" => fs::remove_file(first).unwrap(),
            "mv" => fs::rename(first, second()).unwrap(),
            "exchange" => {
                renameat_with(CWD, first, CWD, second(), RenameFlags::EXCHANGE).unwrap();
            }
            "write" => {
                OpenOptions::new().append(true).open(first).unwrap().write_all(b"x").unwrap();
            }
            "chmod" => {
                let mode = (words[1].parse::<u32>().unwrap() * 0o111) | 0o200;
                fs::set_permissions(second(), fs::Permissions::from_mode(mode)).unwrap();
            }
            "user" => {
                let path = first.as_os_str().as_bytes();
                let wd = self.kernel.add(path, super::changes::USER).unwrap();
                self.kernel.others.insert(wd);
            }
            "nouser" => {
                let path = first.as_os_str().as_bytes();
                let wd = self.kernel.add(path, super::changes::USER).unwrap();
                self.kernel.others.remove(&wd);
                self.kernel.end(wd);
            }
            word => panic!("unknown step {word}"),
        }
    }
}

/// Runs a script with the real kernel. Returns `false` if the script needs the simulated one.
pub fn run(text: &str) -> bool {
    let (path, events, lines) = head(text).unwrap();
    let lines: Vec<&str> = lines.collect();
    let is_simulated = |line: &&str| SIMULATED.iter().any(|word| line.starts_with(word));
    if lines.iter().any(is_simulated) {
        return false;
    }
    // Permissions do not apply to root.
    if lines.iter().any(|line| line.starts_with("chmod")) && rustix::process::geteuid().is_root() {
        return false;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let path = PathBuf::from(format!("{}{path}", root.display()));
    let inotify = Inotify::init(InitFlags::NONBLOCK).unwrap();
    let kernel = Real { inotify, follower_wds: BTreeSet::new(), others: BTreeSet::new() };
    let follower = Follower::new(path.as_os_str().as_bytes(), events);
    let (reported, reading) = (Vec::new(), None);
    let mut run = Run { root, path, mask: events, kernel, follower, reported, reading };
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "start" => {}
            "rest" => run.rest(),
            "expect" => {
                let reported: Vec<String> =
                    run.reported.drain(..).map(|it| format!("{it:?}")).collect();
                assert_eq!(reported.join(" "), rest);
                run.compare();
            }
            "mask" => {
                run.mask = mask(rest).unwrap();
                run.follower.set_mask(run.mask);
            }
            _ => run.change(line),
        }
    }
    true
}

//! The follower over the real kernel: the scripts again.

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

/// The real kernel, and the watches that the follower and others have.
struct Real {
    inotify: Inotify,
    held: BTreeSet<Wd>,
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
        if !self.held.contains(&wd) && !self.others.contains(&wd) {
            // It may have ended by itself.
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
        self.held.insert(wd);
        Ok(wd)
    }

    fn unwatch(&mut self, wd: Wd) {
        assert!(self.held.remove(&wd), "takes back watch {wd}, which it does not hold");
        self.end(wd);
    }

    fn look(&mut self, path: &[u8]) -> Result<Entry, Errno> {
        let path = path_of(path);
        let file = fs::symlink_metadata(path).map_err(|error| errno(&error))?;
        if file.is_symlink() {
            let text = fs::read_link(path).map_err(|error| errno(&error))?;
            return Ok(Entry::Link(text.as_os_str().as_bytes().to_vec()));
        }
        Ok(Entry::File { dev: file.dev(), ino: file.ino() })
    }
}

/// A script over the real kernel.
struct Run {
    root: PathBuf,
    path: PathBuf,
    asked: WatchMask,
    kernel: Real,
    follower: Follower,
    told: Vec<NameChange>,
    /// What was read at the last announcement: the inode and the length.
    reading: Option<(u64, u64)>,
}

/// What only the simulated world has.
const SIMULATED: [&str; 9] =
    ["before ", "limit ", "mount ", "umount ", "hold ", "release ", "read ", "feed", "walk"];

impl Run {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn file(&self) -> Option<(u64, u64)> {
        let file = fs::metadata(&self.path).ok()?;
        // The size of a directory is its own affair.
        Some((file.ino(), if file.is_file() { file.len() } else { 0 }))
    }

    fn announce(&mut self, change: NameChange) {
        self.told.push(change);
        self.reading = self.file();
    }

    fn rest(&mut self) {
        let mut buffer = [0; 1 << 16];
        loop {
            let events = match self.kernel.inotify.read(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.is_would_block() && self.follower.is_pending() => {
                    if let Some(change) = self.follower.walk(&mut self.kernel).unwrap() {
                        self.announce(change);
                    }
                    continue;
                }
                Err(error) if error.is_would_block() => break,
                Err(error) => panic!("{error}"),
            };
            for event in events {
                let event = event.unwrap();
                if event.is_ignored() {
                    self.kernel.held.remove(&event.wd());
                    self.kernel.others.remove(&event.wd());
                }
                if let Some(change) = self.follower.feed(&event) {
                    self.announce(change);
                }
            }
        }
        assert_eq!(self.follower.is_found(), self.file().is_some(), "found, or not");
        let held: BTreeSet<Wd> = self.follower.watches().map(|(wd, ..)| wd).collect();
        assert_eq!(held, self.kernel.held, "what it says it holds, and what it holds");
        let all = held.union(&self.kernel.others).count();
        assert_eq!(self.kernel.watches(), all, "the kernel watches what is needed");
    }

    /// What was read last is what is there.
    fn compare(&self) {
        if self.asked.intersects(WatchMask::MODIFY | WatchMask::CLOSE_WRITE) {
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

/// Runs a script over the real kernel, if it can be. Returns `false` if not.
pub fn run(text: &str) -> bool {
    let (path, asked, lines) = head(text).unwrap();
    let lines: Vec<&str> = lines.collect();
    let is_simulated = |line: &&str| SIMULATED.iter().any(|word| line.starts_with(word));
    if lines.iter().any(is_simulated) {
        return false;
    }
    // Root may read everything.
    if lines.iter().any(|line| line.starts_with("chmod")) && rustix::process::geteuid().is_root() {
        return false;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let path = PathBuf::from(format!("{}{path}", root.display()));
    let inotify = Inotify::init(InitFlags::NONBLOCK).unwrap();
    let kernel = Real { inotify, held: BTreeSet::new(), others: BTreeSet::new() };
    let follower = Follower::new(path.as_os_str().as_bytes(), asked);
    let (told, reading) = (Vec::new(), None);
    let mut run = Run { root, path, asked, kernel, follower, told, reading };
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "start" => {}
            "rest" => run.rest(),
            "told" => {
                let told: Vec<String> = run.told.drain(..).map(|it| format!("{it:?}")).collect();
                assert_eq!(told.join(" "), rest);
                run.compare();
            }
            "mask" => {
                run.asked = mask(rest).unwrap();
                run.follower.set_mask(run.asked);
            }
            _ => run.change(line),
        }
    }
    true
}

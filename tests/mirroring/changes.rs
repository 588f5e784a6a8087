//! Makes random changes beneath `source`, with `outside` beside it.
//!
//! Not made, because inotify has no event for it:
//!
//! - a write to a file, or a change of its mode, if it has several names: only one name is reported;
//! - a mount on a directory that is watched. A directory with a mount in it comes from outside.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

#[path = "../trees/random.rs"]
mod random;

use random::Random;

const NAMES: [&[u8]; 10] =
    [b"a", b"b", b"c", b"dd", b"\xff\xfe", b"new\nline", b"end\n", b" sp ", b"-rf", b"%41\\x41"];

pub struct Changes {
    source: PathBuf,
    outside: PathBuf,
    random: Random,
    mounts: bool,
    /// The number of entries that were made outside.
    made: u32,
    /// The entries without permissions, which may have been moved since.
    closed: bool,
}

impl Changes {
    pub fn new(dir: &Path, seed: u64, mounts: bool) -> Self {
        let (source, outside) = (dir.join("source"), dir.join("outside"));
        Self { source, outside, random: Random::new(seed), mounts, made: 0, closed: false }
    }

    /// Makes this many changes. Some of them fail.
    pub fn make(&mut self, count: u32) {
        for _ in 0..count {
            self.change();
        }
    }

    /// Gives all permissions back.
    pub fn restore(&mut self) {
        if !std::mem::take(&mut self.closed) {
            return;
        }
        let mut dirs = vec![self.source.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if !kind.is_symlink() {
                    let mode = if kind.is_dir() { 0o755 } else { 0o644 };
                    if entry.metadata().is_ok_and(|file| file.mode() & 0o400 == 0) {
                        let _ = fs::set_permissions(entry.path(), Permissions::from_mode(mode));
                    }
                }
                if kind.is_dir() {
                    dirs.push(entry.path());
                }
            }
        }
    }

    fn name(&mut self) -> &'static OsStr {
        OsStr::from_bytes(NAMES[self.random.below(NAMES.len() as u64) as usize])
    }

    fn path(&mut self) -> PathBuf {
        let mut path = self.source.clone();
        for _ in 0..=self.random.below(3) {
            path.push(self.name());
        }
        path
    }

    /// Returns a new path outside.
    fn new_path(&mut self) -> PathBuf {
        self.made += 1;
        self.outside.join(self.made.to_string())
    }

    fn change(&mut self) {
        let path = self.path();
        let _ = match self.random.below(40) {
            0..8 => fs::create_dir(&path),
            8..14 => self.write(&path),
            14..17 => fs::remove_file(&path),
            17..19 => fs::remove_dir_all(&path),
            19..26 => fs::rename(&path, self.path()),
            26..29 => {
                let other = self.path();
                renameat_with(CWD, &path, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
            }
            29..31 => self.close(&path),
            31 => {
                self.restore();
                Ok(())
            }
            32..34 => {
                let target =
                    if self.random.below(2) == 0 { self.name().into() } else { self.path() };
                symlink(target, &path)
            }
            34 => self.link(&path),
            35..37 => self.come(&path),
            37 => fs::rename(&path, self.new_path()),
            38 if self.mounts => self.come_mounted(&path),
            39 if self.mounts => self.unmount(),
            _ => Ok(()),
        };
    }

    fn write(&mut self, path: &Path) -> std::io::Result<()> {
        if fs::metadata(path).is_ok_and(|file| !file.is_file() || file.nlink() > 1) {
            return Ok(());
        }
        let text = self.random.below(1000).to_string();
        let file = match self.random.below(3) {
            0 => OpenOptions::new().append(true).create(true).open(path),
            1 => OpenOptions::new().write(true).open(path),
            _ => File::create(path),
        };
        file?.write_all(text.as_bytes())
    }

    /// Takes all permissions of an entry.
    fn close(&mut self, path: &Path) -> std::io::Result<()> {
        let file = fs::symlink_metadata(path)?;
        if file.is_symlink() || file.is_file() && file.nlink() > 1 {
            return Ok(());
        }
        self.closed = true;
        fs::set_permissions(path, Permissions::from_mode(0o000))
    }

    fn link(&mut self, path: &Path) -> std::io::Result<()> {
        if fs::symlink_metadata(path)?.mode() & 0o400 == 0 {
            return Ok(());
        }
        fs::hard_link(path, self.path())
    }

    /// Moves a directory with entries into the tree.
    fn come(&mut self, path: &Path) -> std::io::Result<()> {
        let from = self.new_path();
        fs::create_dir_all(from.join("a/b"))?;
        fs::write(from.join("a/b/c"), "inner")?;
        fs::write(from.join("a/dd"), "outer")?;
        fs::rename(from, path)
    }

    /// Moves a directory that has a file system mounted in it into the tree.
    fn come_mounted(&mut self, path: &Path) -> std::io::Result<()> {
        let from = self.new_path();
        let at = from.join("mounted");
        fs::create_dir_all(&at)?;
        fs::write(at.join("beneath"), "hidden by the mount")?;
        mount("none", &at, "tmpfs", MountFlags::empty(), None)?;
        fs::create_dir(at.join("a"))?;
        fs::write(at.join("a/b"), "mounted")?;
        fs::rename(from, path)
    }

    /// Unmounts a file system in the tree, if there is one.
    fn unmount(&mut self) -> std::io::Result<()> {
        let path = mounts_in(&self.source).pop();
        path.map_or(Ok(()), |path| unmount(path, UnmountFlags::empty()).map_err(Into::into))
    }
}

impl Drop for Changes {
    /// Unmounts all, since a mount point cannot be removed.
    fn drop(&mut self) {
        for dir in [&self.source, &self.outside] {
            for path in mounts_in(dir) {
                let _ = unmount(path, UnmountFlags::DETACH);
            }
        }
    }
}

/// Returns the mount points beneath a directory.
fn mounts_in(dir: &Path) -> Vec<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let paths = mounts
        .split(|&byte| byte == b'\n')
        .filter_map(|line| Some(unescape(line.split(|&byte| byte == b' ').nth(4)?)));
    paths.filter(|path| path.starts_with(dir)).collect()
}

/// Replaces the octal escapes of /proc/self/mountinfo.
fn unescape(text: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) if byte == b'\\' => {
                bytes.push(escaped);
                rest = &rest[3..];
            }
            _ => bytes.push(byte),
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

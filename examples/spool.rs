//! Takes finished files out of a spool directory, each exactly once.
//!
//! ```text
//! spool/  ──rename──→  work/  ──handed over──→  removed by `finish`
//! ```
//!
//! A file is handed over when no process has it open for writing, and never half-written:
//!
//! - A file that is there at the start, that a writer closes, or that is renamed into the spool, is claimed:
//!   it is renamed into the work directory. Only one reader can do that.
//! - A claimed file that is still open for writing waits there until its writer closes it.
//! - A file that was claimed before a crash is found in the work directory at the next start.
//!
//! What writers must know: a name that begins with a dot is never touched, so it is the place to write to
//! before a rename. An empty file is not handed over, since every file is empty for a moment after open(2)
//! made it. A file that is closed is finished. The files belong to the user of the reader (or it has
//! `CAP_LEASE`). Both directories are on one file system, and each reader has a work directory of its own.
//!
//! ```sh
//! cargo run --example spool -- /var/spool/jobs /var/spool/work
//! ```

use std::collections::HashSet;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;

use tinotify::{
    StopHandle, TreeOptions, WatchError, WatchMask, WatchOptions, Watcher, has_writers,
};

/// The tokens of the two watches.
const SPOOL: u64 = 0;
const WORK: u64 = 1;

/// A finished file. It belongs to the program until [`Spool::finish`] removes it.
#[derive(Debug)]
pub struct Job {
    /// The name that it had in the spool.
    pub name: OsString,
    /// Where it is now.
    pub path: PathBuf,
    /// Its content.
    pub file: File,
}

/// A spool directory, and the directory of claimed files.
#[derive(Debug)]
pub struct Spool {
    watcher: Watcher,
    work: PathBuf,
    /// The paths of jobs that were handed over.
    handed: HashSet<PathBuf>,
    /// Makes the names in the work directory unique, with the number of the process.
    claims: u64,
}

impl Spool {
    /// Watches a spool. Both directories must exist.
    pub fn open(spool: impl AsRef<Path>, work: impl AsRef<Path>) -> Result<Self, WatchError> {
        let watcher = Watcher::new()?;
        let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO;
        for (path, token) in [(spool.as_ref(), SPOOL), (work.as_ref(), WORK)] {
            // One directory as a tree: it reports what is there, and finds what an overflow lost.
            let options = TreeOptions::new()
                .max_depth(0)
                .report_existing(true)
                .track_files(true)
                .watch(WatchOptions::new().token(token));
            watcher.watch_tree(path, mask, options)?;
        }
        let work = work.as_ref().to_owned();
        Ok(Self { watcher, work, handed: HashSet::new(), claims: 0 })
    }

    /// Returns a handle that makes [`recv`](Self::recv) return `Stopped`.
    pub fn stop_handle(&self) -> StopHandle {
        self.watcher.stop_handle()
    }

    /// Waits for the next finished file, and hands it over.
    pub fn recv(&mut self) -> Result<Job, Box<dyn Error + Send + Sync>> {
        loop {
            let event = self.watcher.recv()?;
            let (token, path) = (event.token(), event.path());
            if event.is_dir() || event.name().is_none_or(|name| name.as_bytes().starts_with(b".")) {
                continue;
            }
            if token == Some(SPOOL) {
                self.claim(&path)?;
            } else if let Some(job) = self.check(path)? {
                return Ok(job);
            }
        }
    }

    /// Removes a job. Only then the file is gone for good.
    pub fn finish(&mut self, job: &Job) -> io::Result<()> {
        fs::remove_file(&job.path)?;
        self.handed.remove(&job.path);
        Ok(())
    }

    /// Moves a file to the work directory, which makes an event there.
    fn claim(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        if !is_file(path)? {
            return Ok(());
        }
        let claimed = loop {
            self.claims += 1;
            let mut unique = OsString::from(format!("{}.{}.", process::id(), self.claims));
            unique.push(name);
            let claimed = self.work.join(unique);
            // An earlier process may have had the same number.
            if fs::symlink_metadata(&claimed).is_err() {
                break claimed;
            }
        };
        match fs::rename(path, claimed) {
            // Another reader has it, or an earlier event was about it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Hands a claimed file over, unless it is being written or was handed over before.
    fn check(&mut self, path: PathBuf) -> io::Result<Option<Job>> {
        if self.handed.contains(&path) || !is_file(&path)? {
            return Ok(None);
        }
        let file = File::open(&path)?;
        // A writer that has it open will close it, and that makes an event.
        if has_writers(&file)? || file.metadata()?.len() == 0 {
            return Ok(None);
        }
        self.handed.insert(path.clone());
        Ok(Some(Job { name: spool_name(&path).to_owned(), path, file }))
    }
}

/// Returns the name that a file in the work directory had in the spool.
fn spool_name(path: &Path) -> &OsStr {
    let name = path.file_name().unwrap_or_default().as_bytes();
    OsStr::from_bytes(name.splitn(3, |&byte| byte == b'.').last().unwrap_or_default())
}

/// Returns `true` if a path leads to a regular file, and `false` if it leads nowhere.
fn is_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[allow(dead_code, reason = "a test uses the rest of this file")]
fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(spool), Some(work)) = (arguments.next(), arguments.next()) else {
        return Err("usage: spool SPOOL WORK".into());
    };
    let mut spool = Spool::open(spool, work)?;
    loop {
        let job = spool.recv()?;
        println!("{}: {} bytes", job.name.display(), job.file.metadata()?.len());
        spool.finish(&job)?;
    }
}

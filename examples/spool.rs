//! Takes finished files out of a spool directory, each exactly once.
//!
//! ```text
//! spool/  ──rename──→  work/  ──handed over──→  removed by `finish`
//! ```
//!
//! A file is handed over once no process has it open for writing:
//!
//! - The reader claims each file that exists at the start, that a writer closes, or that is renamed into the
//!   spool: it renames the file into the work directory. Only one reader can do that.
//! - A claimed file that is still open for writing stays there until its writer closes it.
//! - After a crash, the next start finds the claimed files in the work directory.
//!
//! Rules for writers: names that begin with a dot are ignored, so write under such a name and rename the
//! file afterwards. Empty files are not handed over, since every file is empty for a moment after open(2)
//! creates it. A closed file is finished. The user of the reader owns the files (or the reader has
//! `CAP_LEASE`). Both directories are on one file system. Each reader has its own work directory.
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
    /// Its name in the spool.
    pub name: OsString,
    /// Its path in the work directory.
    pub path: PathBuf,
    /// Its content.
    pub file: File,
}

/// A spool directory and its work directory.
#[derive(Debug)]
pub struct Spool {
    watcher: Watcher,
    work: PathBuf,
    /// The paths of jobs that were handed over and are not finished.
    in_progress: HashSet<PathBuf>,
    /// Counts claims. With the process ID, it makes names in the work directory unique.
    claims: u64,
}

impl Spool {
    /// Watches a spool and its work directory, which must both exist.
    pub fn open(spool: impl AsRef<Path>, work: impl AsRef<Path>) -> Result<Self, WatchError> {
        let watcher = Watcher::new()?;
        let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO;
        for (path, token) in [(spool.as_ref(), SPOOL), (work.as_ref(), WORK)] {
            // A tree of depth 0 reports existing files, and finds files whose events an overflow lost.
            let options = TreeOptions::new()
                .max_depth(0)
                .report_existing(true)
                .track_files(true)
                .watch(WatchOptions::new().token(token));
            watcher.watch_tree(path, mask, options)?;
        }
        let work = work.as_ref().to_owned();
        Ok(Self { watcher, work, in_progress: HashSet::new(), claims: 0 })
    }

    /// Returns a handle that makes [`recv`](Self::recv) return `Stopped`.
    pub fn stop_handle(&self) -> StopHandle {
        self.watcher.stop_handle()
    }

    /// Waits for the next finished file and returns it.
    pub fn recv(&mut self) -> Result<Job, Box<dyn Error + Send + Sync>> {
        loop {
            let event = self.watcher.recv()?;
            let (token, path) = (event.token(), event.path().to_owned());
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

    /// Removes the file of a job, so that it is not handed over again after a restart.
    pub fn finish(&mut self, job: &Job) -> io::Result<()> {
        fs::remove_file(&job.path)?;
        self.in_progress.remove(&job.path);
        Ok(())
    }

    /// Moves a file to the work directory, which causes an event there.
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
            // An earlier process may have had the same ID.
            if fs::symlink_metadata(&claimed).is_err() {
                break claimed;
            }
        };
        match fs::rename(path, claimed) {
            // Another reader has claimed it, or this reader did after an earlier event.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Returns a claimed file as a job, unless it is open for writing or was returned before.
    fn check(&mut self, path: PathBuf) -> io::Result<Option<Job>> {
        if self.in_progress.contains(&path) || !is_file(&path)? {
            return Ok(None);
        }
        let file = File::open(&path)?;
        // When its writer closes it, an event follows.
        if has_writers(&file)? || file.metadata()?.len() == 0 {
            return Ok(None);
        }
        self.in_progress.insert(path.clone());
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

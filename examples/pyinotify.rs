//! Events and idle times from one loop, and all that the kernel says about each event, as with
//! Python's inotify (PyInotify).

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tinotify::{Escaped, Event, WatchMask, Watcher};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let mut watcher = Watcher::builder().path(dir.path()).mask(WatchMask::ALL_EVENTS).build()?;

    let mut work = [touch, rm, mkdir, rmdir].into_iter();
    for event in watcher.iter_timeout(Duration::from_millis(10)) {
        match event? {
            Some(event) => log(event.event()),
            // Nothing has come for a while: time for other work.
            None => match work.next() {
                Some(work) => work(dir.path())?,
                None => break,
            },
        }
    }

    // Not needed here, for watches end with their watcher.
    let watches = watcher.watches();
    for watch in watches.with_path(dir.path()) {
        watches.unwatch(watch)?;
    }
    Ok(())
}

fn log(event: Event<'_>) {
    let mask = event.mask();
    let names: Vec<_> = mask.iter_names().map(|(name, _)| name).collect();
    println!(
        "WD=({}) MASK=({}) COOKIE=({}) LEN=({}) MASK->NAMES={names:?} FILENAME=[{}]",
        event.wd(),
        mask.bits(),
        event.cookie(),
        // All but the header.
        event.encoded_len() - 16,
        Escaped(event.name().unwrap_or_default()),
    );
}

fn touch(dir: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    // Both times: a new time of modification alone counts as `MODIFY`.
    File::create(dir.join("aa"))?.set_times(FileTimes::new().set_accessed(now).set_modified(now))
}

fn rm(dir: &Path) -> io::Result<()> {
    fs::remove_file(dir.join("aa"))
}

fn mkdir(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir.join("dir1"))
}

fn rmdir(dir: &Path) -> io::Result<()> {
    fs::remove_dir(dir.join("dir1"))
}

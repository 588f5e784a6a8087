//! Events and idle times from one loop, with all fields of each event, as in Python's inotify
//! (PyInotify).

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
            // No event for a while: do other work.
            None => match work.next() {
                Some(work) => work(dir.path())?,
                None => break,
            },
        }
    }

    // Not needed here: watches end with their watcher.
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
        // Without the header.
        event.encoded_len() - 16,
        Escaped(event.name().unwrap_or_default()),
    );
}

fn touch(dir: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    // Set both times: a new modification time alone is reported as `MODIFY`.
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

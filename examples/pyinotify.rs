//! Events and idle times from one loop, and all that the kernel says about each event, as with
//! Python's inotify (PyInotify).

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tinotify::{Escaped, WatchEventBuf, WatchMask, Watcher, Wd};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let mut watcher = Watcher::builder().path(dir.path()).mask(WatchMask::ALL_EVENTS).build()?;

    // Events tell their watch; the kernel's number of it is for those who want to log it.
    let watches = watcher.watches();
    let wds: HashMap<_, _> = watches.list().iter().map(|info| (info.watch, info.wd)).collect();

    let mut work = [touch, rm, mkdir, rmdir].into_iter();
    for event in watcher.ticks(Duration::from_millis(10)) {
        match event? {
            Some(event) => {
                let wd = event.watch().and_then(|watch| *wds.get(&watch)?).unwrap_or(Wd::NONE);
                log(wd, &event);
            }
            // Nothing has come for a while: time for other work.
            None => match work.next() {
                Some(work) => work(dir.path())?,
                None => break,
            },
        }
    }

    // Not needed here, for watches end with their watcher.
    for watch in watches.with_path(dir.path()) {
        watches.unwatch(watch)?;
    }
    Ok(())
}

fn log(wd: Wd, event: &WatchEventBuf) {
    let mask = event.mask();
    let names: Vec<_> = mask.iter_names().map(|(name, _)| name).collect();
    let name = event.name().unwrap_or_default().as_encoded_bytes();
    // The kernel pads a name and its NUL to a multiple of 16.
    let len = if name.is_empty() { 0 } else { (name.len() + 1).next_multiple_of(16) };
    println!(
        "WD=({wd}) MASK=({}) COOKIE=({}) LEN=({len}) MASK->NAMES={names:?} FILENAME=[{}]",
        mask.bits(),
        event.cookie(),
        Escaped(name),
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

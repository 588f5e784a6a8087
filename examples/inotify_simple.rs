//! Raw watch descriptors and one read, as in Python's inotify_simple.

use std::fs::{self, OpenOptions};
use std::io::Write;

use tinotify::{Escaped, InitFlags, Inotify, RECORD_SIZE, WatchMask};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    std::env::set_current_dir(&dir)?;
    fs::create_dir("inotify_test")?;

    let inotify = Inotify::init(InitFlags::empty())?;
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MODIFY | WatchMask::DELETE_SELF;
    inotify.add_watch(c"inotify_test", mask)?;

    fs::create_dir("inotify_test/foo")?;
    fs::write("inotify_test/test.txt", "hello\n")?;
    // The kernel merges this event with the previous one, which has not been read yet.
    OpenOptions::new().append(true).open("inotify_test/test.txt")?.write_all(b"world\n")?;
    fs::remove_file("inotify_test/test.txt")?;
    fs::remove_dir("inotify_test/foo")?;
    // Ends the watch too, as the last event reports.
    fs::remove_dir("inotify_test")?;

    let mut buffer = [0; 16 * RECORD_SIZE];
    for event in inotify.read(&mut buffer)? {
        let event = event?;
        println!(
            "Event(wd={}, mask={}, cookie={}, name='{}')",
            event.wd(),
            event.mask().bits(),
            event.cookie(),
            Escaped(event.name().unwrap_or_default()),
        );
        for flag in event.mask().iter() {
            println!("    {flag}");
        }
    }
    Ok(())
}

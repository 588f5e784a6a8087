//! The spool of `examples/spool.rs` hands over each finished file exactly once, and no half-written one.

#[path = "../examples/spool.rs"]
mod spool;
mod watching;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use spool::{Job, Spool};
use tinotify::WatchError;
use watching::{Place, Watchdog, overflow};

/// The two directories of a spool.
struct Dirs {
    place: Place,
    spool: PathBuf,
    work: PathBuf,
}

impl Dirs {
    fn new() -> Self {
        let place = Place::new();
        let (spool, work) = (place.dir("spool"), place.dir("work"));
        Self { place, spool, work }
    }

    fn open(&self) -> Spool {
        Spool::open(&self.spool, &self.work).unwrap()
    }
}

const HALF: &str = "begin ";
const REST: &str = "end";

/// Writes a file in two halves.
fn write(path: &Path) {
    let mut file = File::create(path).unwrap();
    file.write_all(HALF.as_bytes()).unwrap();
    thread::yield_now();
    file.write_all(REST.as_bytes()).unwrap();
}

/// Reads a job, which must be whole, and finishes it. Returns its name.
fn finish(spool: &mut Spool, mut job: Job) -> String {
    let mut content = String::new();
    job.file.read_to_string(&mut content).unwrap();
    assert_eq!(content, format!("{HALF}{REST}"), "{job:?}");
    spool.finish(&job).unwrap();
    job.name.into_string().unwrap()
}

/// Takes the jobs that are there. No job comes after the last.
fn take(spool: &mut Spool, jobs: usize) -> Vec<String> {
    let mut names: Vec<_> = (0..jobs)
        .map(|_| {
            let job = spool.recv().unwrap();
            finish(spool, job)
        })
        .collect();
    names.sort();
    names
}

/// Asserts that nothing is handed over now, by a file that is.
fn assert_nothing_else(dirs: &Dirs, spool: &mut Spool) {
    write(&dirs.spool.join("last"));
    assert_eq!(take(spool, 1), ["last"]);
}

#[test]
fn files_that_are_there_and_files_that_come_are_handed_over_once() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    write(&dirs.spool.join("old"));
    let mut spool = dirs.open();
    write(&dirs.spool.join("new"));
    write(&dirs.spool.join(".hidden"));
    fs::rename(dirs.spool.join(".hidden"), dirs.spool.join("renamed")).unwrap();
    write(&dirs.place.at("outside"));
    fs::rename(dirs.place.at("outside"), dirs.spool.join("moved in")).unwrap();
    assert_eq!(take(&mut spool, 4), ["moved in", "new", "old", "renamed"]);
    assert_nothing_else(&dirs, &mut spool);
}

#[test]
fn a_file_that_is_being_written_waits_for_its_writer() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let mut old = File::create(dirs.spool.join("old")).unwrap();
    old.write_all(HALF.as_bytes()).unwrap();
    let mut spool = dirs.open();
    let mut new = File::create(dirs.spool.join("new")).unwrap();
    new.write_all(HALF.as_bytes()).unwrap();
    assert_nothing_else(&dirs, &mut spool);
    for mut file in [old, new] {
        file.write_all(REST.as_bytes()).unwrap();
    }
    assert_eq!(take(&mut spool, 2), ["new", "old"]);
    assert_nothing_else(&dirs, &mut spool);
}

#[test]
fn the_last_of_several_writers_counts() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let mut spool = dirs.open();
    let path = dirs.spool.join("two");
    let mut first = File::create(&path).unwrap();
    let mut second = fs::OpenOptions::new().append(true).open(&path).unwrap();
    first.write_all(HALF.as_bytes()).unwrap();
    drop(first);
    assert_nothing_else(&dirs, &mut spool);
    second.write_all(REST.as_bytes()).unwrap();
    drop(second);
    assert_eq!(take(&mut spool, 1), ["two"]);
}

#[test]
fn names_that_are_used_again_are_other_files() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let mut spool = dirs.open();
    for _ in 0..3 {
        write(&dirs.spool.join("name"));
        assert_eq!(take(&mut spool, 1), ["name"]);
    }
    // The second comes while the event of the first is unread, and is not finished.
    write(&dirs.spool.join("name"));
    fs::rename(dirs.spool.join("name"), dirs.spool.join("first")).unwrap();
    let mut file = File::create(dirs.spool.join("name")).unwrap();
    file.write_all(HALF.as_bytes()).unwrap();
    assert_eq!(take(&mut spool, 1), ["first"]);
    assert_nothing_else(&dirs, &mut spool);
    file.write_all(REST.as_bytes()).unwrap();
    drop(file);
    assert_eq!(take(&mut spool, 1), ["name"]);
}

#[test]
fn what_is_no_file_and_what_is_empty_stays() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    fs::create_dir(dirs.spool.join("directory")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dirs.spool.join("link")).unwrap();
    File::create(dirs.spool.join("empty")).unwrap();
    let mut spool = dirs.open();
    assert_nothing_else(&dirs, &mut spool);
    assert!(dirs.spool.join("directory").exists());
    assert!(dirs.spool.join("link").is_symlink());
}

#[test]
fn a_job_that_was_not_finished_is_handed_over_after_a_restart() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    write(&dirs.spool.join("job"));
    let mut spool = dirs.open();
    assert_eq!(spool.recv().unwrap().name, "job");
    drop(spool);
    let mut spool = dirs.open();
    assert_eq!(take(&mut spool, 1), ["job"]);
    assert_nothing_else(&dirs, &mut spool);
}

#[test]
fn a_job_in_progress_is_not_handed_over_again() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let mut spool = dirs.open();
    write(&dirs.spool.join("job"));
    let job = spool.recv().unwrap();
    drop(fs::OpenOptions::new().append(true).open(&job.path).unwrap());
    assert_nothing_else(&dirs, &mut spool);
    finish(&mut spool, job);
    assert_nothing_else(&dirs, &mut spool);
}

#[test]
fn an_overflow_loses_no_file() {
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let mut spool = dirs.open();
    // Its events fill the queue, since trees watch for ATTRIB.
    let noise = dirs.spool.join(".noise");
    File::create(&noise).unwrap();
    fs::rename(&noise, dirs.spool.join("a")).unwrap();
    if !overflow(&dirs.spool) {
        return;
    }
    for file in 0..10 {
        write(&dirs.spool.join(file.to_string()));
    }
    let expected: Vec<_> = (0..10).map(|file| file.to_string()).collect();
    assert_eq!(take(&mut spool, 10), expected);
    assert_nothing_else(&dirs, &mut spool);
}

#[test]
fn each_file_of_many_writers_is_handed_over_once_across_restarts() {
    const WRITERS: usize = 3;
    const FILES: usize = 300;
    let _watchdog = Watchdog::new();
    let dirs = Dirs::new();
    let (writing, is_over) = (AtomicUsize::new(WRITERS), AtomicBool::new(false));
    let mut counts = BTreeMap::<String, usize>::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (dirs, writing) = (&dirs, &writing);
            scope.spawn(move || {
                for file in 0..FILES {
                    let name = format!("{writer}-{file}");
                    let path = dirs.spool.join(&name);
                    match (writer + file) % 3 {
                        0 => {
                            let hidden = dirs.spool.join(format!(".{name}"));
                            write(&hidden);
                            fs::rename(hidden, path).unwrap();
                        }
                        1 => {
                            let outside = dirs.place.at(&name);
                            write(&outside);
                            fs::rename(outside, path).unwrap();
                        }
                        _ => write(&path),
                    }
                }
                if writing.fetch_sub(1, Ordering::SeqCst) == 1 {
                    write(&dirs.spool.join("last"));
                }
            });
        }
        while !is_over.load(Ordering::SeqCst) {
            let mut spool = dirs.open();
            for _ in 0..20 {
                match spool.recv() {
                    Ok(job) => {
                        let name = finish(&mut spool, job);
                        if name == "last" {
                            is_over.store(true, Ordering::SeqCst);
                            spool.stop_handle().stop();
                        }
                        *counts.entry(name).or_default() += 1;
                    }
                    Err(error) => {
                        assert!(error.is::<WatchError>(), "{error}");
                        break;
                    }
                }
            }
        }
    });
    // What was left when the last file came.
    let mut spool = dirs.open();
    while counts.len() < WRITERS * FILES + 1 {
        let job = spool.recv().unwrap();
        *counts.entry(finish(&mut spool, job)).or_default() += 1;
    }
    assert!(counts.values().all(|&count| count == 1), "{counts:?}");
    write(&dirs.spool.join("mark"));
    assert_eq!(take(&mut spool, 1), ["mark"]);
}

//! The cost of trees: 50,000 directories, ten in each, with three files each, in a warm cache.
//!
//! - Set-up, beside the naive loop of system calls (open, add a watch by its path, list, close, for each
//!   directory), notify and `inotifywait -r`. Closing an instance with 50,000 watches takes the kernel long; no
//!   time includes it.
//! - Memory, counted by the allocator.
//! - A rename of a directory with 11,111 beneath it: until an event from its depths, of a file that is created
//!   right after the rename, comes with its true path.
//! - An event with its composed path, ten directories deep, beside the bare read(2) loop on the same queue.
//! - Resynchronisation after an overflow, beside the set-up.
//! - File systems whose link counts do not count subdirectories: overlayfs and btrfs, if they can be mounted.
//!
//! ```text
//! cargo bench --bench tree
//! ```
//!
//! `BENCH_QUICK=1` takes a small tree. The tree is created in the directory for temporary files, or in
//! `TMPDIR`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{CWD, FileType, Mode as Access, OFlags, RawDir, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::time::ClockId;
use support::{Mode, Verdicts, alternate, consume, median, uncertainty};
use tempfile::TempDir;
use tinotify::{TreeChange, TreeOptions, WatchMask, Watcher};

mod support;

const DIRECTORIES: usize = 50_000;
const BREADTH: usize = 10;
const FILES: usize = 3;
/// The directories beneath the renamed one: 1 + 10 + 100 + 1,000 + 10,000.
const BELOW_RENAMED: usize = 11_111;
const DEPTH: usize = 10;
/// Less than the queue's default limit of 16,384.
const EVENTS: usize = 15_000;
/// The size of a header and a name of up to 15 bytes.
const RECORD: usize = 32;
/// The default of a `Watcher`.
const BUFFER: usize = 32 * 1024;
/// The time after which an event counts as lost.
const LOST: Duration = Duration::from_secs(1);

const MASK: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO);

/// The allocated bytes, while they are counted.
static LIVE: AtomicIsize = AtomicIsize::new(0);
static COUNTS: AtomicBool = AtomicBool::new(false);

/// The system's allocator, which counts on request.
struct Counting;

fn count(bytes: usize, sign: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes as isize * sign, Ordering::Relaxed);
    }
}

#[allow(unsafe_code)]
// SAFETY: each call goes to the system's allocator as it came, which keeps the contract; counting
// touches atomics, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: the caller's promise, passed on: `block` came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise, passed on: `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Directories level by level, ten in each.
struct Forest {
    root: PathBuf,
    directories: usize,
    /// The bytes in all names.
    names: usize,
    deepest: PathBuf,
}

impl Forest {
    /// Creates this many directories, with the root.
    fn plant(root: PathBuf, directories: usize, files: usize) -> Self {
        fs::create_dir(&root).unwrap();
        let mut all = vec![root.clone()];
        let mut names = root.file_name().unwrap().len();
        for parent in 0.. {
            let path = all[parent].clone();
            for file in 0..files {
                File::create(path.join(format!("file-{file}.txt"))).unwrap();
            }
            for child in 0..BREADTH.min(directories.saturating_sub(all.len())) {
                let name = format!("module-{child}");
                names += name.len();
                let path = path.join(name);
                fs::create_dir(&path).unwrap();
                all.push(path);
            }
            if parent + 1 == all.len() {
                break;
            }
        }
        assert_eq!(all.len(), directories);
        Self { root, directories, names, deepest: all.pop().unwrap() }
    }
}

fn tinotify_tree(root: &Path, mask: WatchMask) -> Watcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch_tree(root, mask, TreeOptions::new()).unwrap();
    watcher
}

type NotifyEvents = Receiver<notify::Result<notify::Event>>;

fn notify_tree(root: &Path) -> (RecommendedWatcher, NotifyEvents) {
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    notify::Watcher::watch(&mut watcher, root, RecursiveMode::Recursive).unwrap();
    (watcher, events)
}

/// Waits until notify's thread has ended, which closes its instance.
fn end_notify(watcher: RecommendedWatcher) {
    drop(watcher);
    while threads() > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// The obvious loop. It uses one path and one buffer for everything, so it is fast.
struct Naive {
    inotify: OwnedFd,
    flags: WatchFlags,
    path: Vec<u8>,
    buffer: Vec<MaybeUninit<u8>>,
    /// The names of subdirectories that are not entered yet, each with its NUL.
    names: Vec<u8>,
    watches: usize,
}

impl Naive {
    fn of(root: &Path) -> Self {
        let mut naive = Self {
            inotify: rustix::fs::inotify::init(CreateFlags::CLOEXEC).unwrap(),
            flags: WatchFlags::from_bits_retain(MASK.bits()) | WatchFlags::ONLYDIR,
            path: [root.as_os_str().as_bytes(), b"\0"].concat(),
            buffer: vec![MaybeUninit::uninit(); 32 * 1024],
            names: Vec::new(),
            watches: 0,
        };
        naive.enter();
        naive
    }

    /// Watches the directory at the current path, and everything beneath it.
    fn enter(&mut self) {
        let path = CStr::from_bytes_with_nul(&self.path).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Access::empty()).unwrap();
        rustix::fs::inotify::add_watch(&self.inotify, path, self.flags).unwrap();
        self.watches += 1;

        let mine = self.names.len();
        let mut entries = RawDir::new(&dir, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
                self.names.extend_from_slice(name.to_bytes_with_nul());
            }
        }
        drop(dir);

        let len = self.path.len() - 1;
        let mut next = mine;
        while next < self.names.len() {
            let end = next + self.names[next..].iter().position(|&byte| byte == 0).unwrap() + 1;
            self.path.truncate(len);
            self.path.push(b'/');
            self.path.extend_from_slice(&self.names[next..end]);
            self.enter();
            next = end;
        }
        self.path.truncate(len);
        self.path.push(0);
        self.names.truncate(mine);
    }
}

/// Starts the tool, and waits until it watches.
fn inotifywait(root: &Path) -> Child {
    let mut child = Command::new("inotifywait")
        .args(["-m", "-r", "-e", "create,delete,modify,move"])
        .arg(root)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.any(|line| line.unwrap().contains("Watches established"));
    assert!(ready, "inotifywait ended without watches");
    child
}

fn has_inotifywait() -> bool {
    let found = Command::new("inotifywait").arg("--help").output().is_ok();
    if !found {
        println!("SKIPPED: inotifywait -r: it is not installed (inotify-tools)");
    }
    found
}

/// Returns the median of the values, and half of the width of the interval that contains it.
fn estimate(values: &[f64]) -> (f64, f64) {
    let of = |rounds: &[usize]| median(&rounds.iter().map(|&i| values[i]).collect::<Vec<_>>());
    (median(values), uncertainty(values.len(), of))
}

fn ratios(times: &[f64], to: &[f64]) -> Vec<f64> {
    times.iter().zip(to).map(|(time, to)| time / to).collect()
}

fn milliseconds(nanoseconds: f64) -> f64 {
    nanoseconds / 1e6
}

/// The results, which are printed and checked at the end.
#[derive(Default)]
struct Table {
    rows: Vec<[String; 3]>,
    verdicts: Verdicts,
}

impl Table {
    fn row(&mut self, what: &str, value: String, beside: String) {
        self.rows.push([what.to_owned(), value, beside]);
    }

    fn finish(self, mode: &Mode) -> ! {
        println!("\n{:<48} {:>14}  beside", "", "tinotify");
        for [what, value, beside] in &self.rows {
            println!("{what:<48} {value:>14}  {beside}");
        }
        self.verdicts.print(mode)
    }
}

/// Measures the set-up, and the resynchronisation after an overflow.
fn set_up(forest: &Forest, mode: &Mode, table: &mut Table) {
    let limit = queue_limit();
    if limit > 500_000 {
        println!("SKIPPED: overflows: fs.inotify.max_queued_events is {limit}");
    }
    let resyncs = RefCell::new(Vec::new());
    let rivals = if has_inotifywait() { 4 } else { 3 };
    let rounds = mode.rounds(15);
    let times = alternate(1, rivals, rounds, |_, rival| {
        let start = Instant::now();
        match rival {
            0 => {
                let naive = Naive::of(&forest.root);
                let time = start.elapsed();
                assert_eq!(naive.watches, forest.directories);
                time
            }
            1 => {
                let mut watcher = tinotify_tree(&forest.root, MASK);
                let time = start.elapsed();
                if limit <= 500_000 {
                    resyncs.borrow_mut().push(resync(&mut watcher, forest, limit));
                }
                time
            }
            2 => {
                let (notify, _events) = notify_tree(&forest.root);
                let time = start.elapsed();
                end_notify(notify);
                time
            }
            _ => {
                let mut child = inotifywait(&forest.root);
                let time = start.elapsed();
                child.kill().unwrap();
                child.wait().unwrap();
                time
            }
        }
    });
    let [naive, tinotify, others @ ..] = &times[0][..] else { unreachable!() };
    let value = format!("{:.1} ms", milliseconds(median(tinotify)));
    let mut beside = format!("naive loop {:.1} ms", milliseconds(median(naive)));
    let (ratio, plus_minus) = estimate(&ratios(tinotify, naive));
    table.verdicts.at_most("set-up / naive loop", 0.65, ratio, plus_minus);
    for (name, times) in ["notify", "inotifywait -r"].into_iter().zip(others) {
        beside += &format!(", {name} {:.1} ms", milliseconds(median(times)));
        let (ratio, plus_minus) = estimate(&ratios(times, tinotify));
        table.verdicts.at_least(&format!("{name} / set-up"), 3.0, ratio, plus_minus);
    }
    table.row(&format!("set-up, {} directories", forest.directories), value, beside);

    let resyncs = resyncs.into_inner();
    if !resyncs.is_empty() {
        // Without the warm-up.
        let (resync, plus_minus) = estimate(&resyncs[1..]);
        let set_up = median(tinotify);
        table.row(
            "resync after an overflow",
            format!("{:.1} ms", milliseconds(resync)),
            format!("set-up {:.1} ms", milliseconds(set_up)),
        );
        table.verdicts.at_most("resync / set-up", 1.3, resync / set_up, plus_minus / set_up);
    }
}

fn queue_limit() -> usize {
    fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap()
}

/// Overflows the queue, and returns the nanoseconds from the overflow event to `Resynced` and an empty queue.
fn resync(watcher: &mut Watcher, forest: &Forest, limit: usize) -> f64 {
    let files = two_files(&forest.deepest);
    for event in 0..limit + 2 {
        // Alternating files, since identical events merge.
        files[event % 2].write_all_at(b"t", 0).unwrap();
    }
    while !watcher.recv_timeout(LOST).unwrap().expect("an overflow").is_overflow() {}
    let start = Instant::now();
    let mut resynced = false;
    while let Some(event) = watcher.try_recv().unwrap() {
        resynced |= event.tree_change() == Some(TreeChange::Resynced);
    }
    let time = start.elapsed();
    assert!(resynced);
    time.as_nanos() as f64
}

fn two_files(dir: &Path) -> [File; 2] {
    [0, 1].map(|file| {
        let path = dir.join(format!("file-{file}.txt"));
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    })
}

/// Returns the bytes that stay allocated, per directory.
fn memory(forest: &Forest, table: &mut Table) {
    fn live_of<T>(set_up: impl FnOnce() -> T, end: impl FnOnce(T)) -> f64 {
        LIVE.store(0, Ordering::Relaxed);
        COUNTS.store(true, Ordering::Relaxed);
        let held = set_up();
        let live = LIVE.load(Ordering::Relaxed);
        COUNTS.store(false, Ordering::Relaxed);
        end(held);
        live as f64
    }
    let directories = forest.directories as f64;
    let nothing = live_of(|| Watcher::new().unwrap(), drop);
    let tinotify = live_of(|| tinotify_tree(&forest.root, MASK), drop);
    let notify = live_of(|| notify_tree(&forest.root), |(notify, _)| end_notify(notify));
    let names = forest.names as f64;
    let whole = (tinotify - nothing) / directories;
    table.row(
        &format!("bytes a directory (names: {:.1})", names / directories),
        format!("{whole:.1}"),
        format!("notify {:.1}", notify / directories),
    );
    table.verdicts.at_most("bytes a directory, with its name", 56.0, whole, 0.0);
}

/// Returns the processor time of all threads of this process.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Returns the processor time of this thread.
fn cpu_time_of_thread() -> Duration {
    rustix::time::clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// A directory that is renamed to and fro, and a file that is created in its depths right after.
struct Renaming {
    forest: Forest,
    names: [PathBuf; 2],
    /// The deepest directory, beneath the renamed one.
    depths: PathBuf,
    turn: usize,
}

impl Renaming {
    fn new(place: &Path, below: usize) -> Self {
        fs::create_dir(place).unwrap();
        let forest = Forest::plant(place.join("before"), below + 1, 0);
        let depths = forest.deepest.strip_prefix(&forest.root).unwrap().to_owned();
        let names = [place.join("before"), place.join("after")];
        Self { forest, names, depths, turn: 0 }
    }

    /// Renames the directory, creates the file, and returns its true path.
    fn rename(&mut self) -> PathBuf {
        let [from, to] = [self.turn, self.turn + 1].map(|turn| &self.names[turn % 2]);
        let file = to.join(&self.depths).join("new.txt");
        self.turn += 1;
        fs::rename(from, to).unwrap();
        File::create(&file).unwrap();
        file
    }
}

/// Nanoseconds of wall time and of processor time.
fn time_rename(renaming: &mut Renaming, watcher: &mut Watcher) -> [f64; 2] {
    let mut path = PathBuf::new();
    let (start, start_cpu) = (Instant::now(), cpu_time());
    let file = renaming.rename();
    while path != file {
        let event = watcher.recv_timeout(LOST).unwrap().expect("the event is lost");
        event.path_into(&mut path);
    }
    let times = [start.elapsed(), cpu_time() - start_cpu];
    fs::remove_file(&file).unwrap();
    while watcher.try_recv().unwrap().is_some() {}
    times.map(|time| time.as_nanos() as f64)
}

/// Measures the same with notify, without a wall time if the event does not come.
fn time_rename_in_notify(renaming: &mut Renaming, events: &NotifyEvents) -> [Option<f64>; 2] {
    let (start, start_cpu) = (Instant::now(), cpu_time());
    let file = renaming.rename();
    let came = loop {
        match events.recv_timeout(LOST) {
            Ok(event) if event.as_ref().is_ok_and(|event| event.paths.contains(&file)) => {
                break Some(start.elapsed());
            }
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    let times = [came, Some(cpu_time() - start_cpu)];
    fs::remove_file(&file).unwrap();
    while events.recv_timeout(LOST / 10).is_ok() {}
    times.map(|time| time.map(|time| time.as_nanos() as f64))
}

fn rename(place: &Path, mode: &Mode, table: &mut Table) {
    let below = if mode.quick { 111 } else { BELOW_RENAMED };
    let mut renaming = Renaming::new(&place.join("renaming"), below);
    let root = place.join("renaming");
    assert_eq!(renaming.forest.directories, below + 1);

    let mut watcher = tinotify_tree(&root, MASK);
    let times: Vec<[f64; 2]> =
        (0..mode.rounds(200)).map(|_| time_rename(&mut renaming, &mut watcher)).collect();
    drop(watcher);
    let (notify, events) = notify_tree(&root);
    let of_notify: Vec<_> = (0..5).map(|_| time_rename_in_notify(&mut renaming, &events)).collect();
    end_notify(notify);

    let of_notify = |which: usize| {
        let came: Vec<f64> = of_notify.iter().filter_map(|times| times[which]).collect();
        match came.len() {
            0 => "notify: never came".to_owned(),
            len => format!("notify {:.2} ms ({len} of 5 came)", milliseconds(median(&came))),
        }
    };
    for (which, what) in ["until a true path", "processor's time"].into_iter().enumerate() {
        let times: Vec<f64> = times.iter().map(|times| milliseconds(times[which])).collect();
        let (value, plus_minus) = estimate(&times);
        table.row(
            &format!("rename with {below} below: {what}"),
            format!("{value:.3} ms"),
            of_notify(which),
        );
        let what = format!("milliseconds after a rename, {what}");
        table.verdicts.at_most(&what, 2.0, value, plus_minus);
    }
}

/// A tree of nested directories, and files whose events fill the queue.
struct Deep {
    watcher: Watcher,
    fd: OwnedFd,
    files: Vec<File>,
    buffer: Vec<u8>,
}

impl Deep {
    /// Creates `leaves` directories at a depth of ten, with as many files in all of them as are needed so
    /// that no two neighbours in the queue are identical.
    fn new(root: &Path, leaves: usize) -> Self {
        fs::create_dir(root).unwrap();
        let mut path = root.to_owned();
        path.extend((1..DEPTH).map(|level| format!("level-{level}")));
        let mut files = Vec::new();
        for leaf in 0..leaves {
            let leaf = path.join(format!("leaf-{leaf}"));
            fs::create_dir_all(&leaf).unwrap();
            for name in ["one.txt", "two.txt"].iter().take(if leaves > 1 { 1 } else { 2 }) {
                fs::write(leaf.join(name), "text").unwrap();
                files.push(File::open(leaf.join(name)).unwrap());
            }
        }
        let watcher = tinotify_tree(root, WatchMask::ACCESS);
        let fd = watcher.inotify_fd().try_clone_to_owned().unwrap();
        let mut deep = Self { watcher, fd, files, buffer: vec![0; BUFFER] };
        // The events of the tree's own scan.
        deep.drain(1);
        deep
    }

    fn fill(&self, events: usize) {
        for file in self.files.iter().cycle().take(events) {
            rustix::io::pread(file, &mut [0; 1], 0).unwrap();
        }
        let queued = rustix::io::ioctl_fionread(&self.fd).unwrap();
        let expected = (events * RECORD) as u64;
        assert_eq!(queued, expected, "is fs.inotify.max_queued_events below {events}?");
    }

    /// Empties the queue, and returns the number of events.
    fn drain(&mut self, rival: usize) -> usize {
        match rival {
            0 => read(&self.fd, &mut self.buffer) / RECORD,
            _ => with_paths(&mut self.watcher),
        }
    }

    fn sample(&mut self, rival: usize) -> Duration {
        self.fill(EVENTS);
        let start = cpu_time_of_thread();
        let seen = self.drain(rival);
        let time = cpu_time_of_thread() - start;
        assert_eq!(seen, EVENTS);
        time
    }
}

#[inline(never)]
fn read(fd: &OwnedFd, buffer: &mut [u8]) -> usize {
    let mut seen = 0;
    loop {
        match rustix::io::read(fd, &mut *buffer) {
            Ok(len) => seen += black_box(len),
            Err(Errno::AGAIN) => return seen,
            Err(error) => panic!("{error}"),
        }
    }
}

#[inline(never)]
fn with_paths(watcher: &mut Watcher) -> usize {
    let mut path = PathBuf::new();
    let mut seen = 0;
    while let Some(event) = watcher.try_recv().unwrap() {
        event.path_into(&mut path);
        let path = path.as_os_str().as_bytes();
        consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
        seen += 1;
    }
    seen
}

fn events(place: &Path, mode: &Mode, table: &mut Table) {
    const ROWS: [(&str, usize); 2] = [("one directory", 1), ("1,000 directories", 1_000)];
    let mut deep = ROWS.map(|(_, leaves)| Deep::new(&place.join(format!("deep-{leaves}")), leaves));
    let times = alternate(ROWS.len(), 2, mode.rounds(400), |row, rival| deep[row].sample(rival));
    for ((label, leaves), times) in ROWS.into_iter().zip(&times) {
        let per_event = |times: &[f64]| format!("{:.1} ns", median(times) / EVENTS as f64);
        let (ratio, plus_minus) = estimate(&ratios(&times[1], &times[0]));
        table.row(
            &format!("event with path, depth {DEPTH}, in {label}"),
            per_event(&times[1]),
            format!("read(2) {}: {ratio:.3} ±{plus_minus:.3}", per_event(&times[0])),
        );
        if leaves == 1 {
            table.verdicts.at_most("event with path / bare read(2)", 1.1, ratio, plus_minus);
        }
    }
}

/// The argument with which this program runs itself in a mount namespace.
const ELSEWHERE: [&str; 2] = ["overlayfs", "btrfs"];

/// Measures on file systems whose link counts do not count subdirectories. Printed, not checked.
fn elsewhere(forest: &Forest, mode: &Mode, table: &mut Table) {
    for name in ELSEWHERE {
        let unshare = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
        let output = Command::new("unshare")
            .arg(unshare)
            .arg(std::env::current_exe().unwrap())
            .args([name.as_ref(), forest.root.as_os_str()])
            .arg(mode.rounds(11).to_string())
            .output();
        let said = match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let why = said.lines().find(|line| line.starts_with("SKIPPED"));
                why.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
            }
            Err(error) => format!("SKIPPED: unshare(1): {error}"),
        };
        match said.split_once('\t') {
            Some((value, beside)) => {
                table.row(&format!("set-up on {name}"), value.to_owned(), beside.to_owned());
            }
            None => {
                println!("{said} (set-up on {name})");
                table.row(&format!("set-up on {name}"), "SKIPPED".to_owned(), String::new());
            }
        }
    }
}

fn skip(why: impl std::fmt::Display) -> ! {
    eprintln!("SKIPPED: {why}");
    std::process::exit(1);
}

/// Measures the set-up beside the naive loop on another file system, in a mount namespace.
fn set_up_elsewhere(name: &str, root: &Path, rounds: usize) {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().join("mounted");
    fs::create_dir(&at).unwrap();
    let root = match name {
        "overlayfs" => {
            let [upper, work] = ["upper", "work"].map(|dir| place.path().join(dir));
            [&upper, &work].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                root.display(),
                upper.display(),
                work.display()
            );
            let options = std::ffi::CString::new(options).unwrap();
            let flags = MountFlags::empty();
            if let Err(error) = mount("overlay", &at, "overlay", flags, options.as_c_str()) {
                skip(format_args!("overlayfs can't be mounted: {error}"));
            }
            at.clone()
        }
        _ => {
            mount_btrfs(place.path(), &at);
            let directories = count_directories(root);
            Forest::plant(at.join("forest"), directories, FILES).root
        }
    };
    // Warm up.
    drop(Naive::of(&root));
    let times = alternate(1, 2, rounds, |_, rival| {
        let start = Instant::now();
        if rival == 0 {
            let _naive = Naive::of(&root);
            start.elapsed()
        } else {
            let _watcher = tinotify_tree(&root, MASK);
            start.elapsed()
        }
    });
    let [naive, tinotify] = &times[0][..] else { unreachable!() };
    let (ratio, plus_minus) = estimate(&ratios(tinotify, naive));
    let [tinotify, naive] = [tinotify, naive].map(|times| milliseconds(median(times)));
    println!("{tinotify:.1} ms\tnaive loop {naive:.1} ms: {ratio:.3} ±{plus_minus:.3}");
    if let Err(error) = unmount(&at, UnmountFlags::DETACH) {
        panic!("{error}");
    }
}

fn count_directories(root: &Path) -> usize {
    Naive::of(root).watches
}

/// Needs mkfs.btrfs, and root for a loop device.
fn mount_btrfs(place: &Path, at: &Path) {
    let image = place.join("image");
    File::create(&image).unwrap().set_len(1 << 30).unwrap();
    for (program, arguments) in [
        ("mkfs.btrfs", vec!["-q".as_ref(), image.as_os_str()]),
        ("mount", vec!["-o".as_ref(), "loop".as_ref(), image.as_os_str(), at.as_os_str()]),
    ] {
        match Command::new(program).args(arguments).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                skip(format_args!("{program}: {}", said.trim()));
            }
            Err(error) => skip(format_args!("{program}: {error}")),
        }
    }
}

fn main() {
    if let [_, name, root, rounds] = &std::env::args_os().collect::<Vec<_>>()[..] {
        if let Some(name) = ELSEWHERE.into_iter().find(|known| name == known) {
            let rounds = String::from_utf8(rounds.clone().into_vec()).unwrap();
            return set_up_elsewhere(name, Path::new(root), rounds.parse().unwrap());
        }
    }

    let mode = Mode::of_this_call();
    let directories = if mode.quick { 2_000 } else { DIRECTORIES };
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    assert!(
        limit >= directories + 1_000,
        "fs.inotify.max_user_watches is {limit}; {} are needed",
        directories + 1_000
    );

    let place = TempDir::new().unwrap();
    let mut table = Table::default();
    let forest = Forest::plant(place.path().join("forest"), directories, FILES);
    // Warm up.
    drop(Naive::of(&forest.root));
    memory(&forest, &mut table);
    set_up(&forest, &mode, &mut table);
    rename(place.path(), &mode, &mut table);
    events(place.path(), &mode, &mut table);
    elsewhere(&forest, &mode, &mut table);
    // The mount would survive the exit.
    place.close().unwrap();
    println!("\nMedians of rounds in which rivals alternate.");
    table.finish(&mode);
}

//! The time from a write in another process until a rival has returned the event.
//!
//! This process sends the number of a file to a child process through a pipe. The child waits until this
//! process sleeps, reads the clock, writes to the file, and sends the time back. This process reads the clock
//! when it has the event. Each rival has its own inotify instance and directory, so that no other rival wakes
//! up with it. With two processors, each process is pinned to one of them, since a wake-up on the same
//! processor and one on another processor take different times.
//!
//! ```text
//! cargo bench --bench wake --features tokio
//! ```
//!
//! Without the feature, the two rivals in tokio are skipped. They share a runtime of one thread and are
//! compared with each other. The blocking rivals are compared with ppoll(2) and read(2).

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use inotify::Inotify;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::thread::CpuSet;
use rustix::time::ClockId;
use support::{Mode, Verdicts, alternate, consume, median, uncertainty};
use tempfile::TempDir;
use tinotify::{WatchMask, Watcher};

mod support;

const ROUNDS: usize = 10_000;
/// The child waits this time after the state of this process is asleep, until it really is.
const SETTLE: Duration = Duration::from_micros(30);
const BUFFER: usize = 4112;
const FILE: &str = "file.txt";

#[derive(Clone, Copy, PartialEq)]
enum Rival {
    Ppoll,
    Watcher,
    InotifyRs,
    #[cfg(feature = "tokio")]
    TokioInotifyRs,
    #[cfg(feature = "tokio")]
    TokioWatcher,
}

/// A rival, its title, the index of the rival it is compared with, and the highest ratio that passes.
type Entry = (Rival, &'static str, usize, Option<f64>);

const RIVALS: &[Entry] = &[
    (Rival::Ppoll, "ppoll+read", 0, None),
    (Rival::Watcher, "Watcher::recv", 0, Some(1.1)),
    (Rival::InotifyRs, "inotify-rs, blocking", 0, None),
    #[cfg(feature = "tokio")]
    (Rival::TokioInotifyRs, "inotify-rs, stream", 3, None),
    #[cfg(feature = "tokio")]
    (Rival::TokioWatcher, "TokioWatcher::recv", 3, Some(1.1)),
];

/// The child process that writes.
struct Writer {
    child: std::process::Child,
    /// Closed to end the process.
    orders: Option<ChildStdin>,
    times: ChildStdout,
}

impl Writer {
    fn start(dirs: &[TempDir]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("write")
            .args(dirs.iter().map(|dir| dir.path().join(FILE)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, times) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, orders, times }
    }

    /// Orders a write to the file of a rival.
    fn order(&mut self, rival: usize) {
        self.orders.as_mut().unwrap().write_all(&[rival as u8]).unwrap();
    }

    /// Returns the time of the write.
    fn time(&mut self) -> Duration {
        let mut nanoseconds = [0; 8];
        self.times.read_exact(&mut nanoseconds).unwrap();
        Duration::from_nanos(u64::from_ne_bytes(nanoseconds))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// Runs the child process.
fn write(paths: &[String]) {
    pin_to_processor(|processors| processors.last());
    let open = |path: &String| File::options().write(true).open(path).unwrap();
    let files: Vec<File> = paths.iter().map(open).collect();
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero();
    let parent = File::open(format!("/proc/{parent}/stat")).unwrap();
    let (mut orders, mut times) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut order = [0];
    while orders.read_exact(&mut order).is_ok() {
        while !is_asleep(&parent) {
            thread::yield_now();
        }
        thread::sleep(SETTLE);
        let now = now();
        files[usize::from(order[0])].write_all_at(b"t", 0).unwrap();
        times.write_all(&(now.as_nanos() as u64).to_ne_bytes()).unwrap();
        times.flush().unwrap();
    }
}

/// Returns `true` if the process of a `/proc/PID/stat` file (proc_pid_stat(5)) sleeps.
fn is_asleep(stat: &File) -> bool {
    let mut text = [0; 512];
    let len = stat.read_at(&mut text, 0).unwrap();
    let name_ends = text[..len].iter().rposition(|&byte| byte == b')').unwrap();
    text[name_ends + 2] == b'S'
}

/// Reads a clock that all processes share.
fn now() -> Duration {
    rustix::time::clock_gettime(ClockId::Monotonic).try_into().unwrap()
}

/// Pins this thread to one of the processors that it may use.
fn pin_to_processor(choose: impl Fn(&mut dyn DoubleEndedIterator<Item = usize>) -> Option<usize>) {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
    let mut chosen = CpuSet::new();
    chosen.set(choose(&mut processors).unwrap());
    rustix::thread::sched_setaffinity(None, &chosen).unwrap();
}

struct Bench {
    writer: Writer,
    ppoll: OwnedFd,
    watcher: Watcher,
    inotify_rs: Inotify,
    #[cfg(feature = "tokio")]
    tokio: in_tokio::Rivals,
    buffer: Vec<u8>,
    path: PathBuf,
    _dirs: Vec<TempDir>,
}

impl Bench {
    fn new() -> Self {
        let dirs: Vec<TempDir> = RIVALS
            .iter()
            .map(|_| {
                let dir = tempfile::tempdir().unwrap();
                fs::write(dir.path().join(FILE), "text").unwrap();
                dir
            })
            .collect();
        // Before this process is pinned, since the child would inherit its processor.
        let writer = Writer::start(&dirs);
        pin_to_processor(|processors| processors.next());

        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        let ppoll = rustix::fs::inotify::init(flags).unwrap();
        rustix::fs::inotify::add_watch(&ppoll, dirs[0].path(), WatchFlags::MODIFY).unwrap();
        Self {
            writer,
            ppoll,
            watcher: watcher(dirs[1].path()),
            inotify_rs: inotify_rs(dirs[2].path()),
            #[cfg(feature = "tokio")]
            tokio: in_tokio::Rivals::new(dirs[3].path(), dirs[4].path()),
            buffer: vec![0; BUFFER],
            path: PathBuf::new(),
            _dirs: dirs,
        }
    }

    fn sample(&mut self, index: usize) -> Duration {
        self.writer.order(index);
        let Self { buffer, path, .. } = self;
        match RIVALS[index].0 {
            Rival::Ppoll => {
                let mut fds = [PollFd::new(&self.ppoll, PollFlags::IN)];
                assert_eq!(rustix::event::poll(&mut fds, None), Ok(1));
                let len = rustix::io::read(&self.ppoll, &mut buffer[..]).unwrap();
                consume(0, 0, 0, Some(&buffer[..len]));
            }
            Rival::Watcher => {
                let event = self.watcher.recv().unwrap();
                event.path_into(path);
                let path = path.as_os_str().as_bytes();
                consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
            }
            Rival::InotifyRs => {
                let mut events = self.inotify_rs.read_events_blocking(buffer).unwrap();
                let event = events.next().unwrap();
                let name = event.name.map(|name| name.as_bytes());
                consume(event.wd, event.mask.bits(), event.cookie, name);
            }
            #[cfg(feature = "tokio")]
            Rival::TokioInotifyRs => self.tokio.inotify_rs(),
            #[cfg(feature = "tokio")]
            Rival::TokioWatcher => self.tokio.watcher(path),
        }
        now() - self.writer.time()
    }
}

fn watcher(dir: &Path) -> Watcher {
    let watcher = Watcher::builder().buffer_size(BUFFER).build().unwrap();
    watcher.watch(dir, WatchMask::MODIFY).unwrap();
    watcher
}

fn inotify_rs(dir: &Path) -> Inotify {
    let inotify = Inotify::init().unwrap();
    inotify.watches().add(dir, inotify::WatchMask::MODIFY).unwrap();
    inotify
}

#[cfg(feature = "tokio")]
mod in_tokio {
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    use futures_lite::StreamExt;
    use inotify::EventStream;
    use tinotify::TokioWatcher;
    use tokio::runtime::{Builder, Runtime};

    use super::{BUFFER, consume};

    pub struct Rivals {
        // The fields that are registered in the runtime are dropped before it.
        inotify_rs: EventStream<Vec<u8>>,
        watcher: TokioWatcher,
        runtime: Runtime,
    }

    impl Rivals {
        pub fn new(inotify_rs_dir: &Path, watcher_dir: &Path) -> Self {
            let runtime = Builder::new_current_thread().enable_io().build().unwrap();
            let entered = runtime.enter();
            let inotify_rs = super::inotify_rs(inotify_rs_dir);
            let inotify_rs = inotify_rs.into_event_stream(vec![0; BUFFER]).unwrap();
            let watcher = TokioWatcher::tokio(super::watcher(watcher_dir)).unwrap();
            drop(entered);
            Self { inotify_rs, watcher, runtime }
        }

        pub fn inotify_rs(&mut self) {
            self.runtime.block_on(async {
                let event = self.inotify_rs.next().await.unwrap().unwrap();
                let name = event.name.as_ref().map(|name| name.as_bytes());
                consume(&event.wd, event.mask.bits(), event.cookie, name);
            });
        }

        pub fn watcher(&mut self, path: &mut PathBuf) {
            self.runtime.block_on(async {
                let event = self.watcher.recv().await.unwrap();
                event.path_into(path);
                let path = path.as_os_str().as_bytes();
                consume(event.watch(), event.mask().bits(), event.cookie(), Some(path));
            });
        }
    }
}

fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() * 99 / 100]
}

fn main() {
    if let [_, word, paths @ ..] = &std::env::args().collect::<Vec<_>>()[..] {
        if word == "write" {
            return write(paths);
        }
    }

    let mode = Mode::of_this_call();
    let rounds = mode.rounds(ROUNDS);
    println!(
        "Microseconds from a write in another process until the event is returned, over {rounds} rounds, \
         rivals alternating,\nand the median as a multiple of that of another rival.\n"
    );
    let mut bench = Bench::new();
    let times = alternate(1, RIVALS.len(), rounds, |_, rival| bench.sample(rival)).remove(0);
    drop(bench);

    let mut verdicts = Verdicts::default();
    let all: Vec<usize> = (0..rounds).collect();
    println!("{:>21} {:>9} {:>9} {:>14}", "", "median", "p99", "ratio");
    for (index, &(_, title, base, limit)) in RIVALS.iter().enumerate() {
        // Noise affects single wake-ups, not whole rounds, so ratios within a round would not remove it.
        let ratio = |rounds: &[usize]| {
            let of = |rival: usize| {
                median(&rounds.iter().map(|&round| times[rival][round]).collect::<Vec<_>>())
            };
            of(index) / of(base)
        };
        let (value, plus_minus) = (ratio(&all), uncertainty(rounds, ratio));
        let (middle, worst) = (median(&times[index]) / 1e3, p99(&times[index]) / 1e3);
        println!("{title:>21} {middle:9.2} {worst:9.2} {value:7.3} ±{plus_minus:.3}");
        if let Some(limit) = limit {
            let what = format!("{title} / {}", RIVALS[base].1);
            verdicts.at_most(&what, limit, value, plus_minus);
        }
    }
    if cfg!(not(feature = "tokio")) {
        eprintln!("\nSKIPPED: the rivals in tokio: the feature `tokio` is off");
    }
    verdicts.print(&mode);
}

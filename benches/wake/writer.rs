//! The child process that writes, and the clock and the processors of both processes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::thread::CpuSet;
use rustix::time::ClockId;

/// The child waits this time after the state of its parent is asleep, until it really is.
const SETTLE: Duration = Duration::from_micros(30);

pub struct Writer {
    child: Child,
    /// Closed to end the process.
    orders: Option<ChildStdin>,
    times: ChildStdout,
}

impl Writer {
    /// Starts the child, with one file for each rival.
    pub fn start(files: impl Iterator<Item = PathBuf>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("write")
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, times) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, orders, times }
    }

    /// Orders a write to the file of a rival.
    pub fn order(&mut self, rival: usize) {
        self.orders.as_mut().unwrap().write_all(&[rival as u8]).unwrap();
    }

    /// Returns the time of the write.
    pub fn time(&mut self) -> Duration {
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
pub fn write(paths: &[String]) {
    pin_to_processor(|processors| processors.last());
    let open = |path: &String| File::options().write(true).open(Path::new(path)).unwrap();
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
pub fn now() -> Duration {
    rustix::time::clock_gettime(ClockId::Monotonic).try_into().unwrap()
}

/// Pins this thread to one of the processors that it may use.
pub fn pin_to_processor(
    choose: impl Fn(&mut dyn DoubleEndedIterator<Item = usize>) -> Option<usize>,
) {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
    let mut chosen = CpuSet::new();
    chosen.set(choose(&mut processors).unwrap());
    rustix::thread::sched_setaffinity(None, &chosen).unwrap();
}

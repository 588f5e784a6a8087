//! The directories that are watched. A process of its own creates them, causes events and removes them, so
//! that none of this is counted.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use forest::Forest;

#[path = "../../tree/forest.rs"]
#[allow(dead_code)] // Other benchmarks use more of it.
mod forest;

const DEPTH: usize = 10;

/// The events of one drain. Less than the default limit of the queue, 16,384.
pub const EVENTS: usize = 15_000;

/// Returns a path of the same length in each run, in the directory for temporary files.
pub fn path_for(what: &str) -> PathBuf {
    path_in(&std::env::temp_dir(), what)
}

fn path_in(place: &Path, what: &str) -> PathBuf {
    place.join(format!("tinotify-counts-{:010}-{what}", std::process::id()))
}

/// The process that owns the directories.
pub struct World {
    pub root: PathBuf,
    child: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

impl World {
    /// Creates directories: `flat`, `growing`, `deep/LEAVES` or `forest/DIRECTORIES`.
    pub fn start(kind: &str) -> Self {
        Self::start_in(&std::env::temp_dir(), kind)
    }

    pub fn start_in(place: &Path, kind: &str) -> Self {
        let root = path_in(place, "world");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["world".as_ref(), kind.as_ref(), root.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (requests, answers) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut world = Self { root, child, requests, answers };
        world.wait();
        world
    }

    fn wait(&mut self) {
        if self.answers.read_exact(&mut [0]).is_err() {
            let status = self.child.wait().unwrap();
            // It has printed why.
            std::process::exit(status.code().unwrap_or(1));
        }
    }

    /// Causes events that nothing merges: `EVENTS` of them, in a forest more than the queue holds, and in a growing
    /// directory one.
    pub fn cause_events(&mut self) {
        self.requests.as_mut().unwrap().write_all(b"\n").unwrap();
        self.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.requests = None;
        let status = self.child.wait().unwrap();
        assert!(status.success() || std::thread::panicking());
    }
}

/// Creates the directories, causes events for each line of the input, and removes the directories at its end.
pub fn serve(kind: &str, root: &Path) {
    let (kind, number) = kind.split_once('/').unwrap_or((kind, "1"));
    let number = number.parse().unwrap();
    let files = match kind {
        "flat" | "growing" => flat(root),
        "deep" => deep(root, number),
        _ => two_files(&Forest::create(root.to_owned(), number, 3).deepest),
    };
    let mut order = Order { count: files.len(), last: 0, random: 0x9e37_79b9_7f4a_7c15 };
    let mut answers = std::io::stdout();
    let mut answer = || {
        answers.write_all(b"\n").unwrap();
        answers.flush().unwrap();
    };
    answer();
    for (number, request) in std::io::stdin().lines().enumerate() {
        request.unwrap();
        if kind == "growing" {
            fs::create_dir(root.join(format!("new-{number}"))).unwrap();
            answer();
            continue;
        }
        let limit = queue_limit().unwrap_or_else(|why| {
            let _ = fs::remove_dir_all(root);
            crate::skip(&why)
        });
        let events = if kind == "forest" { limit + 2 } else { EVENTS };
        for _ in 0..events {
            // Queues `MODIFY`.
            let file = File::options().write(true).open(&files[order.next()]).unwrap();
            file.set_len(0).unwrap();
        }
        answer();
    }
    fs::remove_dir_all(root).unwrap();
}

/// Returns the number of events that the queue holds, or why no workload can use it.
fn queue_limit() -> Result<usize, String> {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit = limit.trim().parse().unwrap();
    if (EVENTS..200_000).contains(&limit) {
        Ok(limit)
    } else {
        Err(format!("fs.inotify.max_queued_events is {limit}: expected {EVENTS} to 200,000"))
    }
}

fn flat(root: &Path) -> Vec<PathBuf> {
    fs::create_dir(root).unwrap();
    two_files(root)
}

/// Two files, since identical neighbours in the queue merge.
fn two_files(dir: &Path) -> Vec<PathBuf> {
    ["one.txt", "two.txt"]
        .map(|name| {
            let path = dir.join(name);
            File::create(&path).unwrap();
            path
        })
        .to_vec()
}

/// Creates directories at a depth of ten, below three levels with the same number of directories in each.
/// Returns a file in each.
fn deep(root: &Path, leaves: usize) -> Vec<PathBuf> {
    fs::create_dir(root).unwrap();
    let mut parents = vec![root.to_owned()];
    for level in 1..=DEPTH - 3 {
        let path = parents[0].join(format!("level-{level}"));
        fs::create_dir(&path).unwrap();
        parents = vec![path];
    }
    let breadth = (1..).find(|&breadth: &usize| breadth.pow(3) >= leaves).unwrap();
    for level in DEPTH - 2..=DEPTH {
        let most = if level == DEPTH { leaves } else { usize::MAX };
        let children = parents
            .iter()
            .flat_map(|parent| (0..breadth).map(move |child| parent.join(format!("dir-{child}"))));
        parents = children.take(most).inspect(|path| fs::create_dir(path).unwrap()).collect();
    }
    if let [leaf] = &parents[..] {
        return two_files(leaf);
    }
    parents
        .into_iter()
        .map(|leaf| {
            let path = leaf.join("one.txt");
            File::create(&path).unwrap();
            path
        })
        .collect()
}

/// The order of the events' files: in turn if there are few, or else uniformly at random.
struct Order {
    count: usize,
    last: usize,
    random: u64,
}

impl Order {
    fn next(&mut self) -> usize {
        let before = self.last;
        self.last = (self.last + 1) % self.count;
        while self.count > 10_000 {
            // xorshift64: the same in each run.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.last = (self.random % self.count as u64) as usize;
            if self.last != before {
                break;
            }
        }
        self.last
    }
}

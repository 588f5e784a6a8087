//! Measures the tool and inotifywait. Both run in turns; prints medians.
//!
//! - The size of the program, and its resident memory with one directory.
//! - The time from its start to "Watches established" with one directory.
//! - The same time, and the memory then, for `-r` with 50,000 directories, ten in each, with three files
//!   each.
//! - `-m -o FILE`: 100,000 events in rounds of 10,000. Each round is queued while the program is stopped,
//!   and timed from its continuation until all events are in the file. Also its CPU time.
//!
//! ```text
//! cargo bench --bench tool --features cli
//! TOOL=target/x86_64-unknown-linux-musl/small/tinotify cargo bench --bench tool --features cli
//! ```
//!
//! `TOOL` is the program to measure, such as the small static one. `BENCH_QUICK=1` uses a small tree and
//! few turns. `BENCH_STRICT=1` makes a missed target an error. The directories are created in `TMPDIR`, or in
//! the default directory for temporary files.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Mode, Verdicts, uncertainty};

#[allow(dead_code)] // The other benchmarks use the rest.
mod support;

/// The number of events queued at once. Less than the queue's default limit of 16,384.
const BURST: usize = 10_000;

fn main() {
    let mode = Mode::of_this_call();
    let quick = mode.quick;
    let ours =
        std::env::var_os("TOOL").map_or(env!("CARGO_BIN_EXE_tinotify").into(), PathBuf::from);
    let ours = fs::canonicalize(ours).expect("TOOL is a program");
    let theirs = OsString::from("inotifywait");
    let dir = tempfile::tempdir().unwrap();
    // `cargo install` copies the program too. The file that the linker wrote starts 3 % slower than its
    // copy.
    let installed = dir.path().join("tinotify");
    fs::copy(&ours, &installed).unwrap();
    let mut programs = vec![("tinotify", installed.into_os_string())];
    if Command::new(&theirs).arg("--help").output().is_ok() {
        programs.push(("inotifywait", theirs));
    } else {
        eprintln!("SKIPPED: inotifywait: it is not installed (inotify-tools)");
    }
    println!("{}: {} bytes", ours.display(), fs::metadata(&ours).unwrap().len());

    let one = dir.path().join("one");
    fs::create_dir(&one).unwrap();
    let times = measure("one directory", &programs, if quick { 20 } else { 1000 }, &[], &one);
    let mut verdicts = Verdicts::default();
    if let [ours, theirs] = &times[..] {
        // Each turn's own ratio: other work on the machine slows both programs of a turn.
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let ratio = |turns: &[usize]| {
            median(&mut turns.iter().map(|&turn| ratios[turn]).collect::<Vec<_>>())
        };
        let all: Vec<usize> = (0..ratios.len()).collect();
        let what = "start until one directory is watched, tinotify / inotifywait";
        verdicts.at_most(what, 1.0, ratio(&all), uncertainty(ratios.len(), ratio));
    }

    let (directories, turns) = if quick { (2_000, 3) } else { (50_000, 11) };
    let tree = dir.path().join("tree");
    create_tree(&tree, directories);
    let title = format!("-r on {directories} directories");
    measure(&title, &programs, turns, &["-r", "-e", "create,delete,modify,move"], &tree);
    measure(&format!("{title}, all events"), &programs, turns, &["-r"], &tree);

    throughput(&programs, if quick { 3 } else { 11 }, dir.path());
    // The verdicts end the program without it.
    drop(dir);
    verdicts.print(&mode);
}

/// Creates directories level by level, ten in each, with three files in each.
fn create_tree(root: &Path, directories: usize) {
    let mut all = vec![root.to_owned()];
    for at in 0..directories {
        let path = all[at].clone();
        fs::create_dir(&path).unwrap();
        (0..3).for_each(|file| drop(File::create(path.join(format!("file-{file}.txt"))).unwrap()));
        all.extend((0..10).map(|child| path.join(format!("module-{child}"))));
        all.truncate(directories);
    }
}

/// Starts a program with `-m`. Returns the time until its watches are set up.
fn start(program: &OsStr, args: &[&str], path: &Path) -> (Child, Duration) {
    let mut command = Command::new(program);
    command.arg("-m").args(args).arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Watches established") {
        line.clear();
        assert_ne!(messages.read_line(&mut line).unwrap(), 0, "the program ended too early");
    }
    (child, begin.elapsed())
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Returns the resident memory in KiB.
fn resident(child: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints the medians. Returns the times of each program until its watches are set up.
fn measure(
    title: &str,
    programs: &[(&str, OsString)],
    turns: usize,
    args: &[&str],
    path: &Path,
) -> Vec<Vec<f64>> {
    let mut all = vec![(Vec::new(), Vec::new()); programs.len()];
    for turn in 0..turns {
        for at in 0..programs.len() {
            let at = (at + turn) % programs.len();
            let (child, time) = start(&programs[at].1, args, path);
            all[at].0.push(time.as_secs_f64());
            all[at].1.push(resident(&child));
            end(child);
        }
    }
    let medians: Vec<(f64, f64)> =
        all.iter_mut().map(|(times, sizes)| (median(&mut times.clone()), median(sizes))).collect();
    println!("\n{title}");
    for ((name, _), (time, size)) in programs.iter().zip(&medians) {
        println!("{name:12} {:9.3} ms to the watches, {size:6.0} KiB resident", time * 1e3);
    }
    if let [ours, theirs] = medians[..] {
        println!("{:.2} times as fast, {:.3} of the memory", theirs.0 / ours.0, ours.1 / theirs.1);
    }
    all.into_iter().map(|(times, _)| times).collect()
}

fn throughput(programs: &[(&str, OsString)], turns: usize, dir: &Path) {
    let mut all = vec![(Vec::new(), Vec::new()); programs.len()];
    for turn in 0..turns {
        for at in 0..programs.len() {
            let at = (at + turn) % programs.len();
            let (time, cpu) = one_throughput(&programs[at].1, dir);
            all[at].0.push(time);
            all[at].1.push(cpu);
        }
    }
    println!("\n100,000 events to a file");
    let medians: Vec<(f64, f64)> =
        all.iter_mut().map(|(times, cpu)| (median(times), median(cpu))).collect();
    for ((name, _), (time, cpu)) in programs.iter().zip(&medians) {
        println!("{name:12} {:8.1} ms, {:8.1} ms of CPU", time * 1e3, cpu * 1e3);
    }
    if let [ours, theirs] = medians[..] {
        println!(
            "{:.2} times the throughput, {:.3} of the CPU time",
            theirs.0 / ours.0,
            ours.1 / theirs.1
        );
    }
}

/// Returns the time for 100,000 events, and the CPU time, both in seconds.
fn one_throughput(program: &OsStr, dir: &Path) -> (f64, f64) {
    let (watched, log) = (dir.join("watched"), dir.join("log"));
    fs::create_dir(&watched).unwrap();
    let args = ["-e", "create,delete", "-o", log.to_str().unwrap()];
    let (child, _) = start(program, &args, &watched);
    let pid = Pid::from_child(&child);
    let subject = watched.join("subject");
    let line = watched.as_os_str().len() + "/ ,ISDIR subject\n".len();
    let burst = (line * BURST + ("CREATE".len() + "DELETE".len()) * BURST / 2) as u64;
    let mut time = Duration::ZERO;
    let before = cpu(&child);
    for round in 1..=10 {
        kill_process(pid, Signal::STOP).unwrap();
        for _ in 0..BURST / 2 {
            fs::create_dir(&subject).unwrap();
            fs::remove_dir(&subject).unwrap();
        }
        let begin = Instant::now();
        kill_process(pid, Signal::CONT).unwrap();
        while fs::metadata(&log).map_or(0, |log| log.len()) < burst * round {
            assert!(begin.elapsed() < Duration::from_secs(60), "events are missing");
            std::thread::sleep(Duration::from_micros(50));
        }
        time += begin.elapsed();
    }
    let cpu = cpu(&child) - before;
    end(child);
    assert_eq!(fs::metadata(&log).unwrap().len(), burst * 10);
    fs::remove_file(&log).unwrap();
    fs::remove_dir(&watched).unwrap();
    (time.as_secs_f64(), cpu)
}

/// Returns the CPU time in seconds.
fn cpu(child: &Child) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

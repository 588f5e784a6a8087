//! Runs the workloads under Valgrind and strace.

use std::path::Path;
use std::process::{Command, Output};

use crate::places::{TMPFS, has_tmpfs};
use crate::rows::{Row, What};
use crate::work::Work;
use crate::{SKIPPED, world};

/// A value, or the reason why it could not be measured.
pub type Measured = Result<f64, String>;

/// Measures a row whose workload creates its own files.
pub fn measure_here(row: &Row) -> Measured {
    if !has_tmpfs() {
        return Err(format!("{TMPFS} is not a tmpfs"));
    }
    let mut value = count(row.what, row.work, None)?;
    if let Some(without) = row.without {
        value -= count(row.what, without, None)?;
    }
    Ok(value / row.units())
}

/// Returns the count for an amount of 1. `root` is an existing tree to set up.
pub fn count(what: What, work: Work, root: Option<&Path>) -> Measured {
    has_watches(work)?;
    match what {
        What::Instructions => difference(work.amounts(), |amount| callgrind(work, amount, root)),
        What::Calls => difference([1, 3], |amount| strace(work, amount, root)),
    }
}

fn difference([small, large]: [usize; 2], count: impl Fn(usize) -> Measured) -> Measured {
    Ok((count(large)? - count(small)?) / (large - small) as f64)
}

fn has_watches(work: Work) -> Result<(), String> {
    let limit = "/proc/sys/fs/inotify/max_user_watches";
    let limit = std::fs::read_to_string(limit).map_err(|error| format!("{limit}: {error}"))?;
    let limit: usize = limit.trim().parse().map_err(|_| format!("invalid limit: {limit:?}"))?;
    // Other rows run at the same time.
    let needed = work.watches() + if work.watches() > 1 { 1_000 } else { 0 };
    if limit < needed {
        return Err(format!("fs.inotify.max_user_watches is {limit}: {needed} are needed"));
    }
    Ok(())
}

fn callgrind(work: Work, amount: usize, root: Option<&Path>) -> Measured {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = run(command, work, amount, root)?;
    let said = String::from_utf8_lossy(&output.stderr);
    // "==123== Collected : 456", or with spaces before the colon.
    let count = said.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected")?;
        count.split_once(':')?.1.trim().parse().ok()
    });
    Ok(count.unwrap_or_else(|| panic!("Valgrind printed no count: {said}")))
}

fn strace(work: Work, amount: usize, root: Option<&Path>) -> Measured {
    let summary = world::path_for(&format!("{:?}", std::thread::current().id()));
    let mut command = Command::new("strace");
    // The other process starts with execve(2), and is not traced from then on.
    command.args(["-f", "-b", "execve", "-c", "-o"]).arg(&summary);
    let ran = run(command, work, amount, root);
    let said = std::fs::read_to_string(&summary).unwrap_or_default();
    let _ = std::fs::remove_file(&summary);
    ran?;
    // "100.00  0.001  1  456  7  total": the fourth column counts the calls.
    let total = said.lines().find(|line| line.ends_with("total"));
    let count = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    Ok(count.unwrap_or_else(|| panic!("strace printed no count: {said}")))
}

fn run(
    mut command: Command,
    work: Work,
    amount: usize,
    root: Option<&Path>,
) -> Result<Output, String> {
    command.arg(std::env::current_exe().unwrap());
    command.args(["run", &work.name(), &amount.to_string()]).args(root);
    output(command.env("TMPDIR", TMPFS))
}

/// Runs a command that prints `SKIPPED: ` and why if it can't run on this machine.
pub fn output(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(output),
        Some(SKIPPED) => {
            let why = said.lines().find_map(|line| line.strip_prefix("SKIPPED: "));
            Err(why.unwrap_or(&said).to_owned())
        }
        // The program that should count did not start: perhaps it may not trace.
        Some(1 | 126 | 127) => Err(format!("{name}: {}", said.lines().last().unwrap_or_default())),
        _ => panic!("{command:?}: {}: {said}", output.status),
    }
}

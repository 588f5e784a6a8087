//! The limit of watches, which 800,000 directories exceed on most machines.

use std::fs;

const FILE: &str = "/proc/sys/fs/inotify/max_user_watches";
/// Watches left for other programs of the user.
const RESERVE: usize = 2_000;

/// The limit of watches of a user, restored on drop if it was raised.
pub struct WatchLimit {
    limit: usize,
    before: Option<usize>,
}

impl WatchLimit {
    /// Raises the limit to `needed` watches if it is lower and this process may do so.
    pub fn raise(needed: usize) -> Self {
        let before = read();
        if before >= needed {
            return Self { limit: before, before: None };
        }
        match fs::write(FILE, needed.to_string()) {
            Ok(()) => {
                println!(
                    "Raised fs.inotify.max_user_watches from {before} to {needed} until the end. If \
                     this run is killed, restore it with: sysctl fs.inotify.max_user_watches={before}"
                );
                Self { limit: read(), before: Some(before) }
            }
            Err(_) => Self { limit: before, before: None },
        }
    }

    /// Returns `n`, or less if 16n items with `watches` watches each exceed the limit.
    pub fn fit(&self, what: &str, n: usize, watches: usize) -> usize {
        let fitting = self.limit.saturating_sub(RESERVE) / 16 / watches;
        assert!(fitting > 0, "fs.inotify.max_user_watches is {}: too low", self.limit);
        if fitting < n {
            println!(
                "SKIPPED: {what}, n = {n}: fs.inotify.max_user_watches is {}, and only root can raise \
                 it; taking n = {fitting}",
                self.limit
            );
        }
        fitting.min(n)
    }
}

impl Drop for WatchLimit {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            if let Err(error) = fs::write(FILE, before.to_string()) {
                eprintln!("cannot restore {FILE} to {before}: {error}");
            }
        }
    }
}

fn read() -> usize {
    fs::read_to_string(FILE).unwrap().trim().parse().unwrap()
}

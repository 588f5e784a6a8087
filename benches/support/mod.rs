//! Shared by the benchmarks: rounds in which the rivals alternate, medians, and targets.
//!
//! On a busy machine a single time means little, but the ratio of times from the same moment is useful. So
//! each round times every rival once, in random order. The benchmarks print only medians over many rounds,
//! and ratios within one run.

use std::hint::black_box;
use std::time::Duration;

/// The mode of a benchmark, from its arguments and the environment.
pub struct Mode {
    /// Runs few rounds, as a check that the benchmark works. Set by `BENCH_QUICK=1`, by `--quick` (after
    /// `cargo bench --bench NAME --`), and without the argument `--bench`, which `cargo bench` adds.
    pub quick: bool,
    /// Makes a missed target an error. Set by `BENCH_STRICT=1`.
    pub strict: bool,
}

impl Mode {
    pub fn of_this_call() -> Self {
        let set =
            |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let given = |option| std::env::args().any(|argument| argument == option);
        Self {
            quick: set("BENCH_QUICK") || given("--quick") || !given("--bench"),
            strict: set("BENCH_STRICT"),
        }
    }

    pub fn rounds(&self, full: usize) -> usize {
        if self.quick { (full / 20).max(5) } else { full }
    }
}

/// Uses all parts of an event, so that the compiler keeps the code that decodes them.
#[inline(always)]
pub fn consume<W>(wd: W, mask: u32, cookie: u32, name: Option<&[u8]>) {
    black_box((wd, mask, cookie, name));
}

/// Times each of `rivals` in each of `rows`, `rounds` times and in turns. Returns the nanoseconds of each
/// round, for each rival of each row.
///
/// The rows also alternate, every few rounds, so that other work on the machine for some seconds does not
/// affect only one row.
pub fn alternate(
    rows: usize,
    rivals: usize,
    rounds: usize,
    mut sample: impl FnMut(usize, usize) -> Duration,
) -> Vec<Vec<Vec<f64>>> {
    const TURN: usize = 20;
    let mut random = Random::new();
    let mut order: Vec<usize> = (0..rivals).collect();
    let mut times = vec![vec![Vec::with_capacity(rounds); rivals]; rows];
    for done in (0..rounds).step_by(TURN) {
        for (row, times) in times.iter_mut().enumerate() {
            // The first round warms up.
            for round in 0..=TURN.min(rounds - done) {
                random.shuffle(&mut order);
                for &rival in &order {
                    let time = sample(row, rival);
                    if round > 0 {
                        times[rival].push(time.as_nanos() as f64);
                    }
                }
            }
        }
    }
    times
}

#[allow(dead_code)] // Some benchmarks print other percentiles.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Returns half the width of the 95 % confidence interval of `estimate`, by the bootstrap: calls `estimate`
/// with the indices of rounds drawn with repetition.
///
/// The interval is that of this run. In another build the loops have other addresses, which can change a
/// result by a tenth.
pub fn uncertainty(rounds: usize, estimate: impl Fn(&[usize]) -> f64) -> f64 {
    let mut random = Random::new();
    let mut drawn = vec![0; rounds];
    let mut estimates: Vec<f64> = (0..200)
        .map(|_| {
            drawn.fill_with(|| random.below(rounds));
            estimate(&drawn)
        })
        .collect();
    estimates.sort_unstable_by(f64::total_cmp);
    (estimates[194] - estimates[5]) / 2.0
}

/// Targets, and whether they were met.
#[derive(Default)]
pub struct Verdicts {
    missed: usize,
    lines: Vec<String>,
}

impl Verdicts {
    pub fn at_most(&mut self, what: &str, limit: f64, ratio: f64, plus_minus: f64) {
        let verdict = if ratio <= limit { "PASS" } else { "MISS" };
        self.missed += usize::from(ratio > limit);
        self.lines
            .push(format!("{verdict}  {what}: {ratio:.3} ±{plus_minus:.3}, at most {limit:.2}"));
    }

    #[allow(dead_code)] // Some benchmarks have no such target.
    pub fn at_least(&mut self, what: &str, limit: f64, ratio: f64, plus_minus: f64) {
        let verdict = if ratio >= limit { "PASS" } else { "MISS" };
        self.missed += usize::from(ratio < limit);
        self.lines
            .push(format!("{verdict}  {what}: {ratio:.3} ±{plus_minus:.3}, at least {limit:.2}"));
    }

    /// Prints the verdicts and ends the program, in strict mode with an error if a target was missed.
    pub fn print(self, mode: &Mode) -> ! {
        println!(
            "\nTargets{}:",
            if mode.quick { " (a quick run is too short to be exact)" } else { "" }
        );
        for line in &self.lines {
            println!("{line}");
        }
        std::process::exit(i32::from(mode.strict && self.missed > 0));
    }
}

/// xorshift64: good enough for shuffling, and the same in each run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

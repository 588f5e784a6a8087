//! What the benchmarks share: rounds in which the rivals alternate, medians, and verdicts.
//!
//! A time alone says little about a program on a busy machine; what rivals take in the same moments
//! does. So each round times every rival once, in an order shuffled anew, and only medians over many
//! rounds and ratios within one run are printed.

use std::hint::black_box;
use std::time::Duration;

/// How the benchmark was called.
///
/// `BENCH_QUICK=1` or `--quick` (after `cargo bench --bench NAME --`) runs few rounds, to see that it
/// runs at all; so does a call without the `--bench` that `cargo bench` gives. `BENCH_STRICT=1` makes
/// a missed target an error.
pub struct Mode {
    pub quick: bool,
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

/// Uses all of an event, whoever decoded it.
#[inline(always)]
pub fn consume<W>(wd: W, mask: u32, cookie: u32, name: Option<&[u8]>) {
    black_box((wd, mask, cookie, name));
}

/// Times `rivals` in each of `rows`, `rounds` times each and alternating; gives the nanoseconds of
/// each round, for each rival of each row.
///
/// The rows alternate too, some rounds at a time: a neighbour that is busy for some seconds would
/// else spoil one row.
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

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The half of the interval that holds `estimate` 95 times of 100, by the bootstrap: `estimate` again
/// for rounds drawn with repetition. It gets the indices of the rounds to use.
///
/// Of this run, that is. Another build puts the loops elsewhere, which can be worth a tenth.
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

/// Targets and whether they were met.
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

    #[allow(dead_code)] // Not each benchmark has one.
    pub fn at_least(&mut self, what: &str, limit: f64, ratio: f64, plus_minus: f64) {
        let verdict = if ratio >= limit { "PASS" } else { "MISS" };
        self.missed += usize::from(ratio < limit);
        self.lines
            .push(format!("{verdict}  {what}: {ratio:.3} ±{plus_minus:.3}, at least {limit:.2}"));
    }

    /// Prints the verdicts and ends the program, with an error if that was asked for and due.
    pub fn tell(self, mode: &Mode) -> ! {
        println!(
            "\nTargets{}:",
            if mode.quick { " (a quick run: too short to judge by)" } else { "" }
        );
        for line in &self.lines {
            println!("{line}");
        }
        std::process::exit(i32::from(mode.strict && self.missed > 0));
    }
}

/// xorshift64: good enough to shuffle by, and the same in each run.
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

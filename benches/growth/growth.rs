//! Measures a case at n, 4n and 16n items, and reports how its cost per item grows.

use std::time::{Duration, Instant};

use rustix::time::ClockId;

use crate::allocator::live_of;
use crate::support::{Mode, Verdicts, median, uncertainty};

/// A size is skipped if one round of it would take longer. Each size runs at least twice.
const LONGEST: Duration = Duration::from_secs(30);
/// The time for all rounds of a case.
const TIME: Duration = Duration::from_secs(25);

/// The largest growth of the cost per item that is linear.
const MOST: f64 = 1.15;

/// A case at one size.
struct Size {
    items: usize,
    /// The heap that stays allocated after the measured work, per item.
    bytes: f64,
    /// The time of the first round, with preparation.
    first: Duration,
    /// Microseconds per item in each round.
    times: Vec<f64>,
    /// The same of processor time.
    cpu: Vec<f64>,
}

/// A measured case.
pub struct Growth {
    sizes: Vec<Size>,
    /// The time per item at the largest size as a multiple of that at n, and its uncertainty.
    time: (f64, f64),
    /// The same of processor time, which other programs disturb less.
    cpu: (f64, f64),
}

impl Growth {
    fn new(sizes: Vec<Size>) -> Self {
        let (first, last) = (&sizes[0], sizes.last().unwrap());
        let (time, cpu) = (growth(&first.times, &last.times), growth(&first.cpu, &last.cpu));
        Self { sizes, time, cpu }
    }

    fn bytes(&self) -> f64 {
        self.sizes.iter().map(|size| size.bytes).fold(0.0, f64::max)
    }

    /// Names the largest and the smallest size.
    fn sizes(&self) -> String {
        format!("{} / {}", self.sizes.last().unwrap().items, self.sizes[0].items)
    }
}

/// Returns the ratio of two costs in the same round, and its uncertainty.
fn growth(first: &[f64], last: &[f64]) -> (f64, f64) {
    let ratio = |rounds: &[usize]| {
        median(&rounds.iter().map(|&round| last[round] / first[round]).collect::<Vec<_>>())
    };
    let all: Vec<usize> = (0..first.len()).collect();
    (ratio(&all), uncertainty(first.len(), ratio))
}

/// The cases, which are printed when they are measured, and checked at the end.
pub struct Report {
    quick: bool,
    verdicts: Verdicts,
}

impl Report {
    pub fn new(mode: &Mode) -> Self {
        println!(
            "\n{:<52} {:>24} {:>30} {:>13} {:>6}",
            "heap bytes and microseconds per item, 16n / n",
            "bytes: n, 4n, 16n",
            "µs: n, 4n, 16n",
            "16n/n",
            "cpu"
        );
        Self { quick: mode.quick, verdicts: Verdicts::default() }
    }

    /// Returns the first number, or the second in a quick run.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Measures a case at sizes of `items` items. `prepare` gets the index of the size. `run` is measured.
    pub fn measure<P>(
        &mut self,
        what: &str,
        items: [usize; 3],
        mut prepare: impl FnMut(usize) -> P,
        mut run: impl FnMut(&mut P, usize),
    ) -> Growth {
        let mut sizes: Vec<Size> = Vec::new();
        for (index, items) in items.into_iter().enumerate() {
            if let Some(expected) = expected(&sizes).filter(|&expected| expected > LONGEST) {
                println!("SKIPPED: {what}, {items} items: would take {} s", expected.as_secs());
                break;
            }
            let start = Instant::now();
            let mut prepared = prepare(index);
            let bytes = live_of(|| run(&mut prepared, index), |()| ()) / items as f64;
            drop(prepared);
            sizes.push(Size { items, bytes, first: start.elapsed(), times: vec![], cpu: vec![] });
        }
        for round in 0..self.rounds(&sizes) {
            for index in 0..sizes.len() {
                // Each second round goes down.
                let index = if round % 2 == 0 { index } else { sizes.len() - 1 - index };
                let mut prepared = prepare(index);
                let (start, start_cpu) = (Instant::now(), cpu_time());
                run(&mut prepared, index);
                let times = [start.elapsed(), cpu_time() - start_cpu];
                drop(prepared);
                let size = &mut sizes[index];
                let [time, cpu] = times.map(|time| time.as_secs_f64() * 1e6 / size.items as f64);
                size.times.push(time);
                size.cpu.push(cpu);
            }
        }
        let growth = Growth::new(sizes);
        print_row(what, &growth);
        growth
    }

    fn rounds(&self, sizes: &[Size]) -> usize {
        let round: Duration = sizes.iter().map(|size| size.first).sum();
        let rounds = (TIME.as_secs_f64() / round.as_secs_f64()) as usize;
        rounds.clamp(1, if self.quick { 3 } else { 25 })
    }

    /// Checks that the processor time per item grows by at most 15 %.
    pub fn is_linear(&mut self, what: &str, growth: &Growth) {
        let (ratio, plus_minus) = growth.cpu;
        let what = format!("{what}: processor time per item, {}", growth.sizes());
        self.verdicts.at_most(&what, MOST, ratio, plus_minus);
    }

    /// Checks that the time per item grows by at most 15 %.
    pub fn is_linear_in_time(&mut self, what: &str, growth: &Growth) {
        let (ratio, plus_minus) = growth.time;
        let what = format!("{what}: time per item, {}", growth.sizes());
        self.verdicts.at_most(&what, MOST, ratio, plus_minus);
    }

    /// Checks that the processor time per item grows by at most 15 % more than that of bare calls or look-ups.
    pub fn grows_as(&mut self, what: &str, growth: &Growth, floor: &Growth) {
        let ((ratio, plus_minus), (floor, _)) = (growth.cpu, floor.cpu);
        let what = format!(
            "{what}: processor time per item, {}, beside {floor:.2} of the bare row",
            growth.sizes()
        );
        self.verdicts.at_most(&what, MOST, ratio / floor, plus_minus / floor);
    }

    /// Checks the largest number of bytes per item.
    pub fn takes_at_most(&mut self, what: &str, limit: f64, growth: &Growth) {
        self.verdicts.at_most(&format!("{what}: bytes per item"), limit, growth.bytes(), 0.0);
    }

    pub fn finish(self, mode: &Mode) -> ! {
        println!(
            "\nMedians of rounds in which the sizes alternate. cpu: 16n / n of processor time."
        );
        self.verdicts.print(mode)
    }
}

/// Returns the time that the next size takes if the growth continues.
fn expected(sizes: &[Size]) -> Option<Duration> {
    let [.., before, last] = sizes else { return None };
    Some(last.first.mul_f64((last.first.as_secs_f64() / before.first.as_secs_f64()).max(4.0)))
}

fn print_row(what: &str, growth: &Growth) {
    let columns = |value: &dyn Fn(&Size) -> String| {
        (0..3).map(|size| growth.sizes.get(size).map_or("-".to_owned(), value)).collect::<Vec<_>>()
    };
    let bytes = columns(&|size| format!("{:.1}", size.bytes));
    let times = columns(&|size| format!("{:.3}", median(&size.times)));
    let what = format!("{what}, n = {}", growth.sizes[0].items);
    let (ratio, plus_minus) = growth.time;
    println!(
        "{what:<52} {:>8}{:>8}{:>8} {:>10}{:>10}{:>10} {ratio:>6.2} ±{plus_minus:.2} {:>7.2}",
        bytes[0], bytes[1], bytes[2], times[0], times[1], times[2], growth.cpu.0
    );
}

/// Returns the processor time of all threads of this process.
fn cpu_time() -> Duration {
    rustix::time::clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap()
}

/// Returns n, 4n and 16n.
pub fn sizes(n: usize) -> [usize; 3] {
    [n, 4 * n, 16 * n]
}

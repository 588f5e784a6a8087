//! Measures a case at n, 4n and 16n items, and reports how its cost per item grows.

use std::time::{Duration, Instant};

use rustix::time::ClockId;

use crate::allocator::live_of;
use crate::support::{Mode, Verdicts, median, uncertainty};

/// A size is skipped if one round of it would take longer. Each size runs at least twice.
const LONGEST: Duration = Duration::from_secs(30);
/// The time for all rounds of a case.
const TIME: Duration = Duration::from_secs(25);

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
    /// The largest size as a multiple of n, per item, and its uncertainty.
    ratio: (f64, f64),
}

impl Growth {
    fn new(sizes: Vec<Size>) -> Self {
        let (first, last) = (&sizes[0].times, &sizes.last().unwrap().times);
        let ratio = |rounds: &[usize]| {
            median(&rounds.iter().map(|&round| last[round] / first[round]).collect::<Vec<_>>())
        };
        let all: Vec<usize> = (0..first.len()).collect();
        let ratio = (ratio(&all), uncertainty(first.len(), ratio));
        Self { sizes, ratio }
    }

    fn bytes(&self) -> f64 {
        self.sizes.iter().map(|size| size.bytes).fold(0.0, f64::max)
    }

    /// The same ratio of medians of processor time, which other programs disturb less.
    fn cpu_ratio(&self) -> f64 {
        median(&self.sizes.last().unwrap().cpu) / median(&self.sizes[0].cpu)
    }
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

    /// Checks that the time per item grows by at most 15 %.
    pub fn is_linear(&mut self, what: &str, growth: &Growth) {
        let (ratio, plus_minus) = growth.ratio;
        let items = growth.sizes.last().unwrap().items;
        let what = format!("{what}: time per item, {items} / {}", growth.sizes[0].items);
        self.verdicts.at_most(&what, 1.15, ratio, plus_minus);
    }

    /// Checks that the time per item grows by at most 15 % more than that of the bare calls or look-ups.
    pub fn grows_as(&mut self, what: &str, growth: &Growth, floor: &Growth) {
        let (ratio, plus_minus) = growth.ratio;
        let items = growth.sizes.last().unwrap().items;
        let floor = floor.ratio.0;
        let what = format!(
            "{what}: time per item, {items} / {}, beside {floor:.2} of the bare row",
            growth.sizes[0].items
        );
        self.verdicts.at_most(&what, 1.15, ratio / floor, plus_minus / floor);
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
    let (ratio, plus_minus) = growth.ratio;
    println!(
        "{what:<52} {:>8}{:>8}{:>8} {:>10}{:>10}{:>10} {ratio:>6.2} ±{plus_minus:.2} {:>7.2}",
        bytes[0],
        bytes[1],
        bytes[2],
        times[0],
        times[1],
        times[2],
        growth.cpu_ratio()
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

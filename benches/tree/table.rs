//! The results of the benchmark.

use crate::support::{Mode, Verdicts, median, uncertainty};

/// Returns the median of the values, and half of the width of the interval that contains it.
pub fn estimate(values: &[f64]) -> (f64, f64) {
    let of = |rounds: &[usize]| median(&rounds.iter().map(|&i| values[i]).collect::<Vec<_>>());
    (median(values), uncertainty(values.len(), of))
}

pub fn ratios(times: &[f64], to: &[f64]) -> Vec<f64> {
    times.iter().zip(to).map(|(time, to)| time / to).collect()
}

pub fn milliseconds(nanoseconds: f64) -> f64 {
    nanoseconds / 1e6
}

/// The results, which are printed and checked at the end.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 3]>,
    pub verdicts: Verdicts,
}

impl Table {
    pub fn row(&mut self, what: &str, value: String, beside: String) {
        self.rows.push([what.to_owned(), value, beside]);
    }

    pub fn finish(self, mode: &Mode) -> ! {
        println!("\n{:<48} {:>14}  beside", "", "tinotify");
        for [what, value, beside] in &self.rows {
            println!("{what:<48} {value:>14}  {beside}");
        }
        self.verdicts.print(mode)
    }
}

//! Compares the measured counts with the table.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use crate::count::Measured;
use crate::measure::measure;
use crate::rows::{Row, What, rows};
use crate::table::{self, Table};

/// The largest growth of instructions, as a part of the table's value.
const MOST_GROWTH: f64 = 0.03;
/// The largest growth of system calls per unit. Half a call is one call for every second directory.
const MOST_CALLS: f64 = 0.5;

enum Verdict {
    Same,
    Grown,
    Shrunk,
    /// Is not compared, for this reason.
    Skipped(String),
}

use Verdict::{Grown, Same, Shrunk, Skipped};

/// Measures all rows and compares them with the table.
pub fn compare(path: &Path, toolchain: &str) -> ExitCode {
    let table = match Table::read(path) {
        Ok(table) => table,
        Err(why) => return fail(&why),
    };
    let toolchain = table::describe(toolchain);
    let other_toolchain = (table.toolchain != toolchain).then(|| {
        format!("the table was written with {}, and this is {toolchain}", table.toolchain)
    });
    let rows = rows();
    let measured = measure(&rows);

    println!("{:<18} {:<22} {:>10} {:>10} {:>9}", "", "", "table", "now", "change");
    let mut skipped = Skips::default();
    let [mut grown, mut shrunk] = [0, 0];
    for (row, measured) in rows.iter().zip(measured) {
        match compare_row(row, table.value(row), measured, other_toolchain.as_deref()) {
            Same => {}
            Grown => grown += 1,
            Shrunk => shrunk += 1,
            Skipped(why) => skipped.add(row, why),
        }
    }
    let unknown = table.others(&rows);
    for name in &unknown {
        println!("{name:<18} is in the table, but is not measured");
    }
    skipped.print("");
    println!("{} counts: {grown} grown, {shrunk} shrunk, {} skipped", rows.len(), skipped.count());
    if shrunk > 0 {
        println!("To keep the lower counts: .ci/counts.sh --write");
    }
    if grown > 0 || !unknown.is_empty() {
        return fail(
            "instructions have grown by more than 3 %, or system calls by more than 0.5, or the table has \
             other rows; if this is intended: .ci/counts.sh --write",
        );
    }
    ExitCode::SUCCESS
}

/// Compares one row, and prints it. `before` is the value in the table. `other_toolchain` says that
/// instructions can't be compared.
fn compare_row(
    row: &Row,
    before: Option<Option<f64>>,
    measured: Measured,
    other_toolchain: Option<&str>,
) -> Verdict {
    let name = format!("{:<18} {:<22}", row.name, row.unit);
    let (before, now) = match (before, measured) {
        (before, Err(why)) => {
            println!("{name} {:>10} {:>10}  SKIPPED", text(before.flatten()), "-");
            return Skipped(why);
        }
        (None, Ok(now)) => {
            println!("{name} {:>10} {now:>10.3}  IS NOT IN THE TABLE", "");
            return Grown;
        }
        (Some(None), Ok(now)) => {
            println!("{name} {:>10} {now:>10.3}  SKIPPED", "-");
            return Skipped("the table has no value".to_owned());
        }
        (Some(Some(before)), Ok(now)) => (before, now),
    };
    let is_of_instructions = row.what == What::Instructions;
    let change = if is_of_instructions {
        format!("{:+.2} %", (now / before - 1.0) * 100.0)
    } else {
        format!("{:+.3}", now - before)
    };
    let verdict = match other_toolchain {
        Some(why) if is_of_instructions => Skipped(why.to_owned()),
        _ => verdict(row, before, now),
    };
    let word = match verdict {
        Same => "",
        Grown => "  GROWN",
        Shrunk => "  shrunk",
        Skipped(_) => "  SKIPPED",
    };
    println!("{name} {before:>10.3} {now:>10.3} {change:>9}{word}");
    verdict
}

fn text(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}

fn verdict(row: &Row, before: f64, now: f64) -> Verdict {
    let change = if row.what == What::Instructions { before * MOST_GROWTH } else { MOST_CALLS };
    if now > before + change {
        Grown
    } else if now < before - change {
        Shrunk
    } else {
        Same
    }
}

/// The rows that are not compared, by the reason.
#[derive(Default)]
struct Skips(BTreeMap<String, Vec<String>>);

impl Skips {
    fn add(&mut self, row: &Row, why: String) {
        self.0.entry(why).or_default().push(format!("{} ({})", row.name, row.unit));
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn print(&self, effect: &str) {
        for (why, rows) in &self.0 {
            eprintln!("SKIPPED: {}: {why}{effect}", rows.join(", "));
        }
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("counts: {why}");
    ExitCode::FAILURE
}

/// Measures all rows and writes the table. A row that can't be measured keeps its value.
pub fn write(path: &Path, toolchain: &str) -> ExitCode {
    let before = Table::read(path).unwrap_or_default();
    let rows = rows();
    let mut skipped = Skips::default();
    let mut values = Vec::new();
    for (row, measured) in rows.iter().zip(measure(&rows)) {
        let value = measured.map(Some).unwrap_or_else(|why| {
            skipped.add(row, why);
            before.value(row).flatten()
        });
        values.push((row, value));
    }
    skipped.print("; the table keeps the old value");
    match table::write(path, &table::describe(toolchain), &values) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

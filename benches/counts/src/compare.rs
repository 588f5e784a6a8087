//! Compares the measured counts with the table.

use std::path::Path;
use std::process::ExitCode;

use crate::measure::{Measured, measure};
use crate::rows::{Row, What, rows};
use crate::table::{self, Table};

/// The largest ratio of a count of instructions to that of the table.
const MOST: f64 = 1.03;
/// System calls are exact, so half a call is a call for every second directory.
const MOST_CALLS: f64 = 0.5;

#[derive(PartialEq)]
enum Verdict {
    Same,
    Grown,
    Shrunk,
    /// Is not compared. The reason is printed.
    Skipped,
}

use Verdict::{Grown, Same, Shrunk, Skipped};

fn verdict(row: &Row, before: f64, now: f64) -> Verdict {
    let (most, least) = match row.what {
        What::Instructions => (before * MOST, before * (2.0 - MOST)),
        What::Calls | What::CallsOn(_) => (before + MOST_CALLS, before - MOST_CALLS),
    };
    // The table has three decimals, and so a count of an exact call more may be a bit less than that.
    if now > most - 0.001 {
        Grown
    } else if now < least {
        Shrunk
    } else {
        Same
    }
}

/// Measures all rows and compares them with the table.
pub fn compare(path: &Path, toolchain: &str) -> ExitCode {
    let table = match Table::read(path) {
        Ok(table) => table,
        Err(why) => return fail(&why),
    };
    let toolchain = table::describe(toolchain);
    let is_comparable = table.toolchain == toolchain;
    let others = if is_comparable {
        String::new()
    } else {
        format!("the table was written with {}, and this is {toolchain}", table.toolchain)
    };
    let rows = rows();
    let unknown = table.others(&rows);
    let measured = measure(&rows);

    println!("{:<18} {:<22} {:>10} {:>10} {:>8}", "", "", "table", "now", "change");
    let mut verdicts = Vec::new();
    for (row, measured) in rows.iter().zip(measured) {
        let skip_why = (!is_comparable && row.what == What::Instructions).then_some(&*others);
        verdicts.push(compare_row(row, table.value(row), measured, skip_why));
    }
    for name in &unknown {
        println!("{name:<18} is in the table but is not measured any more");
    }
    conclude(&verdicts, !unknown.is_empty())
}

/// Compares one row, prints it, and returns its verdict.
fn compare_row(
    row: &Row,
    before: Option<Option<f64>>,
    measured: Measured,
    skip_why: Option<&str>,
) -> Verdict {
    let name = format!("{:<18} {:<22}", row.name, row.unit);
    let skipped = |why: &str| {
        eprintln!("SKIPPED: {} ({}): {why}", row.name, row.unit);
        Skipped
    };
    let now = match measured {
        Ok(now) => now,
        Err(why) => return skipped(&why),
    };
    let Some(before) = before else {
        println!("{name} {:>10} {now:>10.3}          is not in the table", "");
        return Grown;
    };
    let Some(before) = before else {
        println!("{name} {:>10} {now:>10.3}", "-");
        return skipped("the table has no value");
    };
    let change = match row.what {
        What::Instructions => format!("{:+.2} %", (now / before - 1.0) * 100.0),
        What::Calls | What::CallsOn(_) => format!("{:+.3}", now - before),
    };
    let numbers = format!("{name} {before:>10.3} {now:>10.3} {change:>8}");
    if let Some(why) = skip_why {
        println!("{numbers}  not compared");
        return skipped(why);
    }
    let verdict = verdict(row, before, now);
    println!(
        "{numbers}{}",
        match verdict {
            Grown => "  GROWN",
            Shrunk => "  shrunk",
            Same | Skipped => "",
        }
    );
    verdict
}

fn conclude(verdicts: &[Verdict], has_unknown: bool) -> ExitCode {
    let count = |verdict: Verdict| verdicts.iter().filter(|&other| *other == verdict).count();
    let (grown, shrunk, skipped) = (count(Grown), count(Shrunk), count(Skipped));
    println!("{} counts: {grown} grown, {shrunk} shrunk, {skipped} skipped", verdicts.len());
    if shrunk > 0 {
        println!("To keep what was won, write the table anew: .ci/counts.sh --write");
    }
    if grown > 0 || has_unknown {
        return fail(
            "counts have grown by more than 3 % of the instructions or half a system call, or the rows \
             have changed; if that is intended: .ci/counts.sh --write",
        );
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    eprintln!("counts: {why}");
    ExitCode::FAILURE
}

/// Measures all rows and writes the table. A row that can't be measured keeps its value.
pub fn write(path: &Path, toolchain: &str) -> ExitCode {
    let before = Table::read(path).unwrap_or_default();
    let rows = rows();
    let mut values = Vec::new();
    for (row, measured) in rows.iter().zip(measure(&rows)) {
        let value = measured.map(Some).unwrap_or_else(|why| {
            eprintln!("SKIPPED: {} ({}): {why}; it keeps its value", row.name, row.unit);
            before.value(row).flatten()
        });
        values.push((row, value));
    }
    match table::write(path, &table::describe(toolchain), &values) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

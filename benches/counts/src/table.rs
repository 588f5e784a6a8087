//! The table of counts: a text file with the columns name, unit and value.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::rows::Row;

/// The build settings in Cargo.toml.
const BUILD: &str = "release, opt-level 3, codegen-units 1, no LTO";
const TOOLCHAIN: &str = "# toolchain: ";
/// The value of a row that was never measured.
const NONE: &str = "-";

/// A table that was read.
#[derive(Default)]
pub struct Table {
    /// The compiler, the target and the build settings.
    pub toolchain: String,
    rows: Vec<(String, String, Option<f64>)>,
}

/// Returns the description of the toolchain and of the build settings.
pub fn describe(toolchain: &str) -> String {
    format!("{toolchain}; {BUILD}")
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read the table: {}: {error}", path.display()))?;
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(toolchain) = line.strip_prefix(TOOLCHAIN) {
                table.toolchain = toolchain.to_owned();
            } else if !line.starts_with('#') {
                table.rows.push(parse(line).ok_or_else(|| {
                    format!(
                        "invalid line in {}: {line:?}: expected name, unit, value",
                        path.display()
                    )
                })?);
            }
        }
        Ok(table)
    }

    /// Returns the value of a row. The outer `None` means that the table has no such row.
    pub fn value(&self, row: &Row) -> Option<Option<f64>> {
        let is_it = |(name, unit, _): &&(String, String, _)| *name == row.name && unit == row.unit;
        self.rows.iter().find(is_it).map(|&(_, _, value)| value)
    }

    /// Returns the names of rows that are not measured.
    pub fn others(&self, rows: &[Row]) -> Vec<&str> {
        let is_measured =
            |name: &str, unit: &str| rows.iter().any(|row| row.name == name && row.unit == unit);
        let others = self.rows.iter().filter(|(name, unit, _)| !is_measured(name, unit));
        others.map(|(name, ..)| name.as_str()).collect()
    }
}

fn parse(line: &str) -> Option<(String, String, Option<f64>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, unit, value] = words[..] else { return None };
    let value = if value == NONE { None } else { Some(value.parse().ok()?) };
    Some((name.to_owned(), unit.to_owned(), value))
}

/// Writes a table.
pub fn write(path: &Path, toolchain: &str, rows: &[(&Row, Option<f64>)]) -> Result<(), String> {
    let mut text = String::from(
        "# Instructions and system calls of small workloads (benches/counts). \
         Written by .ci/counts.sh --write.\n",
    );
    writeln!(text, "{TOOLCHAIN}{toolchain}").unwrap();
    for (row, value) in rows {
        let value = value.map_or(NONE.to_owned(), |value| format!("{value:.3}"));
        writeln!(text, "{:<18} {:<22} {value:>10}", row.name, row.unit).unwrap();
    }
    fs::write(path, text)
        .map_err(|error| format!("cannot write the table: {}: {error}", path.display()))
}

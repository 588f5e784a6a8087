//! Measures the rows, each on its file system.

use std::sync::Mutex;

use crate::count::{Measured, measure_here};
use crate::file_systems;
use crate::rows::Row;

/// Measures all rows, with one thread for each processor.
pub fn measure(rows: &[Row]) -> Vec<Measured> {
    // The last rows are the slowest ones.
    let next = Mutex::new((0..rows.len()).rev());
    let results = Mutex::new(vec![Err("was not measured".to_owned()); rows.len()]);
    let work = || {
        loop {
            let Some(at) = next.lock().unwrap().next() else { break };
            let measured = measure_row(&rows[at]);
            results.lock().unwrap()[at] = measured;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap()
}

fn measure_row(row: &Row) -> Measured {
    row.on.map_or_else(|| measure_here(row), |name| file_systems::measure(name, row))
}

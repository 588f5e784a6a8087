//! The memory of a tree, per directory.

use tinotify::Watcher;

use crate::allocator::live_of;
use crate::forest::Forest;
use crate::rivals::{MASK, end_notify, notify_tree, tinotify_tree};
use crate::table::Table;

/// Measures the bytes that stay allocated, per directory.
pub fn measure(forest: &Forest, table: &mut Table) {
    let directories = forest.directories as f64;
    let nothing = live_of(|| Watcher::new().unwrap(), drop);
    let tinotify = live_of(|| tinotify_tree(&forest.root, MASK), drop);
    let notify = live_of(|| notify_tree(&forest.root), |(notify, _)| end_notify(notify));
    let names = forest.names as f64;
    let whole = (tinotify - nothing) / directories;
    table.row(
        &format!("bytes a directory (names: {:.1})", names / directories),
        format!("{whole:.1}"),
        format!("notify {:.1}", notify / directories),
    );
    table.verdicts.at_most("bytes a directory, with its name", 55.0, whole, 0.0);
}

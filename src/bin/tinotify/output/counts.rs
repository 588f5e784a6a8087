//! `tinotify stat`: counts events by path and kind, and prints the counts as inotifywatch does.
//!
//! Keeps one row for each path that had an event. So the memory depends on the number of different paths,
//! and not on the number of events.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use tinotify::EventMask;

use crate::args::{Counting, Format, Options};
use crate::output::event::Event;
use crate::output::{csv, json, text};

/// The columns after the total, in the order of inotifywatch. Each event has exactly one of these kinds.
const KINDS: [(EventMask, &str); 14] = [
    (EventMask::ACCESS, "access"),
    (EventMask::MODIFY, "modify"),
    (EventMask::ATTRIB, "attrib"),
    (EventMask::CLOSE_WRITE, "close_write"),
    (EventMask::CLOSE_NOWRITE, "close_nowrite"),
    (EventMask::OPEN, "open"),
    (EventMask::MOVED_FROM, "moved_from"),
    (EventMask::MOVED_TO, "moved_to"),
    (EventMask::MOVE_SELF, "move_self"),
    (EventMask::CREATE, "create"),
    (EventMask::DELETE, "delete"),
    (EventMask::DELETE_SELF, "delete_self"),
    (EventMask::UNMOUNT, "unmount"),
    // inotifywatch does not have it. It belongs to no path: its row has an empty one.
    (EventMask::Q_OVERFLOW, "q_overflow"),
];

/// The counts of one path, by kind.
type Row = [u64; KINDS.len()];

pub struct Counts {
    counting: Counting,
    selected: EventMask,
    layout: Layout,
    /// By path.
    rows: HashMap<Vec<u8>, Row>,
    /// The path of the current event. Kept to reuse its memory.
    path: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Table,
    Csv,
    Json,
}

/// A column: its name, its width, and the events that it sums up.
struct Column {
    name: &'static str,
    width: usize,
    mask: EventMask,
}

impl Counts {
    pub fn new(options: &Options) -> Self {
        let layout = match options.format {
            Format::Csv => Layout::Csv,
            Format::Json => Layout::Json,
            Format::Lines | Format::Custom { .. } => Layout::Table,
        };
        let counting = options.counting.unwrap_or_default();
        Self { counting, selected: options.events, layout, rows: HashMap::new(), path: Vec::new() }
    }

    /// Counts an event.
    pub fn count(&mut self, event: &Event<'_>) {
        let name = if self.counting.by_file { event.name } else { b"" };
        self.path.clear();
        self.path.extend_from_slice(event.dir);
        self.path.extend_from_slice(name);
        match self.rows.get_mut(&self.path) {
            Some(row) => add(row, event.mask),
            None => {
                let mut row = Row::default();
                add(&mut row, event.mask);
                self.rows.insert(self.path.clone(), row);
            }
        }
    }

    /// Adds a path before the first event, with counts of zero.
    pub fn expect(&mut self, path: Vec<u8>) {
        self.rows.insert(path, Row::default());
    }

    /// Appends the rows, sorted by the count of the key and then by path. Returns their number.
    pub fn write(&self, out: &mut Vec<u8>, escape: bool) -> usize {
        let Counting { key, ascending, .. } = self.counting;
        let columns = self.columns();
        if !self.rows.is_empty() {
            self.head(out, &columns);
        }
        // A heap takes a tenth of the code of a sort.
        let mut rows: BinaryHeap<_> = BinaryHeap::new();
        for (path, row) in &self.rows {
            let count = sum(row, key);
            rows.push((if ascending { u64::MAX - count } else { count }, Reverse(path), row));
        }
        while let Some((_, Reverse(path), row)) = rows.pop() {
            self.line(out, &columns, path, row, escape);
        }
        self.rows.len()
    }

    /// Returns the total and the kinds that are printed.
    fn columns(&self) -> Vec<Column> {
        let total = ("total", EventMask::all());
        let kinds = KINDS.map(|(mask, name)| (name, mask));
        let mut columns = Vec::new();
        for (name, mask) in [total].into_iter().chain(kinds) {
            let greatest = self.rows.values().map(|row| sum(row, mask)).max().unwrap_or_default();
            if greatest > 0 || self.counting.zero && mask.intersects(self.selected) {
                let digits = greatest.checked_ilog10().unwrap_or_default() as usize + 1;
                columns.push(Column { name, width: name.len().max(digits), mask });
            }
        }
        columns
    }

    /// Appends the line with the names of the columns. JSON has none.
    fn head(&self, out: &mut Vec<u8>, columns: &[Column]) {
        for Column { name, width, .. } in columns {
            match self.layout {
                Layout::Table => text::formatted(out, format_args!("{name:width$}  ")),
                Layout::Csv => text::formatted(out, format_args!("{name},")),
                Layout::Json => return,
            }
        }
        out.extend_from_slice(b"filename\n");
    }

    /// Appends a row.
    fn line(&self, out: &mut Vec<u8>, columns: &[Column], path: &[u8], row: &Row, escape: bool) {
        if self.layout == Layout::Json {
            let mut object = json::Object::begin(out);
            object.name("path", path);
            for column in columns {
                object.number(column.name, format_args!("{}", sum(row, column.mask)));
            }
            object.end();
        } else {
            for Column { width, mask, .. } in columns {
                let count = sum(row, *mask);
                match self.layout {
                    Layout::Csv => text::formatted(out, format_args!("{count},")),
                    _ => text::formatted(out, format_args!("{count:<width$}  ")),
                }
            }
            match self.layout {
                Layout::Csv => csv::field(out, path, escape),
                _ => text::name(out, path, escape),
            }
        }
        out.push(b'\n');
    }
}

/// Counts an event.
fn add(row: &mut Row, event: EventMask) {
    for (count, (kind, _)) in row.iter_mut().zip(KINDS) {
        *count += u64::from(event.contains(kind));
    }
}

/// Returns the number of events of these kinds.
fn sum(row: &Row, kinds: EventMask) -> u64 {
    let counts = row.iter().zip(KINDS).filter(|(_, (kind, _))| kinds.contains(*kind));
    counts.map(|(count, _)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::event::Location;

    #[test]
    fn a_column_is_as_wide_as_its_widest_count() {
        let options = Options { events: EventMask::OPEN, ..Options::default() };
        let mut counts = Counts::new(&options);
        for _ in 0..100_000 {
            counts.count(&Event::new(Location::watched(b"a"), EventMask::OPEN));
        }
        counts.count(&Event::new(Location::watched(b"b"), EventMask::OPEN | EventMask::ISDIR));
        let mut out = Vec::new();
        assert_eq!(counts.write(&mut out, false), 2);
        let expected = "total   open    filename\n100000  100000  a\n1       1       b\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn control_characters_in_paths_are_escaped_on_a_terminal() {
        for format in [Format::Lines, Format::Csv] {
            let mut counts = Counts::new(&Options { format, ..Options::default() });
            counts.count(&Event::new(Location::watched(b"a\x1b[2J\n"), EventMask::OPEN));
            let mut out = Vec::new();
            counts.write(&mut out, true);
            let text = String::from_utf8(out).unwrap();
            assert!(text.ends_with("a\\u{1b}[2J\\n\n"), "{text}");
        }
    }
}

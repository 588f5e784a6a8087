//! The command line. The parser, the help, the man page and the completions all use one table of options.
//!
//! ```text
//! parse ──► exec, format ──► reader, values ──► options, error ──► table ──► opt
//! help, manual ──► texts, table
//! completions ───► table
//! ```

mod completions;
mod error;
mod exec;
mod format;
mod help;
mod manual;
mod opt;
mod options;
mod parse;
mod reader;
mod table;
mod texts;
mod values;

pub use help::{help, stat_help, usage};
#[cfg(feature = "cli")]
pub use options::Glob;
pub use options::{
    Command, Counting, Debounce, Document, Exec, FileType, Format, OnBusy, Options, Pattern, Quiet,
    Timeout,
};
pub use parse::parse;

/// Returns the text that `--generate` prints.
pub fn generate(document: Document) -> String {
    match document {
        Document::Man => manual::man(),
        Document::Bash => completions::bash(),
        Document::Zsh => completions::zsh(),
        Document::Fish => completions::fish(),
    }
}

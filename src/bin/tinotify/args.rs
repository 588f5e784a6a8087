//! The command line. The parser, the help, the man page and the completions all use one table of options.
//!
//! ```text
//! parse ──► values, options, error ──► table
//! manual, completions ───────────────►
//! ```

mod completions;
mod error;
mod manual;
mod options;
mod parse;
mod table;
mod values;

pub use manual::help;
#[cfg(feature = "cli")]
pub use options::Glob;
pub use options::{Command, Document, FileType, Format, Options, Pattern, Quiet, Timeout};
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

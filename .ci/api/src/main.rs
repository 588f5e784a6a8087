//! Compares the public API with its listing, and looks for types of other crates in it.
//!
//! `api RUSTDOC_JSON LISTING` fails if they differ. With `--write` it writes the listing. It ends with 77 if
//! it can't read the format, which changes from one nightly to the next.

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use public_api::Builder;

/// What the API may be made of: the standard library, the crate itself, the traits of `bitflags`, and the
/// traits that features add implementations of.
const ALLOWED: [&str; 10] = [
    "core::",
    "alloc::",
    "std::",
    "tinotify::",
    "bitflags::traits::",
    "bitflags::iter::",
    "futures_core::stream::Stream",
    "futures_core::stream::FusedStream",
    "serde_core::ser::Seriali",
    "serde_core::de::Deseriali",
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (json, listing, write) = match &arguments[..] {
        [json, listing] => (json, listing, false),
        [json, listing, flag] if flag == "--write" => (json, listing, true),
        _ => return Err("usage: api RUSTDOC_JSON LISTING [--write]".into()),
    };
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    let api = match api {
        Ok(api) => api,
        Err(error) => {
            eprintln!("cannot read the description of the API: {json}: {error}");
            return Ok(ExitCode::from(77));
        }
    };
    let lines: Vec<_> = api.items().map(ToString::to_string).collect();
    let mut is_good = true;
    for line in lines.iter().filter(|line| foreign(line).is_some()) {
        eprintln!("a type of another crate is public: {line}");
        is_good = false;
    }
    let now = lines.join("\n") + "\n";
    if write {
        fs::write(listing, now)?;
    } else {
        let before = fs::read_to_string(listing)?;
        is_good &= is_same(&before, &now);
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the first path in a line that is not allowed.
fn foreign(line: &str) -> Option<&str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let paths = line.split(|c| !is_part(c)).filter(|path| path.contains("::"));
    // `Self::Error` and `R::Ok` are no paths of crates.
    let mut paths = paths.filter(|path| path.starts_with(char::is_lowercase));
    paths.find(|path| !ALLOWED.iter().any(|allowed| path.starts_with(allowed)))
}

/// Prints what differs.
fn is_same(before: &str, now: &str) -> bool {
    let prints = |sign: char, one: &str, other: &str| {
        let only: Vec<_> = one.lines().filter(|line| !other.lines().any(|l| l == *line)).collect();
        only.iter().for_each(|line| eprintln!("{sign} {line}"));
        only.is_empty()
    };
    let nothing_gone = prints('-', before, now);
    let nothing_new = prints('+', now, before);
    nothing_gone && nothing_new
}

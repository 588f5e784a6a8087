//! Takes the values of options from the arguments.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::args::error::UsageError;
use crate::args::opt::Opt;

/// Refuses `--flag=value`.
pub fn refuse_value(option: &'static Opt, parser: &mut lexopt::Parser) -> Result<(), UsageError> {
    match parser.optional_value() {
        None => Ok(()),
        Some(value) => Err(UsageError::UnexpectedValue(format!("--{}", option.long), value)),
    }
}

/// Takes the value of an option.
pub fn value(option: &'static Opt, parser: &mut lexopt::Parser) -> Result<OsString, UsageError> {
    parser.value().map_err(|_| UsageError::MissingValue(option))
}

/// Takes the value of an option as text.
pub fn text(option: &'static Opt, parser: &mut lexopt::Parser) -> Result<String, UsageError> {
    let text = value(option, parser)?.into_string();
    text.map_err(|bytes| UsageError::NotUtf8(option, bytes))
}

/// Takes the value of an option as bytes.
pub fn bytes(option: &'static Opt, parser: &mut lexopt::Parser) -> Result<Vec<u8>, UsageError> {
    Ok(value(option, parser)?.into_vec())
}

/// Takes the value of an option that can be given once.
pub fn only_once(
    given: &mut Option<PathBuf>,
    option: &'static Opt,
    parser: &mut lexopt::Parser,
) -> Result<(), UsageError> {
    match given.replace(value(option, parser)?.into()) {
        None => Ok(()),
        Some(_) => Err(UsageError::Twice(option.long)),
    }
}

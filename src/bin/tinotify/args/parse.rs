//! The parser. Options and paths come in any order, short options can be combined and long ones
//! abbreviated, as in getopt_long(3).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use lexopt::prelude::*;
use tinotify::EventMask;

use crate::args::error::UsageError;
use crate::args::options::{Command, Format, Glob, Options, Pattern, Quiet};
use crate::args::table::{Id, Opt, options};
use crate::args::values;

/// Parses the arguments. The first is the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut given = Given::default();
    while let Some(arg) = parser.next()? {
        let option = match arg {
            Short(letter) => with_letter(letter)?,
            Long(name) => with_name(name)?,
            Value(path) => {
                given.options.add_path(path.into_vec());
                continue;
            }
        };
        if let Some(command) = given.take(option, &mut parser)? {
            return Ok(command);
        }
    }
    given.finish()?;
    Ok(Command::Watch(Box::new(given.options)))
}

const PATTERN_OPTIONS: &str = "--exclude, --excludei, --include and --includei";

const REPEATED_PATTERN: &str =
    "the same pattern option was given more than once: only the last pattern is used";

/// The options so far.
#[derive(Default)]
struct Given {
    options: Options,
    // `finish` checks and combines these.
    csv: bool,
    json: bool,
    no_newline: bool,
    format: Option<Vec<u8>>,
    timefmt: Option<Vec<u8>>,
    /// The option of the pattern, one of four.
    pattern: Option<Id>,
}

impl Given {
    /// Takes an option and its value. Returns a command that ends the parsing, such as `--help`.
    fn take(
        &mut self,
        option: &Opt,
        parser: &mut lexopt::Parser,
    ) -> Result<Option<Command>, UsageError> {
        let options = &mut self.options;
        match option.id {
            Id::ExcludeGlob | Id::Gitignore | Id::IncludeGlob if !cfg!(feature = "cli") => {
                return Err(UsageError::NotInBuild(option.long));
            }
            Id::Csv => self.csv = true,
            Id::Daemon => {
                options.daemon = true;
                options.monitor = true;
                options.syslog = true;
            }
            Id::Debounce => options.debounce = Some(values::milliseconds(&text(parser)?)?),
            Id::Event => options.events |= values::events(&text(parser)?)?,
            Id::Exclude | Id::Excludei | Id::Include | Id::Includei => {
                self.pattern(option, parser)?;
            }
            Id::ExcludeGlob | Id::IncludeGlob => {
                let exclude = option.id == Id::ExcludeGlob;
                options.globs.push(Glob { glob: text(parser)?, exclude });
            }
            Id::Ext => options.extensions.extend(values::extensions(&text(parser)?)?),
            Id::Exec => options.exec = Some(command(parser)?),
            Id::Fanotify | Id::Filesystem => return Err(UsageError::Fanotify),
            Id::Follow => options.follow = true,
            Id::FollowLinks => options.follow_links = true,
            Id::Format => self.format = Some(bytes(parser)?),
            Id::Fromfile => only_once(&mut options.fromfile, option, parser)?,
            Id::Generate => {
                return Ok(Some(Command::Generate(values::document(text(parser)?)?)));
            }
            Id::Gitignore => options.gitignore = true,
            Id::Help => return Ok(Some(Command::Help)),
            Id::Inotify => {}
            Id::Json => self.json = true,
            Id::Monitor => options.monitor = true,
            Id::NoDereference => options.no_dereference = true,
            Id::NoNewline => self.no_newline = true,
            Id::Null => options.null = true,
            Id::Outfile => only_once(&mut options.outfile, option, parser)?,
            Id::Quiet if options.quiet == Quiet::No => options.quiet = Quiet::Messages,
            Id::Quiet => options.quiet = Quiet::Events,
            Id::Recursive => options.recursive = true,
            Id::Renames => options.renames = true,
            Id::Stats => options.stats = true,
            Id::Syslog => options.syslog = true,
            Id::Timefmt => self.timefmt = Some(bytes(parser)?),
            Id::Timeout => options.timeout = values::timeout(&text(parser)?)?,
            Id::Type => options.types.extend(values::types(&text(parser)?)?),
            Id::Version => return Ok(Some(Command::Version)),
        }
        Ok(None)
    }

    /// Takes the regular expression of `--exclude` and the like. Only one of these options can be given,
    /// and the last of its values is used.
    fn pattern(&mut self, option: &Opt, parser: &mut lexopt::Parser) -> Result<(), UsageError> {
        match self.pattern.replace(option.id) {
            None => {}
            Some(id) if id == option.id => self.options.warnings.push(REPEATED_PATTERN),
            Some(_) => return Err(UsageError::OnlyOne(PATTERN_OPTIONS)),
        }
        self.options.pattern = Some(Pattern {
            regex: bytes(parser)?,
            ignore_case: matches!(option.id, Id::Excludei | Id::Includei),
            exclude: matches!(option.id, Id::Exclude | Id::Excludei),
        });
        Ok(())
    }

    /// Checks the combination of options, and sets the format and the defaults.
    fn finish(&mut self) -> Result<(), UsageError> {
        self.options.format = self.take_format()?;
        let options = &mut self.options;
        if options.daemon && options.outfile.is_none() {
            return Err(UsageError::Needs("--daemon", "--outfile"));
        }
        if options.follow && options.recursive {
            return Err(UsageError::OnlyOne("--follow and --recursive"));
        }
        if options.debounce.is_some() && options.exec.is_none() {
            return Err(UsageError::Needs("--debounce", "--exec"));
        }
        if options.follow_links && !options.recursive {
            return Err(UsageError::Needs("--follow-links", "--recursive"));
        }
        if options.paths.is_empty() && options.fromfile.is_none() {
            return Err(UsageError::NoPaths);
        }
        if options.events.is_empty() {
            options.events = EventMask::ALL_EVENTS;
        }
        Ok(())
    }

    fn take_format(&mut self) -> Result<Format, UsageError> {
        let format = self.format.take();
        if self.no_newline && format.is_none() {
            return Err(UsageError::Needs("--no-newline", "--format"));
        }
        if self.timefmt.is_some() && format.is_none() {
            return Err(UsageError::Needs("--timefmt", "--format"));
        }
        match (self.csv, self.json, format) {
            (false, false, None) => Ok(Format::Lines),
            (true, false, None) => Ok(Format::Csv),
            (false, true, None) => Ok(Format::Json),
            (false, false, Some(format)) => {
                if self.timefmt.is_none() && format.windows(2).any(|pair| pair == b"%T") {
                    return Err(UsageError::Needs("%T in --format", "--timefmt"));
                }
                if self.no_newline && self.options.null {
                    return Err(UsageError::OnlyOne("--no-newline and --null"));
                }
                let time = self.timefmt.take();
                Ok(Format::Custom { format, newline: !self.no_newline, time })
            }
            _ => Err(UsageError::OnlyOne("--csv, --format and --json")),
        }
    }
}

/// Takes the words of a command: all arguments up to `;` or the end.
fn command(parser: &mut lexopt::Parser) -> Result<Vec<OsString>, UsageError> {
    let mut command: Vec<OsString> = parser.optional_value().into_iter().collect();
    command.extend(parser.raw_args()?.take_while(|word| word != ";"));
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(UsageError::NoCommand),
    }
}

/// Returns the option of a short name.
fn with_letter(letter: char) -> Result<&'static Opt, UsageError> {
    let option = options().find(|option| option.short == Some(letter));
    option.ok_or_else(|| lexopt::Error::UnexpectedOption(format!("-{letter}")).into())
}

/// Returns the option with a long name, or the only option that starts with it. Searches the options of
/// inotifywait first, so that its abbreviations stay unambiguous.
fn with_name(name: &str) -> Result<&'static Opt, UsageError> {
    if let Some(option) = options().find(|option| option.long == name) {
        return Ok(option);
    }
    for is_shared in [true, false] {
        let mut matching = options()
            .filter(|option| option.is_shared == is_shared)
            .filter(|option| !name.is_empty() && option.long.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(option), None) => return Ok(option),
            (Some(_), Some(_)) => return Err(UsageError::Ambiguous(name.to_owned())),
            (None, _) => {}
        }
    }
    Err(lexopt::Error::UnexpectedOption(format!("--{name}")).into())
}

/// Takes the value of an option as text.
fn text(parser: &mut lexopt::Parser) -> Result<String, UsageError> {
    Ok(parser.value()?.string()?)
}

/// Takes the value of an option as bytes.
fn bytes(parser: &mut lexopt::Parser) -> Result<Vec<u8>, UsageError> {
    Ok(parser.value()?.into_vec())
}

/// Takes the value of an option that can be given once.
fn only_once(
    value: &mut Option<PathBuf>,
    option: &Opt,
    parser: &mut lexopt::Parser,
) -> Result<(), UsageError> {
    match value.replace(parser.value()?.into()) {
        None => Ok(()),
        Some(_) => Err(UsageError::Twice(option.long)),
    }
}

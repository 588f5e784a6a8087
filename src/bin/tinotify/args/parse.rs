//! The parser. Options and paths come in any order, short options can be combined and long ones
//! abbreviated, as in getopt_long(3).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use lexopt::prelude::*;
use tinotify::EventMask;

use crate::args::error::UsageError;
use crate::args::exec;
use crate::args::format;
use crate::args::opt::{Id, Opt};
use crate::args::options::{Command, Counting, Document, Glob, Options, Pattern};
use crate::args::reader::{bytes, only_once, refuse_value, text};
use crate::args::table::options;
use crate::args::values;

/// Parses the arguments. The first is the name of the program.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut args = args.into_iter().peekable();
    args.next();
    // Only as the first argument. A path of this name is given as `./stat`.
    let is_stat = args.next_if(|word| word == "stat").is_some();
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Given::new(is_stat);
    while let Some(arg) = parser.next()? {
        let option = match arg {
            Short('h') if !is_stat => return Ok(Command::Usage),
            Short(letter) => with_letter(letter, is_stat)?,
            Long(name) => {
                let option = with_name(name, is_stat)?;
                if option.value.is_none() {
                    refuse_value(option, &mut parser)?;
                }
                option
            }
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

/// The meanings of the values of `--generate`, in their order in the table.
const DOCUMENTS: [Document; 4] = [Document::Man, Document::Bash, Document::Zsh, Document::Fish];

const REPEATED_PATTERN: &str =
    "the same pattern option was given more than once: only the last pattern is used";

/// The options so far.
#[derive(Default)]
struct Given {
    options: Options,
    // `finish` checks and combines these.
    format: format::Given,
    exec: exec::Given,
    /// The option of the pattern, one of four.
    pattern: Option<Id>,
}

/// The events that `--exec` waits for without `--event`. A command that only reads does not run itself again.
const CHANGES: EventMask = EventMask::ALL_EVENTS
    .difference(EventMask::ACCESS)
    .difference(EventMask::OPEN)
    .difference(EventMask::CLOSE_NOWRITE);

impl Given {
    fn new(is_stat: bool) -> Self {
        let mut given = Self::default();
        if is_stat {
            given.options.monitor = true;
            given.options.counting = Some(Counting::default());
        }
        given
    }

    /// Takes an option and its value. Returns a command that ends the parsing, such as `--help`.
    fn take(
        &mut self,
        option: &'static Opt,
        parser: &mut lexopt::Parser,
    ) -> Result<Option<Command>, UsageError> {
        let options = &mut self.options;
        match option.id {
            Id::Ascending | Id::By | Id::Descending | Id::Zero => {
                if let Some(counting) = &mut options.counting {
                    take_counting(counting, option, parser)?;
                }
            }
            Id::Count => {
                options.count = Some(values::count(text(option, parser)?)?);
                options.monitor = true;
            }
            Id::Csv | Id::Format | Id::Json | Id::NoNewline | Id::Timefmt => {
                self.format.take(option, parser)?;
            }
            Id::Daemon => {
                options.daemon = true;
                options.monitor = true;
                options.syslog = true;
            }
            Id::Debounce => options.debounce = Some(values::debounce(&text(option, parser)?)?),
            Id::Event => options.events |= values::events(&text(option, parser)?)?,
            Id::Exclude | Id::Excludei | Id::Include | Id::Includei => {
                self.pattern(option, parser)?;
            }
            Id::ExcludeGlob | Id::Ext | Id::Gitignore | Id::IncludeGlob | Id::Type => {
                take_filter(options, option, parser)?;
            }
            Id::Existing => options.existing = true,
            Id::Exec
            | Id::ExitOnError
            | Id::OnBusy
            | Id::Restart
            | Id::RunAtStart
            | Id::Signal
            | Id::StopTimeout => self.exec.take(option, parser)?,
            Id::Fanotify | Id::Filesystem => return Err(UsageError::Fanotify),
            Id::Follow => options.follow = true,
            Id::FollowLinks => options.follow_links = true,
            Id::Fromfile => only_once(&mut options.fromfile, option, parser)?,
            Id::Generate => {
                let document = values::choice(option, text(option, parser)?, &DOCUMENTS)?;
                return Ok(Some(Command::Generate(document)));
            }
            Id::Help if options.counting.is_some() => return Ok(Some(Command::StatHelp)),
            Id::Help => return Ok(Some(Command::Help)),
            Id::Inotify => {}
            Id::Monitor => options.monitor = true,
            Id::NoDereference => options.no_dereference = true,
            Id::Null => options.null = true,
            Id::Outfile => only_once(&mut options.outfile, option, parser)?,
            Id::Quiet => options.quiet = options.quiet.more(),
            Id::Recursive => options.recursive = true,
            Id::Renames => options.renames = true,
            Id::Snapshot => options.snapshot = true,
            Id::Stats => options.stats = true,
            Id::Syslog => options.syslog = true,
            Id::Timeout => options.timeout = values::timeout(&text(option, parser)?)?,
            Id::Version => return Ok(Some(Command::Version)),
        }
        Ok(None)
    }

    /// Takes the regular expression of `--exclude` and the like. Only one of these options can be given,
    /// and the last of its values is used.
    fn pattern(
        &mut self,
        option: &'static Opt,
        parser: &mut lexopt::Parser,
    ) -> Result<(), UsageError> {
        match self.pattern.replace(option.id) {
            None => {}
            Some(id) if id == option.id => self.options.warnings.push(REPEATED_PATTERN),
            Some(_) => return Err(UsageError::OnlyOne(PATTERN_OPTIONS)),
        }
        self.options.pattern = Some(Pattern {
            regex: bytes(option, parser)?,
            ignore_case: matches!(option.id, Id::Excludei | Id::Includei),
            exclude: matches!(option.id, Id::Exclude | Id::Excludei),
        });
        Ok(())
    }

    /// Checks the combination of options, and sets the format and the defaults.
    fn finish(&mut self) -> Result<(), UsageError> {
        self.options.format = std::mem::take(&mut self.format).finish(self.options.null)?;
        self.options.exec = std::mem::take(&mut self.exec).finish()?;
        let options = &mut self.options;
        if options.daemon && options.outfile.is_none() {
            return Err(UsageError::Needs("--daemon", "--outfile"));
        }
        if options.follow && options.recursive {
            return Err(UsageError::OnlyOne("--follow and --recursive"));
        }
        if options.follow_links && !options.recursive {
            return Err(UsageError::Needs("--follow-links", "--recursive"));
        }
        if options.snapshot && !options.recursive {
            return Err(UsageError::Needs("--snapshot", "--recursive"));
        }
        if options.paths.is_empty() && options.fromfile.is_none() {
            return Err(UsageError::NoPaths);
        }
        if options.events.is_empty() {
            options.events = if options.exec.is_some() { CHANGES } else { EventMask::ALL_EVENTS };
        }
        match &options.counting {
            Some(counting) if !counting.key.intersects(options.events) => {
                Err(UsageError::UnselectedKey(counting.key))
            }
            _ => Ok(()),
        }
    }
}

/// Takes a filter that inotifywait does not have, and its value.
fn take_filter(
    options: &mut Options,
    option: &'static Opt,
    parser: &mut lexopt::Parser,
) -> Result<(), UsageError> {
    match option.id {
        Id::Ext => options.extensions.extend(values::extensions(&text(option, parser)?)?),
        Id::Type => options.types.extend(values::types(&text(option, parser)?)?),
        _ if !cfg!(feature = "cli") => return Err(UsageError::NotInBuild(option.long)),
        Id::Gitignore => options.gitignore = true,
        _ => {
            let exclude = option.id == Id::ExcludeGlob;
            options.globs.push(Glob { glob: text(option, parser)?, exclude });
        }
    }
    Ok(())
}

/// Takes an option of `stat`, and its value.
fn take_counting(
    counting: &mut Counting,
    option: &'static Opt,
    parser: &mut lexopt::Parser,
) -> Result<(), UsageError> {
    match option.id {
        Id::By => {
            counting.by_file = values::choice(option, text(option, parser)?, &[false, true])?;
        }
        Id::Zero => counting.zero = true,
        _ => {
            counting.key = values::sort_key(&text(option, parser)?)?;
            counting.ascending = option.id == Id::Ascending;
        }
    }
    Ok(())
}

/// Returns the option of a short name. `stat` gives some letters another meaning.
fn with_letter(letter: char, is_stat: bool) -> Result<&'static Opt, UsageError> {
    let find = |fits| options_in(is_stat, fits).find(|option| option.short == Some(letter));
    if let Some(option) = find(true) {
        return Ok(option);
    }
    let unknown = || UsageError::UnknownOption(format!("-{letter}"));
    Err(find(false).map_or_else(unknown, UsageError::Scope))
}

/// Returns the option with a long name, or the only option that starts with it. Searches the options of
/// inotifywait first, so that its abbreviations stay unambiguous.
fn with_name(name: &str, is_stat: bool) -> Result<&'static Opt, UsageError> {
    if let Some(option) = options().find(|option| option.long == name) {
        let fits = option.scope.fits(is_stat);
        return if fits { Ok(option) } else { Err(UsageError::Scope(option)) };
    }
    let starts = |option: &&Opt| !name.is_empty() && option.long.starts_with(name);
    for is_shared in [true, false] {
        let mut matching =
            options_in(is_stat, true).filter(|option| option.is_shared == is_shared).filter(starts);
        match (matching.next(), matching.next()) {
            (Some(option), None) => return Ok(option),
            (Some(_), Some(_)) => return Err(UsageError::Ambiguous(name.to_owned(), is_stat)),
            (None, _) => {}
        }
    }
    let unknown = || UsageError::UnknownOption(format!("--{name}"));
    Err(options_in(is_stat, false).find(starts).map_or_else(unknown, UsageError::Scope))
}

/// Returns the options that can be used, or those that cannot.
fn options_in(is_stat: bool, fits: bool) -> impl Iterator<Item = &'static Opt> {
    options().filter(move |option| option.scope.fits(is_stat) == fits)
}

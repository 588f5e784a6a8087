//! What the table says about an option.

/// One option, for the parser and for the documentation.
#[derive(Debug)]
pub struct Opt {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// The placeholder of its value. `None` for a flag.
    pub value: Option<&'static str>,
    pub values: Values,
    /// `true` for an option of inotifywait or inotifywatch. An abbreviation that is unambiguous among these is accepted.
    pub is_shared: bool,
    pub scope: Scope,
    pub help: &'static str,
    /// The text of the short help, at most 52 bytes. `None` if the short help does not show the option.
    pub brief: Option<&'static str>,
}

/// The values that an option accepts, for completions and messages.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    Any,
    Files,
    Commands,
    OneOf(&'static [&'static str]),
    /// Separated by commas.
    ListOf(&'static [&'static str]),
}

impl Values {
    /// Returns the known words. Empty if other values are accepted too.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::OneOf(words) | Self::ListOf(words) => words,
            Self::Any | Self::Files | Self::Commands => &[],
        }
    }
}

impl Opt {
    /// An option of inotifywait or inotifywatch.
    pub const fn shared(id: Id, long: &'static str, help: &'static str) -> Self {
        Self {
            id,
            short: None,
            long,
            value: None,
            values: Values::Any,
            is_shared: true,
            scope: Scope::Both,
            help,
            brief: None,
        }
    }

    /// An option that inotifywait does not have.
    pub const fn own(id: Id, long: &'static str, help: &'static str) -> Self {
        Self { is_shared: false, ..Self::shared(id, long, help) }
    }

    pub const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    pub const fn value(self, placeholder: &'static str) -> Self {
        Self { value: Some(placeholder), ..self }
    }

    pub const fn values(self, values: Values) -> Self {
        Self { values, ..self }
    }

    pub const fn brief(self, text: &'static str) -> Self {
        Self { brief: Some(text), ..self }
    }

    pub const fn only(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

/// Where an option can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Both,
    /// Not with `stat`.
    Watch,
    /// Only with `stat`.
    Stat,
}

impl Scope {
    pub fn fits(self, is_stat: bool) -> bool {
        match self {
            Self::Both => true,
            Self::Watch => !is_stat,
            Self::Stat => is_stat,
        }
    }
}

/// Options that the help shows under one title.
#[derive(Debug)]
pub struct Group {
    pub title: &'static str,
    pub options: &'static [Opt],
    /// Command lines, each after its purpose.
    pub examples: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Ascending,
    By,
    Count,
    Csv,
    Daemon,
    Debounce,
    Descending,
    Event,
    Exclude,
    ExcludeGlob,
    Excludei,
    Exec,
    ExitOnError,
    Existing,
    Ext,
    Fanotify,
    Filesystem,
    Follow,
    FollowLinks,
    Format,
    Fromfile,
    Generate,
    Gitignore,
    Help,
    Include,
    IncludeGlob,
    Includei,
    Inotify,
    Json,
    Monitor,
    NoDereference,
    NoNewline,
    Null,
    OnBusy,
    Outfile,
    Quiet,
    Recursive,
    Renames,
    Restart,
    RunAtStart,
    Signal,
    Snapshot,
    Stats,
    StopTimeout,
    Syslog,
    Timefmt,
    Timeout,
    Type,
    Version,
    Zero,
}

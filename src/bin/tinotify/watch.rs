//! Watches: all steps from the options to the end.

use std::sync::Arc;

use crate::args::{Options, Timeout};
use crate::daemon;
use crate::emit::Emitter;
use crate::exec::Exec;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::messages::Messages;
use crate::output::Output;
use crate::paths;
use crate::report::Report;
use crate::rewatch::Rewatch;
use crate::session::{Outcome, Session};
use crate::setup;
use crate::signals::Signals;
use crate::sink::Sink;

/// What failed if the handlers of signals can't be set.
const SIGNALS: &str = "cannot handle signals";

/// Sets up the watches, then reports events until there is a reason to end.
///
/// # Errors
///
/// [`Failure`] if the set-up, the output, or a system call fails.
pub fn run(mut options: Options, messages: &Messages) -> Result<Outcome, Failure> {
    if options.daemon {
        daemon::leave_terminal().map_err(Failure::system("cannot leave the terminal"))?;
    }
    read_fromfile(&mut options)?;
    let filter = Filter::new(&options).map_err(Failure::Filter)?.map(Arc::new);
    let output = open_output(&options)?;
    let signals = Signals::new().map_err(Failure::system(SIGNALS))?;
    signals.catch_reopen().map_err(Failure::system(SIGNALS))?;

    messages.inform(if options.recursive {
        "Setting up watches.  Beware: since -r was given, this may take a while!"
    } else {
        "Setting up watches."
    });
    let (watcher, roots) = setup::watch(&options, filter.as_ref())?;
    // Before this, a signal ends the program without any cleanup.
    signals.catch_end().map_err(Failure::system(SIGNALS))?;
    let exec = options.exec.take().map(|words| Exec::new(words, options.debounce));
    if exec.is_some() {
        signals.catch_children().map_err(Failure::system(SIGNALS))?;
    }
    messages.inform("Watches established.");
    if options.daemon {
        daemon::report_ready().map_err(Failure::system("cannot go to the background"))?;
    }
    if options.timeout == Timeout::Negative {
        return Err(Failure::NegativeTimeout);
    }

    let rewatch = Rewatch::new(filter.clone(), watcher.watches());
    let emitter = Emitter::new(&options, filter, Sink::new(output, exec));
    let report = Report::new(&options, messages, roots);
    let mut session =
        Session::new(&options, messages, (watcher, signals), report, emitter, rewatch);
    let result = session.run();
    if options.stats {
        messages.warn(session.stats());
    }
    result
}

/// Adds the paths of `--fromfile`, before those of the command line.
fn read_fromfile(options: &mut Options) -> Result<(), Failure> {
    if let Some(file) = options.fromfile.take() {
        let lines = paths::lines(&file).map_err(|error| Failure::File(file, error))?;
        let named = std::mem::take(&mut options.paths);
        lines.into_iter().for_each(|line| options.add_path(line));
        options.paths.extend(named);
    }
    if options.paths.is_empty() { Err(Failure::NoPaths) } else { Ok(()) }
}

fn open_output(options: &Options) -> Result<Output, Failure> {
    Output::new(options).map_err(|error| match &options.outfile {
        Some(file) => Failure::File(file.clone(), error),
        None => Failure::Output(error),
    })
}

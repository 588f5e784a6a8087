//! Watches: all steps from the options to the end.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tinotify::Watcher;

use crate::args::{OnBusy, Options, Timeout};
use crate::daemon;
use crate::emit::Emitter;
use crate::exec::{self, Exec, Running};
use crate::existing;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::messages::Messages;
use crate::output::Output;
use crate::paths;
use crate::report::Report;
use crate::rewatch::Rewatch;
use crate::session::{Outcome, Session};
use crate::setup::{self, Roots, Watched};
use crate::signals::Wakeups;
use crate::sink::Sink;
use crate::supervisor::{Stop, Supervisor};

/// The time to write pending events after a signal.
const GRACE: Duration = Duration::from_millis(40);
/// The time to write the counts of `stat` after a signal.
const STAT_GRACE: Duration = Duration::from_secs(5);

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
    let wakeups = Wakeups::new().map_err(Failure::system(SIGNALS))?;
    let running = Running::default();
    let stop = stop(&options, &running);
    let start = || Supervisor::start(wakeups.waker()?, stop.clone());
    // For process 1, the kernel ignores signals without a handler: see pid_namespaces(7). `stat` must print its counts
    // after any signal. Otherwise the default action is right until there is output.
    let is_early = process::id() == 1 || options.counting.is_some();
    let early = is_early.then(start).transpose().map_err(Failure::system(SIGNALS))?;
    read_fromfile(&mut options)?;
    if let Some(exec) = &options.exec {
        exec::check(&exec.words).map_err(Failure::Command)?;
    }
    let filter = Filter::new(&options).map_err(Failure::Filter)?.map(Arc::new);
    let mut output = open_output(&options)?;

    messages.inform(if options.recursive {
        "Setting up watches.  Beware: since -r was given, this may take a while!"
    } else {
        "Setting up watches."
    });
    let Watched { watcher, roots, plain } = setup::watch(&options, filter.as_ref())?;
    let exec = options.exec.take().map(|exec| Exec::new(exec, options.debounce, running));
    if options.counting.is_some_and(|counting| counting.zero) {
        expect_all(&mut output, &watcher, &roots);
    }
    let rewatch = Rewatch::new(filter.clone(), watcher.watches());
    let mut emitter = Emitter::new(&options, filter, Sink::new(output, exec));
    emit_existing(&options, &plain, &mut emitter)?;
    catch_others(&options, &wakeups, emitter.sink().has_commands())
        .map_err(Failure::system(SIGNALS))?;
    early.iter().for_each(Supervisor::begin_output);
    messages.inform("Watches established.");
    let supervisor = early.map_or_else(start, Ok).map_err(Failure::system(SIGNALS))?;
    supervisor.begin_output();
    if options.daemon {
        daemon::report_ready().map_err(Failure::system("cannot go to the background"))?;
    }
    if options.timeout == Timeout::Negative {
        return Err(Failure::NegativeTimeout);
    }

    let report = Report::new(&options, messages, roots);
    let signals = (&wakeups, &supervisor);
    let is_stat = options.counting.is_some();
    let mut session = Session::new(&options, messages, watcher, signals, report, emitter, rewatch);
    let result = session.run();
    if options.stats {
        messages.warn(session.stats());
    }
    if supervisor.has_signal() && !is_stat {
        supervisor.finish();
    }
    if result.is_err() {
        session.abandon_command();
    }
    result
}

/// With `--existing`, emits what is at the paths of watches that are not trees.
fn emit_existing(
    options: &Options,
    plain: &[Vec<u8>],
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    let mut roots = plain.iter().filter(|_| options.existing);
    roots.try_for_each(|root| existing::emit(root, options.no_dereference, emitter))
}

/// Catches the signals that do not end the tool.
fn catch_others(options: &Options, wakeups: &Wakeups, has_commands: bool) -> io::Result<()> {
    if options.outfile.is_some() {
        wakeups.catch_reopen()?;
    }
    if has_commands {
        wakeups.catch_children()?;
    }
    Ok(())
}

/// Returns what happens after a signal.
fn stop(options: &Options, running: &Running) -> Stop {
    let mut stop = Stop {
        grace: if options.counting.is_some() { STAT_GRACE } else { GRACE },
        running: running.clone(),
        signal: Signal::TERM,
        timeout: Duration::ZERO,
    };
    if let Some(exec) = &options.exec {
        // A signal that is sent for each event need not stop the command.
        if exec.on_busy != OnBusy::Signal {
            stop.signal = exec.signal;
        }
        stop.timeout = exec.stop_timeout;
    }
    stop
}

/// Adds each watched path to the counts of `stat`.
fn expect_all(output: &mut Output, watcher: &Watcher, roots: &Roots) {
    for (watch, root) in roots {
        output.expect(root.clone());
        // A watch that is no tree has none.
        let directories = watcher.watches().tree_directories(*watch).unwrap_or_default();
        for directory in directories {
            let mut path = directory.path.into_os_string().into_vec();
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            output.expect(path);
        }
    }
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

//! The table of services, and the state of each.

use core::ffi::{CStr, c_int};
use core::time::Duration;

use bare::process::{self, Command, Exit, Signal};
use bare::{Args, say, sys};
use heapless::{CString, Vec};
use tinotify::Errno;

/// The maximum number of services. Further ones are reported, and not started.
pub const SERVICES: usize = 32;
/// The maximum size of a name, with a NUL, in bytes.
pub const NAME: usize = 64;
/// The maximum size of a path, with a NUL, in bytes.
pub const PATH: usize = 512;
/// The maximum size of a command, with its newline, in bytes.
const LINE: usize = 1024;

/// How long a service may take to end before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// The delay before a service that died is started again. It doubles each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// After this time, the next delay of a service is the first one again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The state of a service. Times are those of `sys::now`.
#[derive(Clone, Copy)]
enum State {
    /// Will be started at `until`.
    Waiting { until: Duration },
    /// Runs since `since`.
    Running { pid: c_int, since: Duration },
    /// Was asked to end, and will be killed at `until`. Will be started again if its file still exists.
    Stopping { pid: c_int, until: Duration },
    /// Has exited by itself with 0.
    Done,
}

struct Service {
    name: CString<NAME>,
    /// The checksum of the line that it was started with, to notice a change.
    sum: u64,
    /// `true` if its file exists.
    has_file: bool,
    /// The delay before the next start after it dies.
    delay: Duration,
    state: State,
}

/// All services, sorted by their names.
pub struct Services {
    directory: &'static CStr,
    args: Args,
    table: Vec<Service, SERVICES>,
}

impl Services {
    pub const fn new(directory: &'static CStr, args: Args) -> Self {
        Self { directory, args, table: Vec::new() }
    }

    /// Checks all files.
    pub fn check_all(&mut self) {
        let directory = self.directory;
        if let Err(errno) = sys::list(directory, |name| self.check(name, true)) {
            say!("init: {}: {errno}", directory.to_bytes().escape_ascii());
        }
        // The services without a file. From the end, because the table may become shorter.
        for at in (0..self.table.len()).rev() {
            if let Some(name) = self.table.get(at).map(|service| service.name.clone()) {
                self.check(&name, true);
            }
        }
    }

    /// Checks the file of that name after a change. Reports a file without a command only if it
    /// `is_complete`.
    pub fn check(&mut self, name: &CStr, is_complete: bool) {
        let bytes = name.to_bytes();
        // Hidden files, and backups of editors.
        if bytes.starts_with(b".") || bytes.ends_with(b"~") {
            return;
        }
        match self.command(name) {
            Ok((_, sum)) => self.file_found(name, sum),
            Err(Errno::ENOENT) => self.file_removed(name),
            Err(Errno::EINVAL) if is_complete => {
                say!("init: {}: no line with the path of a program", bytes.escape_ascii());
            }
            Err(Errno::EINVAL) => {}
            Err(errno) => say!("init: {}: {errno}", bytes.escape_ascii()),
        }
    }

    /// Returns the command in the file of that name, and the checksum of its line.
    fn command(&self, name: &CStr) -> Result<(Command, u64), Errno> {
        let path = join(self.directory, name).ok_or(Errno::ENAMETOOLONG)?;
        let mut buffer = [0; LINE];
        let text = sys::read_file(&path, &mut buffer)?;
        // A line without a newline may be incomplete.
        let end = text.iter().position(|&byte| byte == b'\n').ok_or(Errno::EINVAL)?;
        let line = text.get(..end).unwrap_or_default();
        // FNV-1a.
        let sum = line.iter().fold(0xCBF2_9CE4_8422_2325, |sum: u64, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
        Ok((Command::parse(line).ok_or(Errno::EINVAL)?, sum))
    }

    fn file_found(&mut self, name: &CStr, sum: u64) {
        let now = sys::now();
        let found = self.table.binary_search_by(|service| service.name.as_c_str().cmp(name));
        match found.map(|at| self.table.get_mut(at)) {
            Ok(Some(service)) => {
                let had_file = core::mem::replace(&mut service.has_file, true);
                if service.sum != sum || !had_file {
                    service.sum = sum;
                    service.restart(now);
                }
            }
            Ok(None) => {}
            Err(at) => {
                let mut own = CString::new();
                let service = own.extend_from_bytes(name.to_bytes()).ok().map(|()| Service {
                    name: own,
                    sum,
                    has_file: true,
                    delay: FIRST_DELAY,
                    state: State::Waiting { until: now },
                });
                if service.is_none_or(|service| self.table.insert(at, service).is_err()) {
                    say!(
                        "init: {}: not started: too many services, or the name is too long",
                        name.to_bytes().escape_ascii()
                    );
                }
            }
        }
    }

    fn file_removed(&mut self, name: &CStr) {
        let found = self.table.binary_search_by(|service| service.name.as_c_str().cmp(name));
        let Some((at, service)) = found.ok().and_then(|at| Some((at, self.table.get_mut(at)?)))
        else {
            return;
        };
        service.has_file = false;
        service.stop(sys::now());
        if service.pid().is_none() {
            self.table.remove(at);
        }
    }

    /// Restarts the service of that name, or starts it, in any state.
    pub fn restart(&mut self, name: &[u8]) {
        match self.table.iter_mut().find(|service| service.name.to_bytes() == name) {
            Some(service) => service.restart(sys::now()),
            None => say!("init: {}: no such service", name.escape_ascii()),
        }
    }

    /// Notes that a child has ended. It need not be a service.
    pub fn note_exit(&mut self, pid: c_int, exit: Exit) {
        let now = sys::now();
        let found = self.table.iter().position(|service| service.pid() == Some(pid));
        let Some((at, service)) = found.and_then(|at| Some((at, self.table.get_mut(at)?))) else {
            return;
        };
        // The rest of its process group.
        process::kill(pid, Signal::KILL);
        service.report(exit);
        service.state = match service.state {
            _ if !service.has_file => {
                self.table.remove(at);
                return;
            }
            State::Running { .. } if exit == Exit::Status(0) => State::Done,
            State::Running { since, .. } => {
                if now.saturating_sub(since) >= STABLE_AFTER {
                    service.delay = FIRST_DELAY;
                }
                State::Waiting { until: now.saturating_add(service.next_delay()) }
            }
            _ => State::Waiting { until: now },
        };
    }

    /// Starts and kills the services that are due.
    pub fn start_and_kill_due(&mut self) {
        for at in 0..self.table.len() {
            let now = sys::now();
            match self.table.get(at).map(|service| service.state) {
                Some(State::Waiting { until }) if until <= now => self.start(at, now),
                Some(State::Stopping { pid, until }) if until <= now => self.kill(at, pid),
                _ => {}
            }
        }
    }

    fn start(&mut self, at: usize, now: Duration) {
        let Some(name) = self.table.get(at).map(|service| service.name.clone()) else { return };
        // The current command: the file may have changed again.
        let started = self.command(&name).and_then(|(command, sum)| {
            let pid = command.spawn(self.args)?;
            Ok((pid, sum))
        });
        let Some(service) = self.table.get_mut(at) else { return };
        let shown = name.to_bytes().escape_ascii();
        service.state = match started {
            Ok((pid, sum)) => {
                say!("init: {shown}: started as {pid}");
                service.sum = sum;
                State::Running { pid, since: now }
            }
            // If the file was removed, an event follows.
            Err(errno) => {
                say!("init: {shown}: not started: {errno}");
                State::Waiting { until: now.saturating_add(service.next_delay()) }
            }
        };
    }

    fn kill(&mut self, at: usize, pid: c_int) {
        if let Some(service) = self.table.get_mut(at) {
            say!("init: {}: killed, for it did not end", service.name.to_bytes().escape_ascii());
            process::kill(pid, Signal::KILL);
            service.state = State::Stopping { pid, until: Duration::MAX };
        }
    }

    /// Ends the services one by one, the last first. Returns `true` if none is left.
    pub fn end(&mut self) -> bool {
        let now = sys::now();
        for at in 0..self.table.len() {
            let Some(service) = self.table.get_mut(at) else { continue };
            service.has_file = false;
            match service.state {
                State::Waiting { .. } => service.state = State::Done,
                State::Stopping { pid, until } if until <= now => self.kill(at, pid),
                _ => {}
            }
        }
        while self.table.last().is_some_and(|last| last.pid().is_none()) {
            self.table.pop();
        }
        if let Some(last) = self.table.last_mut() {
            last.stop(now);
        }
        self.table.is_empty()
    }

    /// Returns when the next start or kill is due.
    pub fn next_due(&self) -> Option<Duration> {
        let due = self.table.iter().filter_map(|service| match service.state {
            State::Waiting { until } | State::Stopping { until, .. } => Some(until),
            State::Running { .. } | State::Done => None,
        });
        due.min().filter(|&until| until != Duration::MAX)
    }
}

impl Service {
    fn pid(&self) -> Option<c_int> {
        match self.state {
            State::Running { pid, .. } | State::Stopping { pid, .. } => Some(pid),
            State::Waiting { .. } | State::Done => None,
        }
    }

    fn stop(&mut self, now: Duration) {
        if let State::Running { pid, .. } = self.state {
            process::kill(pid, Signal::TERM);
            self.state = State::Stopping { pid, until: now.saturating_add(KILL_AFTER) };
        }
    }

    fn restart(&mut self, now: Duration) {
        self.delay = FIRST_DELAY;
        match self.state {
            State::Running { .. } => self.stop(now),
            State::Stopping { .. } => {}
            State::Waiting { .. } | State::Done => self.state = State::Waiting { until: now },
        }
    }

    /// Returns the delay before the next start, and doubles the one after it.
    fn next_delay(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = delay.saturating_mul(2).min(LONGEST_DELAY);
        delay
    }

    fn report(&self, exit: Exit) {
        let name = self.name.to_bytes().escape_ascii();
        match exit {
            Exit::Status(status) => say!("init: {name}: ended with {status}"),
            Exit::Signal(Signal(signal)) => say!("init: {name}: ended by signal {signal}"),
        }
    }
}

/// Returns the path of a name in a directory; `None` if it is too long.
pub fn join(directory: &CStr, name: &CStr) -> Option<CString<PATH>> {
    let mut path = CString::new();
    path.extend_from_bytes(directory.to_bytes()).ok()?;
    path.extend_from_bytes(b"/").ok()?;
    path.extend_from_bytes(name.to_bytes()).ok()?;
    Some(path)
}

//! The table of services, and what becomes of each.

use core::ffi::{CStr, c_int};
use core::time::Duration;

use bare::process::{self, Command, Ended, Signal};
use bare::{Args, say, sys};
use heapless::{CString, Vec};
use tinotify::Errno;

/// The most services. No more are started, and that is told.
pub const SERVICES: usize = 32;
/// The most bytes of a name, with a NUL.
pub const NAME: usize = 64;
/// The most bytes of a path, with a NUL.
pub const PATH: usize = 512;
/// The most bytes of a command, with its newline.
const LINE: usize = 1024;

/// How long a service may take to end, before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it takes until a service that died is started again; twice as long each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Whoever lived that long is given the first delay again.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// Times are those of `sys::now`.
#[derive(Clone, Copy)]
enum State {
    /// To be started then.
    Waiting {
        until: Duration,
    },
    Running {
        pid: c_int,
        since: Duration,
    },
    /// Asked to end, to be killed then; to be started again afterwards, if its file is still there.
    Stopping {
        pid: c_int,
        until: Duration,
    },
    /// Ended by itself, without an error: its work is done.
    Done,
}

struct Service {
    name: CString<NAME>,
    /// Of the line that it was started with, to tell whether that has changed.
    sum: u64,
    /// Whether its file is there.
    wanted: bool,
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

    /// Looks at all files.
    pub fn look_at_all(&mut self) {
        let directory = self.directory;
        if let Err(errno) = sys::list(directory, |name| self.look_at(name, true)) {
            say!("init: {}: {errno}", directory.to_bytes().escape_ascii());
        }
        // Those whose files are gone. From the end, for the table may become shorter.
        for at in (0..self.table.len()).rev() {
            if let Some(name) = self.table.get(at).map(|service| service.name.clone()) {
                self.look_at(&name, true);
            }
        }
    }

    /// Looks at the file of that name, which was changed in some way. If it is not complete yet,
    /// that is told only where it should be.
    pub fn look_at(&mut self, name: &CStr, complete: bool) {
        let bytes = name.to_bytes();
        // What editors leave, and hide.
        if bytes.starts_with(b".") || bytes.ends_with(b"~") {
            return;
        }
        match self.command(name) {
            Ok((_, sum)) => self.is_there(name, sum),
            Err(Errno::ENOENT) => self.is_gone(name),
            Err(Errno::EINVAL) if complete => {
                say!("init: {}: no line with the path of a program", bytes.escape_ascii());
            }
            Err(Errno::EINVAL) => {}
            Err(errno) => say!("init: {}: {errno}", bytes.escape_ascii()),
        }
    }

    /// The command in the file of that name, and the sum of its line.
    fn command(&self, name: &CStr) -> Result<(Command, u64), Errno> {
        let path = join(self.directory, name).ok_or(Errno::ENAMETOOLONG)?;
        let mut buffer = [0; LINE];
        let text = sys::read_file(&path, &mut buffer)?;
        // Without its end it may be half of what is being written.
        let end = text.iter().position(|&byte| byte == b'\n').ok_or(Errno::EINVAL)?;
        let line = text.get(..end).unwrap_or_default();
        // FNV-1a.
        let sum = line.iter().fold(0xCBF2_9CE4_8422_2325, |sum: u64, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
        Ok((Command::parse(line).ok_or(Errno::EINVAL)?, sum))
    }

    fn is_there(&mut self, name: &CStr, sum: u64) {
        let now = sys::now();
        let found = self.table.binary_search_by(|service| service.name.as_c_str().cmp(name));
        match found.map(|at| self.table.get_mut(at)) {
            Ok(Some(service)) => {
                let was_wanted = core::mem::replace(&mut service.wanted, true);
                if service.sum != sum || !was_wanted {
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
                    wanted: true,
                    delay: FIRST_DELAY,
                    state: State::Waiting { until: now },
                });
                if service.is_none_or(|service| self.table.insert(at, service).is_err()) {
                    say!(
                        "init: {}: no room for it, or a long name",
                        name.to_bytes().escape_ascii()
                    );
                }
            }
        }
    }

    fn is_gone(&mut self, name: &CStr) {
        let found = self.table.binary_search_by(|service| service.name.as_c_str().cmp(name));
        let Some((at, service)) = found.ok().and_then(|at| Some((at, self.table.get_mut(at)?)))
        else {
            return;
        };
        service.wanted = false;
        service.stop(sys::now());
        if service.pid().is_none() {
            self.table.remove(at);
        }
    }

    /// Restarts the service of that name, or starts it, whatever it does.
    pub fn restart(&mut self, name: &[u8]) {
        match self.table.iter_mut().find(|service| service.name.to_bytes() == name) {
            Some(service) => service.restart(sys::now()),
            None => say!("init: {}: no such service", name.escape_ascii()),
        }
    }

    /// Notes that a child has ended, which may be none of the services.
    pub fn ended(&mut self, pid: c_int, how: Ended) {
        let now = sys::now();
        let found = self.table.iter().position(|service| service.pid() == Some(pid));
        let Some((at, service)) = found.and_then(|at| Some((at, self.table.get_mut(at)?))) else {
            return;
        };
        // Whatever it has left.
        process::kill(pid, Signal::KILL);
        service.tell(how);
        service.state = match service.state {
            _ if !service.wanted => {
                self.table.remove(at);
                return;
            }
            State::Running { .. } if how == Ended::With(0) => State::Done,
            State::Running { since, .. } => {
                if now.saturating_sub(since) >= LONG_LIFE {
                    service.delay = FIRST_DELAY;
                }
                State::Waiting { until: now.saturating_add(service.postpone()) }
            }
            _ => State::Waiting { until: now },
        };
    }

    /// Starts and kills what is due.
    pub fn turn(&mut self) {
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
        // As it is now: more may have changed since.
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
            // If the file is gone, there will be an event.
            Err(errno) => {
                say!("init: {shown}: not started: {errno}");
                State::Waiting { until: now.saturating_add(service.postpone()) }
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

    /// Ends the services one after another, the last first. Gives whether none is left.
    pub fn end(&mut self) -> bool {
        let now = sys::now();
        for at in 0..self.table.len() {
            let Some(service) = self.table.get_mut(at) else { continue };
            service.wanted = false;
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

    /// When the next turn is due.
    pub fn next_turn(&self) -> Option<Duration> {
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
            self.state = State::Stopping { pid, until: now.saturating_add(PATIENCE) };
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

    /// The delay that is due now; the next one is longer.
    fn postpone(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = delay.saturating_mul(2).min(LONGEST_DELAY);
        delay
    }

    fn tell(&self, how: Ended) {
        let name = self.name.to_bytes().escape_ascii();
        match how {
            Ended::With(status) => say!("init: {name}: ended with {status}"),
            Ended::By(Signal(signal)) => say!("init: {name}: ended by signal {signal}"),
        }
    }
}

/// The path of a name in a directory.
pub fn join(directory: &CStr, name: &CStr) -> Option<CString<PATH>> {
    let mut path = CString::new();
    path.extend_from_bytes(directory.to_bytes()).ok()?;
    path.extend_from_bytes(b"/").ok()?;
    path.extend_from_bytes(name.to_bytes()).ok()?;
    Some(path)
}

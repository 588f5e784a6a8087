//! The running command: one child process with a process group of its own.
//!
//! The main thread starts and reaps it. At the end of the program the supervisor stops it, while the main thread may
//! be anywhere. Both share a [`Running`].
//!
//! Invariant: after [`close`](Running::close) no command is started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, set_child_subreaper,
    test_kill_process_group, waitid,
};

/// The time between two checks whether a process group has ended. The kernel reports the end of the child only, not
/// that of the other processes of its group.
pub const CHECK: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    child: Option<Child>,
    /// The process group of the child. What a command leaves behind at its end goes on, as after a shell. Only the
    /// group of a stopped child is kept until all of its processes have ended.
    group: Option<Pid>,
    stopped: bool,
    closed: bool,
}

impl Slot {
    /// Sends a signal that stops the group.
    ///
    /// A process whose parent has ended becomes a child of the tool from now on. Otherwise it would stay in the group
    /// as a zombie, until process 1 reaps it. In a container, process 1 may never do that.
    fn stop(&mut self, signal: Signal) {
        if self.group.is_some() {
            self.stopped = true;
            // Without it the stop can take longer, up to the timeout.
            let _ = set_child_subreaper(Some(rustix::process::getpid()));
            self.signal(signal);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails if the group has ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Running {
    /// Starts a command, unless [`close`](Self::close) was called. The command before must have been reaped.
    ///
    /// # Errors
    ///
    /// Fails if the program cannot be run.
    pub fn start(&self, command: &mut Command) -> io::Result<()> {
        let mut slot = self.lock();
        if !slot.closed {
            let child = command.process_group(0).spawn()?;
            slot.group = Some(Pid::from_child(&child));
            slot.stopped = false;
            slot.child = Some(child);
        }
        Ok(())
    }

    /// Reaps the child if it has ended. Returns `None` otherwise, also without a child. Does not block.
    pub fn ended(&self) -> io::Result<Option<ExitStatus>> {
        let mut slot = self.lock();
        let Some(child) = &mut slot.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            slot.child = None;
            if !slot.stopped {
                slot.group = None;
            }
        }
        Ok(status)
    }

    /// Waits until the child has ended, without reaping it. The supervisor can stop it in the meantime.
    pub fn wait(&self) {
        let child = self.lock().child.as_ref().map(Pid::from_child);
        if let Some(child) = child {
            let _ = waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        }
    }

    /// Sends a signal to the child and all processes of its group.
    pub fn signal(&self, signal: Signal) {
        self.lock().signal(signal);
    }

    /// Sends a signal that stops the child and all processes of its group. [`is_gone`](Self::is_gone) returns
    /// whether they have ended.
    pub fn stop(&self, signal: Signal) {
        self.lock().stop(signal);
    }

    /// Returns `true` if the child has been reaped and no process of its group is left. Does not block.
    ///
    /// The number of a group is not reused before the numbers of all processes are used up.
    pub fn is_gone(&self) -> bool {
        let mut slot = self.lock();
        if slot.child.is_some() {
            return false;
        }
        let Some(group) = slot.group else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        while matches!(waitid(WaitId::Pgid(Some(group)), options), Ok(Some(_))) {}
        if test_kill_process_group(group).is_err() {
            slot.group = None;
            let _ = set_child_subreaper(None);
        }
        slot.group.is_none()
    }

    /// Prevents that another command is started, and sends a signal to the one that runs.
    pub fn close(&self, signal: Signal) {
        let mut slot = self.lock();
        slot.closed = true;
        slot.stop(signal);
    }

    /// Waits until the group has ended. Kills it after `timeout`, or when `hurry` returns `true`.
    pub fn wait_or_kill(&self, timeout: Duration, hurry: impl Fn(Duration) -> bool) {
        let begun = Instant::now();
        loop {
            let _ = self.ended();
            if self.is_gone() {
                return;
            }
            if begun.elapsed() >= timeout || hurry(CHECK) {
                break;
            }
        }
        self.signal(Signal::KILL);
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What a watcher and its handles share, and the one lock on it.
//!
//! No user's code runs under the lock. What may hold users' values is dropped when the lock is open. A
//! tree is taken out of the state to work on it, since its engine runs the user's exclude condition.

use std::any::Any;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::error::WatchError;
use super::id::WatchId;
use super::options::OnWatchLimit;
use super::state::State;
use super::state::tree::{TreeChangeRequest, TreeDriver, is_excluding};
use super::state::trees::TakenTree;
use super::wakeup::Wakeup;
use crate::event::{Event, Wd};
use crate::inotify::Inotify;
use crate::sys::Errno;
use crate::tree::TreeEvent;
use crate::tree::linux::Host;

#[derive(Debug)]
pub(super) struct Shared {
    inotify: Arc<Inotify>,
    wakeup: Arc<Wakeup>,
    /// Counts the changes of routes, so that a reader knows when its copies are out of date.
    version: AtomicU64,
    state: Mutex<State>,
    /// Signalled when a tree comes home.
    came_home: Condvar,
}

/// What an exclude condition panicked with.
type Panic = Box<dyn Any + Send>;

/// What came of work on a tree.
#[derive(Debug, Default)]
pub(super) struct Worked {
    /// Whether the tree has more to report, before it is fed again.
    pub more: bool,
    /// What its exclude condition panicked with.
    pub panicked: Option<Panic>,
}

impl Worked {
    /// Goes on with the panic.
    pub fn resume_panic(self) {
        if let Some(payload) = self.panicked {
            panic::resume_unwind(payload);
        }
    }
}

impl Shared {
    pub fn new(inotify: Inotify, wakeup: Wakeup, state: State) -> Self {
        Self {
            inotify: Arc::new(inotify),
            wakeup: Arc::new(wakeup),
            version: AtomicU64::new(0),
            state: Mutex::new(state),
            came_home: Condvar::new(),
        }
    }

    #[inline]
    pub fn inotify(&self) -> &Inotify {
        &self.inotify
    }

    #[inline]
    pub const fn wakeup(&self) -> &Arc<Wakeup> {
        &self.wakeup
    }

    /// Leaves the descriptor open for ever.
    pub fn leak_inotify(&self) {
        std::mem::forget(Arc::clone(&self.inotify));
    }

    /// Returns the inotify instance, if nobody else has it.
    pub fn into_inotify(self) -> Option<Inotify> {
        Arc::into_inner(self.inotify)
    }

    /// Returns the number of changes of routes.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user's code runs under the lock, so what panicked there left the state as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state.
    pub fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the state. Readers know by the time this returns.
    pub fn change<R>(&self, change: impl FnOnce(&mut State, &Inotify) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state, &self.inotify);
        if state.take_changed() {
            self.version.fetch_add(1, Ordering::Release);
        }
        let discarded = state.take_discarded();
        drop(state);
        // This may run users' code.
        drop(discarded);
        result
    }

    /// Changes parts of the state that are not in routes. `work` removes nothing that may hold users' values.
    pub fn with_state<R>(&self, work: impl FnOnce(&mut State, &Inotify) -> R) -> R {
        work(&mut self.lock(), &self.inotify)
    }

    /// Wakes the reader if it has something to do that no record of the kernel brings.
    pub fn wake_reader(&self) {
        // Under the lock, so that the reader takes back a wake-up only after what it is for.
        let mut state = self.lock();
        if state.needs_reader() && state.set_woken(true) {
            self.wakeup.wake();
        }
    }

    /// Makes the counter readable once more, though it may be so already.
    pub fn wake_again(&self) {
        let mut state = self.lock();
        state.set_woken(true);
        self.wakeup.wake();
    }

    /// Works on a tree with the lock open: what has come for it, and then `task`. Returns the default if it
    /// is at work elsewhere.
    pub fn work_on_tree(
        &self,
        id: WatchId,
        task: impl FnOnce(&mut TreeDriver, &Inotify, &dyn Host),
    ) -> Worked {
        match self.change(|state, _| state.trees_mut().take(id)) {
            Some(taken) => self.work(id, taken, task),
            None => Worked::default(),
        }
    }

    /// Has a tree take a record, now or when it comes home.
    pub fn feed_tree(&self, id: WatchId, event: Event<'_>, position: u64) -> Worked {
        let take = |state: &mut State, _: &_| {
            let (taken, is_lost) = state.trees_mut().take_or_keep(id, event, position);
            if is_lost {
                state.push_overflow();
            }
            taken
        };
        match self.change(take) {
            Some(taken) => self.work(id, taken, |driver, inotify, host| {
                driver.feed(inotify, host, event, position);
            }),
            None => Worked::default(),
        }
    }

    /// Changes a tree now. If it is at work, the change waits: the thread that works on the tree makes it,
    /// or the reader does.
    ///
    /// # Panics
    ///
    /// If the exclude condition does.
    pub fn change_tree(&self, id: WatchId, request: TreeChangeRequest) {
        let taken = self.change(|state, _| {
            state.trees_mut().request(id, request);
            // The reader is to keep the tree's records meanwhile.
            state.set_changed();
            state.trees_mut().take(id)
        });
        let mut worked = Worked::default();
        if let Some(taken) = taken {
            worked = self.work(id, taken, |_, _, _| {});
            // Once more for changes that were asked for meanwhile. The reader makes later ones.
            if let Some(taken) = self.change(|state, _| state.trees_mut().take_requested(id)) {
                let again = self.work(id, taken, |_, _, _| {});
                worked.panicked = worked.panicked.or(again.panicked);
            }
        }
        self.wake_reader();
        worked.resume_panic();
    }

    fn work(
        &self,
        id: WatchId,
        taken: TakenTree,
        task: impl FnOnce(&mut TreeDriver, &Inotify, &dyn Host),
    ) -> Worked {
        let host = TreeHost { shared: self, id };
        let TakenTree { driver, requests, kept } = taken;
        let mut away = Away { shared: self, id, driver: Some(driver), reports: Vec::new() };
        let Some(driver) = &mut away.driver else { return Worked::default() };
        if !requests.is_empty() {
            driver.change(&self.inotify, &host, requests);
            self.report_all(&host, driver);
        }
        for record in kept {
            driver.feed(&self.inotify, &host, record.event(), record.position);
            self.report_all(&host, driver);
        }
        task(driver, &self.inotify, &host);
        let more;
        (away.reports, more) = driver.report(&self.inotify, &host);
        let panicked = driver.take_panic();
        drop(away);
        Worked { more, panicked }
    }

    fn report_all(&self, host: &TreeHost<'_>, driver: &mut TreeDriver) {
        let mut more = true;
        while more {
            let reports;
            (reports, more) = driver.report(&self.inotify, host);
            self.change(|state, _| state.push_reports(host.id, reports));
        }
    }

    /// Sets up a tree that was added. It ends if that fails. Returns `false` if it was ended meanwhile.
    ///
    /// # Errors
    ///
    /// The error, and the path beneath the root that it is of.
    ///
    /// # Panics
    ///
    /// If the exclude condition does.
    pub fn set_up_tree(
        &self,
        id: WatchId,
        driver: TreeDriver,
        on_watch_limit: OnWatchLimit,
    ) -> Result<bool, (Errno, Vec<u8>)> {
        let host = TreeHost { shared: self, id };
        let driver = Some(Box::new(driver));
        let mut away = Away { shared: self, id, driver, reports: Vec::new() };
        let Some(driver) = &mut away.driver else { return Ok(false) };
        let set_up = driver.set_up(&self.inotify, &host, on_watch_limit);
        let panicked = driver.take_panic();
        let set_up = set_up.map(|reports| {
            self.change(|state, _| {
                state.push_reports(id, reports);
                state.registry().get(id).is_ok()
            })
        });
        if set_up.is_err() || panicked.is_some() {
            // The tree is stopped when it comes home.
            let _ = self.change(|state, inotify| state.remove(inotify, id));
        }
        drop(away);
        Worked { more: false, panicked }.resume_panic();
        self.wake_reader();
        set_up
    }

    /// Stops a tree that was ended.
    pub fn stop_tree(&self, id: WatchId, mut driver: Box<TreeDriver>) {
        driver.stop(&self.inotify, &TreeHost { shared: self, id });
        self.change(|state, inotify| {
            state.trees_mut().remove(id);
            state.release_unclear(inotify);
        });
        self.came_home.notify_all();
        // This may run users' code.
        drop(driver);
    }

    /// Looks at a tree once it is at home.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchWatch`] if there is no such tree, and [`WatchError::InExclude`] if the tree is at work, and this thread runs an exclude condition.
    pub fn look_at_tree<R>(
        &self,
        id: WatchId,
        look: impl FnOnce(&State, &TreeDriver) -> R,
    ) -> Result<R, WatchError> {
        let mut state = self.lock();
        loop {
            state.registry().get_tree(id)?;
            if let Some(driver) = state.trees().driver(id) {
                return Ok(look(&state, driver));
            }
            if is_excluding() {
                return Err(WatchError::InExclude(id));
            }
            state = self.came_home.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A tree at work. It comes home with its reports when this is dropped, whatever happened.
struct Away<'a> {
    shared: &'a Shared,
    id: WatchId,
    driver: Option<Box<TreeDriver>>,
    reports: Vec<TreeEvent>,
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let Some(driver) = self.driver.take() else { return };
        let (shared, id) = (self.shared, self.id);
        let reports = std::mem::take(&mut self.reports);
        let homecoming = shared.change(|state, inotify| {
            state.push_reports(id, reports);
            state.set_changed();
            let homecoming = state.trees_mut().come_home(id, driver);
            state.release_unclear(inotify);
            homecoming
        });
        match homecoming {
            Ok(()) => shared.came_home.notify_all(),
            Err(driver) => shared.stop_tree(id, driver),
        }
    }
}

/// What a tree at work shares with the others: it takes the lock for each call.
struct TreeHost<'a> {
    shared: &'a Shared,
    id: WatchId,
}

impl Host for TreeHost<'_> {
    fn is_shared(&self, wd: Wd) -> bool {
        self.shared.look(|state| state.may_be_needed(wd, self.id))
    }

    fn unless_shared(&self, wd: Wd, change: &mut dyn FnMut()) {
        self.shared.look(|state| {
            if !state.may_be_needed(wd, self.id) {
                change();
            }
        });
    }

    fn unwatch(&self, wd: Wd) {
        self.shared.change(|state, inotify| state.release_of_tree(inotify, wd, self.id));
    }

    fn front(&self) -> u64 {
        self.shared.look(|state| state.queue().front())
    }

    fn end(&self) -> u64 {
        self.shared.look(|state| state.queue().end(&self.shared.inotify))
    }

    fn read_ahead(&self, events: u32) {
        self.shared.change(|state, inotify| state.queue_mut().read_ahead(inotify, events));
    }
}

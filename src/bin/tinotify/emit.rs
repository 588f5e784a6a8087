//! Decides which events are emitted, and under which names.

use std::fmt::Display;
use std::sync::Arc;

use tinotify::EventMask;

use crate::args::Options;
use crate::cookies::Cookies;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::output::{Event, Location};
use crate::sink::Sink;

/// The effect of an event on the session. A greater one takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing was emitted.
    Nothing,
    /// Nothing was emitted, but a watch ended or events were lost.
    Interrupted,
    /// An event was emitted.
    Emitted,
    /// An event was emitted, and no more will be.
    Last,
}

/// A rename whose both paths are known.
#[derive(Clone, Copy)]
struct Rename<'a> {
    from: Location<'a>,
    to: Location<'a>,
    /// `ISDIR` for a directory.
    is_dir: EventMask,
    cookie: u32,
    discovered: bool,
}

/// Emits events, up to the number of `--count`. Without `--monitor` it emits one. Discards the others.
pub struct Emitter {
    /// The selected events.
    events: EventMask,
    joins_renames: bool,
    cookies: Cookies,
    filter: Option<Arc<Filter>>,
    sink: Sink,
    /// The number of events that may still be emitted. `None`: no limit.
    left: Option<u64>,
}

impl Emitter {
    pub fn new(options: &Options, filter: Option<Arc<Filter>>, sink: Sink) -> Self {
        Self {
            events: options.events,
            joins_renames: options.renames,
            cookies: Cookies::new(options.has_own_cookies()),
            filter,
            sink,
            left: match options.count {
                Some(count) => Some(count.get()),
                None => (!options.monitor).then_some(1),
            },
        }
    }

    /// Emits an event of the kernel.
    pub fn event(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        let cookie = self.cookies.of_half(cookie, mask.contains(EventMask::MOVED_FROM));
        self.selected(at, &Event { cookie, ..Event::new(at, mask) })
    }

    /// Emits a file or directory that is there at the start. It is always selected. Without `--monitor`,
    /// the tool still waits for an event.
    pub fn existing(&mut self, at: Location<'_>, mask: EventMask) -> Result<(), Failure> {
        let event = Event { word: Some("EXISTING"), discovered: true, ..Event::new(at, mask) };
        if self.left == Some(0) {
            return Ok(());
        }
        if self.shows(at, mask) {
            self.sink.event(&event)?;
        } else {
            self.sink.count_hidden();
        }
        Ok(())
    }

    /// Emits a change that was discovered on disk, under the name of a selected event.
    pub fn discovered(&mut self, at: Location<'_>, mask: EventMask) -> Result<Effect, Failure> {
        let mask = kernel_event(mask, self.events);
        self.selected(at, &Event { discovered: true, ..Event::new(at, mask) })
    }

    /// Emits the net effect of several events, under the name of a selected event.
    pub fn merged(&mut self, mask: EventMask, at: Location<'_>) -> Result<Effect, Failure> {
        self.selected(at, &Event::new(at, kernel_event(mask, self.events)))
    }

    /// Emits an event that the kernel does not have. It is always selected.
    pub fn word(
        &mut self,
        word: &'static str,
        at: Location<'_>,
        mask: EventMask,
    ) -> Result<Effect, Failure> {
        self.filtered(at, &Event { word: Some(word), discovered: true, ..Event::new(at, mask) })
    }

    /// Prints an object in JSON, with the reason if there is one. In other formats it is a message, or
    /// nothing.
    pub fn note(
        &mut self,
        word: &'static str,
        at: Location<'_>,
        discovered: bool,
        why: impl Display,
    ) -> Result<Effect, Failure> {
        if self.sink.is_json() {
            let event = Event::new(at, EventMask::empty());
            let why = &why.to_string();
            self.sink.note(&Event { word: Some(word), discovered, why, ..event })?;
        }
        Ok(Effect::Nothing)
    }

    /// Emits a rename: as one event with `--renames` if both paths pass the filter, otherwise as two. A
    /// rename without a cookie of the kernel was discovered.
    pub fn renamed(
        &mut self,
        from: Location<'_>,
        to: Location<'_>,
        is_dir: EventMask,
        kernel_cookie: u32,
    ) -> Result<Effect, Failure> {
        let rename = Rename {
            from,
            to,
            is_dir,
            cookie: self.cookies.of_both(kernel_cookie),
            discovered: kernel_cookie == 0,
        };
        if self.joins(from, to, is_dir) {
            return self.joined("RENAMED", &rename);
        }
        let first = self.left(&rename)?;
        Ok(first.max(self.came(&rename)?))
    }

    /// Emits an exchange of two names: as one event with `--renames` if both paths pass the filter,
    /// otherwise as two renames. Both entries leave before one comes, so that none seems to be replaced.
    pub fn exchanged(
        &mut self,
        one: Location<'_>,
        other: Location<'_>,
        is_dir: EventMask,
        kernel_cookie: u32,
    ) -> Result<Effect, Failure> {
        let cookie = self.cookies.of_both(kernel_cookie);
        let first = Rename { from: one, to: other, is_dir, cookie, discovered: false };
        if self.joins(one, other, is_dir) {
            return self.joined("EXCHANGED", &first);
        }
        let cookie = self.cookies.of_both(0);
        let second = Rename { from: other, to: one, cookie, ..first };
        let mut effect = self.left(&first)?;
        effect = effect.max(self.left(&second)?);
        effect = effect.max(self.came(&first)?);
        Ok(effect.max(self.came(&second)?))
    }

    /// Returns `true` if the two halves of a rename are one event.
    fn joins(&self, from: Location<'_>, to: Location<'_>, is_dir: EventMask) -> bool {
        self.joins_renames && self.shows(from, is_dir) && self.shows(to, is_dir)
    }

    /// Emits the first half of a rename.
    fn left(&mut self, rename: &Rename<'_>) -> Result<Effect, Failure> {
        self.half(rename, rename.from, EventMask::MOVED_FROM)
    }

    /// Emits the second half of a rename.
    fn came(&mut self, rename: &Rename<'_>) -> Result<Effect, Failure> {
        self.half(rename, rename.to, EventMask::MOVED_TO)
    }

    fn half(
        &mut self,
        rename: &Rename<'_>,
        at: Location<'_>,
        half: EventMask,
    ) -> Result<Effect, Failure> {
        let &Rename { is_dir, cookie, discovered, .. } = rename;
        self.selected(at, &Event { cookie, discovered, ..Event::new(at, half | is_dir) })
    }

    /// Emits the end of a watch if it is selected. JSON always prints it.
    pub fn ended(&mut self, at: Location<'_>, mask: EventMask) -> Result<Effect, Failure> {
        match self.event(at, mask, 0)? {
            Effect::Nothing => self.note("IGNORED", at, false, ""),
            effect => Ok(effect),
        }
    }

    /// Counts an overflow, and emits it if it is selected. JSON always prints it.
    pub fn overflow(&mut self, mask: EventMask) -> Result<Effect, Failure> {
        if let Some(filter) = &self.filter {
            filter.overflow();
        }
        let event = Event::new(Location::watched(b""), mask);
        let effect = match self.events.contains(EventMask::Q_OVERFLOW) {
            true => self.admit(),
            false => Effect::Nothing,
        };
        self.sink.overflow(&event, effect != Effect::Nothing)?;
        Ok(effect.max(Effect::Interrupted))
    }

    /// Emits one event for two paths that pass the filter, if renames are selected.
    fn joined(&mut self, word: &'static str, rename: &Rename<'_>) -> Result<Effect, Failure> {
        let mask = EventMask::MOVED_TO | rename.is_dir;
        self.observe(rename.from, mask, false);
        self.observe(rename.to, mask, false);
        if !self.events.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO) {
            return Ok(Effect::Nothing);
        }
        let &Rename { from, to, is_dir, cookie, discovered } = rename;
        let (from, event) = (from.path(), Event::new(to, EventMask::MOVED_TO | is_dir));
        self.emit(&Event { word: Some(word), cookie, from, discovered, ..event })
    }

    /// Emits an event if it is selected.
    fn selected(&mut self, at: Location<'_>, event: &Event<'_>) -> Result<Effect, Failure> {
        self.observe(at, event.mask, event.discovered);
        if event.mask.intersects(self.events) {
            self.filtered(at, event)
        } else {
            Ok(Effect::Nothing)
        }
    }

    /// Emits an event if its path passes the filter.
    fn filtered(&mut self, at: Location<'_>, event: &Event<'_>) -> Result<Effect, Failure> {
        if self.shows(at, event.mask) {
            return self.emit(event);
        }
        self.sink.count_hidden();
        Ok(Effect::Nothing)
    }

    /// Shows an event to the filter, because it may be of an ignore file.
    pub fn observe(&self, at: Location<'_>, mask: EventMask, is_discovered: bool) {
        if let Some(filter) = &self.filter {
            filter.observe(at, mask, is_discovered);
        }
    }

    /// Returns `true` if an event of this path can be emitted.
    pub fn shows(&self, at: Location<'_>, mask: EventMask) -> bool {
        let is_dir = mask.contains(EventMask::ISDIR);
        if !is_dir && self.sink.is_own_output(at.path()) {
            return false;
        }
        self.filter.as_ref().is_none_or(|filter| filter.shows(at, is_dir))
    }

    fn emit(&mut self, event: &Event<'_>) -> Result<Effect, Failure> {
        let effect = self.admit();
        if effect != Effect::Nothing {
            self.sink.event(event)?;
        }
        Ok(effect)
    }

    /// Returns the effect of emitting one more event. [`Effect::Nothing`] if it may not be emitted.
    fn admit(&mut self) -> Effect {
        match &mut self.left {
            None => Effect::Emitted,
            Some(0) => Effect::Nothing,
            Some(left) => {
                *left -= 1;
                if *left == 0 { Effect::Last } else { Effect::Emitted }
            }
        }
    }

    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    pub fn sink_mut(&mut self) -> &mut Sink {
        &mut self.sink
    }
}

/// Chooses an event of the kernel for a discovered change, whose cause is unknown: a selected one if
/// possible.
fn kernel_event(discovered: EventMask, selected: EventMask) -> EventMask {
    use EventMask as E;
    let candidates: &[E] = if discovered.contains(E::DELETE) {
        &[E::DELETE, E::MOVED_FROM]
    } else if discovered.contains(E::MODIFY) {
        &[E::MODIFY, E::CLOSE_WRITE, E::ATTRIB]
    } else if discovered.contains(E::ISDIR) {
        &[E::CREATE, E::MOVED_TO]
    } else {
        &[E::CREATE, E::CLOSE_WRITE, E::MOVED_TO, E::MODIFY]
    };
    let event = candidates.iter().find(|event| selected.intersects(**event));
    event.map_or(discovered, |event| *event | discovered & E::ISDIR)
}

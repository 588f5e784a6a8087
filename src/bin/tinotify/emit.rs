//! Decides which events are emitted, and under which names.

use std::sync::Arc;

use tinotify::EventMask;

use crate::args::Options;
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
}

/// Emits events. Without `--monitor` it emits one, and discards the others.
pub struct Emitter {
    /// The selected events.
    events: EventMask,
    monitor: bool,
    joins_renames: bool,
    filter: Option<Arc<Filter>>,
    sink: Sink,
    /// `true` if no more events are emitted.
    done: bool,
}

impl Emitter {
    pub fn new(options: &Options, filter: Option<Arc<Filter>>, sink: Sink) -> Self {
        Self {
            events: options.events,
            monitor: options.monitor,
            joins_renames: options.renames,
            filter,
            sink,
            done: false,
        }
    }

    /// Emits an event of the kernel.
    pub fn event(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        self.selected(at, &Event { cookie, ..Event::new(at, mask) })
    }

    /// Emits a change that was discovered on disk, under the name of a selected event.
    pub fn discovered(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        let mask = kernel_event(mask, self.events);
        self.selected(at, &Event { cookie, discovered: true, ..Event::new(at, mask) })
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

    /// Prints an object in JSON. In other formats it is a message, or nothing.
    pub fn note(
        &mut self,
        word: &'static str,
        at: Location<'_>,
        discovered: bool,
    ) -> Result<Effect, Failure> {
        let event = Event::new(at, EventMask::empty());
        self.sink.note(&Event { word: Some(word), discovered, ..event })?;
        Ok(Effect::Nothing)
    }

    /// Emits a rename: as one event with `--renames` if both paths pass the filter, otherwise as two.
    pub fn renamed(
        &mut self,
        from: Location<'_>,
        to: Location<'_>,
        is_dir: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        let moved_from = EventMask::MOVED_FROM | is_dir;
        let moved_to = EventMask::MOVED_TO | is_dir;
        if self.joins_renames && self.passes(from, moved_from) && self.passes(to, moved_to) {
            return self.joined("RENAMED", from, to, moved_to, cookie);
        }
        let first = self.event(from, moved_from, cookie)?;
        Ok(first.max(self.event(to, moved_to, cookie)?))
    }

    /// Emits an exchange of two names: as one event with `--renames` if both paths pass the filter,
    /// otherwise as two renames.
    pub fn exchanged(
        &mut self,
        one: Location<'_>,
        other: Location<'_>,
        is_dir: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        let moved_to = EventMask::MOVED_TO | is_dir;
        if self.joins_renames && self.passes(one, moved_to) && self.passes(other, moved_to) {
            return self.joined("EXCHANGED", one, other, moved_to, cookie);
        }
        let first = self.renamed(one, other, is_dir, cookie)?;
        Ok(first.max(self.renamed(other, one, is_dir, cookie.wrapping_add(1))?))
    }

    /// Counts an overflow, and emits it if it is selected. JSON always prints it.
    pub fn overflow(&mut self, mask: EventMask) -> Result<Effect, Failure> {
        if let Some(filter) = &self.filter {
            filter.overflow();
        }
        let selected = self.events.contains(EventMask::Q_OVERFLOW);
        self.sink.overflow(&Event::new(Location::watched(b""), mask), selected)?;
        Ok(if selected { Effect::Emitted } else { Effect::Interrupted })
    }

    /// Emits one event for two paths that pass the filter, if renames are selected.
    fn joined(
        &mut self,
        word: &'static str,
        from: Location<'_>,
        to: Location<'_>,
        mask: EventMask,
        cookie: u32,
    ) -> Result<Effect, Failure> {
        self.observe(from, mask, false);
        self.observe(to, mask, false);
        if !self.events.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO) {
            return Ok(Effect::Nothing);
        }
        let event = Event::new(to, mask);
        self.emit(&Event { word: Some(word), cookie, from: from.path(), ..event })
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
        if self.passes(at, event.mask) {
            return self.emit(event);
        }
        self.sink.count_hidden();
        Ok(Effect::Nothing)
    }

    /// Shows an event to the filter, because it may be of an ignore file.
    fn observe(&self, at: Location<'_>, mask: EventMask, is_discovered: bool) {
        if let Some(filter) = &self.filter {
            filter.observe(at, mask, is_discovered);
        }
    }

    fn passes(&self, at: Location<'_>, mask: EventMask) -> bool {
        let is_dir = mask.contains(EventMask::ISDIR);
        self.filter.as_ref().is_none_or(|filter| filter.shows(at, is_dir))
    }

    fn emit(&mut self, event: &Event<'_>) -> Result<Effect, Failure> {
        if self.done {
            return Ok(Effect::Nothing);
        }
        self.done = !self.monitor;
        self.sink.event(event)?;
        Ok(Effect::Emitted)
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

//! The event that is lent, and its recipient.

use super::super::event::{Detail, WatchEvent, WatchEventBuf};
use super::super::path::EventPath;
use super::routes::Routes;
use crate::event::Event;
use crate::follow::NameChange;

/// What is lent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lent {
    /// The record, to one of its recipients.
    Record(usize),
    /// The record, to the follower of a name: the file was changed.
    Changed(usize),
    /// The record, to nobody in particular.
    All,
    /// The notice.
    Notice,
}

/// Says of a record that the file that a name leads to was changed.
static CHANGED: Detail = Detail::Name(NameChange::Changed);

impl Lent {
    /// Returns the event that is lent: the record, or the notice.
    #[inline(always)]
    pub fn event<'a>(
        self,
        record: Event<'a>,
        routes: &'a Routes,
        notice: Option<&'a WatchEventBuf>,
    ) -> WatchEvent<'a> {
        let of = |index, detail| {
            WatchEvent::new(record, routes.subscription(index), routes.path(), detail)
        };
        match (self, notice) {
            (Self::Record(index), _) => of(index, None),
            (Self::Changed(index), _) => of(index, Some(&CHANGED)),
            (Self::Notice, Some(notice)) => notice.as_event(),
            (Self::All | Self::Notice, _) => WatchEvent::new(record, None, EventPath::EMPTY, None),
        }
    }
}

//! The queue of events that the watcher makes itself. No event waits anywhere else.

use std::collections::VecDeque;
use std::sync::Arc;

use super::id::WatchId;
use super::subscription::Subscription;
use crate::follow::NameChange;
use crate::tree::{TreeEvent, TreeKind};

/// An event that is not a record of the kernel.
#[derive(Debug)]
pub(super) enum Notice {
    /// Something became of a followed name.
    Name(WatchId, NameChange),
    /// A tree reports.
    Tree(WatchId, TreeEvent),
    /// The last event of a tree whose root is gone. The watch ends when it is delivered.
    TreeEnd(WatchId),
    /// The last event of a watch that has ended.
    Ended(Arc<Subscription>),
}

/// What waits to be delivered.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    notices: VecDeque<Notice>,
}

impl Outbox {
    pub fn push(&mut self, notice: Notice) {
        self.notices.push_back(notice);
    }

    /// Adds a report of a tree, and the end of its watch if the report is its last one.
    pub fn push_report(&mut self, tree: WatchId, event: TreeEvent) {
        let is_last = matches!(event.kind, TreeKind::RootRemoved | TreeKind::RootUnmounted);
        // An overflow belongs to all, and is a record of the kernel.
        if event.kind != TreeKind::Overflow {
            self.push(Notice::Tree(tree, event));
        }
        if is_last {
            self.push(Notice::TreeEnd(tree));
        }
    }

    pub fn extend(&mut self, notices: impl IntoIterator<Item = Notice>) {
        self.notices.extend(notices);
    }

    pub fn pop(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }
}

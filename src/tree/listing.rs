//! Processes the listings of directories, step by step.

use alloc::vec::Vec;

use super::agenda::{Check, Seen, When};
use super::edits::{Failure, failure};
use super::event::TreeKind;
use super::files::Compared;
use super::kernel::{Kernel, Stat};
use super::look::{Purpose, Visit};
use super::nodes::{Listing, NodeRef, ROOT};
use super::{LISTING_EVENTS, Stage, Tree};
use crate::flags::EventMask;
use crate::sys::Errno;

/// A directory whose listing is in progress.
#[derive(Debug)]
pub(super) struct Frame<D> {
    node: NodeRef,
    /// `None` if it was closed because too many are open.
    dir: Option<D>,
    /// The entries, one behind the other: whether it is a directory, its name, and a NUL.
    entries: Vec<u8>,
    next: usize,
    purpose: Purpose,
    opening: Opening,
}

/// Whether the next subdirectory of a listing is opened at once, or first its link count is read: if that
/// says that it has no subdirectories, it need not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Ask,
    /// The previous one had subdirectories.
    Open,
    /// Link counts don't count subdirectories here.
    Always,
}

impl Opening {
    /// Returns the value for the next directory. `listed` is whether this one was listed, and if so, whether
    /// it had subdirectories.
    const fn after(self, listed: Option<bool>) -> Self {
        match (self, listed) {
            (Self::Always, _) | (Self::Ask, Some(false)) => Self::Always,
            (_, Some(true)) => Self::Open,
            _ => Self::Ask,
        }
    }
}

/// Takes the next entry of a listing: whether it is a directory, and its name.
fn take_entry<'a>(entries: &'a [u8], next: &mut usize) -> Option<(bool, &'a [u8])> {
    let rest = entries.get(*next..).unwrap_or_default();
    let (&is_dir, rest) = rest.split_first()?;
    let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
    *next = next.saturating_add(name.len()).saturating_add(2);
    Some((is_dir != 0, name))
}

impl<D> Tree<D> {
    /// Lists an open, watched directory. [`step`](Self::step) processes the listing.
    pub(super) fn list<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        node: NodeRef,
        mut dir: D,
        purpose: Purpose,
    ) -> Result<(), Errno> {
        let files = purpose.new || self.options.track_files;
        if self.watched_events.intersects(LISTING_EVENTS)
            && self.stage != Stage::Steady
            && !self.nodes.is_narrowed(node)
        {
            if let Some(wd) = self.nodes.wd(node) {
                kernel.narrow_mask(&dir, wd, self.watched_events.difference(LISTING_EVENTS));
                self.nodes.set_narrowed(node, true);
                self.narrowed.push(node);
            }
        }
        let mut entries = Vec::new();
        let listed = kernel.list(&mut dir, &mut |name, is_dir| {
            if is_dir || files {
                entries.push(u8::from(is_dir));
                entries.extend_from_slice(name);
                entries.push(0);
            }
        });
        match listed {
            // It was removed, so it is empty and stays empty.
            Err(errno) if failure(errno) == Failure::Moved => entries.clear(),
            listed => listed?,
        }
        if self.nodes.listing(node) == Listing::Failed {
            // It stays `Failed` until all its entries were examined.
            self.cancel_retry(node);
            self.agenda.unpark(node);
        } else {
            self.nodes.set_listing(node, Listing::Done);
        }
        if files {
            self.files.open(node, purpose.deep);
            self.agenda.window(node, When::End);
        }
        if purpose.deep {
            self.check_missing(node, &entries);
        }
        self.frames.push(Frame {
            node,
            dir: Some(dir),
            entries,
            next: 0,
            purpose,
            opening: Opening::Ask,
        });
        Ok(())
    }

    /// Adds checks of the known names that were not listed.
    fn check_missing(&mut self, node: NodeRef, entries: &[u8]) {
        let mut listed: Vec<&[u8]> = Vec::new();
        for entry in entries.split(|&byte| byte == 0) {
            if let Some((&1, name)) = entry.split_first() {
                listed.push(name);
            }
        }
        let first = self.nodes.first_child(node);
        // Mostly the listing has the same order as the one from which they are known, and the last one is the
        // first child.
        let mut children = core::iter::successors(first, |child| self.nodes.sibling(*child));
        let mut in_order = listed.iter().rev();
        if children.all(|child| in_order.next().is_some_and(|name| *name == self.nodes.name(child)))
        {
            return;
        }
        listed.sort_unstable();
        let mut child = first;
        while let Some(node) = child {
            if listed.binary_search(&self.nodes.name(node)).is_err() {
                let (parent, name) = (self.nodes.parent(node).unwrap_or(ROOT), self.name(node));
                // A listing takes the lock of the directory, so a missing name needs no further scan. But a
                // link that leads nowhere is listed as a file.
                let seen = Some(Seen::Nothing).filter(|_| !self.links.has(node));
                let check = Check { seen, deep: true, ..Check::default() };
                self.agenda.check(parent, &name, check, When::End);
            }
            child = self.nodes.sibling(node);
        }
    }

    /// Processes the next entry of the innermost listing.
    pub(super) fn step<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(mut frame) = self.frames.pop() else { return };
        if !self.nodes.exists(frame.node) {
            return;
        }
        let Some((is_dir, name)) = take_entry(&frame.entries, &mut frame.next) else {
            if let Some(dir) = &frame.dir {
                self.widen_open(kernel, frame.node, dir);
            }
            if self.nodes.listing(frame.node) == Listing::Failed {
                self.agenda.listed(frame.node);
            }
            if let Some(outer) = self.frames.last_mut().filter(|_| frame.opening == Opening::Always)
            {
                outer.opening = Opening::Always;
            }
            return;
        };
        if !is_dir && !self.options.track_files {
            self.named_file(frame.node, name, None, frame.purpose);
            return self.frames.push(frame);
        }
        let dir = match frame.dir.take().map_or_else(|| self.open(kernel, frame.node), Ok) {
            Ok(dir) => dir,
            Err(errno) => return self.postpone(frame, errno),
        };
        let outer = self.frames.len();
        if is_dir {
            let open_first = frame.opening != Opening::Ask;
            let purpose = Purpose { links_last: true, open_first, ..frame.purpose };
            let visit = self.visit(kernel, &dir, (frame.node, name), purpose, None);
            let inner = self.frames.get_mut(outer);
            frame.opening =
                frame.opening.after(inner.as_ref().map(|inner| !inner.entries.is_empty()));
            if let Some(inner) = inner.filter(|_| frame.opening == Opening::Always) {
                inner.opening = Opening::Always;
            }
            self.entry_visited(kernel, &dir, (frame.node, name), visit, frame.purpose);
        } else {
            self.file(kernel, &dir, frame.node, name, frame.purpose);
        }
        frame.dir = Some(dir);
        // The listing of a subdirectory that was just entered comes first.
        self.frames.insert(outer.min(self.frames.len()), frame);
        let excess = self.frames.len().checked_sub(self.options.max_open);
        if let Some(frame) = excess.and_then(|index| self.frames.get_mut(index)) {
            frame.dir = None;
        }
    }

    /// Gives up the rest of a listing, and schedules a comparison.
    fn postpone(&mut self, mut frame: Frame<D>, errno: Errno) {
        while let Some((is_dir, name)) = take_entry(&frame.entries, &mut frame.next) {
            if is_dir {
                continue;
            }
            if self.options.track_files {
                // The comparison examines it.
                self.files.mark_seen(frame.node, name);
            } else {
                self.named_file(frame.node, name, None, frame.purpose);
            }
        }
        match failure(errno) {
            Failure::Moved => self.agenda.compare(frame.node, When::End),
            _ => self.report_unlisted(frame.node, errno),
        }
    }

    /// Does what follows from the scan of an entry of a listing.
    pub(super) fn visited(&mut self, dir: NodeRef, name: &[u8], visit: Visit, purpose: Purpose) {
        let deep = purpose.deep;
        match visit {
            Visit::Added(node) if deep && self.ahead.is_none() => {
                // The event by which it came may still follow.
                self.check(dir, name, Check::added(node));
            }
            Visit::Agrees(_) | Visit::Added(_) | Visit::Excluded => {}
            Visit::Link => self.postpone_link(dir, name, purpose),
            Visit::Failed(errno) => self.failed(dir, name, errno, purpose, None),
            // The name was listed and then went, so its events are queued. They are not enough if the name is
            // known.
            Visit::Nothing if self.nodes.child(dir, name).is_none() => {}
            _ => {
                if self.stage == Stage::Setup && visit != Visit::Nothing {
                    // It existed at set-up, whatever the check finds.
                    self.get_or_add(dir, name, purpose, None);
                }
                let deep = deep || self.stage == Stage::Setup;
                self.check(dir, name, Check { deep, ..Check::default() });
            }
        }
    }

    /// Compares a listed file with what is known of it.
    pub(super) fn file<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        dir: &D,
        parent: NodeRef,
        name: &[u8],
        purpose: Purpose,
    ) {
        let mut stat = None;
        if self.options.track_files {
            match kernel.stat_child(dir, name) {
                Ok(found) if !found.is_dir => stat = Some(found),
                // The target of the link is new, which no event reports.
                Ok(found) if found.is_link => return self.check(parent, name, Check::default()),
                Err(errno) if failure(errno) != Failure::Moved => {}
                // It is gone again, which is reported by events.
                _ => return,
            }
        }
        self.named_file(parent, name, stat, purpose);
    }

    /// Compares a file with what is known of it: its name, and `stat` if that was read.
    fn named_file(&mut self, parent: NodeRef, name: &[u8], stat: Option<Stat>, purpose: Purpose) {
        if self.nodes.child(parent, name).is_some() {
            let seen = Some(Seen::File);
            return self.check(parent, name, Check { seen, ..Check::unreported_file() });
        }
        let mask = match self.files.compare(parent, name, stat) {
            Compared::New => {
                self.file_has_left(parent, name);
                EventMask::CREATE
            }
            Compared::Changed if self.options.track_files => EventMask::MODIFY,
            Compared::Changed | Compared::Same => return,
        };
        if purpose.report {
            if self.options.follow_links {
                self.agenda.set_unreported_file(parent, name, false);
            }
            let path = self.path(parent, name);
            self.report(TreeKind::Discovered, mask, path);
        }
    }

    /// Restores the mask of a directory that was narrowed for its listing, while it is open.
    fn widen_open<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef, dir: &D) {
        if !self.nodes.is_narrowed(node) {
            return;
        }
        if let Ok(wd) = self.watch(kernel, dir, self.watched_events) {
            self.nodes.set_narrowed(node, self.nodes.wd(node) != Some(wd));
            self.end_unused(wd);
        }
    }

    /// Restores the mask of a directory that was closed meanwhile.
    pub(super) fn widen<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if !self.nodes.is_narrowed(node) {
            return;
        }
        self.nodes.set_narrowed(node, false);
        if self.nodes.wd(node).is_none() {
            return;
        }
        match self.open(kernel, node) {
            Ok(_) => {}
            Err(errno) if failure(errno) == Failure::Moved => {
                self.agenda.compare(node, When::End);
            }
            Err(errno) => self.report_unlisted(node, errno),
        }
    }
}

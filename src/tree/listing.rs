//! Goes through the listings of directories, step by step.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::agenda::{Check, Seen, When};
use super::edits::{Failure, failure};
use super::event::TreeKind;
use super::files::Compared;
use super::kernel::{Kernel, Stat};
use super::look::{Purpose, Visit};
use super::nodes::{Listing, NodeRef, ROOT};
use super::{LOUD, Stage, Tree};
use crate::flags::EventMask;
use crate::sys::Errno;

/// One directory whose listing is being gone through.
#[derive(Debug)]
pub(super) struct Frame<D> {
    node: NodeRef,
    /// Closed where too many are open.
    dir: Option<D>,
    /// One entry behind the other: whether it is a directory, its name, and a NUL.
    entries: Vec<u8>,
    next: usize,
    purpose: Purpose,
    opening: Opening,
}

/// Whether the next subdirectory of a listing is opened at once, or is asked for its link count first,
/// which spares the opening where that says that nothing is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Ask,
    /// The one before had subdirectories.
    Open,
    /// Link counts say nothing here.
    Always,
}

impl Opening {
    /// What to do after one directory; `listed` is whether it was listed, and had subdirectories.
    const fn after(self, listed: Option<bool>) -> Self {
        match (self, listed) {
            (Self::Always, _) | (Self::Ask, Some(false)) => Self::Always,
            (_, Some(true)) => Self::Open,
            _ => Self::Ask,
        }
    }
}

impl<D> Frame<D> {
    /// Takes the next entry: whether it is a directory, and its name.
    fn take_entry(&mut self) -> Option<(bool, Box<[u8]>)> {
        let rest = self.entries.get(self.next..).unwrap_or_default();
        let (&is_dir, rest) = rest.split_first()?;
        let name: Box<[u8]> = rest.split(|&byte| byte == 0).next().unwrap_or_default().into();
        self.next = self.next.saturating_add(name.len()).saturating_add(2);
        Some((is_dir != 0, name))
    }
}

impl<D> Tree<D> {
    /// Lists an open directory that is watched, to be gone through step by step.
    pub(super) fn list<K: Kernel<Dir = D>>(
        &mut self,
        kernel: &mut K,
        node: NodeRef,
        mut dir: D,
        purpose: Purpose,
    ) -> Result<(), Errno> {
        let files = purpose.new || self.options.track_files;
        if self.asked.intersects(LOUD) && self.stage != Stage::Steady && !self.nodes.is_quiet(node)
        {
            if let Some(wd) = self.nodes.wd(node) {
                kernel.narrow_mask(&dir, wd, self.asked.difference(LOUD));
                self.nodes.set_quiet(node, true);
                self.quiet.push(node);
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
            // It was removed, so nothing is in it, and nothing will be.
            Err(errno) if failure(errno) == Failure::Moved => entries.clear(),
            listed => listed?,
        }
        if self.nodes.listing(node) == Listing::Owed {
            // Until all in it has been looked at.
            self.stop_waiting(node);
            self.agenda.unpark(node);
        } else {
            self.nodes.set_listing(node, Listing::Done);
        }
        if files {
            self.files.open(node, purpose.deep);
            self.agenda.window(node, When::End);
        }
        if purpose.deep {
            self.miss(node, &entries);
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

    /// Has those names checked that are known and were not listed.
    fn miss(&mut self, node: NodeRef, entries: &[u8]) {
        let mut listed: Vec<&[u8]> = Vec::new();
        for entry in entries.split(|&byte| byte == 0) {
            if let Some((&1, name)) = entry.split_first() {
                listed.push(name);
            }
        }
        listed.sort_unstable();
        let mut child = self.nodes.first_child(node);
        while let Some(node) = child {
            if listed.binary_search(&self.nodes.name(node)).is_err() {
                let (parent, name) = (self.nodes.parent(node).unwrap_or(ROOT), self.name(node));
                // A listing takes the lock of the directory, so what it shows needs no further look.
                // But a link that leads nowhere is there as a file.
                let seen = Some(Seen::Nothing).filter(|_| !self.links.has(node));
                let check = Check { seen, deep: true, ..Check::default() };
                self.agenda.check(parent, &name, check, When::End);
            }
            child = self.nodes.sibling(node);
        }
    }

    /// Goes one entry further in the innermost listing.
    pub(super) fn step<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let Some(mut frame) = self.frames.pop() else { return };
        if !self.nodes.exists(frame.node) {
            return;
        }
        let Some((is_dir, name)) = frame.take_entry() else {
            if let Some(dir) = &frame.dir {
                self.raise_open(kernel, frame.node, dir);
            }
            if self.nodes.listing(frame.node) == Listing::Owed {
                self.agenda.listed(frame.node);
            }
            if let Some(outer) = self.frames.last_mut().filter(|_| frame.opening == Opening::Always)
            {
                outer.opening = Opening::Always;
            }
            return;
        };
        if !is_dir && !self.options.track_files {
            self.named_file(frame.node, &name, None, frame.purpose);
            return self.frames.push(frame);
        }
        let dir = match frame.dir.take().map_or_else(|| self.open(kernel, frame.node), Ok) {
            Ok(dir) => dir,
            Err(errno) => return self.put_off(frame, errno),
        };
        let outer = self.frames.len();
        if is_dir {
            let open_first = frame.opening != Opening::Ask;
            let purpose = Purpose { links_last: true, open_first, ..frame.purpose };
            let visit = self.visit(kernel, &dir, (frame.node, &name), purpose, None);
            let inner = self.frames.get_mut(outer);
            frame.opening =
                frame.opening.after(inner.as_ref().map(|inner| !inner.entries.is_empty()));
            if let Some(inner) = inner.filter(|_| frame.opening == Opening::Always) {
                inner.opening = Opening::Always;
            }
            self.entry_visited(kernel, &dir, (frame.node, &name), visit, frame.purpose);
        } else {
            self.file(kernel, &dir, frame.node, &name, frame.purpose);
        }
        frame.dir = Some(dir);
        // What the visit went into comes first.
        self.frames.insert(outer.min(self.frames.len()), frame);
        let excess = self.frames.len().checked_sub(self.options.max_open);
        if let Some(frame) = excess.and_then(|index| self.frames.get_mut(index)) {
            frame.dir = None;
        }
    }

    /// The rest of a listing can't be gone through now, so it is compared later.
    fn put_off(&mut self, mut frame: Frame<D>, errno: Errno) {
        while let Some((is_dir, name)) = frame.take_entry() {
            if is_dir {
                continue;
            }
            if self.options.track_files {
                // What it is will be compared.
                self.files.mark_seen(frame.node, &name);
            } else {
                self.named_file(frame.node, &name, None, frame.purpose);
            }
        }
        match failure(errno) {
            Failure::Moved => self.agenda.compare(frame.node, When::End),
            _ => self.owe(frame.node, errno),
        }
    }

    /// What a look at an entry of a listing leaves to be done.
    pub(super) fn visited(&mut self, dir: NodeRef, name: &[u8], visit: Visit, purpose: Purpose) {
        let deep = purpose.deep;
        match visit {
            Visit::Added(node) if deep && self.ahead.is_none() => {
                // The event that it came by may still come.
                self.check(dir, name, Check::added(node));
            }
            Visit::Agrees(_) | Visit::Added(_) | Visit::Excluded => {}
            Visit::Link => self.put_off_link(dir, name, purpose),
            Visit::Failed(errno) => self.failed(dir, name, errno, purpose, None),
            // The name was listed, so events of it are queued; but not if it is known.
            Visit::Nothing if self.nodes.child(dir, name).is_none() => {}
            _ => {
                if self.stage == Stage::Setup && visit != Visit::Nothing {
                    // It was there, whatever it turns out to be.
                    self.know(dir, name, purpose, None);
                }
                let deep = deep || self.stage == Stage::Setup;
                self.check(dir, name, Check { deep, ..Check::default() });
            }
        }
    }

    /// Compares a file that is there with what is known of it.
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
                // Its target is new, which no event reports.
                Ok(found) if found.is_link => return self.check(parent, name, Check::default()),
                Err(errno) if failure(errno) != Failure::Moved => {}
                // It is gone again, which events will tell.
                _ => return,
            }
        }
        self.named_file(parent, name, stat, purpose);
    }

    /// Compares a file with what is known of it, by its name and by `stat` if it was looked at.
    fn named_file(&mut self, parent: NodeRef, name: &[u8], stat: Option<Stat>, purpose: Purpose) {
        if self.nodes.child(parent, name).is_some() {
            let seen = Some(Seen::File);
            return self.check(parent, name, Check { seen, ..Check::owing() });
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
                self.agenda.set_owes_file(parent, name, false);
            }
            let path = self.path(parent, name);
            self.tell(TreeKind::Discovered, mask, path);
        }
    }

    /// Has a directory that was listed quietly report all events again, while it is open.
    fn raise_open<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef, dir: &D) {
        if !self.nodes.is_quiet(node) {
            return;
        }
        if let Ok(wd) = self.watch(kernel, dir, self.asked) {
            self.nodes.set_quiet(node, self.nodes.wd(node) != Some(wd));
            self.let_go(wd);
        }
    }

    /// The same for one that was closed meanwhile.
    pub(super) fn raise<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, node: NodeRef) {
        if !self.nodes.is_quiet(node) {
            return;
        }
        self.nodes.set_quiet(node, false);
        if self.nodes.wd(node).is_none() {
            return;
        }
        match self.open(kernel, node) {
            Ok(_) => {}
            Err(errno) if failure(errno) == Failure::Moved => {
                self.agenda.compare(node, When::End);
            }
            Err(errno) => self.owe(node, errno),
        }
    }
}

//! Trees that never lose track: a state machine without I/O of its own.
//!
//! It asks a [`Kernel`] to watch and to list, is fed the events that inotify gives, and tells what
//! happened, with paths beneath the root. `Watcher::watch_tree` drives it with the real kernel; a
//! simulated one proves it.
//!
//! The one who drives it does, in this order, again and again:
//!
//! 1. [`next`](Tree::next), until it gives `None`;
//! 2. [`feed`](Tree::feed) it the next event that was read, if there is one, and go to 1;
//! 3. [`fence`](Tree::fence) it, before each read, if it [`wants_fence`](Tree::wants_fence);
//! 4. read; and if nothing was queued, [`caught_up`](Tree::caught_up): if that is true, go to 1 and
//!    read again, else wait.

#![forbid(unsafe_code)]

mod kernel;

pub use kernel::{Kernel, Stat};

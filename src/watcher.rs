//! Watches files, names and trees by their paths, and waits for their events.
//!
//! ```
//! # #[cfg(not(miri))] {
//! use std::time::Duration;
//! use tinotify::{EventKind, WatchMask, Watcher};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let mut watcher = Watcher::new()?;
//! let logs = watcher.watch(path, WatchMask::CREATE | WatchMask::CLOSE_WRITE)?;
//! # std::fs::write(path.join("new"), "text")?;
//!
//! while let Some(event) = watcher.recv_timeout(Duration::from_millis(1))? {
//!     assert_eq!(event.watch(), Some(logs));
//!     println!("{:?}: {}", event.kind(), event.path().display());
//! }
//! watcher.unwatch(logs)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call waits how
//!
//! | call | if no event is queued |
//! |---|---|
//! | [`Watcher::recv`] | waits |
//! | [`Watcher::try_recv`] | returns `None` |
//! | [`Watcher::recv_timeout`], [`Watcher::recv_deadline`] | waits, then returns `None` |
//! | [`Watcher::recv_batch`], [`Watcher::recv_batch_timeout`] | the same, for all queued events |
//! | [`Watcher::try_iter`] | ends |
//! | [`Watcher::iter`] | waits |
//! | [`Watcher::iter_timeout`] | waits, yields `None`, and continues |
//! | [`Watcher::try_for_each`] | waits |
//!
//! A signal handler makes none of them return early. Events that are filtered out do not delay a
//! deadline. A [`StopHandle`] makes every call that waits return [`StopReason::Requested`], and ends iterators.
//!
//! # The life of an event
//!
//! ```text
//!                                          ┌→ watch of a file or directory ─────┐
//! kernel's queue → bytes → record → ───────┼→ follower of a name ───┬→ outbox ──┴→ caller
//!                     subscribers of its   └→ engine of a tree ─────┘
//!                     watch descriptor
//! ```
//!
//! An event of a file or directory is lent from the bytes that were read, without a copy. Followers and
//! trees make events of their own, which wait in the outbox. The outbox is emptied before the next
//! record is taken.
//!
//! # Memory
//!
//! Lending an event of a file allocates nothing, except for the first one of a directory. Beside the buffer ([`WatcherBuilder::buffer_size`]), a watcher keeps the recipients
//! and the path of each directory that events came from: about 200 bytes and the length of the path, for at most
//! 4,096 directories. A tree also keeps about 54 bytes for each directory with a short name.
//!
//! # A rename in a tree
//!
//! The root of the tree is `/srv`, and `a` is a directory. After `rename("/srv/a", "/srv/b/c")` the kernel
//! queues three records:
//!
//! ```text
//! record                           what the tree does              what it reports
//! ──────────────────────────────────────────────────────────────────────────────────────────
//! in /srv:    MOVED_FROM "a" (7)   keeps this half as pending
//! in /srv/b:  MOVED_TO "c" (7)     pairs the halves by cookie 7
//! a itself:   MOVE_SELF            moves a and everything          Renamed, /srv/b/c,
//!                                  beneath it to the new path      from /srv/a
//! in a:       CREATE "x"           composes the path               CREATE, /srv/b/c/x
//! ```
//!
//! A file has no `MOVE_SELF`: its rename is reported at `MOVED_TO`. If the other half is outside of the tree,
//! `MOVED_FROM` or `MOVED_TO` is reported instead.
//!
//! # Files of this module
//!
//! | file | contents |
//! |---|---|
//! | `id`, `path`, `root_path`, `wakeup`, `error`, `options` | types that the others use |
//! | `subscription`, `route` | one watch as it is now, and the recipients of an event |
//! | `event`, `event_builder` | events that are lent, owned, and built by hand |
//! | `outbox` | events that the watcher makes itself |
//! | `state` | watches, watch descriptors, names and trees, under one lock |
//! | `shared` | the lock, and the work on trees outside of it |
//! | `reader` | reads records, and finds the recipients of each |
//! | `watches`, `watcher`, `builder`, `iter`, `oneshot` | the public handles and calls |
//! | `shared_watcher` | a watcher that several threads read |
//! | `replay` | events from memory in place of a watcher, for tests |

#![forbid(unsafe_code)]

mod builder;
mod error;
mod event;
mod event_builder;
mod id;
mod iter;
mod oneshot;
mod options;
mod outbox;
mod path;
mod reader;
mod replay;
mod root_path;
mod route;
mod shared;
mod shared_watcher;
mod state;
mod subscription;
mod wakeup;
#[allow(clippy::module_inception)]
mod watcher;
mod watches;

pub use self::watcher::Watcher;
pub use crate::follow::NameChange;
pub use builder::WatcherBuilder;
pub use error::{StopReason, WatchError};
pub use event::{TreeChange, WatchEvent, WatchEventBuf};
pub use event_builder::WatchEventBuilder;
pub use id::WatchId;
pub use iter::{Iter, IterTimeout, TryIter};
pub use oneshot::{wait_for, wait_for_batch};
pub use options::{OnWatchLimit, TreeOptions, WatchOptions};
#[cfg(any(feature = "tokio", feature = "async-io"))]
pub(crate) use reader::{Deadline, Found};
pub use replay::{EventSource, Replay};
pub use shared_watcher::SharedWatcher;
pub use subscription::{TreeDirectory, WatchInfo, WatchKind};
pub use wakeup::StopHandle;
pub use watches::Watches;

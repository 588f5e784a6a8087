//! Watches files, names and trees by their paths, and waits for events in every way.
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
//! | call | if nothing is queued |
//! |---|---|
//! | [`Watcher::recv`] | waits |
//! | [`Watcher::try_recv`] | returns `None` |
//! | [`Watcher::recv_timeout`], [`Watcher::recv_deadline`] | waits, then returns `None` |
//! | [`Watcher::recv_batch`], [`Watcher::recv_batch_timeout`] | the same, for everything that is queued |
//! | [`Watcher::try_iter`] | ends |
//! | [`Watcher::iter`] | waits |
//! | [`Watcher::iter_timeout`] | waits, then yields `None`, and goes on |
//! | [`Watcher::try_for_each`] | waits |
//!
//! A signal handler makes none of them return early. Events that are filtered out do not delay a
//! deadline. A [`StopHandle`] makes all of them that wait return [`StopReason::Requested`].
//!
//! # The way of an event
//!
//! ```text
//! bytes → record → who has asked → (file | follower of a name | tree) → outbox → lent to the caller
//! ```
//!
//! An event of a file is lent straight from the bytes. Nothing waits but in the outbox.
//!
//! | file | what it does |
//! |---|---|
//! | `id`, `path`, `root_path`, `wakeup`, `error`, `options` | what the others are made of |
//! | `subscription` | one watch as it is now, and who is given an event |
//! | `event`, `event_builder` | events that are lent, that own, and that are made by hand |
//! | `outbox` | the events that the watcher makes itself |
//! | `state` | watches, descriptors, names and trees, under one lock |
//! | `shared` | the lock, and the work on trees beside it |
//! | `reader` | reads, and finds out who is given each event |
//! | `watches`, `watcher`, `builder`, `iter`, `oneshot`, `shared_watcher` | the public handles and calls |
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

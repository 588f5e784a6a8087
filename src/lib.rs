//! Watches files, names and directory trees on Linux through inotify(7).
//!
//! With the standard library, a [`Watcher`] reports events with their paths:
//!
//! ```
//! # #[cfg(all(feature = "std", target_os = "linux", not(miri)))] {
//! use std::time::Duration;
//! use tinotify::{WatchMask, Watcher};
//!
//! let mut watcher = Watcher::new()?;
//! watcher.watch("/tmp", WatchMask::CREATE | WatchMask::DELETE)?;
//! while let Some(event) = watcher.recv_timeout(Duration::from_millis(10))? {
//!     println!("{event}");
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without the standard library, a libc or a heap, an [`Inotify`] reads events into a buffer:
//!
//! ```
//! # #[cfg(all(target_os = "linux", not(miri)))] {
//! use tinotify::{InitFlags, Inotify, RECORD_SIZE, WatchMask};
//!
//! let inotify = Inotify::init(InitFlags::NONBLOCK)?;
//! inotify.add_watch(c"/tmp", WatchMask::CREATE | WatchMask::DELETE)?;
//!
//! let mut buffer = [0; 16 * RECORD_SIZE];
//! match inotify.read(&mut buffer) {
//!     Ok(events) => for event in events {
//!         println!("{}", event?);
//!     },
//!     Err(error) if error.is_would_block() => println!("nothing yet"),
//!     Err(error) => return Err(error.into()),
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What do you want to do?
//!
//! | I want to | use |
//! |---|---|
//! | watch a file or a directory | [`Watcher::watch`] |
//! | watch a name that may not exist yet, or whose file is replaced | [`Watcher::watch_name`] |
//! | watch a directory and everything beneath it | [`Watcher::watch_tree`], [`TreeOptions`] |
//! | wait, but not for ever | [`Watcher::recv_timeout`], [`Watcher::recv_deadline`] |
//! | stop a thread that waits | [`Watcher::stop_handle`] |
//! | add, change and remove watches from other threads | [`Watcher::watches`] |
//! | deliver only some events | [`WatchOptions::filter`], [`WatchOptions::glob`] |
//! | wait in tokio | [`TokioWatcher`] |
//! | wait in async-io or smol | [`AsyncIoWatcher`] |
//! | wait in epoll, poll or mio | the descriptor of [`Watcher`] (`AsFd`), then [`Watcher::try_recv`] |
//! | get one change per path instead of ten events | [`debounce::Debouncer`] |
//! | wait for one event, then clean up | [`wait_for`], [`wait_for_tokio`], [`wait_for_async_io`] |
//! | read events in several threads | [`SharedWatcher`] |
//! | test a handler without a kernel | [`EventSource`], [`Replay`], [`WatchEventBuf::builder`] |
//! | save events | [`WatchEventBuf`] with the feature `serde`, or [`Event::encode`] |
//! | take finished files out of a directory | [`has_writers`], and `examples/spool.rs` |
//! | decode recorded bytes, or encode events | [`Events`], [`Event::encode`] |
//! | do without libc and heap | [`Inotify`] |
//! | keep events in a fixed buffer | [`EventRing`], [`Inotify::fill`] |
//! | join the two halves of a rename | [`RenamePairer`]; trees do it themselves |
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `std` | [`Watcher`], [`debounce`], and the feature `alloc` | yes |
//! | `alloc` | the engines of trees and of followed names, over any kernel, real or simulated: [`tree`], [`follow`] | with `std` |
//! | `tokio`, `async-io` | [`stream`]: the watcher as futures and streams | no |
//! | `glob` | glob patterns: [`WatchOptions::glob`], [`TreeOptions::exclude_glob`] | no |
//! | `serde` | [`serialize`]: events that can be saved | no |
//! | `cli` | the command line tool | no |
//!
//! # Limits
//!
//! - inotify reports what programs do through this kernel. It does not report changes that another
//!   machine makes on a network file system, or writes through mmap(2). Watches on `/proc` and `/sys`
//!   succeed and report nothing.
//! - Identical events at the end of the unread queue merge: five writes may be one `MODIFY`.
//! - The kernel's queue is bounded. When it is full, events are lost, and one event
//!   ([`EventKind::Overflow`]) reports that. A tree then reports what changed.
//! - The numbers of watches and of instances are limited per user. Errors name the sysctl to raise.
//! - A mount or an unmount in a tree makes no event if the file system stays mounted elsewhere.
//!
//! The README lists them all.
//!
//! # Layers
//!
//! Each layer uses only the layers below it.
//!
//! ```text
//! debounce   one change per path, once the path is quiet              std
//! stream     the watcher as futures and streams                       tokio, async-io
//! serialize  events that can be saved                                 serde
//! watcher    paths, filters, timeouts, stop, followed names, trees    std
//! ───────────────────────────────────────────────────────────────────────────────────
//! tree       the engine of trees, over any kernel                     Linux, alloc
//! follow     the engine of followed names, over any kernel            Linux, alloc
//! ───────────────────────────────────────────────────────────────────────────────────
//! inotify    one inotify instance                                     Linux
//! sys        system calls without libc; all `unsafe` code (private)   Linux
//! ───────────────────────────────────────────────────────────────────────────────────
//! ring       events in a fixed buffer                                 any target
//! rename     joins the halves of renames                              any target
//! decode     bytes to events            encode   events to bytes      any target
//! event      one event                  flags    bits of masks        any target
//! ```

// Links to items that this set of features or this target does not have lead to docs.rs.
#![cfg_attr(not(target_os = "linux"), doc = include_str!("../docs/links/linux.md"))]
#![cfg_attr(not(all(feature = "std", target_os = "linux")), doc = include_str!("../docs/links/std.md"))]
#![cfg_attr(
    not(all(feature = "alloc", target_os = "linux")),
    doc = include_str!("../docs/links/alloc.md")
)]
#![cfg_attr(
    not(all(
        feature = "tokio",
        feature = "async-io",
        feature = "glob",
        feature = "serde",
        target_os = "linux"
    )),
    doc = include_str!("../docs/links/features.md")
)]
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]
#![deny(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::undocumented_unsafe_blocks,
    clippy::unreachable,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
// Modules that tests share name the crate as its users do.
#[cfg(all(test, feature = "std"))]
extern crate self as tinotify;

pub mod decode;
pub mod encode;
pub mod event;
pub mod flags;
pub mod rename;
pub mod ring;

#[cfg(all(feature = "std", target_os = "linux"))]
pub mod debounce;
#[cfg(all(feature = "alloc", target_os = "linux"))]
pub mod follow;
#[cfg(target_os = "linux")]
pub mod inotify;
#[cfg(all(feature = "alloc", target_os = "linux"))]
mod keys;
#[cfg(all(feature = "serde", target_os = "linux"))]
pub mod serialize;
#[cfg(all(any(feature = "tokio", feature = "async-io"), target_os = "linux"))]
pub mod stream;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(all(feature = "alloc", target_os = "linux"))]
pub mod tree;
#[cfg(all(feature = "std", target_os = "linux"))]
pub mod watcher;
#[cfg(all(feature = "std", target_os = "linux"))]
mod writers;

#[doc(inline)]
pub use decode::{DecodeError, DecodeErrorKind, Events, StrictEvents};
#[doc(inline)]
pub use encode::EncodeError;
#[doc(inline)]
pub use event::{
    Escaped, Event, EventBuf, EventKind, MAX_RECORD_SIZE, NameTooLong, RECORD_SIZE, Wd,
};
#[doc(inline)]
pub use flags::{EventMask, InitFlags, MaskError, ParseFlagsError, WatchMask};
#[doc(inline)]
pub use rename::{Rename, RenamePairer};
#[doc(inline)]
pub use ring::{EventRing, ExtendError};

#[cfg(target_os = "linux")]
#[doc(inline)]
pub use inotify::{Error, FillError, Inotify};
#[cfg(all(any(feature = "tokio", feature = "async-io"), target_os = "linux"))]
#[doc(inline)]
pub use stream::AsyncWatcher;
#[cfg(all(feature = "async-io", target_os = "linux"))]
#[doc(inline)]
pub use stream::{AsyncIoWatcher, wait_for_async_io};
#[cfg(all(feature = "tokio", target_os = "linux"))]
#[doc(inline)]
pub use stream::{TokioWatcher, wait_for_tokio};
#[cfg(target_os = "linux")]
#[doc(inline)]
pub use sys::{Errno, Fd};
#[cfg(all(feature = "alloc", target_os = "linux"))]
#[doc(inline)]
pub use tree::UnwatchedReason;
#[cfg(all(feature = "std", target_os = "linux"))]
#[doc(inline)]
pub use watcher::{
    EventSource, NameChange, OnWatchLimit, Replay, SharedWatcher, StopHandle, StopReason,
    TreeChange, TreeDirectory, TreeOptions, WatchError, WatchEvent, WatchEventBuf,
    WatchEventBuilder, WatchId, WatchInfo, WatchKind, WatchOptions, Watcher, WatcherBuilder,
    Watches, wait_for, wait_for_batch,
};
#[cfg(all(feature = "std", target_os = "linux"))]
#[doc(inline)]
pub use writers::has_writers;

#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "tokio", feature = "glob"))]
#[doc = include_str!("../docs/coming-from.md")]
struct ComingFrom;

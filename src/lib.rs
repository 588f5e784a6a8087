//! Linux inotify from PID 1 to a service: a core without libc, allocation or panics.
//!
//! | floor | module | needs | what it does |
//! |---|---|---|---|
//! | 0 | [`flags`], [`event`], [`decode`], [`encode`] | nothing | bits, events, and bytes to events and back |
//! | 1 | [`ring`], [`rename`] | nothing | keep events; join the halves of renames |
//! | 2 | `sys` | Linux | the raw system calls, and [`Errno`]; all the `unsafe` there is |
//! | 3 | [`inotify`] | Linux | the owner of one inotify descriptor |
//! | 4 | `tree`, `follow` | Linux, `alloc` | the engines of trees and of followed names, over any kernel |
//! | 5 | `watcher` | `std` | paths, aliases, filters, timeouts, stopping, followed names, trees |
//! | 6 | `stream` | `tokio`, `async-io` | the same as futures and streams |
//! | 7 | `debounce` | `std` | one change out of many events, once a path is quiet |
//!
//! Each floor uses those below it only. Without the default feature `std`, floors 0 and 1 build for
//! any target, and floors 2 and 3 for Linux without a libc.
//!
//! Most programs want a `Watcher`:
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
//! And those without a standard library, an [`Inotify`]:
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
// What tests share names the crate as others do.
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

pub use decode::{DecodeError, DecodeErrorKind, Events, StrictEvents};
pub use encode::EncodeError;
pub use event::{
    Escaped, Event, EventBuf, EventKind, MAX_RECORD_SIZE, NameTooLong, RECORD_SIZE, Wd,
};
pub use flags::{EventMask, InitFlags, MaskError, ParseFlagsError, WatchMask};
pub use rename::{Rename, RenamePairer};
pub use ring::{EventRing, ExtendError};

#[cfg(target_os = "linux")]
pub use inotify::{Error, FillError, Inotify};
#[cfg(all(any(feature = "tokio", feature = "async-io"), target_os = "linux"))]
pub use stream::AsyncWatcher;
#[cfg(all(feature = "async-io", target_os = "linux"))]
pub use stream::{AsyncIoWatcher, wait_for_async_io};
#[cfg(all(feature = "tokio", target_os = "linux"))]
pub use stream::{TokioWatcher, wait_for_tokio};
#[cfg(target_os = "linux")]
pub use sys::{Errno, Fd};
#[cfg(all(feature = "alloc", target_os = "linux"))]
pub use tree::UnwatchedReason;
#[cfg(all(feature = "std", target_os = "linux"))]
pub use watcher::{
    EventSource, NameChange, OnWatchLimit, Replay, SharedWatcher, StopHandle, StopReason,
    TreeChange, TreeDirectory, TreeOptions, WatchError, WatchEvent, WatchEventBuf,
    WatchEventBuilder, WatchId, WatchInfo, WatchKind, WatchOptions, Watcher, WatcherBuilder,
    Watches, wait_for, wait_for_batch,
};
#[cfg(all(feature = "std", target_os = "linux"))]
pub use writers::has_writers;

#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "tokio", feature = "glob"))]
#[doc = include_str!("../docs/coming-from.md")]
struct ComingFrom;

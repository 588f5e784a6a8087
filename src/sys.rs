//! The raw system calls, and the only `unsafe` code of this crate.
//!
//! Each function makes one system call, or its replacement on an older kernel. Its interface is safe: no
//! caller can break memory safety with it. Only `children` makes several calls.
//!
//! | file | what it does | imports |
//! |---|---|---|
//! | `errno` | error numbers | |
//! | `fd` | owns a descriptor; reads, closes | `errno` |
//! | `inotify`, `polling`, `epoll`, `wakeup` | inotify(7), ppoll(2), epoll(7), eventfd(2) | `fd` |
//! | `status`, `directories` | the status of an entry; opening and listing directories | `fd` |
//! | `fstatat` ← `statx` | reads the status of an entry | `status`, `directories` |
//! | `threads` | a working directory for one thread | `errno` |
//! | `lease` | whether a file is open for writing | `fd` |
//! | `children` | a child process with its own working directory | `inotify`, `polling`, `wakeup`, `directories` |

#![allow(unsafe_code)]

#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod children;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod directories;
#[cfg(feature = "std")]
mod epoll;
mod errno;
mod fd;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod fstatat;
mod inotify;
#[cfg(feature = "std")]
mod lease;
mod polling;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod status;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod statx;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the watcher uses it"))]
mod wakeup;

#[cfg(feature = "alloc")]
pub(crate) use children::Child;
#[cfg(feature = "alloc")]
pub(crate) use directories::EntryBuffer;
pub use errno::Errno;
#[cfg(feature = "alloc")]
pub(crate) use errno::retry_on_eintr;
pub use fd::Fd;
#[cfg(feature = "std")]
pub(crate) use lease::has_writers;
#[cfg(feature = "std")]
pub(crate) use polling::poll;
#[cfg(feature = "alloc")]
pub(crate) use status::{Links, Status};
#[cfg(feature = "std")]
pub(crate) use threads::{leave_working_dir, unshare_working_dir};

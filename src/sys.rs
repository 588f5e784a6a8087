//! The raw system calls, and the only `unsafe` in this crate.
//!
//! Each function here is one system call, or one that stands in for it on older kernels, wrapped so that
//! no caller can break memory safety through it. A child process that adds a watch is four.
//!
//! | file | what it does | stands on |
//! |---|---|---|
//! | `errno` | error numbers | |
//! | `fd` | owns a descriptor; reads, closes | `errno` |
//! | `inotify`, `polling`, `epoll`, `wakeup` | inotify(7), ppoll(2), epoll(7), eventfd(2) | `fd` |
//! | `status`, `directories` | what an entry is; opening and listing | `fd` |
//! | `fstatat` ← `statx` | asks what an entry is | `status`, `directories` |
//! | `threads` | a working directory for one thread | `errno` |
//! | `lease` | whether a file is open for writing | `fd` |
//! | `children` | a working directory for one call | `inotify`, `wakeup`, `directories` |

#![allow(unsafe_code)]

#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod children;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod directories;
#[cfg(feature = "std")]
mod epoll;
mod errno;
mod fd;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod fstatat;
mod inotify;
#[cfg(feature = "std")]
mod lease;
mod polling;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod status;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod statx;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "alloc")]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
mod wakeup;

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

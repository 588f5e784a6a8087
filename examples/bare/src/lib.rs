//! Replaces a C library: the start of the program, its arguments, the memory functions that the compiler
//! calls, and a few system calls. For programs without libc, on x86-64 and aarch64.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! bare::main!(run);
//!
//! /// Returns the exit status.
//! fn run(args: bare::Args) -> u8 {
//!     bare::say!("called with {} arguments", args.count());
//!     0
//! }
//! ```
//!
//! All the `unsafe` code of these programs is here, and in tinotify's `sys`.

#![no_std]

mod memory;
mod message;

pub mod process;
mod start;
pub mod sys;

pub use message::Message;
pub use start::Args;

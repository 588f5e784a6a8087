//! A simulated kernel, and an oracle for the tree engine that runs on it.
//!
//! [`World`] is a file system with an inotify instance: directories, links, mounts, permissions, watches and
//! a queue with a limit. It implements the engine's `Kernel`, and changes itself before any of its calls.
//! Each decision comes from [`Choices`], so a schedule is one number, or the bytes of a fuzzer, and can be
//! shrunk.

// Each binary uses only a part of this.
#![allow(dead_code)]

pub mod chance;
pub mod changes;
pub mod choices;
pub mod distributions;
pub mod driver;
pub mod excuses;
pub mod field;
pub mod history;
pub mod inode;
pub mod kernel;
pub mod links;
pub mod mirror;
pub mod mounts;
pub mod names;
pub mod oracle;
pub mod queue;
pub mod recorder;
pub mod rules;
pub mod schedule;
pub mod script;
pub mod shrink;
pub mod truth;
pub mod watches;
pub mod words;
pub mod world;

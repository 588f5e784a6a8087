//! A simulated kernel for the follower, and an oracle.
//!
//! [`World`](world::World) is a file system with an inotify instance. It implements the engine's
//! `Kernel`, and may change before each call of the engine. Every decision comes from `Choices`, so one
//! number determines a schedule, and a failing schedule can be shrunk.

pub mod chance;
pub mod changes;
pub mod chaos;
#[allow(dead_code, reason = "shared with the simulation of trees")]
#[path = "../simulated/choices.rs"]
pub mod choices;
pub mod distributions;
pub mod driver;
pub mod inode;
pub mod kernel;
pub mod oracle;
pub mod queue;
pub mod real;
pub mod resolve;
pub mod schedule;
pub mod script;
pub mod shrink;
pub mod steps;
pub mod world;

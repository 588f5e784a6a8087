//! Shared by the tests of the programs without libc.

// Each test binary uses a part of this.
#![allow(dead_code)]

mod cage;
mod programs;

#[allow(unused_imports)]
pub use self::{
    cage::{Cage, Running, is_waiting},
    programs::{AARCH64, NATIVE, PROGRAMS, X86_64, aarch64, build, native, strace},
};

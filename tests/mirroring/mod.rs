//! The storm of the tests of mirrors.

pub mod changes;

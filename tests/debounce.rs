//! Tests of the debouncer: each rule, random histories of a simulated file system, and real watchers.

mod debouncing;
mod watching;

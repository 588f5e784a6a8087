//! What the debouncer promises: each rule, random histories of a small file system, and real watchers.

mod debouncing;
mod watching;

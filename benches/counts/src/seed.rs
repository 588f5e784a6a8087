//! Constants in place of random numbers.
//!
//! A tree takes the seed of its hash tables from `RandomState`, and with it the number of instructions varies
//! by 3 %. The standard library calls `getrandom` through a weak symbol, so that programs can replace it.
//! Each later `RandomState` of a thread is different, so a workload that sets up several trees counts the
//! average of several seeds.

use std::ffi::{c_uint, c_void};

/// Fills the buffer with a constant.
// SAFETY: the signature is that of getrandom(2), and no other function of this program has this name. The
// libc has one, which the linker then does not take.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: usize, _flags: c_uint) -> isize {
    // SAFETY: the caller passes a buffer of this length.
    unsafe { buffer.cast::<u8>().write_bytes(0x5a, len) };
    len as isize
}

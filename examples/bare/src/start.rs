//! The entry point of the program, and its arguments.

use core::arch::global_asm;
use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use crate::sys;

// The kernel jumps here. There is no caller: the stack holds the number of arguments, their
// addresses, a null, the addresses of the environment, a null (fs/binfmt_elf.c, create_elf_tables).
// `start` receives the address of the stack. Zeroed registers mark the outermost frame for debuggers.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    // The alignment of every call of a C function; the kernel has aligned the stack already.
    "and rsp, -16",
    "call {start}",
    start = sym start,
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {start}",
    start = sym start,
);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("_start is written for x86-64 and aarch64 only");

unsafe extern "Rust" {
    /// The function that [`main!`](crate::main) defines.
    fn bare_main(args: Args) -> u8;
}

/// # Safety
///
/// `stack` is the address at which the kernel put the arguments.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the number of arguments is first, and their addresses follow it.
    let args = unsafe { Args { count: *stack, argv: stack.add(1).cast() } };
    // SAFETY: `main!` defines it as a safe function.
    sys::exit(unsafe { bare_main(args) })
}

/// Sets the function that the program runs: `fn(bare::Args) -> u8`, which returns the exit status.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[unsafe(no_mangle)]
        fn bare_main(args: $crate::Args) -> u8 {
            $run(args)
        }
    };
}

/// The arguments of the program, beginning with its name, and its environment.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    count: usize,
    argv: *const *const c_char,
}

impl Args {
    /// Returns the number of arguments, including the name of the program.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns an argument; argument 0 is the name of the program.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'static CStr> {
        if at >= self.count {
            return None;
        }
        // SAFETY: the kernel put `count` addresses of strings there. They are valid for the life of the
        // process, because nothing writes to them.
        unsafe { Some(CStr::from_ptr(*self.argv.add(at))) }
    }

    /// Returns the environment, in the form for execve(2).
    pub(crate) fn environment(&self) -> *const *const c_char {
        // SAFETY: it begins after the null that ends the arguments.
        unsafe { self.argv.add(self.count).add(1) }
    }
}

/// No code here should panic. A separate status distinguishes it from an ordinary failure.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    let _ = sys::write(2, b"panicked\n");
    sys::exit(101)
}

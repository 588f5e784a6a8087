//! From the kernel's jump to the program's `run`.

use core::arch::global_asm;
use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use crate::sys;

// The kernel jumps here. There is no caller: the stack holds the number of arguments, their
// addresses, a null, the addresses of the environment, a null (fs/binfmt_elf.c, create_elf_tables).
// `start` gets the address of that; zeroed registers tell debuggers that no frame is further out.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    // As at every call of a C function; the kernel has aligned it already.
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
    /// What [`main!`](crate::main) makes.
    fn bare_main(args: Args) -> u8;
}

/// # Safety
///
/// `stack` is where the kernel has put the arguments.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the number comes first, and the addresses follow it.
    let args = unsafe { Args { count: *stack, argv: stack.add(1).cast() } };
    // SAFETY: it is a safe function there.
    sys::exit(unsafe { bare_main(args) })
}

/// Names the function that the program begins with: `fn(bare::Args) -> u8`.
#[macro_export]
macro_rules! main {
    ($run:path) => {
        #[unsafe(no_mangle)]
        fn bare_main(args: $crate::Args) -> u8 {
            $run(args)
        }
    };
}

/// The arguments of the program, its own name first, and its environment.
#[derive(Clone, Copy, Debug)]
pub struct Args {
    count: usize,
    argv: *const *const c_char,
}

impl Args {
    /// The number of arguments, with the program's name.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// An argument; 0 is the program's name.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'static CStr> {
        if at >= self.count {
            return None;
        }
        // SAFETY: the kernel has put `count` addresses of strings there. They stay as they are as long
        // as the process lives, for nothing here writes to them.
        unsafe { Some(CStr::from_ptr(*self.argv.add(at))) }
    }

    /// The environment, as execve(2) takes it.
    pub(crate) fn environment(&self) -> *const *const c_char {
        // SAFETY: it comes behind the null that ends the arguments.
        unsafe { self.argv.add(self.count).add(1) }
    }
}

/// Nothing here is meant to panic. A status of its own tells it from an ordinary failure.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    let _ = sys::write(2, b"panicked\n");
    sys::exit(101)
}

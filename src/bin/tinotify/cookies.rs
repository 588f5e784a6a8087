//! Chooses the cookies that are printed.
//!
//! A plain watch prints the kernel's cookies, as inotifywait does. A tree or a followed name needs its own
//! numbers: the kernel has none for a rename that was discovered, and one for both parts of an exchange is
//! not enough. Two watches that overlap also report one rename of the kernel twice.
//!
//! Invariant of own numbers: each is returned for at most one `MOVED_FROM` and one `MOVED_TO`, which are one
//! rename.

use std::collections::VecDeque;

/// The most halves that are remembered. Beyond this number, the oldest gets no second half.
const MAX_HALVES: usize = 1024;

#[derive(Debug, Default)]
pub struct Cookies {
    is_numbering: bool,
    /// The last number.
    last: u32,
    /// The halves whose other half has not come.
    halves: VecDeque<Half>,
}

#[derive(Debug)]
struct Half {
    /// The kernel's cookie.
    kernel: u32,
    number: u32,
    is_from: bool,
}

impl Cookies {
    /// Returns the kernel's cookies, or own numbers.
    pub fn new(is_numbering: bool) -> Self {
        Self { is_numbering, ..Self::default() }
    }

    /// Returns the cookie of one half of a rename whose other half is not known.
    pub fn of_half(&mut self, kernel: u32, is_from: bool) -> u32 {
        if kernel == 0 || !self.is_numbering {
            return kernel;
        }
        let is_other = |half: &Half| half.kernel == kernel && half.is_from != is_from;
        if let Some(other) = self.halves.iter().position(is_other) {
            return self.halves.remove(other).map_or(0, |half| half.number);
        }
        if self.halves.len() >= MAX_HALVES {
            self.halves.pop_front();
        }
        let number = self.next();
        self.halves.push_back(Half { kernel, number, is_from });
        number
    }

    /// Returns the cookie of both halves of a rename.
    pub fn of_both(&mut self, kernel: u32) -> u32 {
        if self.is_numbering { self.next() } else { kernel }
    }

    fn next(&mut self) -> u32 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn plain_watches_print_the_kernels_cookies() {
        let mut cookies = Cookies::new(false);
        assert_eq!(cookies.of_half(7, true), 7);
        assert_eq!(cookies.of_half(7, true), 7);
        assert_eq!(cookies.of_both(9), 9);
    }

    #[test]
    fn the_halves_of_two_trees_are_one_rename_in_either_order() {
        for is_from in [true, false] {
            let mut cookies = Cookies::new(true);
            let first = cookies.of_half(7, is_from);
            let other = cookies.of_half(8, is_from);
            assert_eq!(cookies.of_half(7, !is_from), first);
            assert_ne!(other, first);
        }
    }

    #[test]
    fn no_number_is_on_more_than_one_old_and_one_new_name() {
        fn holds(steps: Vec<(u8, Option<bool>)>) -> bool {
            let mut cookies = Cookies::new(true);
            let mut printed: HashMap<u32, (u8, Vec<Option<bool>>)> = HashMap::new();
            for (kernel, half) in steps {
                let kernel = kernel % 8 + 1;
                let number = match half {
                    Some(is_from) => cookies.of_half(kernel.into(), is_from),
                    None => cookies.of_both(kernel.into()),
                };
                printed.entry(number).or_insert((kernel, Vec::new())).1.push(half);
                if printed[&number].0 != kernel {
                    return false;
                }
            }
            printed.values().all(|(_, halves)| match halves[..] {
                [_] => true,
                [Some(one), Some(other)] => one != other,
                _ => false,
            })
        }
        quickcheck::quickcheck(holds as fn(Vec<(u8, Option<bool>)>) -> bool);
    }

    #[test]
    fn halves_beyond_the_limit_are_forgotten_and_not_mixed_up() {
        let mut cookies = Cookies::new(true);
        let numbers: Vec<u32> = (1..=2000).map(|kernel| cookies.of_half(kernel, true)).collect();
        assert_eq!(cookies.of_half(2000, false), numbers[1999]);
        assert!(!numbers.contains(&cookies.of_half(1, false)));
    }
}

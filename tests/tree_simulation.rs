//! Trees never lose track, whatever the world does meanwhile: the engine over a simulated kernel. And
//! the simulated kernel does what the real one does.
//!
//! Each schedule is the number that it is made from. From the environment: `TINOTIFY_SCHEDULES`, how
//! many; `TINOTIFY_FIRST_SEED`; `TINOTIFY_SEED`, one alone; `TINOTIFY_SURVEY`, to go on after a failure,
//! and say at the end what kinds there are; `TINOTIFY_WITHOUT=exchanges,faults`, to leave these out.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod simulated;
mod support;

#[path = "simulated/real.rs"]
mod real;

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simulated::choices::Choices;
use simulated::schedule::{self, Totals};

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Seeds that found something once.
const FOUND_SOMETHING: [u64; 57] = [
    235, 3_071, 4_635, 5_069, 5_975, 11_085, 13_070, 15_911, 18_227, 34_648, 88_411, 93_079,
    125_289, 136_540, 194_157, 302_275, 499_675, 516_542, 552_520, 731_847, 894_842, 1_067_509,
    1_137_939, 1_224_287, 1_339_541, 1_432_251, 1_510_683, 1_588_211, 2_178_914, 2_355_237,
    2_726_023, 2_985_518, 3_035_321, 3_262_634, 3_331_615, 3_404_225, 3_565_462, 3_706_699,
    3_760_034, 4_015_622, 5_262_278, 6_402_028, 6_729_788, 7_135_549, 8_103_465, 8_282_520,
    8_988_072, 9_649_678, 9_791_733, 10_553_054, 11_938_741, 13_111_717, 15_210_448, 15_285_922,
    17_512_431, 21_850_608, 26_822_217,
];

/// No schedule runs.
const NO_SEED: u64 = u64::MAX;

/// Ends the process with the seed of a schedule that does not end.
fn watch_over(current: &[AtomicU64], is_done: impl Fn() -> bool) {
    const DEADLINE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 10 });
    let seeds = || current.iter().map(|seed| seed.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let (mut last, mut since) = (seeds(), vec![Instant::now(); current.len()]);
    while !is_done() {
        thread::sleep(Duration::from_millis(5));
        for ((last, since), seed) in last.iter_mut().zip(&mut since).zip(seeds()) {
            if *last != seed {
                (*last, *since) = (seed, Instant::now());
            } else if seed != NO_SEED && since.elapsed() > DEADLINE {
                eprintln!("the schedule of seed {seed} does not end");
                std::process::exit(1);
            }
        }
    }
}

/// Runs the schedules of so many seeds on all processors, and gives what went wrong, shortly.
fn run_all(first: u64, count: u64, keep_going: bool) -> (Totals, Vec<(u64, String)>) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let current: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(NO_SEED)).collect();
    let work = |current: &AtomicU64| {
        let (mut totals, mut wrong) = (Totals::default(), Vec::new());
        // In portions, so that the threads don't wait for each other.
        while keep_going || !failed.load(Ordering::Relaxed) {
            let begin = next.fetch_add(100, Ordering::Relaxed);
            for seed in begin..(begin + 100).min(first + count) {
                current.store(seed, Ordering::Relaxed);
                match schedule::run(Choices::seeded(seed), false).0 {
                    Ok(more) => totals.add(more),
                    Err(why) => {
                        failed.store(true, Ordering::Relaxed);
                        wrong.push((seed, why));
                    }
                }
            }
            if begin + 100 >= first + count {
                break;
            }
        }
        current.store(NO_SEED, Ordering::Relaxed);
        (totals, wrong)
    };
    let (mut totals, mut wrong) = (Totals::default(), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = current.iter().map(|current| scope.spawn(|| work(current))).collect();
        watch_over(&current, || threads.iter().all(|thread| thread.is_finished()));
        for thread in threads {
            let (more, also_wrong) = thread.join().unwrap();
            totals.add(more);
            wrong.extend(also_wrong);
        }
    });
    wrong.sort();
    (totals, wrong)
}

#[test]
fn no_schedule_makes_a_tree_lose_track() {
    if let Some(seed) = number("TINOTIFY_SEED") {
        schedule::check(seed);
        return;
    }
    let count = number("TINOTIFY_SCHEDULES").unwrap_or(4_000);
    let first = number("TINOTIFY_FIRST_SEED").unwrap_or(0);
    let survey = number("TINOTIFY_SURVEY").is_some();
    let (totals, wrong) = run_all(first, count, survey);
    println!("{totals:?}");
    if survey {
        let mut kinds: BTreeMap<String, (u32, u64, &str)> = BTreeMap::new();
        for (seed, why) in &wrong {
            kinds.entry(schedule::kind(why)).or_insert((0, *seed, why)).0 += 1;
        }
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.0));
        for (count, seed, why) in kinds {
            println!("{count:6} such as seed {seed}: {why}");
        }
    }
    if let Some((seed, _)) = wrong.first() {
        schedule::check(*seed);
    }
    assert_eq!(totals.schedules, count);
}

#[test]
fn schedules_that_found_something_once_are_right() {
    for seed in FOUND_SOMETHING {
        schedule::check(seed);
    }
}

//! Trees never lose track, whatever changes meanwhile: the engine on a simulated kernel. And the simulated
//! kernel queues the same events as the real one.
//!
//! Each schedule is made from one number, its seed. Environment variables:
//!
//! - `TINOTIFY_SCHEDULES`: the number of schedules; `TINOTIFY_FIRST_SEED`; `TINOTIFY_SEED`: one seed alone.
//! - `TINOTIFY_DISTRIBUTION`: one of those in `simulated/distributions.rs`. Default: they take turns.
//! - `TINOTIFY_SURVEY`: goes on after a failure, and prints the kinds of failures at the end.
//! - `TINOTIFY_WITHOUT`: a list of words. Worlds without `exchanges`, `faults`, `users`, or an errno such as
//!   `eacces`; no check of `unwatched`, `masks`, `one_rename`, `rests`, `budget`.
//! - `TINOTIFY_WORDS`: the length of the words.
//! - `TINOTIFY_GROWTH_TIME`: compares processor time as well as calls.
//! - `TINOTIFY_SCRIPT`: runs the scripts whose names contain this, with a trace of those that fail.
//! - `TINOTIFY_PRINT_TRACE`: prints the trace of a single seed at once, for a schedule that does not end.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod simulated;
mod support;

#[path = "simulated/growth.rs"]
mod growth;
#[path = "simulated/real.rs"]
mod real;

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simulated::choices::Choices;
use simulated::distributions::{ALL, Distribution};
use simulated::schedule::{self, Totals};
use simulated::{script, shrink, words};

/// Returns a number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("invalid {name}={text}: expected a number")))
}

/// Seeds that have found a fault.
const SEEDS_OF_FAULTS: [u64; 57] = [
    235, 3_071, 4_635, 5_069, 5_975, 11_085, 13_070, 15_911, 18_227, 34_648, 88_411, 93_079,
    125_289, 136_540, 194_157, 302_275, 499_675, 516_542, 552_520, 731_847, 894_842, 1_067_509,
    1_137_939, 1_224_287, 1_339_541, 1_432_251, 1_510_683, 1_588_211, 2_178_914, 2_355_237,
    2_726_023, 2_985_518, 3_035_321, 3_262_634, 3_331_615, 3_404_225, 3_565_462, 3_706_699,
    3_760_034, 4_015_622, 5_262_278, 6_402_028, 6_729_788, 7_135_549, 8_103_465, 8_282_520,
    8_988_072, 9_649_678, 9_791_733, 10_553_054, 11_938_741, 13_111_717, 15_210_448, 15_285_922,
    17_512_431, 21_850_608, 26_822_217,
];

/// In place of a seed: no schedule runs.
const NO_SEED: u64 = u64::MAX;

/// Ends the process, with the seed, if a schedule does not end.
fn end_at_deadline(current: &[AtomicU64], is_done: impl Fn() -> bool) {
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

type Results = (BTreeMap<Distribution, Totals>, Vec<(u64, String)>);

/// Runs the schedules of `count` seeds on all processors. Returns the totals and the failures.
fn run_all(first: u64, count: u64, keep_going: bool) -> Results {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let current: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(NO_SEED)).collect();
    let work = |current: &AtomicU64| {
        let (mut totals, mut wrong): Results = Default::default();
        // In portions, so that the threads don't wait for each other.
        while keep_going || !failed.load(Ordering::Relaxed) {
            let begin = next.fetch_add(100, Ordering::Relaxed);
            for seed in begin..(begin + 100).min(first + count) {
                current.store(seed, Ordering::Relaxed);
                let distribution = Distribution::of_seed(seed);
                match schedule::run_in(Choices::seeded(seed), distribution, false).0 {
                    Ok(more) => totals.entry(distribution).or_default().add(more),
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
    // A panic is reported with its seed.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut totals, mut wrong): Results = Default::default();
    thread::scope(|scope| {
        let threads: Vec<_> = current.iter().map(|current| scope.spawn(|| work(current))).collect();
        end_at_deadline(&current, || threads.iter().all(|thread| thread.is_finished()));
        for thread in threads {
            let (more, also_wrong) = thread.join().unwrap();
            for (distribution, more) in more {
                totals.entry(distribution).or_default().add(more);
            }
            wrong.extend(also_wrong);
        }
    });
    std::panic::set_hook(hook);
    wrong.sort();
    (totals, wrong)
}

/// Prints the totals and the kinds of failures of each distribution.
fn report(totals: &BTreeMap<Distribution, Totals>, wrong: &[(u64, String)]) {
    for distribution in ALL.into_iter().chain([Distribution::Links]) {
        let of_it = |seed: u64| Distribution::of_seed(seed) == distribution;
        let wrong: Vec<_> = wrong.iter().filter(|(seed, _)| of_it(*seed)).collect();
        let totals = totals.get(&distribution).copied().unwrap_or_default();
        if wrong.is_empty() && totals.schedules == 0 {
            continue;
        }
        println!("{}: {} wrong; {totals:?}", distribution.name(), wrong.len());
        let mut kinds: BTreeMap<String, (u32, u64, &str)> = BTreeMap::new();
        for (seed, why) in wrong {
            kinds.entry(shrink::kind(why)).or_insert((0, *seed, why)).0 += 1;
        }
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.0));
        for (count, seed, why) in kinds {
            println!("{count:6} such as seed {seed}: {why}");
        }
    }
}

#[test]
fn no_schedule_makes_a_tree_lose_track() {
    if let Some(seed) = number("TINOTIFY_SEED") {
        shrink::check(seed, Distribution::of_seed(seed));
        return;
    }
    let count = number("TINOTIFY_SCHEDULES").unwrap_or(4_000);
    let first = number("TINOTIFY_FIRST_SEED").unwrap_or(0);
    let survey = number("TINOTIFY_SURVEY").is_some();
    let begin = Instant::now();
    let (totals, wrong) = run_all(first, count, survey);
    report(&totals, &wrong);
    println!("{count} schedules, {} wrong, {:.0?}", wrong.len(), begin.elapsed());
    if let (Some((seed, _)), false) = (wrong.first(), survey) {
        shrink::check(*seed, Distribution::of_seed(*seed));
    }
    assert!(wrong.is_empty(), "{} of {count} schedules are wrong", wrong.len());
}

#[test]
fn schedules_that_found_a_fault_are_right() {
    for seed in SEEDS_OF_FAULTS {
        shrink::check(seed, Distribution::Mixed);
    }
}

#[test]
fn no_schedule_makes_a_tree_with_followed_links_lose_track() {
    for seed in 0..2_000 {
        shrink::check(seed, Distribution::Links);
    }
}

#[test]
fn scripted_worlds_are_right() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let selected = env::var("TINOTIFY_SCRIPT").ok();
    let (mut ran, mut wrong) = (0, Vec::new());
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if selected.as_ref().is_some_and(|selected| !name.contains(selected.as_str())) {
            continue;
        }
        ran += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let (result, trace) = script::run(&text, selected.is_some());
        if let Err(why) = result {
            if selected.is_some() {
                println!("{}", trace.join("\n"));
            }
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(ran > 0, "no script has such a name");
    assert!(wrong.is_empty(), "{} of {ran} scripts are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn all_short_words_are_right() {
    let length = number("TINOTIFY_WORDS").unwrap_or(3) as usize;
    let letters = words::letters();
    let (next, ran) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut wrong: BTreeMap<String, (u64, String)> = BTreeMap::new();
        while let Some(first) = letters.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            words::each(first, length, &mut |word| {
                for reader in words::readers(length) {
                    for track_files in [false, true] {
                        ran.fetch_add(1, Ordering::Relaxed);
                        if let Err(script) = words::run(word, reader, track_files) {
                            let why = script.lines().next().unwrap_or_default();
                            wrong.entry(shrink::kind(why)).or_insert((0, script)).0 += 1;
                        }
                    }
                }
            });
        }
        wrong
    };
    let begin = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut wrong: BTreeMap<String, (u64, String)> = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for (kind, (count, script)) in threads.into_iter().flat_map(|t| t.join().unwrap()) {
            wrong.entry(kind).or_insert((0, script)).0 += count;
        }
    });
    for (count, script) in wrong.values() {
        println!("{count} words such as\n{script}");
    }
    let (count, took) = (wrong.values().map(|kind| kind.0).sum::<u64>(), begin.elapsed());
    let ran = ran.into_inner();
    println!("{ran} runs of words of {length} letters, {count} wrong, {took:.0?}");
    assert!(count == 0, "{count} of {ran} runs of words are wrong");
}

#[test]
fn cost_grows_linearly_with_the_changes() {
    const N: usize = 500;
    let times = number("TINOTIFY_GROWTH_TIME").is_some();
    let mut wrong = Vec::new();
    for task in growth::tasks() {
        // The fastest of three was disturbed least.
        let quickest = |n| (0..3).map(|_| task.run(n)).min_by_key(|cost| cost.time).unwrap();
        let (small, large) = (quickest(N), quickest(4 * N));
        let title = task.title();
        println!("{title}: {small}; at 4n {large}");
        if large.calls > 5 * small.calls + 50 {
            wrong.push(format!("{title}: {} calls, at 4n {}", small.calls, large.calls));
        }
        // Quadratic growth would be 16 times.
        let has_long_paths = task.title().contains("chain");
        if times && !has_long_paths && large.time > 9 * small.time {
            wrong.push(format!("{title}: {:?}, at 4n {:?}", small.time, large.time));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

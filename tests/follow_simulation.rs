//! A follower reports each change of its name, whatever changes at the same time. Runs the follower over a
//! simulated kernel, and over the real one.
//!
//! A schedule is made from one number, its seed. Environment variables:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `TINOTIFY_SCHEDULES` | the number of schedules | 20,000 |
//! | `TINOTIFY_FIRST_SEED` | the seed of the first schedule | 0 |
//! | `TINOTIFY_SEED` | runs only the schedule of this seed | unset |
//! | `TINOTIFY_DISTRIBUTION` | a name of `following/distributions.rs` for all schedules | each in turn |
//! | `TINOTIFY_SURVEY` | continues after a failure, and prints the kinds of failures at the end | unset |

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod following;

use std::collections::BTreeMap;
use std::env;
use std::time::Instant;

use following::choices::Choices;
use following::distributions::{ALL, Distribution};
use following::schedule::{Totals, run_in};
use following::{chaos, real, script, shrink};

/// Reads a number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// Runs one schedule. Returns an error if it fails.
fn check(seed: u64) -> Result<Totals, String> {
    run_in(Choices::seeded(seed), Distribution::of_seed(seed), false).0
}

/// Fails with a short script.
fn fail(seed: u64, why: &str) -> ! {
    let distribution = Distribution::of_seed(seed);
    let shrunk = shrink::explain(seed, distribution);
    panic!("seed {seed}, {}: {why}\n\nshrunk:\n{shrunk}", distribution.name())
}

/// Prints the totals of each distribution, and the kinds of failures.
fn report(totals: &BTreeMap<Distribution, Totals>, failures: &[(u64, String)]) {
    for distribution in ALL {
        let Some(totals) = totals.get(&distribution) else { continue };
        println!("{}: {totals:?}", distribution.name());
    }
    let mut kinds: BTreeMap<String, (u64, u64, &str)> = BTreeMap::new();
    for (seed, why) in failures {
        kinds.entry(shrink::kind(why)).or_insert((0, *seed, why)).0 += 1;
    }
    for (count, seed, why) in kinds.values() {
        println!("{count:6} such as seed {seed}: {why}");
    }
}

#[test]
fn a_follower_is_right_in_every_schedule() {
    if let Some(seed) = number("TINOTIFY_SEED") {
        match check(seed) {
            Ok(totals) => println!("{totals:?}"),
            Err(why) => fail(seed, &why),
        }
        return;
    }
    let count = number("TINOTIFY_SCHEDULES").unwrap_or(20_000);
    let first = number("TINOTIFY_FIRST_SEED").unwrap_or(0);
    let survey = number("TINOTIFY_SURVEY").is_some();
    let begin = Instant::now();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut totals, mut failures) = (BTreeMap::<Distribution, Totals>::new(), Vec::new());
    for seed in first..first + count {
        match check(seed) {
            Ok(more) => totals.entry(Distribution::of_seed(seed)).or_default().add(more),
            Err(why) => failures.push((seed, why)),
        }
        if !survey && !failures.is_empty() {
            break;
        }
    }
    std::panic::set_hook(hook);
    report(&totals, &failures);
    println!("{count} schedules, {} wrong, {:.1?}", failures.len(), begin.elapsed());
    if let (Some((seed, why)), false) = (failures.first(), survey) {
        fail(*seed, why);
    }
    assert!(failures.is_empty(), "{} of {count} schedules are wrong", failures.len());
}

/// Returns the names and the texts of the scripts.
fn scripts() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/following/scripts");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> = paths
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts in {dir}");
    scripts
}

#[test]
fn a_follower_is_right_in_every_scripted_world() {
    let results = scripts().into_iter().map(|(name, text)| (name, script::run(&text)));
    let failures: Vec<_> =
        results.filter_map(|(name, result)| Some((name, result.err()?))).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn scripts_have_the_same_results_with_the_real_kernel() {
    let mut ran = 0;
    for (name, text) in scripts() {
        println!("{name}");
        ran += u32::from(real::run(&text));
    }
    assert!(ran > 10, "{ran} scripts");
}

#[test]
fn no_result_of_a_kernel_call_makes_a_follower_panic() {
    for seed in 0..5_000 {
        chaos::run(seed);
    }
}

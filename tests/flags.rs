//! Printing, parsing and checking flags.

#[path = "oracle/flags.rs"]
mod oracle;

use oracle::check_parse;
use quickcheck::{Gen, QuickCheck, Testable};
use tinotify::{EventMask, InitFlags, MaskError, WatchMask};

/// Miri is slow, so it runs only some of the cases.
const STEP: usize = if cfg!(miri) { 3 } else { 1 };

fn holds(property: impl Testable) {
    let (tests, size) = if cfg!(miri) { (2, 12) } else { (2000, 100) };
    QuickCheck::new().rng(Gen::new(size)).tests(tests).quickcheck(property);
}

/// The bits of inotify(7), from its table and include/uapi/linux/inotify.h.
const EVENTS: [(&str, u32); 12] = [
    ("ACCESS", 0x1),
    ("MODIFY", 0x2),
    ("ATTRIB", 0x4),
    ("CLOSE_WRITE", 0x8),
    ("CLOSE_NOWRITE", 0x10),
    ("OPEN", 0x20),
    ("MOVED_FROM", 0x40),
    ("MOVED_TO", 0x80),
    ("CREATE", 0x100),
    ("DELETE", 0x200),
    ("DELETE_SELF", 0x400),
    ("MOVE_SELF", 0x800),
];
const OPTIONS: [(&str, u32); 6] = [
    ("ONLYDIR", 0x0100_0000),
    ("DONT_FOLLOW", 0x0200_0000),
    ("EXCL_UNLINK", 0x0400_0000),
    ("MASK_CREATE", 0x1000_0000),
    ("MASK_ADD", 0x2000_0000),
    ("ONESHOT", 0x8000_0000),
];
const READ: [(&str, u32); 4] =
    [("UNMOUNT", 0x2000), ("Q_OVERFLOW", 0x4000), ("IGNORED", 0x8000), ("ISDIR", 0x4000_0000)];
const GROUPS: [(&str, u32); 3] = [("CLOSE", 0x18), ("MOVE", 0xc0), ("ALL_EVENTS", 0xfff)];

macro_rules! tests_of {
    ($($name:ident: $flags:ty, $singles:expr, $groups:expr;)*) => {$(
        mod $name {
            use super::*;

            fn singles() -> Vec<(&'static str, u32)> {
                $singles.to_vec()
            }

            fn parse(text: &str) -> Result<u32, std::ops::Range<usize>> {
                text.parse::<$flags>().map(|flags| flags.bits()).map_err(|error| error.range())
            }

            #[test]
            fn printed_bits_are_parsed_back() {
                fn property(bits: u32, plain: u32) {
                    for bits in [bits, bits & plain, plain & <$flags>::all().bits()] {
                        let flags = <$flags>::from_bits_retain(bits);
                        let text = flags.to_string();
                        assert_eq!(parse(&text), Ok(bits), "{text}");
                        assert_eq!(parse(&text.to_lowercase()), Ok(bits), "{text}");
                        assert_eq!(parse(&text.replace(',', " | ")), Ok(bits), "{text}");
                    }
                }
                holds(property as fn(u32, u32));
                assert_eq!(<$flags>::empty().to_string(), "0x0");
                assert_eq!(parse("0x0"), Ok(0));
                property(u32::MAX, 0);
            }

            #[test]
            fn each_flag_has_a_bit_and_a_name() {
                for (name, bits) in singles() {
                    assert_eq!(<$flags>::from_bits_retain(bits).to_string(), name);
                }
                for (name, bits) in singles().into_iter().chain($groups.to_vec()) {
                    let mixed: String = name
                        .chars()
                        .enumerate()
                        .map(|(i, c)| if i % 2 == 0 { c.to_ascii_lowercase() } else { c })
                        .collect();
                    for prefix in ["", "IN_", "in_", "In_"].into_iter().step_by(STEP) {
                        for name in [name, &name.to_lowercase(), &mixed] {
                            assert_eq!(parse(&format!("{prefix}{name}")), Ok(bits), "{name}");
                        }
                    }
                }
                let all: u32 = singles().iter().map(|(_, bits)| bits).sum();
                assert_eq!(<$flags>::all().bits(), all, "all flags");
            }

            #[test]
            fn iter_returns_single_flags_and_then_unknown_bits() {
                fn property(bits: u32) {
                    let flags = <$flags>::from_bits_retain(bits);
                    let mut expected: Vec<_> =
                        singles().into_iter().map(|(_, bit)| bit).filter(|bit| bits & bit != 0).collect();
                    let known: u32 = expected.iter().sum();
                    if bits != known {
                        expected.push(bits & !known);
                    }
                    let actual: Vec<_> = flags.iter().map(|flag| flag.bits()).collect();
                    assert_eq!(actual, expected);
                }
                holds(property as fn(u32));
                property(0);
                property(u32::MAX);
            }

            #[test]
            fn lists_are_parsed_with_any_separator() {
                let (a, b) = (singles()[0], singles()[1]);
                for between in [",", "|", " ", ", ", " ,", " | ", "\t", "\n", "  ", " \r\n,\x0c"] {
                    let text = format!(" {}{between}{}\n", a.0, b.0);
                    assert_eq!(parse(&text), Ok(a.1 | b.1), "{text:?}");
                }
                // A flag may be repeated, and numbers may be mixed with names.
                assert_eq!(parse(&format!("{0},{0},0x1000,0XF0000", a.0)), Ok(a.1 | 0xf1000));
            }

            #[test]
            fn an_unknown_word_has_its_range_in_the_error() {
                let good = singles()[0].0;
                let bad = [
                    "DELTE", "x", "IN_", "IN_IN_OPEN", "CLOEXECUTE", "0x", "0x1_0", "0x+1", "0x-1",
                    "0x100000000", "16", "1", "-", "+", ";", "IN_0x1", "é", "éé", "ŒN_OPEN",
                    "OPEN\u{a0}", "\0", "ALL",
                ];
                for bad in bad.into_iter().step_by(STEP) {
                    assert_eq!(parse(bad), Err(0..bad.len()), "{bad:?}");
                    for (before, after) in
                        [(" ", " "), ("{},", ""), ("{} ", ",{}"), ("{}|{} ,\t", "\n{}"), ("", ",{}")]
                    {
                        let before = before.replace("{}", good);
                        let text = format!("{before}{bad}{}", after.replace("{}", good));
                        let range = before.len()..before.len() + bad.len();
                        assert_eq!(parse(&text), Err(range), "{text:?}");
                    }
                }
            }

            #[test]
            fn a_missing_word_has_its_offset_in_the_error() {
                let good = singles()[0].0;
                for text in ["", ",", "|", ",{}", "|{}"] {
                    assert_eq!(parse(&text.replace("{}", good)), Err(0..0), "{text:?}");
                }
                for text in ["{},", "{}|", "{},,{}", "{},|{}"] {
                    let at = good.len() + 1;
                    assert_eq!(parse(&text.replace("{}", good)), Err(at..at), "{text:?}");
                }
                for text in [" ", "\t\n", "  ,{}", "{}, ", "{} , | {}"] {
                    let text = text.replace("{}", good);
                    let range = parse(&text).unwrap_err();
                    assert!(range.is_empty() && range.start <= text.len(), "{text:?}");
                }
            }
        }
    )*};
}

#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc",
    target_arch = "sparc64"
)))]
const INIT: [(&str, u32); 2] = [("NONBLOCK", 0x800), ("CLOEXEC", 0x8_0000)];
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const INIT: [(&str, u32); 2] = [("NONBLOCK", 0x80), ("CLOEXEC", 0x8_0000)];
#[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
const INIT: [(&str, u32); 2] = [("NONBLOCK", 0x4000), ("CLOEXEC", 0x40_0000)];

tests_of! {
    init_flags: InitFlags, INIT, <[(&str, u32); 0]>::default();
    watch_mask: WatchMask, [&EVENTS[..], &OPTIONS].concat(), GROUPS;
    event_mask: EventMask, [&EVENTS[..], &READ].concat(), GROUPS;
}

#[test]
fn any_text_is_parsed_or_refused_at_its_first_invalid_word() {
    fn property(words: Vec<(u8, String)>) {
        const PARTS: [&str; 12] = [
            "CREATE", "in_close", "0x1f", ",", "|", " ", "\t", "IN_", "0x", "é", "oneshot",
            "CLOEXEC",
        ];
        let part = |(which, text): &(u8, String)| match PARTS.get(usize::from(which % 16)) {
            Some(part) => part.to_string(),
            None => text.clone(),
        };
        check_parse(&words.iter().map(part).collect::<String>());
    }
    holds(property as fn(Vec<(u8, String)>));
}

#[test]
fn names_of_the_other_types_are_refused() {
    assert!("ONLYDIR".parse::<EventMask>().is_err());
    assert!("ISDIR".parse::<WatchMask>().is_err());
    assert!("Q_OVERFLOW".parse::<WatchMask>().is_err());
    assert!("CLOEXEC".parse::<WatchMask>().is_err());
    assert!("CREATE".parse::<InitFlags>().is_err());
}

#[test]
fn groups_print_as_their_single_flags() {
    assert_eq!(WatchMask::CLOSE.to_string(), "CLOSE_WRITE,CLOSE_NOWRITE");
    assert_eq!(EventMask::MOVE.to_string(), "MOVED_FROM,MOVED_TO");
    let all: Vec<_> = EVENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(WatchMask::ALL_EVENTS.to_string(), all.join(","));
}

#[test]
fn check_accepts_all_events_and_options_except_add_with_create() {
    for options in 0..64_u32 {
        let chosen = OPTIONS.iter().enumerate().filter(|(at, _)| options >> at & 1 == 1);
        let options: u32 = chosen.map(|(_, (_, bits))| bits).sum();
        let events: Vec<u32> =
            if cfg!(miri) { vec![0, 1, 0x800, 0xfff] } else { (0..=0xfff).collect() };
        for events in events {
            let mask = WatchMask::from_bits_retain(options | events);
            let expected = if options & 0x3000_0000 == 0x3000_0000 {
                Err(MaskError::AddAndCreate)
            } else if events == 0 {
                Err(MaskError::NoEvents)
            } else {
                Ok(mask)
            };
            assert_eq!(mask.check(), expected, "{mask}");
            assert_eq!(mask.events().bits(), events);
        }
    }
}

#[test]
fn check_refuses_each_bit_that_a_watch_can_not_request() {
    for bit in 0..32 {
        let bits = 1 << bit;
        let mask = WatchMask::CREATE | WatchMask::from_bits_retain(bits);
        let known = EVENTS.iter().chain(&OPTIONS).any(|(_, known)| *known == bits);
        let expected = if known { Ok(mask) } else { Err(MaskError::Unknown(bits)) };
        assert_eq!(mask.check(), expected, "{mask}");
    }
}

#[test]
fn check_refuses_all_and_empty() {
    assert_eq!(WatchMask::all().check(), Err(MaskError::AddAndCreate));
    assert_eq!(WatchMask::empty().check(), Err(MaskError::NoEvents));
    assert_eq!(
        WatchMask::from_bits_retain(u32::MAX).check(),
        Err(MaskError::Unknown(0x4800_f000 | 0xff_0000))
    );
    assert_eq!(WatchMask::ALL_EVENTS.check(), Ok(WatchMask::ALL_EVENTS));
}

#[test]
fn mask_errors_name_the_bits_and_the_remedy() {
    let text = MaskError::Unknown(0x4000_0000).to_string();
    assert!(text.contains("ISDIR"), "{text}");
    let text = MaskError::Unknown(0x1000).to_string();
    assert!(text.contains("0x1000"), "{text}");
    let text = MaskError::AddAndCreate.to_string();
    assert!(text.contains("MASK_ADD") && text.contains("MASK_CREATE"), "{text}");
    assert!(MaskError::NoEvents.to_string().contains("ALL_EVENTS"));
}

#[test]
fn parse_errors_name_the_range() {
    let text = "CREATE,DELTE".parse::<WatchMask>().unwrap_err().to_string();
    assert!(text.contains("7..12"), "{text}");
    let text = "CREATE,".parse::<WatchMask>().unwrap_err().to_string();
    assert!(text.contains("missing") && text.contains('7'), "{text}");
}

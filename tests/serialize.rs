//! Owned events can be saved with serde and made again: as text, and in a binary format.

mod watching;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use quickcheck::{Arbitrary, Gen, quickcheck};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tinotify::{
    Errno, Event, EventBuf, EventMask, NameChange, TreeChange, TreeOptions, UnwatchedReason,
    WatchEventBuf, WatchMask, Watcher, Wd,
};
use watching::{Place, drained};

/// A name without NUL, which is often no UTF-8.
#[derive(Clone, Debug)]
struct Name(OsString);

impl Arbitrary for Name {
    fn arbitrary(g: &mut Gen) -> Self {
        let bytes =
            if bool::arbitrary(g) { String::arbitrary(g).into_bytes() } else { Vec::arbitrary(g) };
        Self(OsString::from_vec(bytes.into_iter().filter(|&byte| byte != 0).take(200).collect()))
    }
}

#[derive(Clone, Debug)]
struct Made(WatchEventBuf);

impl Arbitrary for Made {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut event = WatchEventBuf::builder(EventMask::from_bits_retain(u32::arbitrary(g)))
            .cookie(u32::arbitrary(g))
            .wd(Wd::from_raw(i32::arbitrary(g)))
            .name(Name::arbitrary(g).0)
            .directory(Name::arbitrary(g).0);
        if bool::arbitrary(g) {
            event = event.alias(Name::arbitrary(g).0).token(u64::arbitrary(g));
        }
        if bool::arbitrary(g) {
            event = event.watched_path(Name::arbitrary(g).0);
        }
        let other = PathBuf::from(Name::arbitrary(g).0);
        let errno = Errno::from_raw(*g.choose(&[1, 13, 28, 999]).unwrap());
        let tree = [
            TreeChange::Reported,
            TreeChange::Discovered,
            TreeChange::Renamed { from: &other },
            TreeChange::Exchanged { with: &other },
            TreeChange::Unwatched(UnwatchedReason::Failed(errno)),
            TreeChange::Unwatched(UnwatchedReason::WatchedElsewhere),
            TreeChange::Unwatched(UnwatchedReason::RootMoved),
            TreeChange::Unlisted(errno),
            TreeChange::Watched,
            TreeChange::Established,
            TreeChange::Resynced,
            TreeChange::RootMoved,
            TreeChange::RootRemoved,
            TreeChange::RootUnmounted,
        ];
        let name =
            [NameChange::Appeared, NameChange::Changed, NameChange::Replaced, NameChange::Vanished];
        Self(match u8::arbitrary(g) % 3 {
            0 => event.tree_change(*g.choose(&tree).unwrap()).build(),
            1 => event.name_change(*g.choose(&name).unwrap()).build(),
            _ => event.build(),
        })
    }
}

fn through_text<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn through_bytes<T: Serialize + DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_allocvec(value).unwrap()).unwrap()
}

quickcheck! {
    fn every_event_of_a_watcher_is_the_same_after_it_was_saved(event: Made) -> bool {
        through_text(&event.0) == event.0 && through_bytes(&event.0) == event.0
    }

    fn every_event_of_the_core_is_the_same_after_it_was_saved(
        wd: i32, mask: u32, cookie: u32, name: Option<Name>
    ) -> bool {
        let name = name.map(|name| std::ffi::CString::new(name.0.into_vec()).unwrap());
        let mask = EventMask::from_bits_retain(mask);
        let event = Event::new(Wd::from_raw(wd), mask, cookie, name.as_deref());
        let event = EventBuf::try_from(event).unwrap();
        through_text(&event) == event && through_bytes(&event) == event
    }

    fn every_mask_is_the_same_after_it_was_saved(bits: u32) -> bool {
        let (events, watch) = (EventMask::from_bits_retain(bits), WatchMask::from_bits_retain(bits));
        through_text(&events) == events && through_bytes(&events) == events
            && through_text(&watch) == watch && through_bytes(&watch) == watch
    }

    fn damaged_bytes_give_an_event_or_an_error(bytes: Vec<u8>, text: String) -> bool {
        let _ = postcard::from_bytes::<WatchEventBuf>(&bytes).map(|event| event.to_string());
        let _ = postcard::from_bytes::<EventBuf>(&bytes).map(|event| event.to_string());
        let _ = serde_json::from_str::<WatchEventBuf>(&text).map(|event| event.to_string());
        true
    }
}

#[test]
fn text_is_readable() {
    let event = WatchEventBuf::builder(EventMask::CREATE | EventMask::ISDIR)
        .directory("/srv")
        .name(OsString::from_vec(vec![b'a', 0xff]))
        .token(7)
        .tree_change(TreeChange::Unwatched(UnwatchedReason::Failed(Errno::ENOSPC)))
        .build();
    let expected = serde_json::json!({
        "wd": -1,
        "mask": "CREATE,ISDIR",
        "cookie": 0,
        "name": [97, 255],
        "directory": "/srv",
        "watched_path": "/srv",
        "alias": null,
        "token": 7,
        "name_change": null,
        "tree_change": { "Unwatched": { "Failed": { "errno": 28 } } },
    });
    assert_eq!(serde_json::to_value(&event).unwrap(), expected);
}

#[test]
fn a_name_with_a_nul_byte_or_of_more_than_255_bytes_is_refused() {
    let with =
        |name: &str| serde_json::json!({ "wd": 1, "mask": "CREATE", "cookie": 0, "name": name });
    for name in ["a\0b", &"x".repeat(256)] {
        assert!(serde_json::from_value::<EventBuf>(with(name)).is_err(), "{name:?}");
    }
    assert!(serde_json::from_value::<EventBuf>(with(&"x".repeat(255))).is_ok());
}

#[test]
fn the_events_of_a_real_tree_are_the_same_but_for_the_key_of_the_watch() {
    let place = Place::new();
    place.dir("a");
    let mut watcher = Watcher::new().unwrap();
    let options = TreeOptions::new().report_existing(true);
    watcher.watch_tree(place.path(), Watcher::CHANGES | WatchMask::MOVE, options).unwrap();
    std::fs::rename(place.at("a"), place.at("b")).unwrap();
    place.file("b/file");
    let events = drained(&mut watcher);
    assert!(events.iter().any(|event| event.renamed_from().is_some()), "{events:?}");
    for event in &events {
        let saved: WatchEventBuf = through_text(event);
        assert_eq!(saved.watch(), None);
        assert_eq!(saved.to_string(), event.to_string());
        assert_eq!(saved.path(), event.path());
        assert_eq!(saved.tree_change(), event.tree_change());
        assert_eq!(saved, through_bytes(event));
    }
}

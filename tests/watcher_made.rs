//! Events can be made, compared, hashed and printed without a watcher.

mod watching;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use tinotify::{
    EventKind, EventMask, NameChange, TreeChange, TreeOptions, WatchEventBuf, WatchMask,
    WatchOptions, Watcher,
};
use watching::{Place, drained};

#[test]
fn an_event_that_is_made_by_hand_equals_that_of_the_kernel() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("it").token(7);
    let watch = watcher.watch_with(place.path(), WatchMask::CREATE, options).unwrap();
    place.dir("a");
    let [event] = &drained(&mut watcher)[..] else { panic!("one event") };
    let made = WatchEventBuf::builder(EventMask::CREATE | EventMask::ISDIR)
        .watch(watch)
        .alias("it")
        .token(7)
        .directory(place.path())
        .name("a")
        .wd(event.event().wd());
    assert_eq!(made.clone().build(), *event);
    assert_eq!(made.clone().build().to_string(), event.to_string());
    let all: HashSet<WatchEventBuf> = [event.clone(), made.clone().build()].into();
    assert_eq!(all.len(), 1);
    // Each part counts.
    let unlike = [
        made.clone().token(8).build(),
        made.clone().alias("other").build(),
        made.clone().directory("/").build(),
        made.clone().watched_path("/").build(),
        made.clone().name("b").build(),
        made.clone().cookie(1).build(),
        made.clone().name_change(NameChange::Appeared).build(),
        made.clone().tree_change(TreeChange::Reported).build(),
        made.tree_change(TreeChange::Discovered).build(),
        WatchEventBuf::builder(EventMask::CREATE).build(),
    ];
    for (at, one) in unlike.iter().enumerate() {
        assert_ne!(one, event, "{at}");
        assert!(unlike.iter().skip(at + 1).all(|other| other != one), "{at}");
    }
}

#[test]
fn a_rename_that_is_made_by_hand_equals_that_of_a_tree() {
    let place = Place::new();
    place.dir("a");
    place.file("a/x");
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(place.path(), WatchMask::MOVE, TreeOptions::new()).unwrap();
    drained(&mut watcher);
    fs::rename(place.at("a/x"), place.at("a/y")).unwrap();
    let [event] = &drained(&mut watcher)[..] else { panic!("one event") };
    let from = place.at("a/x");
    let made = WatchEventBuf::builder(event.mask())
        .watch(tree)
        .watched_path(place.path())
        .directory(place.at("a"))
        .name("y")
        .cookie(event.cookie())
        .tree_change(TreeChange::Renamed { from: &from })
        .build();
    assert_eq!(made, *event);
    assert_eq!(made.renamed_from(), Some(&*from));
    assert_eq!(made.directory(), Some(&*place.at("a")));
}

#[test]
fn an_event_that_says_nothing_has_empty_parts() {
    let event = WatchEventBuf::builder(EventMask::Q_OVERFLOW).build();
    assert_eq!(event.kind(), EventKind::Overflow);
    assert_eq!(
        (event.watch(), event.alias(), event.token(), event.name()),
        (None, None, None, None)
    );
    assert_eq!(event.path(), Path::new(""));
    assert_eq!((event.name_change(), event.tree_change()), (None, None));
}

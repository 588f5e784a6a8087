//! Events can be built, compared, hashed and printed without a watcher.

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
fn a_built_event_equals_the_event_of_the_kernel() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let options = WatchOptions::new().alias("it").token(7);
    let watch = watcher.watch_with(place.path(), WatchMask::CREATE, options).unwrap();
    place.dir("a");
    let [event] = &drained(&mut watcher)[..] else { panic!("one event") };
    let built = WatchEventBuf::builder(EventMask::CREATE | EventMask::ISDIR)
        .watch(watch)
        .alias("it")
        .token(7)
        .directory(place.path())
        .name("a")
        .wd(event.event().wd());
    assert_eq!(built.clone().build(), *event);
    assert_eq!(built.clone().build().to_string(), event.to_string());
    let all: HashSet<WatchEventBuf> = [event.clone(), built.clone().build()].into();
    assert_eq!(all.len(), 1);
    // Each part affects equality.
    let different = [
        built.clone().token(8).build(),
        built.clone().alias("other").build(),
        built.clone().directory("/").build(),
        built.clone().watched_path("/").build(),
        built.clone().name("b").build(),
        built.clone().cookie(1).build(),
        built.clone().name_change(NameChange::Appeared).build(),
        built.clone().tree_change(TreeChange::Reported).build(),
        built.tree_change(TreeChange::Discovered).build(),
        WatchEventBuf::builder(EventMask::CREATE).build(),
    ];
    for (at, one) in different.iter().enumerate() {
        assert_ne!(one, event, "{at}");
        assert!(different.iter().skip(at + 1).all(|other| other != one), "{at}");
    }
}

#[test]
fn a_built_rename_equals_the_event_of_a_tree() {
    let place = Place::new();
    place.dir("a");
    place.file("a/x");
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(place.path(), WatchMask::MOVE, TreeOptions::new()).unwrap();
    drained(&mut watcher);
    fs::rename(place.at("a/x"), place.at("a/y")).unwrap();
    let [event] = &drained(&mut watcher)[..] else { panic!("one event") };
    let from = place.at("a/x");
    let built = WatchEventBuf::builder(event.mask())
        .watch(tree)
        .watched_path(place.path())
        .directory(place.at("a"))
        .name("y")
        .cookie(event.cookie())
        .tree_change(TreeChange::Renamed { from: &from })
        .build();
    assert_eq!(built, *event);
    assert_eq!(built.renamed_from(), Some(&*from));
    assert_eq!(built.directory(), Some(&*place.at("a")));
}

#[test]
fn the_parts_of_a_built_event_are_empty_by_default() {
    let event = WatchEventBuf::builder(EventMask::Q_OVERFLOW).build();
    assert_eq!(event.kind(), EventKind::Overflow);
    assert_eq!(
        (event.watch(), event.alias(), event.token(), event.name()),
        (None, None, None, None)
    );
    assert_eq!(event.path(), Path::new(""));
    assert_eq!((event.name_change(), event.tree_change()), (None, None));
}

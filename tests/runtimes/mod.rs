//! The runtimes that the tests of asynchronous watchers run in: each test runs in all of them.

#![allow(dead_code)] // Each test binary uses some of it.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_lite::FutureExt;
use tinotify::stream::{AsyncWatcher, Runtime};
use tinotify::{
    AsyncIoWatcher, TokioWatcher, WatchError, WatchEventBuf, WatchMask, Watcher, wait_for_async_io,
    wait_for_tokio,
};

use crate::watching::Place;

pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The operations of a runtime that the tests need.
pub trait TestRuntime {
    type Runtime: Runtime + Unpin + Send + 'static;
    fn block_on<T>(future: impl Future<Output = T>) -> T;
    fn register(watcher: Watcher) -> AsyncWatcher<Self::Runtime>;
    /// Returns `None` after `time`, by the runtime's own timer.
    async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Option<T>;
    fn wait_for(path: &Path, mask: WatchMask) -> Boxed<'_, Result<WatchEventBuf, WatchError>>;
}

pub struct Tokio;
pub struct TokioThreads;
pub struct AsyncIo;

macro_rules! in_tokio {
    ($($of:ident: $builder:ident,)*) => {$(
        impl TestRuntime for $of {
            type Runtime = tinotify::stream::Tokio;

            fn block_on<T>(future: impl Future<Output = T>) -> T {
                let mut builder = tokio::runtime::Builder::$builder();
                builder.enable_all().build().unwrap().block_on(future)
            }

            fn register(watcher: Watcher) -> TokioWatcher {
                TokioWatcher::tokio(watcher).unwrap()
            }

            async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
                tokio::time::timeout(time, future).await.ok()
            }

            fn wait_for(
                path: &Path,
                mask: WatchMask,
            ) -> Boxed<'_, Result<WatchEventBuf, WatchError>> {
                Box::pin(wait_for_tokio(path, mask))
            }
        }
    )*};
}

in_tokio! {
    Tokio: new_current_thread,
    TokioThreads: new_multi_thread,
}

impl TestRuntime for AsyncIo {
    type Runtime = tinotify::stream::AsyncIo;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        async_io::block_on(future)
    }

    fn register(watcher: Watcher) -> AsyncIoWatcher {
        AsyncIoWatcher::async_io(watcher).unwrap()
    }

    async fn timeout<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
        let expired = async {
            async_io::Timer::after(time).await;
            None
        };
        async { Some(future.await) }.or(expired).await
    }

    fn wait_for(path: &Path, mask: WatchMask) -> Boxed<'_, Result<WatchEventBuf, WatchError>> {
        Box::pin(wait_for_async_io(path, mask))
    }
}

/// Makes one test of each function and runtime.
macro_rules! in_each_runtime {
    ($($test:ident,)*) => {
        mod in_tokio {
            $(#[test] fn $test() { super::$test::<crate::runtimes::Tokio>(); })*
        }
        mod in_tokio_with_threads {
            $(#[test] fn $test() { super::$test::<crate::runtimes::TokioThreads>(); })*
        }
        mod in_async_io {
            $(#[test] fn $test() { super::$test::<crate::runtimes::AsyncIo>(); })*
        }
    };
}

/// Returns a watcher of one directory.
pub fn watcher_of<R: TestRuntime>(place: &Place) -> AsyncWatcher<R::Runtime> {
    let watcher = R::register(Watcher::new().unwrap());
    watcher.get_ref().watch(place.path(), WatchMask::CREATE).unwrap();
    watcher
}

/// Runs `action` in another thread once the future was polled and is pending.
pub async fn once_pending<T>(future: impl Future<Output = T>, action: impl FnOnce() + Send) -> T {
    let mut future = pin!(future);
    let mut action = Some(action);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if let (Poll::Pending, Some(action)) = (&polled, action.take()) {
            thread::scope(|scope| scope.spawn(action).join()).unwrap();
        }
        polled
    })
    .await
}

//! The rivals in runtimes, each on one thread. Both runtimes have a bare one: the runtime's own type for
//! descriptors, and read(2).

#[cfg(feature = "async-io")]
pub mod in_async_io {
    use std::path::Path;

    use async_io::{Async, block_on};
    use tinotify::AsyncIoWatcher;

    use crate::rivals::{self, BUFFER, Wait};

    pub fn bare(dir: &Path) -> Wait {
        let inotify = Async::new_nonblocking(rivals::bare(dir)).unwrap();
        let mut buffer = vec![0; BUFFER];
        Box::new(move || {
            block_on(async {
                let read = |fd: &_| rivals::read(fd, &mut buffer).map_err(Into::into);
                inotify.read_with(read).await.unwrap();
            });
        })
    }

    pub fn watcher(dir: &Path) -> Wait {
        let mut watcher = AsyncIoWatcher::async_io(rivals::watcher(dir)).unwrap();
        Box::new(move || {
            block_on(async {
                rivals::consume_ours(&watcher.recv().await.unwrap());
            });
        })
    }
}

#[cfg(feature = "tokio")]
pub mod in_tokio {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use futures_lite::StreamExt;
    use tinotify::TokioWatcher;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::runtime::{Builder, Runtime};

    use crate::rivals::{self, BUFFER, Wait};
    use crate::support::consume;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_io().build().unwrap()
    }

    // Deprecated because some implementations of `AsRawFd` change their descriptor. `OwnedFd` does not.
    #[allow(deprecated)]
    pub fn bare(dir: &Path) -> Wait {
        let runtime = runtime();
        let entered = runtime.enter();
        let inotify = AsyncFd::with_interest(rivals::bare(dir), Interest::READABLE).unwrap();
        drop(entered);
        let mut buffer = vec![0; BUFFER];
        Box::new(move || {
            runtime.block_on(async {
                let read = |fd: &_| rivals::read(fd, &mut buffer).map_err(Into::into);
                inotify.async_io(Interest::READABLE, read).await.unwrap();
            });
        })
    }

    pub fn watcher(dir: &Path) -> Wait {
        let runtime = runtime();
        let entered = runtime.enter();
        let mut watcher = TokioWatcher::tokio(rivals::watcher(dir)).unwrap();
        drop(entered);
        Box::new(move || {
            runtime.block_on(async {
                rivals::consume_ours(&watcher.recv().await.unwrap());
            });
        })
    }

    pub fn inotify_rs(dir: &Path) -> Wait {
        let runtime = runtime();
        let entered = runtime.enter();
        let mut stream = rivals::inotify_rs(dir).into_event_stream(vec![0; BUFFER]).unwrap();
        drop(entered);
        Box::new(move || {
            runtime.block_on(async {
                let event = stream.next().await.unwrap().unwrap();
                let name = event.name.as_ref().map(|name| name.as_bytes());
                consume(&event.wd, event.mask.bits(), event.cookie, name);
            });
        })
    }
}

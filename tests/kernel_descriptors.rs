//! Descriptors of instances and of other files, with the real kernel. Checked on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use support::{instance, is_silent};
use tinotify::{Errno, Error, InitFlags, Inotify, WatchMask as W, Wd};

const fn add_error(errno: Errno) -> Result<Wd, Error> {
    Err(Error::AddWatch(errno))
}

const fn rm_error(errno: Errno) -> Result<(), Error> {
    Err(Error::RmWatch(errno))
}

#[test]
fn unknown_init_flags_are_refused() {
    let refused = Inotify::init(InitFlags::from_bits_retain(1));
    assert_eq!(refused.unwrap_err(), Error::Init(Errno::EINVAL));
}

#[test]
fn each_call_on_a_closed_descriptor_is_ebadf() {
    // No process can have so many descriptors: fs.nr_open is at most about 2^30. An `OwnedFd` would abort
    // the program, because it can't be closed.
    #[allow(unsafe_code)]
    let closed = || {
        // SAFETY: no descriptor with this number can be open. So each call returns EBADF, and close
        // closes no descriptor of other code.
        Inotify::from(unsafe { tinotify::Fd::from_raw(i32::MAX - 1) })
    };
    let inotify = closed();
    let mut buffer = [0; 512];
    let mut ring = tinotify::EventRing::<17>::new();

    assert_eq!(inotify.add_watch(c"/", W::CREATE), add_error(Errno::EBADF));
    assert_eq!(inotify.rm_watch(Wd::from_raw(1)), rm_error(Errno::EBADF));
    let read = inotify.read(&mut buffer).map(Iterator::count);
    assert_eq!(read, Err(Error::Read { errno: Errno::EBADF, room: 512 }));
    let filled = inotify.fill(&mut ring);
    let expected = Error::Read { errno: Errno::EBADF, room: 272 };
    assert_eq!(filled, Err(tinotify::FillError::Read(expected)));
    for timeout in [Some(std::time::Duration::ZERO), None] {
        assert_eq!(inotify.poll(timeout), Err(Error::Poll(Errno::EBADF)));
    }
    assert_eq!(inotify.queued_bytes(), Err(Error::QueuedBytes(Errno::EBADF)));
    assert_eq!(inotify.close(), Err(Error::Close(Errno::EBADF)));
    // Dropping ignores the error.
    drop(closed());
}

#[cfg(feature = "std")]
mod descriptors {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{MemfdFlags, OFlags};
    use rustix::io::FdFlags;
    use rustix::pipe::{PipeFlags, pipe_with};
    use tinotify::{
        DecodeErrorKind, Event, EventMask as E, EventRing, Fd, FillError, MAX_RECORD_SIZE,
    };

    use super::support::{c, ev, events_of, scratch, text, watching};
    use super::*;

    /// The results of the calls on a descriptor that is not an inotify instance.
    struct Results {
        read: Result<usize, Errno>,
        queued_bytes: Result<usize, Errno>,
        poll: bool,
    }

    fn check(what: &str, fd: OwnedFd, results: Results) {
        let inotify = Inotify::from(fd);
        let mut buffer = [0; 512];
        let mut ring = EventRing::<32>::new();

        let added = inotify.add_watch(c"/", W::CREATE);
        assert_eq!(added, add_error(Errno::EINVAL), "{what}");
        assert!(text(added.unwrap_err()).contains("is an inotify instance"));
        assert_eq!(inotify.rm_watch(Wd::from_raw(1)), rm_error(Errno::EINVAL), "{what}");
        let queued = inotify.queued_bytes();
        assert_eq!(queued, results.queued_bytes.map_err(Error::QueuedBytes), "{what}");
        assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(results.poll), "{what}");
        let read = inotify.read(&mut buffer).map(|events| events.remainder().len());
        let expected = results.read.map_err(|errno| Error::Read { errno, room: 512 });
        assert_eq!(read, expected, "{what}");
        let filled = inotify.fill(&mut ring);
        let expected = expected.map_err(|error| {
            FillError::Read(Error::Read { errno: error.errno().unwrap(), room: 512 })
        });
        assert_eq!(filled, expected, "{what}");
        assert!(ring.is_empty(), "{what}");
        assert_eq!(inotify.close(), Ok(()), "{what}");
    }

    #[test]
    fn a_descriptor_that_is_not_an_instance_returns_typed_errors() {
        let memfd = rustix::fs::memfd_create("memfd", MemfdFlags::CLOEXEC).unwrap();
        let results = Results { read: Ok(0), queued_bytes: Ok(0), poll: true };
        check("memfd", memfd, results);

        let null = File::open("/dev/null").unwrap().into();
        check("null", null, Results { read: Ok(0), queued_bytes: Err(Errno::ENOTTY), poll: true });

        let (pipe, end) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        check("pipe", pipe, Results { read: Err(Errno::EAGAIN), queued_bytes: Ok(0), poll: false });
        drop(end);

        let (_pipe, end) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        check("end", end, Results { read: Err(Errno::EBADF), queued_bytes: Ok(0), poll: false });
    }

    #[test]
    fn einval_of_a_read_into_a_large_buffer_says_to_check_the_descriptor() {
        use rustix::event::epoll;
        let inotify = Inotify::from(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
        let mut buffer = [0; MAX_RECORD_SIZE];
        let error = inotify.read(&mut buffer).map(Iterator::count).unwrap_err();
        assert_eq!(error, Error::Read { errno: Errno::EINVAL, room: MAX_RECORD_SIZE });
        assert!(text(error).contains("is an inotify instance"));
        // ENOTTY or EINVAL, depending on the version of the kernel.
        assert!(inotify.queued_bytes().is_err());
    }

    #[test]
    fn bytes_of_a_pipe_are_events_or_typed_errors() {
        let (pipe, end) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let (inotify, mut end) = (Inotify::from(pipe), File::from(end));
        let mut buffer = [0; 64];
        let event = Event::new(Wd::from_raw(7), E::CREATE, 0, Some(c"replayed"));
        let len = event.encode(&mut buffer).unwrap();
        end.write_all(&buffer[..len]).unwrap();
        end.write_all(b"invalid!").unwrap();

        let mut events = inotify.read(&mut buffer).unwrap();
        assert_eq!(events.next(), Some(Ok(event)));
        let error = events.next().unwrap().unwrap_err();
        assert_eq!((error.offset(), error.kind()), (32, DecodeErrorKind::HeaderCut { have: 8 }));
        assert_eq!(events.remainder(), b"invalid!");

        end.write_all(&[0xFF; 32]).unwrap();
        let mut ring = EventRing::<17>::new();
        assert_eq!(inotify.fill(&mut ring), Ok(32));
        let fault = ring.pop().unwrap().unwrap_err();
        assert_eq!(fault.kind(), DecodeErrorKind::BadLen { len: u32::MAX });
        assert_eq!(inotify.fill(&mut ring), Err(FillError::Stopped(fault)));
    }

    #[test]
    fn a_directory_is_not_an_instance() {
        let inotify = Inotify::from(OwnedFd::from(File::open("/").unwrap()));
        let mut buffer = [0; 272];
        let error = inotify.read(&mut buffer).map(Iterator::count).unwrap_err();
        assert_eq!(error.errno().unwrap().name(), Some("EISDIR"));
        assert_eq!(inotify.add_watch(c"/", W::CREATE), add_error(Errno::EINVAL));
    }

    #[test]
    fn an_instance_is_always_close_on_exec_and_non_blocking_only_on_request() {
        for (flags, expected) in [
            (InitFlags::empty(), OFlags::empty()),
            (InitFlags::CLOEXEC, OFlags::empty()),
            (InitFlags::NONBLOCK, OFlags::NONBLOCK),
        ] {
            let inotify = Inotify::init(flags).unwrap();
            assert_eq!(rustix::io::fcntl_getfd(&inotify).unwrap(), FdFlags::CLOEXEC);
            let flags = rustix::fs::fcntl_getfl(&inotify).unwrap();
            assert_eq!(flags & OFlags::NONBLOCK, expected);
        }
    }

    #[test]
    fn conversions_keep_the_descriptor_its_watches_and_its_events() {
        let dir = scratch();
        let (inotify, wd) = watching(&dir, W::CREATE);
        File::create(dir.path().join("file")).unwrap();
        let raw = inotify.as_raw();
        assert_eq!(inotify.as_raw_fd(), raw);
        assert_eq!(inotify.as_fd().as_raw_fd(), raw);

        let owned = OwnedFd::from(inotify);
        assert_eq!(owned.as_raw_fd(), raw);
        let fd = Fd::from(owned);
        assert_eq!((fd.as_raw(), fd.as_raw_fd(), fd.as_fd().as_raw_fd()), (raw, raw, raw));
        let fd = Fd::from(Inotify::from(fd));
        let inotify = Inotify::from(OwnedFd::from(fd));

        assert_eq!(inotify.as_raw(), raw);
        assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("file")]);
        assert_eq!(inotify.rm_watch(wd), Ok(()));
    }

    #[test]
    fn a_duplicate_shares_the_queue_and_outlives_the_first() {
        let dir = scratch();
        let (inotify, wd) = watching(&dir, W::CREATE);
        let second = Inotify::from(inotify.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(inotify.close(), Ok(()));

        File::create(dir.path().join("file")).unwrap();
        assert_eq!(events_of(&second), [ev(wd, E::CREATE).name("file")]);
    }

    #[test]
    fn as_fd_can_be_polled() {
        let dir = scratch();
        let (inotify, _) = watching(&dir, W::CREATE);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = |inotify: &Inotify| {
            let mut fds = [PollFd::new(inotify, PollFlags::IN)];
            poll(&mut fds, Some(&now)).unwrap() == 1
        };
        assert!(!ready(&inotify));
        File::create(dir.path().join("file")).unwrap();
        assert!(ready(&inotify));
        assert_eq!(inotify.poll(None), Ok(true));
    }

    #[test]
    fn drop_and_close_close_the_descriptor() {
        // The other end of a pipe shows the close, even if another thread reuses the number.
        for close in [drop, |inotify: Inotify| assert_eq!(inotify.close(), Ok(()))] {
            let (pipe, end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let (inotify, mut end) = (Inotify::from(pipe), File::from(end));
            end.write_all(b"x").unwrap();
            close(inotify);
            let error = end.write_all(b"x").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn an_io_error_keeps_the_error_number_or_the_error() {
        let dir = scratch();
        let inotify = instance();
        let missing = inotify.add_watch(&c(dir.path().join("none")), W::CREATE).unwrap_err();
        let error = std::io::Error::from(missing);
        assert_eq!(error.raw_os_error(), Some(Errno::ENOENT.as_raw()));
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);

        let nothing = inotify.read(&mut [0; 272]).map(Iterator::count).unwrap_err();
        assert_eq!(std::io::Error::from(nothing).kind(), std::io::ErrorKind::WouldBlock);
        let mask = inotify.add_watch(c"/", W::all()).unwrap_err();
        let error = std::io::Error::from(mask);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), mask.to_string());
        assert_eq!(error.downcast::<Error>().unwrap(), mask);
    }
}

#[test]
fn a_new_instance_has_no_events() {
    assert!(is_silent(&instance()));
}

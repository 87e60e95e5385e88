//! epoll.

use super::support::{deadline, deadline_ms, masked};
use libos_base::abi::{EpollEvent, EpollFlags, EpollOperation, Fd, In, Out, SigSet, Timespec};
use libos_base::{Errno, Result, poll, user};
use libos_fs::epoll::{self, Epoll};
use libos_fs::files;

pub fn epoll_create1(flags: EpollFlags) -> Result<usize> {
    let fd = files().fds.reserve()?;
    Ok(fd.install(Epoll::new(flags)?, flags.contains(EpollFlags::CLOEXEC)).result())
}
/// `epoll_create`: the size has no meaning, but must be positive.
pub fn epoll_create(size: i32) -> Result<usize> {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(EpollFlags::empty()) }
}

pub fn epoll_ctl(ep: Fd, operation: EpollOperation, fd: Fd, event: In<EpollEvent>) -> Result<()> {
    let event = if operation == EpollOperation::DEL { EpollEvent::default() } else { user::read(event)? };
    let ep = files().fds.get(ep)?;
    let file = files().fds.get(fd)?;
    epoll::of_file(&*ep)?.ctl(operation, fd.0, &file, event)
}

const SIZE: usize = size_of::<EpollEvent>();
const MOST: i32 = i32::MAX / SIZE as i32;

fn wait(ep: Fd, events: Out<EpollEvent>, max: i32, deadline: u64) -> Result<usize> {
    let file = files().fds.get(ep)?;
    if !(1..=MOST).contains(&max) {
        return Err(Errno::EINVAL);
    }
    if !user::in_half(events.address(), max as usize * SIZE) {
        return Err(Errno::EFAULT);
    }
    epoll::of_file(&*file)?.wait(max as usize, deadline, &mut |n, event| user::write(events.nth(n), event))
}

pub fn epoll_wait(ep: Fd, events: Out<EpollEvent>, max: i32, timeout: i32) -> Result<usize> {
    // A look that finds nothing, between rounds of other work.
    if timeout == 0 && (1..=MOST).contains(&max) && user::in_half(events.address(), max as usize * SIZE) {
        poll::settle();
        if files().fds.idle_epoll(ep) {
            return Ok(0);
        }
    }
    wait(ep, events, max, deadline_ms(timeout))
}

pub fn epoll_pwait(
    ep: Fd,
    events: Out<EpollEvent>,
    max: i32,
    timeout: i32,
    mask: In<SigSet>,
    size: usize,
) -> Result<usize> {
    let until = deadline_ms(timeout);
    masked(mask, size, || wait(ep, events, max, until))
}

pub fn epoll_pwait2(
    ep: Fd,
    events: Out<EpollEvent>,
    max: i32,
    timeout: In<Timespec>,
    mask: In<SigSet>,
    size: usize,
) -> Result<usize> {
    let until = deadline(timeout)?;
    masked(mask, size, || wait(ep, events, max, until))
}

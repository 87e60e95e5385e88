//! epoll.

use super::support::{deadline, deadline_ms, masked};
use libos_base::abi::OpenFlags;
use libos_base::{Errno, Result, user};
use libos_fs::epoll::{self, EVENT_SIZE, Epoll, Event, op};
use libos_fs::process;

/// `epoll_create1`.
pub fn epoll_create1(flags: u32) -> Result<usize> {
    let fd = process().fds.reserve()?;
    Ok(fd.install(Epoll::new(flags)?, flags & OpenFlags::CLOEXEC.bits() != 0) as usize)
}
/// `epoll_create`: the size says nothing, but must be positive.
pub fn epoll_create(size: i32) -> Result<usize> {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(0) }
}

/// `epoll_ctl`.
pub fn epoll_ctl(ep: i32, operation: i32, fd: i32, event: usize) -> Result<usize> {
    let event =
        if operation == op::DEL { Event::default() } else { Event::from_bytes(user::read::<[u8; EVENT_SIZE]>(event)?) };
    let ep = process().fds.get(ep)?;
    let file = process().fds.get(fd)?;
    epoll::from_file(ep)?.ctl(operation, fd, &file, event)?;
    Ok(0)
}

fn wait(ep: i32, events: usize, max: i32, deadline: u64) -> Result<usize> {
    let file = process().fds.get(ep)?;
    let max =
        usize::try_from(max).ok().filter(|&m| m > 0 && m <= i32::MAX as usize / EVENT_SIZE).ok_or(Errno::EINVAL)?;
    user::check(events, max * EVENT_SIZE)?;
    let ep = epoll::from_file(file)?;
    ep.wait(max, deadline, |first, batch| {
        batch.iter().enumerate().try_for_each(|(i, e)| user::write(events + (first + i) * EVENT_SIZE, &e.to_bytes()))
    })
}

/// `epoll_wait`.
pub fn epoll_wait(ep: i32, events: usize, max: i32, timeout: i32) -> Result<usize> {
    wait(ep, events, max, deadline_ms(timeout))
}
/// `epoll_pwait`.
pub fn epoll_pwait(ep: i32, events: usize, max: i32, timeout: i32, mask: usize, size: usize) -> Result<usize> {
    let until = deadline_ms(timeout);
    masked(mask, size, || wait(ep, events, max, until))
}
/// `epoll_pwait2`.
pub fn epoll_pwait2(ep: i32, events: usize, max: i32, timeout: usize, mask: usize, size: usize) -> Result<usize> {
    let until = deadline(timeout)?;
    masked(mask, size, || wait(ep, events, max, until))
}

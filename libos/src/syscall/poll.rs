//! poll, select and their relatives.

use super::support::{after, deadline, deadline_ms, left, masked};
use alloc::vec::Vec;
use core::mem::size_of;
use libos_base::abi::{Timespec, Timeval};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, user};
use libos_fs::poll::{PollFd, Sets};
use libos_fs::process;

fn poll_until(at: usize, n: u32, deadline: u64) -> Result<usize> {
    if u64::from(n) > libos_base::limits::NOFILE.soft() {
        return Err(Errno::EINVAL);
    }
    let mut fds: Vec<PollFd> = user::read_vec(at, n as usize)?;
    let ready = libos_fs::poll::poll(process(), &mut fds, deadline)?;
    // Only the answers are written: another thread may be changing the rest.
    const REVENTS: usize = core::mem::offset_of!(PollFd, revents);
    for (i, p) in fds.iter().enumerate() {
        user::write(at + i * size_of::<PollFd>() + REVENTS, &p.revents)?;
    }
    Ok(ready)
}

/// `poll`.
pub fn poll(fds: usize, n: u32, timeout: i32) -> Result<usize> {
    poll_until(fds, n, deadline_ms(timeout))
}

/// Tells the program how much of its timeout is left, as Linux does; where it cannot be written, it is not.
fn write_left(at: usize, until: u64) {
    if at != 0 && until != FOREVER {
        let _ = user::write(at, &Timespec::from_ns(left(until)));
    }
}

/// `ppoll`.
pub fn ppoll(fds: usize, n: u32, timeout: usize, mask: usize, size: usize) -> Result<usize> {
    let until = deadline(timeout)?;
    let r = masked(mask, size, || poll_until(fds, n, until));
    write_left(timeout, until);
    r
}

/// Most descriptors a set can hold here.
const SET_MAX: usize = libos_base::limits::NOFILE_MAX as usize;

fn select_until(n: i32, sets: [usize; 3], until: u64) -> Result<usize> {
    let n = usize::try_from(n).map_err(|_| Errno::EINVAL)?.min(SET_MAX);
    let words = n.div_ceil(64);
    let get = |at: usize| if at == 0 { Ok(None) } else { user::read_vec::<u64>(at, words).map(Some) };
    let mut s = Sets { read: get(sets[0])?, write: get(sets[1])?, except: get(sets[2])? };
    let ready = libos_fs::poll::select(process(), n, &mut s, until)?;
    for (at, set) in sets.into_iter().zip([s.read, s.write, s.except]) {
        for (i, word) in set.iter().flatten().enumerate() {
            user::write(at + i * 8, word)?;
        }
    }
    Ok(ready)
}

/// `select`.
pub fn select(n: i32, read: usize, write: usize, except: usize, timeout: usize) -> Result<usize> {
    let until = if timeout == 0 {
        FOREVER
    } else {
        let t: Timeval = user::read(timeout)?;
        if t.sec < 0 || t.usec < 0 {
            return Err(Errno::EINVAL);
        }
        after((t.sec as u64).saturating_mul(1_000_000_000).saturating_add((t.usec as u64).saturating_mul(1000)))
    };
    let r = select_until(n, [read, write, except], until);
    if timeout != 0 {
        let left = left(until) / 1000;
        let _ = user::write(timeout, &Timeval { sec: (left / 1_000_000) as i64, usec: (left % 1_000_000) as i64 });
    }
    r
}

/// `pselect6`: the last argument points at a mask and its size.
pub fn pselect6(n: i32, read: usize, write: usize, except: usize, timeout: usize, sig: usize) -> Result<usize> {
    let until = deadline(timeout)?;
    let [mask, size] = if sig == 0 { [0, 0] } else { user::read::<[usize; 2]>(sig)? };
    let r = masked(mask, size, || select_until(n, [read, write, except], until));
    write_left(timeout, until);
    r
}

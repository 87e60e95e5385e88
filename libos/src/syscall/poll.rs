//! poll, select and their relatives.

use super::support::{after, deadline, deadline_ms, left, masked};
use alloc::vec::Vec;
use libos_base::abi::{Address, FdSet, In, InOut, Out, PollFd, SigSet, Timespec, Timeval};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, user};
use libos_fs::files;
use libos_fs::poll::Sets;

fn poll_until(at: InOut<PollFd>, n: u32, deadline: u64) -> Result<usize> {
    if u64::from(n) > libos_base::limits::NOFILE.soft() {
        return Err(Errno::EINVAL);
    }
    let mut fds: Vec<PollFd> = user::read_vec(at, n as usize)?;
    let ready = libos_fs::poll::poll(files(), &mut fds, deadline)?;
    // Only the results are written: another thread may be changing the rest.
    const REVENTS: usize = core::mem::offset_of!(PollFd, revents);
    for (i, p) in fds.iter().enumerate() {
        user::write(Out::new(at.nth(i).address() + REVENTS), &p.revents)?;
    }
    Ok(ready)
}

pub fn poll(fds: InOut<PollFd>, n: u32, timeout: i32) -> Result<usize> {
    poll_until(fds, n, deadline_ms(timeout))
}

/// Writes back how much of the timeout is left, as Linux does; where that is not writable, it is skipped.
fn write_left(at: InOut<Timespec>, until: u64) {
    if !at.is_null() && until != FOREVER {
        let _ = user::write(at, &Timespec::from_ns(left(until)));
    }
}

pub fn ppoll(fds: InOut<PollFd>, n: u32, timeout: InOut<Timespec>, mask: In<SigSet>, size: usize) -> Result<usize> {
    let until = deadline(timeout)?;
    let r = masked(mask, size, || poll_until(fds, n, until));
    write_left(timeout, until);
    r
}

fn select_until(n: i32, sets: [InOut<FdSet>; 3], until: u64) -> Result<usize> {
    // As on Linux: programs pass getdtablesize() with sets that are shorter than that.
    let n = usize::try_from(n).map_err(|_| Errno::EINVAL)?.min(files().fds.size());
    let words = n.div_ceil(64);
    let get = |at: InOut<FdSet>| at.given().map(|at| user::read_vec::<u64>(at.cast(), words)).transpose();
    let mut s = Sets { read: get(sets[0])?, write: get(sets[1])?, except: get(sets[2])? };
    let ready = libos_fs::poll::select(files(), n, &mut s, until)?;
    for (at, set) in sets.into_iter().zip([s.read, s.write, s.except]) {
        for (i, word) in set.iter().flatten().enumerate() {
            user::write(at.cast().nth(i), word)?;
        }
    }
    Ok(ready)
}

pub fn select(
    n: i32,
    read: InOut<FdSet>,
    write: InOut<FdSet>,
    except: InOut<FdSet>,
    timeout: InOut<Timeval>,
) -> Result<usize> {
    let until = if timeout.is_null() {
        FOREVER
    } else {
        let t: Timeval = user::read(timeout)?;
        if t.sec < 0 || t.usec < 0 {
            return Err(Errno::EINVAL);
        }
        after((t.sec as u64).saturating_mul(1_000_000_000).saturating_add((t.usec as u64).saturating_mul(1000)))
    };
    let r = select_until(n, [read, write, except], until);
    if !timeout.is_null() {
        let left = left(until) / 1000;
        let _ = user::write(timeout, &Timeval { sec: (left / 1_000_000) as i64, usec: (left % 1_000_000) as i64 });
    }
    r
}

/// `pselect6`: the last argument points at a mask and its size.
pub fn pselect6(
    n: i32,
    read: InOut<FdSet>,
    write: InOut<FdSet>,
    except: InOut<FdSet>,
    timeout: InOut<Timespec>,
    sig: Address,
) -> Result<usize> {
    let until = deadline(timeout)?;
    let [mask, size]: [usize; 2] = user::read_opt(sig.to())?.unwrap_or_default();
    let r = masked(In::new(mask), size, || select_until(n, [read, write, except], until));
    write_left(timeout, until);
    r
}

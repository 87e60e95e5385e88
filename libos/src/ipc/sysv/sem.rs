//! Sets of semaphores (semget(2), semop(2), semctl(2)).
//!
//! Operations that cannot be done yet wait in one list, in the order in which they came. After each change the list is
//! gone through from the front: first those that only wait for zero, then the others. So whoever came first goes first,
//! unless it cannot (Linux's ipc/sem.c).

use super::ids::{Ids, Statistics, Which};
use super::permission::{Permission, READ, WRITE};
use super::proc;
use super::{IPC_NOWAIT, seconds};
use crate::timer::ticket::Ticket;
use crate::timer::wall::When;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};
use libos_base::abi::{IpcPerm, SemBuf, SemIdDs};
use libos_base::sync::{SpinLock, class};
use libos_base::thread::PID;
use libos_base::{Errno, Result};
use libos_fs::procfs::{More, Node, SYS_KERNEL};

#[cfg(unibody_kernel)]
crate::component!("sem", wanted by [semget], starts start);

/// The highest value (SEMVMX), which is also the most that is undone (SEMAEM).
pub const VALUE_MAX: i32 = 32767;
const SEM_UNDO: u16 = 0o10000;

/// kernel.sem: semaphores in a set, in all, operations in a call, sets.
pub static IN_SET: AtomicI32 = AtomicI32::new(32000);
pub static IN_ALL: AtomicI32 = AtomicI32::new(1_024_000_000);
pub static IN_CALL: AtomicI32 = AtomicI32::new(500);
pub static SETS: AtomicI32 = AtomicI32::new(32000);

static LIMITS: More = More::new(&[("sem", Node::Numbers(&[&IN_SET, &IN_ALL, &IN_CALL, &SETS]))]);
static LIST: More = More::new(&[("sem", Node::File(list))]);

extern "C" fn start() {
    proc::show(&LIST);
    LIMITS.add_to(&SYS_KERNEL);
}

#[derive(Clone, Copy, Default)]
struct Semaphore {
    value: i32,
    /// Who changed it last.
    pid: i32,
    /// What the end of the process would add (SEM_UNDO).
    undo: i32,
}

/// Operations that wait.
struct Waiting {
    ops: Vec<SemBuf>,
    /// The one that cannot be done.
    blocking: usize,
    ticket: Arc<Ticket<Result<()>>>,
}

struct State {
    permission: Permission,
    semaphores: Vec<Semaphore>,
    waiting: Vec<Waiting>,
    otime: i64,
    ctime: i64,
    gone: bool,
}

/// A set of semaphores.
pub struct Set {
    state: SpinLock<State>,
    _count: Count,
}

/// Semaphores counted against SEMMNS, until dropped.
struct Count(usize);
static COUNTED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Count {
    fn drop(&mut self) {
        COUNTED.fetch_sub(self.0, Relaxed);
    }
}

static ALL: Ids<Set> = Ids::new();

/// `semget`.
pub fn get(key: i32, count: i32, flags: u32) -> Result<i32> {
    let count = usize::try_from(count).ok().filter(|&n| n <= IN_SET.load(Relaxed) as usize).ok_or(Errno::EINVAL)?;
    let check = |set: &Set| {
        let s = set.state.lock();
        if s.semaphores.len() < count {
            return Err(Errno::EINVAL);
        }
        s.permission.allows(flags)
    };
    ALL.get(key, flags, SETS.load(Relaxed) as usize, check, || Set::new(key, count, flags))
}

/// What became of operations that were tried.
enum Tried {
    Done,
    /// This one cannot be done yet.
    Blocked(usize),
}

impl State {
    /// All of the operations, or none.
    fn attempt(&mut self, ops: &[SemBuf]) -> Result<Tried> {
        for (i, op) in ops.iter().enumerate() {
            let s = &mut self.semaphores[usize::from(op.num)];
            let value = s.value + i32::from(op.op);
            let undone = s.undo - i32::from(op.op);
            let blocked = op.op == 0 && s.value != 0 || value < 0;
            let undo = op.flags & SEM_UNDO != 0;
            let fits = value <= VALUE_MAX && (!undo || (-VALUE_MAX - 1..=VALUE_MAX).contains(&undone));
            if !blocked && fits {
                s.value = value;
                if undo {
                    s.undo = undone;
                }
                continue;
            }
            for op in ops[..i].iter().rev() {
                let s = &mut self.semaphores[usize::from(op.num)];
                s.value -= i32::from(op.op);
                if op.flags & SEM_UNDO != 0 {
                    s.undo += i32::from(op.op);
                }
            }
            return if blocked { Ok(Tried::Blocked(i)) } else { Err(Errno::ERANGE) };
        }
        for op in ops {
            self.semaphores[usize::from(op.num)].pid = PID as i32;
        }
        Ok(Tried::Done)
    }

    /// Values have changed: does what has become possible.
    fn changed(&mut self) {
        // Those that change nothing come first, and each change begins anew.
        'again: loop {
            for alters in [false, true] {
                for at in 0..self.waiting.len() {
                    if self.waiting[at].ops.iter().any(|op| op.op != 0) != alters {
                        continue;
                    }
                    let ops = core::mem::take(&mut self.waiting[at].ops);
                    match self.attempt(&ops) {
                        Ok(Tried::Blocked(i)) => {
                            self.waiting[at].blocking = i;
                            self.waiting[at].ops = ops;
                        }
                        done => {
                            if done.is_ok() {
                                self.otime = seconds();
                            }
                            self.waiting.remove(at).ticket.give(done.map(|_| ()));
                            continue 'again;
                        }
                    }
                }
            }
            return;
        }
    }
}

impl Set {
    fn new(key: i32, count: usize, flags: u32) -> Result<Self> {
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        let more = |n: usize| n.checked_add(count).filter(|&n| n <= IN_ALL.load(Relaxed) as usize);
        COUNTED.fetch_update(Relaxed, Relaxed, more).map_err(|_| Errno::ENOSPC)?;
        let counted = Count(count);
        let mut semaphores = Vec::new();
        semaphores.try_reserve_exact(count)?;
        semaphores.resize(count, Semaphore::default());
        let permission = Permission::new(key, flags);
        let state = State { permission, semaphores, waiting: Vec::new(), otime: 0, ctime: seconds(), gone: false };
        Ok(Self { state: SpinLock::new(class::IPC_OBJECT, state), _count: counted })
    }
    /// As the program sees it.
    fn shown(&self, id: i32) -> SemIdDs {
        let s = self.state.lock();
        SemIdDs {
            perm: s.permission.shown(id),
            otime: s.otime,
            ctime: s.ctime,
            nsems: s.semaphores.len() as u64,
            ..SemIdDs::default()
        }
    }
}

/// `semop` and `semtimedop`. EAGAIN: now, or at the deadline; EINTR, never a restart (signal(7)).
pub fn operate(id: i32, ops: Vec<SemBuf>, until: When) -> Result<()> {
    let set = ALL.find(id)?;
    let ticket = {
        let mut s = set.state.lock();
        if ops.iter().any(|op| usize::from(op.num) >= s.semaphores.len()) {
            return Err(Errno::EFBIG);
        }
        let alters = ops.iter().any(|op| op.op != 0);
        s.permission.allows(if alters { WRITE } else { READ })?;
        if s.gone {
            return Err(Errno::EIDRM);
        }
        match s.attempt(&ops)? {
            Tried::Done => {
                s.otime = seconds();
                if alters {
                    s.changed();
                }
                return Ok(());
            }
            Tried::Blocked(i) if u32::from(ops[i].flags) & IPC_NOWAIT != 0 => return Err(Errno::EAGAIN),
            Tried::Blocked(blocking) => {
                let ticket = Ticket::new()?;
                s.waiting.try_reserve(1)?;
                s.waiting.push(Waiting { ops, blocking, ticket: ticket.clone() });
                ticket
            }
        }
    };
    ticket.wait(until).unwrap_or_else(|why| {
        let given_up = {
            let mut s = set.state.lock();
            let at = s.waiting.iter().position(|w| Arc::ptr_eq(&w.ticket, &ticket));
            at.map(|at| s.waiting.remove(at))
        };
        drop(given_up);
        ticket.take().unwrap_or(Err(if why == Errno::ETIMEDOUT { Errno::EAGAIN } else { Errno::EINTR }))
    })
}

/// What is asked about one semaphore.
#[derive(Clone, Copy)]
pub enum Question {
    Value,
    /// GETPID.
    Pid,
    /// GETNCNT: who waits for it to grow.
    Growth,
    /// GETZCNT: who waits for zero.
    Zero,
}

/// GETVAL, GETPID, GETNCNT, GETZCNT.
pub fn ask(id: i32, number: i32, what: Question) -> Result<i32> {
    let set = ALL.find(id)?;
    let s = set.state.lock();
    s.permission.allows(READ)?;
    let at = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
    let one = s.semaphores.get(at).ok_or(Errno::EINVAL)?;
    let waiting = |zero: bool| {
        let waits = |w: &&Waiting| {
            let op = &w.ops[w.blocking];
            i32::from(op.num) == number && if zero { op.op == 0 } else { op.op < 0 }
        };
        s.waiting.iter().filter(waits).count() as i32
    };
    Ok(match what {
        Question::Value => one.value,
        Question::Pid => one.pid,
        Question::Growth => waiting(false),
        Question::Zero => waiting(true),
    })
}

/// GETALL.
pub fn values(id: i32) -> Result<Vec<u16>> {
    let set = ALL.find(id)?;
    let mut values = Vec::new();
    values.try_reserve_exact(set.state.lock().semaphores.len())?;
    let s = set.state.lock();
    s.permission.allows(READ)?;
    values.extend(s.semaphores.iter().map(|one| one.value as u16));
    Ok(values)
}

/// How many values SETALL takes.
pub fn length(id: i32) -> Result<usize> {
    let set = ALL.find(id)?;
    let s = set.state.lock();
    s.permission.allows(WRITE)?;
    Ok(s.semaphores.len())
}

/// SETALL. ERANGE.
pub fn set_values(id: i32, values: &[u16]) -> Result<()> {
    if values.iter().any(|&v| i32::from(v) > VALUE_MAX) {
        return Err(Errno::ERANGE);
    }
    let set = ALL.find(id)?;
    let mut s = set.state.lock();
    s.permission.allows(WRITE)?;
    for (one, v) in s.semaphores.iter_mut().zip(values) {
        *one = Semaphore { value: (*v).into(), pid: PID as i32, undo: 0 };
    }
    s.ctime = seconds();
    s.changed();
    Ok(())
}

/// SETVAL. ERANGE.
pub fn set_value(id: i32, number: i32, value: i32) -> Result<()> {
    if !(0..=VALUE_MAX).contains(&value) {
        return Err(Errno::ERANGE);
    }
    let set = ALL.find(id)?;
    let mut s = set.state.lock();
    let at = usize::try_from(number).ok().filter(|&at| at < s.semaphores.len()).ok_or(Errno::EINVAL)?;
    s.permission.allows(WRITE)?;
    s.semaphores[at] = Semaphore { value, pid: PID as i32, undo: 0 };
    s.ctime = seconds();
    s.changed();
    Ok(())
}

/// IPC_STAT, SEM_STAT, SEM_STAT_ANY: the number and the description.
pub fn stat(which: Which) -> Result<(i32, SemIdDs)> {
    let (id, set) = ALL.described(which, |set| set.state.lock().permission.allows(READ))?;
    Ok((id, set.shown(id)))
}

/// IPC_SET.
pub fn set(id: i32, to: &IpcPerm) -> Result<()> {
    let set = ALL.find(id)?;
    let mut s = set.state.lock();
    s.permission.owned()?;
    s.permission.set(to)?;
    s.ctime = seconds();
    Ok(())
}

/// IPC_RMID: whoever waits gets EIDRM.
pub fn remove(id: i32) -> Result<()> {
    let set = ALL.find(id)?;
    let waiting = {
        let mut s = set.state.lock();
        s.permission.owned()?;
        s.gone = true;
        for w in &s.waiting {
            w.ticket.give(Err(Errno::EIDRM));
        }
        core::mem::take(&mut s.waiting)
    };
    drop(waiting);
    drop(ALL.remove(id));
    Ok(())
}

/// For IPC_INFO and SEM_INFO: sets; and semaphores.
pub fn statistics() -> (Statistics, usize) {
    (ALL.statistics(), COUNTED.load(Relaxed))
}

fn list() -> Vec<u8> {
    let row = |(id, set): &(i32, Arc<Set>)| {
        let d = set.shown(*id);
        let p = d.perm;
        [
            p.key.into(),
            (*id).into(),
            proc::octal(p.mode),
            d.nsems as i64,
            p.uid.into(),
            p.gid.into(),
            p.cuid.into(),
            p.cgid.into(),
            d.otime,
            d.ctime,
        ]
    };
    proc::table(
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime",
        &[10, 10, 5, 10, 5, 5, 5, 5, 10, 10],
        ALL.all().iter().map(row),
    )
}

//! System V message queues (msgget(2), msgop(2), msgctl(2)).
//!
//! A message goes straight to the first thread that waits for one like it. When there is room, those that wait with
//! messages are served in the order in which they came, as far as their messages fit (Linux's ipc/msg.c).

use super::ids::{Ids, Statistics, Which};
use super::permission::{Permission, READ, WRITE};
use super::proc::{self, setting};
use super::seconds;
use crate::timer::ticket::Ticket;
use crate::timer::wall::When;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::abi::{IpcPerm, MsqIdDs};
use libos_base::cred::{cap, capable};
use libos_base::sync::{SpinLock, class};
use libos_base::thread::PID;
use libos_base::{Errno, Result};
use libos_fs::procfs::{More, Node, SYS_KERNEL};

#[cfg(unibody_kernel)]
crate::component!("msg", wanted by [msgget], starts start);

/// Bytes of a message; of a queue at first; queues.
pub static SIZE: AtomicUsize = AtomicUsize::new(8192);
pub static BYTES: AtomicUsize = AtomicUsize::new(16384);
pub static QUEUES: AtomicUsize = AtomicUsize::new(32000);

static LIMITS: More = More::new(&[
    setting!("msgmax", SIZE, (0..=i32::MAX as u64)),
    setting!("msgmnb", BYTES, (0..=i32::MAX as u64)),
    setting!("msgmni", QUEUES, (0..=32768)),
]);
static LIST: More = More::new(&[("msg", Node::File(list))]);

extern "C" fn start() {
    proc::show(&LIST);
    LIMITS.add_to(&SYS_KERNEL);
}

/// A message.
#[derive(Clone)]
pub struct Message {
    pub kind: i64,
    pub text: Vec<u8>,
}

/// Which message a receiver wants.
#[derive(Clone, Copy)]
pub enum Wanted {
    Any,
    Kind(i64),
    Except(i64),
    /// One of the lowest type that is not above this.
    AtMost(i64),
}

impl Wanted {
    fn fits(self, kind: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Kind(k) => kind == k,
            Self::Except(k) => kind != k,
            Self::AtMost(k) => kind <= k,
        }
    }
}

struct Receiver {
    wanted: Wanted,
    /// Longer messages are an error (E2BIG).
    most: usize,
    ticket: Arc<Ticket<Result<Message>>>,
}
struct Sender {
    message: Message,
    ticket: Arc<Ticket<Result<()>>>,
}

struct State {
    permission: Permission,
    messages: VecDeque<Message>,
    bytes: usize,
    most: usize,
    receivers: Vec<Receiver>,
    senders: Vec<Sender>,
    stime: i64,
    rtime: i64,
    ctime: i64,
    sent_by: i32,
    received_by: i32,
    gone: bool,
}

/// A queue.
pub struct Queue(SpinLock<State>);

static ALL: Ids<Queue> = Ids::new();

/// `msgget`.
pub fn get(key: i32, flags: u32) -> Result<i32> {
    let check = |q: &Queue| q.0.lock().permission.allows(flags);
    ALL.get(key, flags, QUEUES.load(Relaxed), check, || {
        let state = State {
            permission: Permission::new(key, flags),
            messages: VecDeque::new(),
            bytes: 0,
            most: BYTES.load(Relaxed),
            receivers: Vec::new(),
            senders: Vec::new(),
            stime: 0,
            rtime: 0,
            ctime: seconds(),
            sent_by: 0,
            received_by: 0,
            gone: false,
        };
        Ok(Queue(SpinLock::new(class::IPC_OBJECT, state)))
    })
}

impl State {
    /// EIDRM, EACCES.
    fn usable(&self, access: u32) -> Result<()> {
        self.permission.allows(access)?;
        if self.gone { Err(Errno::EIDRM) } else { Ok(()) }
    }
    fn has_room(&self, len: usize) -> bool {
        len + self.bytes <= self.most && self.messages.len() < self.most
    }
    /// To the first who wants it, or into the queue.
    fn put(&mut self, message: Message) -> Result<()> {
        self.messages.try_reserve(1)?;
        (self.stime, self.sent_by) = (seconds(), PID as i32);
        while let Some(at) = self.receivers.iter().position(|r| r.wanted.fits(message.kind)) {
            let receiver = self.receivers.remove(at);
            if message.text.len() > receiver.most {
                receiver.ticket.give(Err(Errno::E2BIG));
                continue;
            }
            (self.rtime, self.received_by) = (seconds(), PID as i32);
            receiver.ticket.give(Ok(message));
            return Ok(());
        }
        self.bytes += message.text.len();
        self.messages.push_back(message);
        Ok(())
    }
    fn find(&self, wanted: Wanted) -> Option<usize> {
        let mut fitting = self.messages.iter().enumerate().filter(|(_, m)| wanted.fits(m.kind));
        let found = match wanted {
            Wanted::AtMost(_) => fitting.min_by_key(|(at, m)| (m.kind, *at)),
            _ => fitting.next(),
        };
        found.map(|(at, _)| at)
    }
    /// There may be room for those that wait.
    fn let_senders_in(&mut self) {
        let mut at = 0;
        while let Some(sender) = self.senders.get(at) {
            if !self.has_room(sender.message.text.len()) {
                at += 1;
                continue;
            }
            let sender = self.senders.remove(at);
            let sent = self.put(sender.message);
            sender.ticket.give(sent);
        }
    }
}

/// `msgsnd`. EAGAIN; EINTR, never a restart (signal(7)).
pub fn send(id: i32, message: Message, wait: bool) -> Result<()> {
    let queue = ALL.find(id)?;
    let ticket = {
        let mut s = queue.0.lock();
        s.usable(WRITE)?;
        if s.has_room(message.text.len()) {
            return s.put(message);
        }
        if !wait {
            return Err(Errno::EAGAIN);
        }
        let ticket = Ticket::new()?;
        s.senders.try_reserve(1)?;
        s.senders.push(Sender { message, ticket: ticket.clone() });
        ticket
    };
    ticket.wait(When::NEVER).unwrap_or_else(|_| {
        let given_up = {
            let mut s = queue.0.lock();
            let at = s.senders.iter().position(|w| Arc::ptr_eq(&w.ticket, &ticket));
            at.map(|at| s.senders.remove(at))
        };
        drop(given_up);
        ticket.take().unwrap_or(Err(Errno::EINTR))
    })
}

/// `msgrcv`. `most`: a longer message is an error. ENOMSG; EINTR, never a restart.
pub fn receive(id: i32, wanted: Wanted, most: usize, wait: bool) -> Result<Message> {
    let queue = ALL.find(id)?;
    let ticket = {
        let mut s = queue.0.lock();
        s.usable(READ)?;
        if let Some(at) = s.find(wanted) {
            if s.messages[at].text.len() > most {
                return Err(Errno::E2BIG);
            }
            if let Some(message) = s.messages.remove(at) {
                s.bytes -= message.text.len();
                (s.rtime, s.received_by) = (seconds(), PID as i32);
                s.let_senders_in();
                return Ok(message);
            }
        }
        if !wait {
            return Err(Errno::ENOMSG);
        }
        let ticket = Ticket::new()?;
        s.receivers.try_reserve(1)?;
        s.receivers.push(Receiver { wanted, most, ticket: ticket.clone() });
        ticket
    };
    ticket.wait(When::NEVER).unwrap_or_else(|_| {
        let mut s = queue.0.lock();
        s.receivers.retain(|w| !Arc::ptr_eq(&w.ticket, &ticket));
        drop(s);
        ticket.take().unwrap_or(Err(Errno::EINTR))
    })
}

/// MSG_COPY: the message at a position, which stays. ENOMSG; E2BIG: longer than `room`, and `cut` makes that EINVAL.
pub fn copy(id: i32, at: i64, room: usize, cut: bool) -> Result<Message> {
    let queue = ALL.find(id)?;
    // Made outside of the lock.
    let mut text = Vec::new();
    text.try_reserve_exact(room.min(SIZE.load(Relaxed)))?;
    let s = queue.0.lock();
    s.usable(READ)?;
    let found = usize::try_from(at).ok().and_then(|at| s.messages.get(at)).ok_or(Errno::ENOMSG)?;
    if found.text.len() > room && !cut {
        return Err(Errno::E2BIG);
    }
    if found.text.len() > text.capacity().min(room) {
        return Err(Errno::EINVAL);
    }
    text.extend_from_slice(&found.text);
    Ok(Message { kind: found.kind, text })
}

impl Queue {
    /// As the program sees it.
    fn shown(&self, id: i32) -> MsqIdDs {
        let s = self.0.lock();
        MsqIdDs {
            perm: s.permission.shown(id),
            stime: s.stime,
            rtime: s.rtime,
            ctime: s.ctime,
            cbytes: s.bytes as u64,
            qnum: s.messages.len() as u64,
            qbytes: s.most as u64,
            lspid: s.sent_by,
            lrpid: s.received_by,
            ..MsqIdDs::default()
        }
    }
}

/// IPC_STAT, MSG_STAT, MSG_STAT_ANY: the number and the description.
pub fn stat(which: Which) -> Result<(i32, MsqIdDs)> {
    let (id, queue) = ALL.described(which, |queue| queue.0.lock().permission.allows(READ))?;
    Ok((id, queue.shown(id)))
}

/// IPC_SET: owner, mode, and how much fits. EPERM: more than msgmnb.
pub fn set(id: i32, to: &IpcPerm, most: u64) -> Result<()> {
    let queue = ALL.find(id)?;
    let excluded = {
        let mut s = queue.0.lock();
        s.permission.owned()?;
        if most > BYTES.load(Relaxed) as u64 && !capable(cap::SYS_RESOURCE) {
            return Err(Errno::EPERM);
        }
        s.permission.set(to)?;
        s.most = usize::try_from(most).unwrap_or(usize::MAX);
        s.ctime = seconds();
        s.let_senders_in();
        // There is one process: either all who wait are allowed to, or none.
        if s.permission.allows(READ).is_ok() { Vec::new() } else { core::mem::take(&mut s.receivers) }
    };
    for receiver in excluded {
        receiver.ticket.give(Err(Errno::EACCES));
    }
    Ok(())
}

/// IPC_RMID: whoever waits gets EIDRM.
pub fn remove(id: i32) -> Result<()> {
    let queue = ALL.find(id)?;
    let waiting = {
        let mut s = queue.0.lock();
        s.permission.owned()?;
        s.gone = true;
        s.receivers.iter().for_each(|w| w.ticket.give(Err(Errno::EIDRM)));
        s.senders.iter().for_each(|w| w.ticket.give(Err(Errno::EIDRM)));
        (core::mem::take(&mut s.receivers), core::mem::take(&mut s.senders))
    };
    drop(waiting);
    drop(ALL.remove(id));
    Ok(())
}

/// For IPC_INFO and MSG_INFO: queues; messages and bytes in them.
pub fn statistics() -> (Statistics, usize, usize) {
    let count = |(n, bytes), queue: &(i32, Arc<Queue>)| {
        let s = queue.1.0.lock();
        (n + s.messages.len(), bytes + s.bytes)
    };
    let (n, bytes) = ALL.all().iter().fold((0, 0), count);
    (ALL.statistics(), n, bytes)
}

fn list() -> Vec<u8> {
    let row = |(id, queue): &(i32, Arc<Queue>)| {
        let d = queue.shown(*id);
        let p = d.perm;
        [
            p.key.into(),
            (*id).into(),
            proc::octal(p.mode),
            d.cbytes as i64,
            d.qnum as i64,
            d.lspid.into(),
            d.lrpid.into(),
            p.uid.into(),
            p.gid.into(),
            p.cuid.into(),
            p.cgid.into(),
            d.stime,
            d.rtime,
            d.ctime,
        ]
    };
    proc::table(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime",
        &[10, 10, 5, 11, 10, 5, 5, 5, 5, 5, 5, 10, 10, 10],
        ALL.all().iter().map(row),
    )
}

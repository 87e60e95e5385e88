//! One queue: its messages, and who waits for some or for room (Linux's ipc/mqueue.c).
//!
//! A message goes straight to a thread that waits for one; nobody is notified then. Of several threads that wait, the
//! one with the highest priority is served first, and among equals the one that came first.

use super::notify::Notice;
use super::settings::{Attributes, Share};
use crate::timer::ticket::{Ticket, rank};
use crate::timer::wall::When;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::poll::{Events, Pollee, readiness};
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};
use libos_fs::time::{Times, now};
use libos_fs::util::Text;

/// A message.
pub struct Message {
    pub priority: u32,
    pub text: Vec<u8>,
}

/// A thread that waits, `T` for what.
struct Waiting<T> {
    rank: i32,
    ticket: Arc<Ticket<T>>,
    /// What it sends.
    message: Option<Message>,
}

#[derive(Default)]
struct State {
    /// Highest priority first, and in the order in which they came.
    messages: VecDeque<Message>,
    bytes: usize,
    receivers: Vec<Waiting<Message>>,
    senders: Vec<Waiting<()>>,
    notice: Option<Notice>,
    times: Times,
}

/// See the module.
pub struct Queue {
    pub attributes: Attributes,
    pub pollee: Pollee,
    state: SpinLock<State>,
    _share: Share,
}

/// Adds a waiter behind those that come before it.
fn wait_in<T>(list: &mut Vec<Waiting<T>>, message: Option<Message>) -> Result<Arc<Ticket<T>>> {
    let (rank, ticket) = (rank(), Ticket::new()?);
    list.try_reserve(1)?;
    let at = list.partition_point(|w| w.rank <= rank);
    list.insert(at, Waiting { rank, ticket: ticket.clone(), message });
    Ok(ticket)
}

/// Takes off a waiter that gave up; returns what it would have sent.
fn leave<T>(list: &mut Vec<Waiting<T>>, who: &Arc<Ticket<T>>) -> Option<Message> {
    let at = list.iter().position(|w| Arc::ptr_eq(&w.ticket, who))?;
    list.remove(at).message
}

fn first<T>(list: &mut Vec<Waiting<T>>) -> Option<Waiting<T>> {
    if list.is_empty() { None } else { Some(list.remove(0)) }
}

impl State {
    fn insert(&mut self, message: Message) -> Result<()> {
        self.messages.try_reserve(1)?;
        let at = self.messages.partition_point(|m| m.priority >= message.priority);
        self.bytes += message.text.len();
        self.messages.insert(at, message);
        Ok(())
    }
}

impl Queue {
    /// An empty one. See [`Share::take`] for the errors.
    pub fn new(attributes: Attributes) -> Result<Self> {
        let state = State { times: Times::all(now()), ..State::default() };
        Ok(Self {
            attributes,
            pollee: Pollee::new(),
            _share: Share::take(attributes)?,
            state: SpinLock::new(class::IPC_OBJECT, state),
        })
    }

    /// The longest message.
    pub fn most(&self) -> usize {
        self.attributes.size as usize
    }
    /// The number of messages.
    pub fn count(&self) -> usize {
        self.state.lock().messages.len()
    }
    fn room(&self, s: &State) -> bool {
        s.messages.len() < self.attributes.messages as usize
    }

    /// See [`super::Open::send`].
    pub fn send(&self, message: Message, nonblock: bool, until: When) -> Result<()> {
        let mut s = self.state.lock();
        if !self.room(&s) {
            if nonblock {
                return Err(Errno::EAGAIN);
            }
            let ticket = wait_in(&mut s.senders, Some(message))?;
            drop(s);
            return ticket.wait(until).or_else(|e| {
                let unsent = leave(&mut self.state.lock().senders, &ticket);
                drop(unsent);
                ticket.take().ok_or(e)
            });
        }
        s.times.modified();
        s.times.atime = s.times.mtime;
        if let Some(receiver) = first(&mut s.receivers) {
            receiver.ticket.give(message);
            return Ok(());
        }
        s.insert(message)?;
        let notice = if s.messages.len() == 1 { s.notice.take() } else { None };
        drop(s);
        if let Some(notice) = notice {
            notice.send();
        }
        self.pollee.notify(Events::IN | Events::RDNORM);
        Ok(())
    }

    /// See [`super::Open::receive`].
    pub fn receive(&self, nonblock: bool, until: When) -> Result<Message> {
        let mut s = self.state.lock();
        let Some(message) = s.messages.pop_front() else {
            if nonblock {
                return Err(Errno::EAGAIN);
            }
            let ticket = wait_in(&mut s.receivers, None)?;
            drop(s);
            return ticket.wait(until).or_else(|e| {
                leave(&mut self.state.lock().receivers, &ticket);
                ticket.take().ok_or(e)
            });
        };
        s.bytes -= message.text.len();
        s.times.modified();
        s.times.atime = s.times.mtime;
        if let Some(sender) = first(&mut s.senders) {
            // There is room: that of the message just taken.
            if let Some(next) = sender.message {
                s.insert(next)?;
            }
            sender.ticket.give(());
            return Ok(message);
        }
        drop(s);
        self.pollee.notify(Events::OUT | Events::WRNORM);
        Ok(message)
    }

    /// See [`super::Open::notify`].
    pub fn notify(&self, notice: Option<Notice>) -> Result<()> {
        let mut s = self.state.lock();
        let gone = match (notice, s.notice.is_some()) {
            (Some(_), true) => return Err(Errno::EBUSY),
            (None, false) => return Ok(()),
            (new, _) => core::mem::replace(&mut s.notice, new),
        };
        s.times.changed();
        s.times.atime = s.times.ctime;
        drop(s);
        if let Some(gone) = gone {
            gone.cancel();
        }
        Ok(())
    }

    /// A descriptor of the process was closed: it is no longer notified.
    pub fn closed(&self) {
        let gone = self.state.lock().notice.take();
        if let Some(gone) = gone {
            gone.cancel();
        }
    }

    /// Current readiness.
    pub fn events(&self) -> Events {
        let s = self.state.lock();
        readiness(!s.messages.is_empty(), self.room(&s))
    }

    /// What is read from the queue's file (mq_overview(7)).
    pub fn text(&self) -> Text {
        let (bytes, notify, signo, owned) = {
            let s = self.state.lock();
            let (notify, signo) = s.notice.as_ref().map_or((0, 0), Notice::shown);
            (s.bytes, notify, signo, s.notice.is_some())
        };
        let pid = if owned { crate::sched::PID } else { 0 };
        let field = |t: Text, name: &str, n: u64, width: usize| {
            let number = Text::new().n(n).0;
            let pad = width.saturating_sub(number.len());
            t.s(name).s(number).s(" ".repeat(pad))
        };
        let t = field(Text::new(), "QSIZE:", bytes as u64, 10);
        let t = field(t, " NOTIFY:", notify.into(), 5);
        let t = field(t, " SIGNO:", signo as u64, 5);
        field(t, " NOTIFY_PID:", pid.into(), 6).s("\n")
    }

    /// Its file's time stamps.
    pub fn times(&self) -> Times {
        self.state.lock().times
    }
    /// Changes them.
    pub fn change_times(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.state.lock().times);
    }
    /// It was looked at or changed in a way that shows in two of them.
    pub fn touched(&self) {
        self.change_times(|t| {
            t.changed();
            t.atime = t.ctime;
        });
    }
}

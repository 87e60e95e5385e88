//! POSIX message queues.

use super::support::only;
use crate::ipc::mqueue::{self, Attributes, Message, Notice, Open, PRIORITIES};
use crate::timer::wall::{Line, When};
use libos_base::abi::{
    CreateMode, Fd, In, MqAttr, OpenFlags, Out, Path, SigEvent, SigEventNotify, Timespec, signal::valid,
};
use libos_base::{Errno, Result, user};

pub fn mq_open(name: Path, flags: OpenFlags, mode: CreateMode, attr: In<MqAttr>) -> Result<usize> {
    let wanted = user::read_opt(attr)?.map(|a| Attributes { messages: a.maxmsg, size: a.msgsize });
    user::with_path(name, |name| mqueue::open(name, flags, mode.0, wanted)).map(Fd::result)
}

pub fn mq_unlink(name: Path) -> Result<()> {
    user::with_path(name, mqueue::unlink)
}

/// An absolute time of day; EINVAL even if there is no need to wait.
fn until(timeout: In<Timespec>) -> Result<When> {
    Ok(match user::read_opt(timeout)? {
        None => When::NEVER,
        Some(t) => When { ns: t.to_ns()?, line: Line::Wall },
    })
}

pub fn mq_timedsend(fd: Fd, msg: In<u8>, len: usize, priority: u32, timeout: In<Timespec>) -> Result<()> {
    let until = until(timeout)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let queue = Open::find(fd)?;
    queue.takes(len)?;
    queue.send(Message { priority, text: user::read_vec(msg, len)? }, until)
}

pub fn mq_timedreceive(fd: Fd, msg: Out<u8>, len: usize, priority: Out<u32>, timeout: In<Timespec>) -> Result<usize> {
    let until = until(timeout)?;
    let queue = Open::find(fd)?;
    queue.gives(len)?;
    let message = queue.receive(until)?;
    // As on Linux, a message that cannot be delivered is lost.
    user::write_opt(priority, &message.priority)?;
    user::copy_out(msg.address(), &message.text)?;
    Ok(message.text.len())
}

pub fn mq_notify(fd: Fd, event: In<SigEvent>) -> Result<()> {
    let notice = user::read_opt(event)?.map(|e| match SigEventNotify(e.notify as u32) {
        SigEventNotify::NONE => Ok(Notice::Nothing),
        SigEventNotify::SIGNAL if e.signo == 0 || valid(e.signo) => {
            Ok(Notice::Signal { signo: e.signo, value: e.value })
        }
        // How C libraries do it: the "signal" is a netlink socket, the value points to what it is sent.
        SigEventNotify::THREAD => {
            let mut cookie = [0; mqueue::COOKIE];
            user::copy_in(&mut cookie, e.value as usize)?;
            Notice::thread(Fd(e.signo), cookie)
        }
        _ => Err(Errno::EINVAL),
    });
    let notice = notice.transpose()?;
    Open::find(fd)?.notify(notice)
}

pub fn mq_getsetattr(fd: Fd, new: In<MqAttr>, old: Out<MqAttr>) -> Result<()> {
    let flags = user::read_opt(new)?.map(|a| u32::try_from(a.flags).map(OpenFlags::from_bits_retain));
    let flags = flags.transpose().map_err(|_| Errno::EINVAL)?;
    if let Some(flags) = flags {
        only(flags, OpenFlags::NONBLOCK)?;
    }
    let queue = Open::find(fd)?;
    let (Attributes { messages, size }, nonblock, count) = queue.attributes();
    if let Some(flags) = flags {
        queue.set_nonblock(!flags.is_empty());
    }
    let nonblock = if nonblock { OpenFlags::NONBLOCK.bits().into() } else { 0 };
    let before =
        MqAttr { flags: nonblock, maxmsg: messages, msgsize: size, curmsgs: count as i64, ..MqAttr::default() };
    user::write_opt(old, &before)
}

//! System V message queues.

use crate::ipc::sysv::msg::{self, Message, Wanted};
use crate::ipc::sysv::{IPC_NOWAIT, Which};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::abi::{Address, Bits, MsgCommand, MsgInfo, MsqIdDs};
use libos_base::{Errno, Result, user};

const NOERROR: u32 = 0o10000;
const EXCEPT: u32 = 0o20000;
const COPY: u32 = 0o40000;

/// Where a message's text begins: after its type.
const TEXT: usize = 8;

pub fn msgget(key: i32, flags: Bits) -> Result<usize> {
    msg::get(key, flags.0).map(|id| id as usize)
}

pub fn msgsnd(id: i32, buf: Address, size: usize, flags: Bits) -> Result<()> {
    let kind: i64 = user::read(buf.to())?;
    if size > msg::SIZE.load(Relaxed) || id < 0 || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let text = user::read_vec(Address(buf.0.wrapping_add(TEXT)).to::<u8>(), size)?;
    msg::send(id, Message { kind, text }, flags.0 & IPC_NOWAIT == 0)
}

pub fn msgrcv(id: i32, buf: Address, size: usize, kind: i64, flags: Bits) -> Result<usize> {
    let wait = flags.0 & IPC_NOWAIT == 0;
    if id < 0 || (size as i64) < 0 || flags.0 & COPY != 0 && (flags.0 & EXCEPT != 0 || wait) {
        return Err(Errno::EINVAL);
    }
    let message = if flags.0 & COPY != 0 {
        msg::copy(id, kind, size, flags.0 & NOERROR != 0)?
    } else {
        let wanted = match kind {
            0 => Wanted::Any,
            ..0 => Wanted::AtMost(kind.checked_neg().unwrap_or(i64::MAX)),
            _ if flags.0 & EXCEPT != 0 => Wanted::Except(kind),
            _ => Wanted::Kind(kind),
        };
        msg::receive(id, wanted, if flags.0 & NOERROR != 0 { usize::MAX } else { size }, wait)?
    };
    // As on Linux, a message that cannot be delivered is lost.
    user::write(buf.to(), &message.kind)?;
    let n = message.text.len().min(size);
    user::copy_out(buf.0.wrapping_add(TEXT), &message.text[..n])?;
    Ok(n)
}

pub fn msgctl(id: i32, cmd: MsgCommand, buf: Address) -> Result<usize> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match cmd {
        MsgCommand::IPC_INFO | MsgCommand::MSG_INFO => {
            let (all, messages, bytes) = msg::statistics();
            // What Linux has no limit for (linux/msg.h).
            let (pool, map, tql) = match cmd {
                MsgCommand::MSG_INFO => (all.used as i32, messages as i32, bytes as i32),
                _ => (512_000, 16_384, 16_384),
            };
            let info = MsgInfo {
                msgpool: pool,
                msgmap: map,
                msgmax: msg::SIZE.load(Relaxed) as i32,
                msgmnb: msg::BYTES.load(Relaxed) as i32,
                msgmni: msg::QUEUES.load(Relaxed) as i32,
                msgssz: 16,
                msgtql: tql,
                msgseg: 0xffff,
                pad: 0,
            };
            user::write(buf.to(), &info)?;
            Ok(all.highest)
        }
        MsgCommand::IPC_STAT => {
            user::write(buf.to(), &msg::stat(Which::Id(id))?.1)?;
            Ok(0)
        }
        MsgCommand::MSG_STAT | MsgCommand::MSG_STAT_ANY => {
            let (id, shown) = msg::stat(Which::Place { at: id, anybody: cmd == MsgCommand::MSG_STAT_ANY })?;
            user::write(buf.to(), &shown)?;
            Ok(id as usize)
        }
        MsgCommand::IPC_SET => {
            let new: MsqIdDs = user::read(buf.to())?;
            msg::set(id, &new.perm, new.qbytes).map(|()| 0)
        }
        MsgCommand::IPC_RMID => msg::remove(id).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}

//! Sockets: sending and receiving.

use super::socket::{get, read_addr, sent, write_addr};
use super::support;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::size_of;
use libos_base::abi::{
    CmsgHdr, ControlMessage, Fd, In, InOut, MessageFlags, MmsgHdr, MsgHdr, Out, Sockaddr, Timespec, Ucred, sol,
};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::zerocopy::{FromBytes, IntoBytes};
use libos_base::{Errno, Result, time, user};
use libos_fs::files;
use libos_net::addr::Addr;
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};

/// SCM_MAX_FD.
const MAX_FDS: usize = 253;
/// net.core.optmem_max.
const MAX_CONTROL: usize = 131_072;
/// The most messages in one sendmmsg or recvmmsg.
const MAX_MESSAGES: u32 = 1024;

pub fn sendto(fd: Fd, buf: In<u8>, len: usize, flags: MessageFlags, to: In<Sockaddr>, to_len: u32) -> Result<usize> {
    let s = get(fd)?;
    let mut src = Source::user(buf, len)?;
    let flags = Msg::from_bits_truncate(flags.bits());
    let to = if to.is_null() { None } else { Some(read_addr(to, to_len)?) };
    let msg = Outgoing { flags, to: to.as_ref().map(Addr::as_bytes), ..Outgoing::default() };
    sent(&s, flags.contains(Msg::NOSIGNAL), s.send(&mut src, &msg))
}

pub fn recvfrom(
    fd: Fd,
    buf: Out<u8>,
    len: usize,
    flags: MessageFlags,
    from: Out<Sockaddr>,
    from_len: InOut<u32>,
) -> Result<usize> {
    let s = get(fd)?;
    let mut msg = Incoming::new(Msg::from_bits_truncate(flags.bits()));
    let n = s.recv(&mut Sink::user(buf, len)?, &mut msg)?;
    if !from.is_null() {
        write_addr(&msg.from, from, from_len)?;
    }
    Ok(n)
}

pub fn sendmsg(fd: Fd, at: In<MsgHdr>, flags: MessageFlags) -> Result<usize> {
    let s = get(fd)?;
    send_one(&s, at, Msg::from_bits_truncate(flags.bits()))
}

fn send_one(s: &Socket, at: In<MsgHdr>, flags: Msg) -> Result<usize> {
    let h = user::read(at)?;
    let mut src = Source::user_vecs(In::new(h.iov), vectors(h.iovlen)?)?;
    let to = if h.name == 0 || h.namelen == 0 { None } else { Some(read_addr(In::new(h.name), h.namelen)?) };
    let mut msg = Outgoing { flags, to: to.as_ref().map(Addr::as_bytes), ..Outgoing::default() };
    if h.control != 0 && h.controllen > 0 {
        read_control(h.control, h.controllen, &mut msg)?;
    }
    sent(s, flags.contains(Msg::NOSIGNAL), s.send(&mut src, &msg))
}

fn vectors(n: usize) -> Result<usize> {
    if n > libos_base::io::IOV_MAX { Err(Errno::EMSGSIZE) } else { Ok(n) }
}

/// Control messages of `sendmsg`. EINVAL: malformed, or of a kind that is not supported.
fn read_control(at: usize, len: usize, msg: &mut Outgoing<'_>) -> Result<()> {
    if len > MAX_CONTROL {
        return Err(Errno::ENOBUFS);
    }
    let bytes: Vec<u8> = user::read_vec(In::new(at), len)?;
    let mut rest = &bytes[..];
    while rest.len() >= size_of::<CmsgHdr>() {
        let size = usize::from_le_bytes(rest[..8].try_into().map_err(|_| Errno::EINVAL)?);
        let word = |o: usize| i32::from_le_bytes([rest[o], rest[o + 1], rest[o + 2], rest[o + 3]]);
        if size < size_of::<CmsgHdr>() || size > rest.len() {
            return Err(Errno::EINVAL);
        }
        let (level, kind, data) = (word(8), word(12), &rest[size_of::<CmsgHdr>()..size]);
        match (level, ControlMessage(kind)) {
            (sol::SOCKET, ControlMessage::RIGHTS) => {
                if data.len() / 4 + msg.files.len() > MAX_FDS {
                    return Err(Errno::EINVAL);
                }
                for fd in data.chunks_exact(4) {
                    let fd = i32::from_le_bytes([fd[0], fd[1], fd[2], fd[3]]);
                    msg.files.try_reserve(1)?;
                    msg.files.push(files().fds.get_any(Fd(fd))?);
                }
            }
            (sol::SOCKET, ControlMessage::CREDENTIALS) if data.len() == 12 => {
                msg.creds = Ucred::read_from_bytes(data).ok();
            }
            (sol::SOCKET, _) => return Err(Errno::EINVAL),
            _ => libos_net::udp::want_header(&mut msg.ip, level, kind, data)?,
        }
        let step = size.next_multiple_of(8);
        rest = rest.get(step..).unwrap_or(&[]);
    }
    Ok(())
}

pub fn recvmsg(fd: Fd, at: InOut<MsgHdr>, flags: MessageFlags) -> Result<usize> {
    let s = get(fd)?;
    recv_one(&s, at, Msg::from_bits_truncate(flags.bits()))
}

fn recv_one(s: &Socket, at: InOut<MsgHdr>, flags: Msg) -> Result<usize> {
    let mut h = user::read(at)?;
    let mut msg = Incoming::new(flags);
    let n = s.recv(&mut Sink::user_vecs(Out::new(h.iov), vectors(h.iovlen)?)?, &mut msg)?;
    if h.name != 0 {
        let b = msg.from.as_bytes();
        user::copy_out(h.name, &b[..b.len().min(h.namelen as usize)])?;
        h.namelen = b.len() as u32;
    }
    h.controllen = write_control(h.control, h.controllen, flags, &mut msg)?;
    h.flags = (msg.out_flags | flags & Msg::CMSG_CLOEXEC).bits();
    user::write(at, &h)?;
    Ok(n)
}

/// Control messages of `recvmsg`: returns how many bytes were written. What does not fit is cut (MSG_CTRUNC).
fn write_control(at: usize, room: usize, flags: Msg, msg: &mut Incoming) -> Result<usize> {
    let room = if at == 0 { 0 } else { room };
    let mut out = 0;
    let put = |out: &mut usize, level: i32, kind: i32, data: &[u8]| -> Result<bool> {
        let whole = size_of::<CmsgHdr>() + data.len();
        let size = whole.min(room - *out);
        let Some(data) = size.checked_sub(size_of::<CmsgHdr>()).map(|n| &data[..n]) else { return Ok(false) };
        user::write(Out::new(at + *out), &CmsgHdr { len: size, level, kind })?;
        user::copy_out(at + *out + size_of::<CmsgHdr>(), data)?;
        *out = (*out + size.next_multiple_of(8)).min(room);
        Ok(size == whole)
    };
    let mut cut = false;
    for (level, kind, data) in &msg.control {
        cut |= !put(&mut out, *level, *kind, data)?;
    }
    if let Some(c) = msg.creds {
        cut |= !put(&mut out, sol::SOCKET, ControlMessage::CREDENTIALS.0, c.as_bytes())?;
    }
    let received = core::mem::take(&mut msg.files);
    if !received.is_empty() {
        let space = room.saturating_sub(out + size_of::<CmsgHdr>()) / 4;
        let fds = install(received, space, flags.contains(Msg::CMSG_CLOEXEC), &mut cut);
        if !fds.is_empty() {
            put(&mut out, sol::SOCKET, ControlMessage::RIGHTS.0, &fds)?;
        }
    }
    if cut {
        msg.out_flags |= Msg::CTRUNC;
    }
    Ok(out)
}

/// Gives received files descriptors; files for which there is no room or no number are closed.
fn install(received: Vec<Arc<dyn FileLike>>, most: usize, cloexec: bool, cut: &mut bool) -> Vec<u8> {
    let mut out = Vec::new();
    *cut |= received.len() > most;
    for f in received.into_iter().take(most) {
        match files().fds.add(f, cloexec) {
            Ok(fd) => out.extend_from_slice(&fd.0.to_le_bytes()),
            Err(_) => {
                *cut = true;
                break;
            }
        }
    }
    out
}

/// Where a message's length is written.
fn length_of(message: InOut<MmsgHdr>) -> Out<u32> {
    Out::new(message.address() + core::mem::offset_of!(MmsgHdr, len))
}

pub fn sendmmsg(fd: Fd, at: InOut<MmsgHdr>, n: u32, flags: MessageFlags) -> Result<usize> {
    let s = get(fd)?;
    let flags = Msg::from_bits_truncate(flags.bits());
    let mut done = 0;
    while done < n.min(MAX_MESSAGES) {
        let one = at.nth(done as usize);
        match send_one(&s, one.cast().into(), flags) {
            Ok(sent) => user::write(length_of(one), &(sent as u32))?,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
        done += 1;
    }
    Ok(done as usize)
}

pub fn recvmmsg(fd: Fd, at: InOut<MmsgHdr>, n: u32, flags: MessageFlags, timeout: InOut<Timespec>) -> Result<usize> {
    let s = get(fd)?;
    // Checked only between messages, as on Linux.
    let deadline = support::deadline(timeout)?;
    let mut flags = Msg::from_bits_truncate(flags.bits());
    let mut done = 0;
    while done < n.min(MAX_MESSAGES) {
        let one = at.nth(done as usize);
        match recv_one(&s, one.cast(), flags - Msg::WAITFORONE) {
            Ok(got) => user::write(length_of(one), &(got as u32))?,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
        done += 1;
        if flags.contains(Msg::WAITFORONE) {
            flags |= Msg::DONTWAIT;
        }
        if time::monotonic_ns() >= deadline {
            break;
        }
    }
    user::write_opt(timeout, &Timespec::from_ns(support::left(deadline)))?;
    Ok(done as usize)
}

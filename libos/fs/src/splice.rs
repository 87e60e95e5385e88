//! `splice`: between a pipe and something else. Pipes own their bytes, so they are copied once.

use crate::openfile::OpenFile;
use crate::pipe::{PIPE_BUF, PipeEnd};
use crate::transfer::Position;
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_base::{Errno, Result};

/// From a pipe to a file, socket or device.
pub fn from_pipe(pipe: &PipeEnd, out: &dyn FileLike, at: Position<'_>, len: usize, nonblock: bool) -> Result<usize> {
    let (mut at, moves) = (at, crate::device::moves(out));
    let mut done = 0;
    while done < len {
        let slot = match pipe.claim(nonblock, done > 0) {
            Ok(Some(slot)) => slot,
            Ok(None) => break,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let n = slot.bytes().len().min(len - done);
        let mut src = Source::kernel(&slot.bytes()[..n]);
        let written = match &mut at {
            Position::Current => out.write(&mut src),
            Position::Offset(pos) => {
                out.write_at(**pos, &mut src).inspect(|&n| **pos += if moves { n as u64 } else { 0 })
            }
        };
        pipe.give_back(slot, *written.as_ref().unwrap_or(&0));
        match written {
            Ok(k) => {
                done += k;
                if k < n {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// From a file, socket or device to a pipe: as much as there is room for.
pub fn to_pipe(from: &dyn FileLike, at: Position<'_>, pipe: &PipeEnd, len: usize, nonblock: bool) -> Result<usize> {
    let room = pipe.room(nonblock)?;
    match (from.downcast::<OpenFile>(), at) {
        (Some(f), Position::Current) => {
            let mut pos = f.position().lock();
            positions(from, &mut pos, pipe, len, room)
        }
        (_, Position::Offset(pos)) => positions(from, pos, pipe, len, room),
        (None, Position::Current) => {
            let mut done = 0;
            while done < len.min(room * PIPE_BUF) && (done == 0 || from.poll(None).contains(Events::IN)) {
                let want = (len - done).min(PIPE_BUF);
                match pipe.fill_slot(|to| from.read(&mut Sink::kernel(&mut to[..want]))) {
                    Ok(0) => break,
                    Ok(n) => done += n,
                    Err(_) if done > 0 => break,
                    Err(e) => return Err(e),
                }
            }
            Ok(done)
        }
    }
}

/// A page of the file is a slot of the pipe, as on Linux: so much fits.
fn positions(from: &dyn FileLike, at: &mut u64, pipe: &PipeEnd, len: usize, room: usize) -> Result<usize> {
    let (mut done, pos) = (0, &mut at.clone());
    for _ in 0..room {
        let want = (len - done).min(PIPE_BUF - *pos as usize % PIPE_BUF);
        if want == 0 {
            break;
        }
        match pipe.fill_slot(|to| from.read_at(*pos, &mut Sink::kernel(&mut to[..want]))) {
            Ok(0) => break,
            Ok(n) => {
                done += n;
                *pos += n as u64;
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    if crate::device::moves(from) {
        *at = *pos;
    }
    Ok(done)
}

/// Between two pipes.
pub fn pipe_to_pipe(from: &PipeEnd, to: &PipeEnd, len: usize, nonblock: bool) -> Result<usize> {
    if from.is_same(to) {
        return Err(Errno::EINVAL);
    }
    let mut done = 0;
    while done < len {
        // Bytes first, then room: the order in which Linux checks.
        let slot = match from.claim(nonblock, done > 0) {
            Ok(Some(slot)) => slot,
            Ok(None) => break,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let n = slot.bytes().len().min(len - done);
        let moved = to.room(nonblock || done > 0).and_then(|_| {
            to.fill_slot(|data| {
                data[..n].copy_from_slice(&slot.bytes()[..n]);
                Ok(n)
            })
        });
        from.give_back(slot, *moved.as_ref().unwrap_or(&0));
        match moved {
            Ok(n) => done += n,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

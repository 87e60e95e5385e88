//! gRPC over HTTP/2: every message comes back as it was.

use super::Peer;
use anyhow::{Result, ensure};

/// Frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const RST_STREAM: u8 = 3;

/// Their flags.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What the configuration makes nginx send as a header. Characters that are shorter as they are than in Huffman's code, so
/// that they can be found without decoding.
pub const MARK: &[u8] = b"~~~~{|}~~~~";

/// `:status: 200` and `content-type: application/grpc` (RFC 7541: an entry of the static table, then the name of one).
const ANSWER: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`, not from the table.
const END: &[u8] = b"\0\x0bgrpc-status\x010";

pub fn grpc(peer: &mut Peer) -> Result<()> {
    ensure!(peer.take(24)? == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "no preface");
    send(peer, SETTINGS, 0, 0, b"")?;
    while !peer.ended() {
        let head = peer.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        ensure!(length <= 16384, "a frame of {length} bytes");
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let content = peer.take(length as usize)?;
        match kind {
            SETTINGS if flags & ACK == 0 => send(peer, SETTINGS, ACK, 0, b"")?,
            PING if flags & ACK == 0 => send(peer, PING, ACK, 0, &content)?,
            HEADERS => {
                ensure!(flags & END_HEADERS != 0, "a header in several frames");
                ensure!(content.windows(MARK.len()).any(|window| window == MARK), "the configured header is missing");
                send(peer, HEADERS, END_HEADERS, stream, ANSWER)?;
            }
            DATA => {
                if !content.is_empty() {
                    for stream in [0, stream] {
                        send(peer, WINDOW_UPDATE, 0, stream, &length.to_be_bytes())?;
                    }
                    send(peer, DATA, 0, stream, &content)?;
                }
                if flags & END_STREAM != 0 {
                    send(peer, HEADERS, END_HEADERS | END_STREAM, stream, END)?;
                }
            }
            SETTINGS | PING | WINDOW_UPDATE => {}
            GOAWAY | RST_STREAM => break,
            _ => anyhow::bail!("a frame of type {kind}"),
        }
    }
    Ok(())
}

fn send(peer: &mut Peer, kind: u8, flags: u8, stream: u32, content: &[u8]) -> Result<()> {
    let length = (content.len() as u32).to_be_bytes();
    peer.send([&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat())
}

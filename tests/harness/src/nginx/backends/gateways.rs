//! FastCGI, uwsgi and SCGI. All three carry the same parameters and answer with the same page, which shows them.

use super::Peer;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Types of FastCGI's records.
const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMETERS: u8 = 4;
const INPUT: u8 = 5;
const OUTPUT: u8 = 6;
const ERRORS: u8 = 7;

type Parameters = BTreeMap<String, String>;

/// Parameters that do not depend on the machine.
const SHOWN: &[&str] = &[
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "DOCUMENT_ROOT",
    "DOCUMENT_URI",
    "GATEWAY_INTERFACE",
    "HTTP_X_TEST",
    "PATH_INFO",
    "QUERY_STRING",
    "REDIRECT_STATUS",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
];

/// A header and a page.
fn answer(parameters: &Parameters, body: &[u8]) -> Result<Vec<u8>> {
    let length: usize = parameters.get("CONTENT_LENGTH").map_or("", String::as_str).parse().unwrap_or(0);
    ensure!(length == body.len(), "CONTENT_LENGTH is {length}, the body has {} bytes", body.len());
    let mut text = String::from("Status: 203 Asked\r\nContent-Type: text/plain\r\nX-Gateway: yes\r\n\r\n");
    for name in SHOWN {
        let _ = writeln!(text, "{name}={}", parameters.get(*name).map_or("-", String::as_str));
    }
    let sum = body.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    let _ = writeln!(text, "{} bytes, {sum:08x}", body.len());
    // Longer than any one record or buffer.
    text.extend((0..8000).map(|line| format!("{line} of the answer\n")));
    Ok(text.into_bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// <https://fastcgi-archives.github.io/FastCGI_Specification.html>
pub fn fastcgi(peer: &mut Peer) -> Result<()> {
    while !peer.ended() {
        let (kind, begin) = record(peer)?;
        ensure!(kind == BEGIN && begin.len() == 8 && begin[..2] == [0, 1], "no request begins: {kind} {begin:?}");
        let keep = begin[2] & 1 != 0;
        let [parameters, body] = [PARAMETERS, INPUT].map(|wanted| -> Result<Vec<u8>> {
            let mut all = Vec::new();
            loop {
                let (kind, part) = record(peer)?;
                ensure!(kind == wanted, "a record of type {kind}, {wanted} was expected");
                if part.is_empty() {
                    return Ok(all);
                }
                all.extend(part);
            }
        });
        let answer = answer(&pairs(&parameters?)?, &body?)?;
        let mut said = framed(ERRORS, b"said on standard error");
        for part in answer.chunks(65_000) {
            said.extend(framed(OUTPUT, part));
        }
        said.extend(framed(OUTPUT, b""));
        said.extend(framed(END, &[0; 8]));
        peer.send(said)?;
        if !keep {
            break;
        }
    }
    Ok(())
}

/// A record's type and content.
fn record(peer: &mut Peer) -> Result<(u8, Vec<u8>)> {
    let head = peer.take(8)?;
    ensure!(head[0] == 1 && head[2..4] == [0, 1], "version and request are {head:?}");
    let content = peer.take(usize::from(u16::from_be_bytes([head[4], head[5]])))?;
    peer.take(usize::from(head[6]))?;
    Ok((head[1], content))
}

fn framed(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    let padding = content.len().wrapping_neg() % 8;
    [&[1, kind, 0, 1, high, low, padding as u8, 0], content, &[0; 8][..padding]].concat()
}

/// Names and values, each after its length: a byte, or four of which the first has its highest bit set.
fn pairs(mut bytes: &[u8]) -> Result<Parameters> {
    fn part<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
        let (part, rest) = bytes.split_at_checked(n).context("a parameter is cut off")?;
        *bytes = rest;
        Ok(part)
    }
    fn length(bytes: &mut &[u8]) -> Result<usize> {
        let first = part(bytes, 1)?[0];
        if first < 128 {
            return Ok(usize::from(first));
        }
        let rest = part(bytes, 3)?;
        Ok(u32::from_be_bytes([first & 127, rest[0], rest[1], rest[2]]) as usize)
    }
    let mut all = Parameters::new();
    while !bytes.is_empty() {
        let (name, value) = (length(&mut bytes)?, length(&mut bytes)?);
        all.insert(text(part(&mut bytes, name)?), text(part(&mut bytes, value)?));
    }
    Ok(all)
}

/// <https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html>
pub fn uwsgi(peer: &mut Peer) -> Result<()> {
    let head = peer.take(4)?;
    ensure!(head[0] == 0 && head[3] == 0, "modifiers {head:?}");
    let mut rest = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let mut parameters = Parameters::new();
    while rest > 0 {
        let mut word = || -> Result<String> {
            let size = peer.take(2)?;
            let word = peer.take(usize::from(u16::from_le_bytes([size[0], size[1]])))?;
            rest = rest.checked_sub(2 + word.len()).context("a parameter is longer than all of them")?;
            Ok(text(&word))
        };
        let (name, value) = (word()?, word()?);
        parameters.insert(name, value);
    }
    finish(peer, &parameters)
}

/// <https://python.ca/scgi/protocol.txt>
pub fn scgi(peer: &mut Peer) -> Result<()> {
    let length: usize = text(&peer.until(b':')?).parse().context("no length")?;
    let header = peer.take(length)?;
    ensure!(peer.take(1)? == b",", "no comma after the header");
    ensure!(header.starts_with(b"CONTENT_LENGTH\0"), "the first parameter is no length");
    let words: Vec<_> = header.split(|byte| *byte == 0).map(text).collect();
    ensure!(words.len() % 2 == 1 && words.last().is_some_and(String::is_empty), "a name without a value");
    let parameters: Parameters = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    ensure!(parameters.get("SCGI").is_some_and(|version| version == "1"), "no version");
    finish(peer, &parameters)
}

/// Reads the body and answers.
fn finish(peer: &mut Peer, parameters: &Parameters) -> Result<()> {
    let length = parameters.get("CONTENT_LENGTH").map_or("", String::as_str).parse().unwrap_or(0);
    let body = peer.take(length)?;
    peer.send(answer(parameters, &body)?)
}

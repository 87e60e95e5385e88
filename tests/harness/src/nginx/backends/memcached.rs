//! memcached's text protocol: `get`.

use super::super::site::content;
use super::Peer;
use anyhow::{Context as _, Result, ensure};

/// The value of a key is as long as the number after its last slash; other keys are unknown.
pub fn memcached(peer: &mut Peer) -> Result<()> {
    while !peer.ended() {
        let line = peer.line()?;
        let key = line.strip_prefix("get ").with_context(|| format!("{line:?} is no get"))?;
        ensure!(!key.contains(' ') && key.len() <= 250, "{key:?} is no key");
        let mut said = Vec::new();
        if let Some(length) = key.rsplit('/').next().and_then(|length| length.parse().ok()) {
            said = [format!("VALUE {key} 0 {length}\r\n").as_bytes(), &content(length), b"\r\n"].concat();
        }
        said.extend(b"END\r\n");
        peer.send(said)?;
    }
    Ok(())
}

//! IMAP, POP3 and SMTP, as far as a proxy that logs in needs them. One answer of each repeats all that was said, so that
//! it shows what nginx made of it.

use super::Peer;
use anyhow::Result;

/// RFC 3501: LOGIN with literals; NOOP repeats.
pub fn imap(peer: &mut Peer) -> Result<()> {
    lines(peer, "* OK backend", |line, before| {
        let tag = line.split(' ').next().unwrap_or_default();
        if line.ends_with('}') {
            return "+ more\r\n".to_owned();
        }
        match before.last() {
            // The password, after the user, after the command.
            Some(last) if last.ends_with('}') => {
                format!("{} OK in\r\n", before[0].split(' ').next().unwrap_or_default())
            }
            _ if line.ends_with("LOGOUT") => format!("* BYE\r\n{tag} OK out\r\n"),
            _ => format!("* {}\r\n{tag} OK\r\n", before.join("|")),
        }
    })
}

/// RFC 1939: STAT repeats.
pub fn pop3(peer: &mut Peer) -> Result<()> {
    lines(peer, "+OK backend", |line, before| match line {
        "STAT" => format!("+OK {}\r\n", before.join("|")),
        _ => "+OK\r\n".to_owned(),
    })
}

/// RFC 5321: the end of a message repeats.
pub fn smtp(peer: &mut Peer) -> Result<()> {
    lines(peer, "220 backend", |line, before| {
        let inside = before.iter().any(|line| line == "DATA");
        match line {
            "." => format!("250 {}\r\n", before.join("|")),
            "QUIT" => "221 bye\r\n".to_owned(),
            _ if inside => String::new(),
            "DATA" => "354 go on\r\n".to_owned(),
            _ if line.starts_with("EHLO ") => "250-backend\r\n250 PIPELINING\r\n".to_owned(),
            _ => "250 yes\r\n".to_owned(),
        }
    })
}

/// Answers each line, knowing those before it.
fn lines(peer: &mut Peer, greeting: &str, answer: fn(&str, &[String]) -> String) -> Result<()> {
    peer.send(format!("{greeting}\r\n"))?;
    let mut before = Vec::new();
    while !peer.ended() {
        let line = peer.line()?;
        peer.send(answer(&line, &before))?;
        before.push(line);
    }
    Ok(())
}

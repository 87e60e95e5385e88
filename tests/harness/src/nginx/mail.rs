//! The mail modules: a proxy that asks over HTTP whom to let in, and where to.

use super::super::case::Tally;
use super::super::context::Context;
use super::backends::{self, Backend};
use super::lives::Lives;
use super::site::{Port, Site};
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// `@IMAP@` and the like are the ports of the servers behind it. It asks itself who may come in.
const SERVER: &str = r#"
mail {
    server_name mail.example;
    auth_http 127.0.0.1:@SELF@/who;
    proxy_pass_error_message on;
    server { listen @143@; protocol imap; imap_capabilities IMAP4rev1 NAMESPACE; }
    server { listen @110@; protocol pop3; pop3_auth plain; }
    server { listen @25@; protocol smtp; smtp_auth none; smtp_capabilities 8BITMIME; xclient off; }
}
http {
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    access_log off;
    root /usr/share/nginx/html;
    map $http_auth_protocol $behind { imap @IMAP@; pop3 @POP3@; smtp @SMTP@; }
    map "$http_auth_protocol:$http_auth_user:$http_auth_pass" $verdict {
        default "go away";
        ~^(imap|pop3):user:word$ OK;
        ~^smtp:: OK;
    }
    server {
        @LISTEN@
        location / { }
        location = /who {
            add_header Auth-Status $verdict;
            add_header Auth-Server @HOST@;
            add_header Auth-Port $behind;
            return 200;
        }
    }
}
"#;

/// A protocol.
struct Protocol {
    name: &'static str,
    port: u16,
    /// What the client says.
    says: &'static [&'static str],
    /// A part of the answer to the last but one.
    shows: &'static str,
    /// What must not work, and a part of the last answer to it.
    refused: &'static [&'static str],
    no: &'static str,
    /// Whether a line is an answer's last.
    last: fn(&str) -> bool,
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol {
        name: "imap",
        port: 143,
        says: &["a CAPABILITY", "b LOGIN user word", "c NOOP", "d LOGOUT"],
        shows: "* b LOGIN {4}|user {4}|word\nc OK",
        refused: &["a LOGIN user wrong"],
        no: "a NO go away",
        last: |line| !line.starts_with("* ") || line.starts_with("* OK "),
    },
    Protocol {
        name: "pop3",
        port: 110,
        says: &["USER user", "PASS word", "STAT", "QUIT"],
        shows: "+OK USER user|PASS word",
        refused: &["USER user", "PASS wrong"],
        no: "-ERR go away",
        last: |_| true,
    },
    Protocol {
        name: "smtp",
        port: 25,
        says: &[
            "EHLO me",
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<c@d.example>",
            "DATA",
            "Subject: x\r\n\r\ntext\r\n.",
            "QUIT",
        ],
        shows: "250 EHLO mail.example|MAIL FROM:<a@b.example>|RCPT TO:<c@d.example>|DATA|Subject: x||text",
        refused: &["EHLO me", "RCPT TO:<c@d.example>"],
        no: "503 ",
        last: |line| line.as_bytes().get(3) == Some(&b' '),
    },
];

/// All answers; the first is the greeting.
fn converse(address: SocketAddr, protocol: &Protocol, says: &[&str]) -> Result<Vec<String>> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reading = BufReader::new(stream.try_clone()?);
    let mut answers = vec![answer(&mut reading, protocol)?];
    for line in says {
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        answers.push(answer(&mut reading, protocol).with_context(|| format!("after {line:?}: {answers:?}"))?);
    }
    Ok(answers)
}

fn answer(reading: &mut impl BufRead, protocol: &Protocol) -> Result<String> {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        ensure!(reading.read_line(&mut line).context("no answer")? > 0, "it hangs up after {all:?}");
        all.push_str(line.trim_end());
        if (protocol.last)(&line) {
            return Ok(all);
        }
        all.push('\n');
    }
}

pub fn compare(context: &Context) -> Result<Tally> {
    let mut site = Site::new(context)?;
    for protocol in &PROTOCOLS {
        site.ports.push(Port::tcp(protocol.port)?);
    }
    let behind = [
        ("@IMAP@", Backend::tcp(backends::imap)?),
        ("@POP3@", Backend::tcp(backends::pop3)?),
        ("@SMTP@", Backend::tcp(backends::smtp)?),
    ];
    let text = behind.iter().fold(SERVER.to_owned(), |text, (name, backend)| text.replace(name, &backend.port()));
    site.configure(&text)?;
    let lives = Lives::start(context, &site)?;
    for protocol in &PROTOCOLS {
        let addresses = site.port(protocol.port).addresses();
        let answers = lives.agree(protocol.name, addresses, |address| converse(address, protocol, protocol.says))?;
        let shown = &answers[answers.len() - 2];
        ensure!(shown.contains(protocol.shows), "{}: '{}' is not in {answers:?}", protocol.name, protocol.shows);
        let answers = lives.agree(protocol.name, addresses, |address| converse(address, protocol, protocol.refused))?;
        ensure!(answers.last().is_some_and(|last| last.contains(protocol.no)), "{}: {answers:?}", protocol.name);
    }
    for (name, backend) in behind {
        backend.content().context(name)?;
    }
    Ok(Tally::pass(""))
}

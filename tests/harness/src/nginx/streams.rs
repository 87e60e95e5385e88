//! The modules of `stream`: TCP and UDP, passed on or answered.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::backends::{self, Backend};
use super::http;
use super::lives::Lives;
use super::site::{Port, Site, content};
use anyhow::{Context as _, Result, ensure};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// `@ECHO@` and `@ECHO-UDP@` are ports of servers that send back what they get.
const SERVER: &str = r#"
http {
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    access_log off;
    root /usr/share/nginx/html;
    server {
        @LISTEN@
        location / { }
        location = /buffered { access_log /var/log/nginx/buffered.log combined buffer=32k; return 200 "noted\n"; }
        location /logs/ { default_type text/plain; alias /var/log/nginx/; etag off; add_header Last-Modified ""; }
        location = /add { client_body_in_file_only on; proxy_pass http://127.0.0.1:@SELF@/index.html; proxy_method GET; proxy_pass_request_body off; }
    }
}
stream {
    include /var/lib/nginx/body/*0*;
    proxy_half_close on;
    log_format line "$protocol $status $bytes_received $bytes_sent";
    map $proxy_protocol_addr $kind { default other; ~^192\. "one-nine-two"; }
    geo $proxy_protocol_addr $place { default nowhere; 192.0.2.0/24 test; }
    split_clients $proxy_protocol_addr $half { 50% left; * right; }
    limit_conn_zone $server_addr zone=connections:64k;
    upstream echo { zone echo 64k; hash $protocol consistent; server @HOST@:@ECHO@; }
    upstream least { zone least 64k; least_conn; server 127.0.0.1:1 backup; server @HOST@:@ECHO@; }
    upstream random { zone random 64k; random two least_conn; server 127.0.0.1:1 down; server @HOST@:@ECHO@; }
    upstream datagrams { server @HOST@:@ECHO-UDP@; }

    server { listen @81@; proxy_pass echo; access_log /var/log/nginx/stream.log line; }
    server { listen @82@; proxy_pass least; proxy_protocol off; proxy_download_rate 0; }
    server { listen @83@; proxy_pass random; proxy_buffer_size 1k; }
    server { listen @84@ udp; proxy_pass datagrams; proxy_responses 1; proxy_timeout 20s; }
    server {
        listen @85@ proxy_protocol;
        set_real_ip_from 0.0.0.0/0;
        set $own "set here";
        return "$remote_addr:$remote_port $kind $place $half $own\n";
    }
    server {
        listen @86@;
        ssl_preread on;
        return "$ssl_preread_server_name $ssl_preread_protocol $ssl_preread_alpn_protocols\n";
    }
    server { listen @87@; deny all; return "never\n"; }
    server { listen @88@; limit_conn connections 1; proxy_pass echo; }
    server { listen @89@; proxy_connect_timeout 2s; proxy_pass 127.0.0.1:1; }
}
"#;

/// TLS 1.2's first message, for `first.example`, offering `h2`.
const HELLO: &[u8] = b"\x16\x03\x01\0\x4e\x01\0\0\x4a\x03\x03\
    0123456789abcdef0123456789abcdef\0\0\x02\xc0\x2f\x01\0\0\x1f\
    \0\0\0\x12\0\x10\0\0\x0dfirst.example\
    \0\x10\0\x05\0\x03\x02h2";

fn start(context: &Context) -> Result<(Site, [Backend; 2])> {
    let mut site = Site::new(context)?;
    for port in [81, 82, 83, 85, 86, 87, 88, 89, 90] {
        site.ports.push(Port::tcp(port)?);
    }
    site.ports.push(Port::udp(84)?);
    let behind = [Backend::tcp(backends::echo)?, Backend::udp_echo()?];
    let text = SERVER.replace("@ECHO@", &behind[0].port()).replace("@ECHO-UDP@", &behind[1].port());
    site.configure(&text)?;
    Ok((site, behind))
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Sends, ends its side, reads until the server does.
fn converse(address: SocketAddr, send: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect(address)?;
    let mut reading = stream.try_clone()?;
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        reading.read_to_end(&mut all).map(|_| all)
    });
    stream.write_all(send)?;
    stream.shutdown(Shutdown::Write)?;
    Ok(reader.join().map_err(|_| anyhow::anyhow!("the reader broke"))??)
}

/// Sends on, and returns what has come back.
fn exchange(stream: &mut TcpStream, text: &str) -> Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back)?;
    Ok(String::from_utf8(back)?)
}

pub fn compare(context: &Context) -> Result<Tally> {
    let (site, behind) = start(context)?;
    let lives = Lives::start(context, &site)?;
    let of = |guest| site.port(guest).addresses();
    for (port, length) in [(81, 0), (81, 1), (81, 1_000_000), (82, 100_000), (83, 100_000)] {
        let sent = content(length);
        let back = lives.agree(&format!("{length} bytes to {port}"), of(port), |address| converse(address, &sent))?;
        ensure!(back == sent, "{} of {length} bytes came back from {port}, or others", back.len());
    }
    lives.agree("datagrams", of(84), datagrams)?;
    let said = |name: &str, port, send: &[u8]| -> Result<String> {
        Ok(String::from_utf8(lives.agree(name, of(port), |address| converse(address, send))?)?)
    };
    let client = said("PROXY protocol", 85, b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n")?;
    ensure!(client.starts_with("192.0.2.7:4000 one-nine-two test ") && client.ends_with(" set here\n"), "{client}");
    let client = said("PROXY protocol", 85, b"PROXY TCP6 2001:db8::1 2001:db8::2 4000 80\r\n")?;
    ensure!(client.starts_with("2001:db8::1:4000 other nowhere "), "{client}");
    ensure!(said("ClientHello", 86, HELLO)? == "first.example TLSv1.2 h2\n", "the name in the ClientHello");
    ensure!(said("denied", 87, b"")?.is_empty(), "an answer in spite of `deny`");
    ensure!(said("nobody there", 89, b"")?.is_empty(), "an answer from nobody");
    lives.agree("limit_conn", of(88), |address| {
        let mut first = connect(address)?;
        ensure!(exchange(&mut first, "first")? == "first", "the only connection");
        // Closed at once, perhaps by a reset: it may have sent something already.
        let mut more = Vec::new();
        let _ = connect(address)?.read_to_end(&mut more);
        ensure!(more.is_empty() && exchange(&mut first, "again")? == "again", "a second connection gets in");
        Ok(())
    })?;
    let log = lives.get("/logs/stream.log", "", 200)?;
    let log = String::from_utf8(log.body)?;
    ensure!(log == "TCP 200 0 0\nTCP 200 1 1\nTCP 200 1000000 1000000\n", "{log}");
    behind[0].content()?;
    Ok(Tally::pass(""))
}

/// Each is answered by one that is equal.
fn datagrams(address: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    for length in [1, 100, 1400] {
        let sent = content(length);
        socket.send(&sent)?;
        let mut back = [0; 2000];
        let n = socket.recv(&mut back).with_context(|| format!("no answer to {length} bytes"))?;
        ensure!(back[..n] == sent, "{n} bytes came back, not the {length} sent");
    }
    Ok(())
}

/// A reload brings new servers and ends none that is in use; what was noted of old ones is written.
pub fn reload(context: &Context) -> Result<Tally> {
    let (site, _behind) = start(context)?;
    let (vm, address) = site.vm(context, &[], |_| {})?;
    let [_, echo] = site.port(81).addresses();
    let [_, added] = site.port(90).addresses();
    let mut before = connect(echo)?;
    ensure!(exchange(&mut before, "before")? == "before", "no echo");
    http::get(address, "/buffered")?;
    let server = b"server { listen 90; return \"added\\n\"; }\n";
    let head =
        format!("POST /add HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", server.len());
    let response = http::exchange(address, &[head.as_bytes(), server].concat())?;
    ensure!(response.status == 200, "the configuration could not be added: {}", response.head);
    vm.kill("HUP")?;
    process::eventually(Duration::from_secs(5), || {
        ensure!(converse(added, b"")? == b"added\n", "HUP did not add the server\n{}", vm.logs());
        Ok(())
    })?;
    ensure!(exchange(&mut before, "after")? == "after", "the old connection is broken");
    ensure!(exchange(&mut connect(echo)?, "new")? == "new", "no new connection");
    datagrams(site.port(84).addresses()[1])?;
    drop(before);
    process::eventually(Duration::from_secs(10), || {
        let log = http::get(address, "/logs/buffered.log")?;
        ensure!(String::from_utf8_lossy(&log.body).contains("/buffered"), "what the old configuration noted is lost");
        Ok(())
    })?;
    Ok(Tally::pass(""))
}

//! HTTP semantics: every answer of the VM equals the answer of the same image as a Linux process.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::super::vm::Vm;
use super::http::{self, Connection, Response};
use super::site::{LARGE, Site, content};
use anyhow::{Context as _, Result, bail, ensure};
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Name, request (`{M}` and `{E}` become Last-Modified and ETag of the page), status.
const REQUESTS: &[(&str, &str, u16)] = &[
    ("GET", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200),
    ("HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("HEAD large", "HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("first range", "GET /64k HTTP/1.1\r\nHost: a\r\nRange: bytes=0-99\r\n\r\n", 206),
    ("middle range", "GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=5000000-5000999\r\n\r\n", 206),
    ("last range", "GET /64k HTTP/1.1\r\nHost: a\r\nRange: bytes=-10\r\n\r\n", 206),
    ("impossible range", "GET /64k HTTP/1.1\r\nHost: a\r\nRange: bytes=99999999-\r\n\r\n", 416),
    ("If-Range", "GET /index.html HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nIf-Range: {E}\r\n\r\n", 206),
    ("If-Modified-Since", "GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: {M}\r\n\r\n", 304),
    ("If-None-Match", "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: {E}\r\n\r\n", 304),
    ("If-Match", "GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"other\"\r\n\r\n", 412),
    ("not there", "GET /nothing/here HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    ("autoindex", "GET /files/ HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("empty autoindex", "GET /files/folder/ HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("redirect", "GET /files/folder HTTP/1.1\r\nHost: a\r\n\r\n", 301),
    ("odd name", "GET /files/a%20%3Cb%3E%20%26%20c.txt HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("gzip", "GET /text.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n", 200),
    ("no gzip", "GET /text.txt HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("64 KiB", "GET /64k HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("bad request", "NONSENSE\r\n\r\n", 400),
    ("a UNIX socket", "GET /unix/64k HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("DELETE", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("upwards", "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("upwards inside", "GET /files/../index.html HTTP/1.1\r\nHost: a\r\n\r\n", 200),
];

/// The whole list, uploads, pipelining, keep-alive, large downloads.
pub fn compare(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let (_hosted, linux) = site.hosted(context)?;
    let (vm, guest) = site.vm(context, &["--smp", "2"], |_| {})?;
    let n = all(guest, linux).with_context(|| format!("the VM's log\n{}", vm.logs()))?;
    Ok(Tally::pass(format!("{n} answers agree")))
}

/// In little memory on the smallest machine.
pub fn small(context: &Context) -> Result<Tally> {
    let site = Site::lean(context)?;
    // The large file alone is 10 MiB, held in memory.
    std::fs::write(site.root.join("usr/share/nginx/html/large"), "small here\n")?;
    let (vm, guest) = site.vm(context, &["--machine", "microvm", "-m", "16M"], |_| {})?;
    for _ in 0..50 {
        let response = http::get(guest, "/64k").with_context(|| vm.logs())?;
        ensure!(response.body == content(65536), "the page is damaged");
    }
    Ok(Tally::pass(""))
}

/// The lean set in the least memory, with the page that it brings: half of the requests share a connection.
pub fn least(context: &Context) -> Result<Tally> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (publish, image) = (format!("{port}:80"), context.nginx_lean()?);
    let options = ["--machine", "microvm", "-m", "4M", "-p", &publish];
    let vm = Vm::start_with(context, options.map(OsStr::new).into_iter().chain([image.as_os_str()]), |_| {})?;
    let guest = SocketAddr::from(([127, 0, 0, 1], port));
    process::eventually(Duration::from_secs(30), || http::get(guest, "/").map(drop)).with_context(|| vm.logs())?;
    let mut kept = Connection::open(guest)?;
    for _ in 0..50 {
        let alone = http::get(guest, "/").with_context(|| vm.logs())?;
        kept.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let shared = kept.receive(true).with_context(|| vm.logs())?;
        ensure!(alone.status == 200 && shared.status == 200, "{} and {}", alone.status, shared.status);
        ensure!(alone.body.len() == 612 && alone.body == shared.body, "the page is damaged");
    }
    Ok(Tally::pass(""))
}

/// Addresses from DHCP and from router advertisements.
pub fn dhcp(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    for machine in ["q35", "microvm"] {
        let (vm, guest) = site.vm(context, &["--ip", "dhcp", "--ip6", "auto", "--machine", machine], |_| {})?;
        let response = http::get(guest, "/64k").with_context(|| vm.logs())?;
        ensure!(response.body == content(65536), "the page is damaged");
    }
    Ok(Tally::pass(""))
}

fn all(guest: SocketAddr, linux: SocketAddr) -> Result<usize> {
    let page = http::get(linux, "/index.html")?;
    let (modified, etag) =
        (page.header("Last-Modified").context("no Last-Modified")?, page.header("ETag").context("no ETag")?);
    for (name, request, status) in REQUESTS {
        let request = request.replace("{M}", modified).replace("{E}", etag);
        same(name, guest, linux, request.as_bytes(), *status)?;
    }
    let mut post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n".to_vec();
    post.resize(post.len() + (1 << 20), b'x');
    let refused = exchange_upload(guest, &post)?;
    ensure!(refused.status == 405, "a 1 MiB POST: status {}", refused.status);
    ensure!(exchange_upload(linux, &post)?.comparable() == refused.comparable(), "a 1 MiB POST: the answers differ");
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    same("long address", guest, linux, long.as_bytes(), 414)?;
    for address in [linux, guest] {
        pipelined(address)?;
        kept_alive(address)?;
    }
    downloads(guest)?;
    Ok(REQUESTS.len() + 5)
}

/// The server may answer and close before it has read everything.
fn exchange_upload(address: SocketAddr, request: &[u8]) -> Result<Response> {
    let mut connection = Connection::open(address)?;
    let _ = connection.send(request);
    connection.receive(true)
}

fn same(name: &str, guest: SocketAddr, linux: SocketAddr, request: &[u8], status: u16) -> Result<()> {
    let one = http::exchange(linux, request).with_context(|| format!("{name}: Linux"))?;
    let two = http::exchange(guest, request).with_context(|| format!("{name}: VM"))?;
    if one.status != status || two.status != status {
        bail!("{name}: expected status {status}; Linux:\n{}\nVM:\n{}", one.head, two.head);
    }
    if one.comparable() != two.comparable() {
        let body = if one.body == two.body { "equal" } else { "different" };
        bail!("{name}: the answers differ (bodies are {body}); Linux:\n{}\nVM:\n{}", one.head, two.head);
    }
    Ok(())
}

fn pipelined(address: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let mut requests = String::new();
    for i in 0..40 {
        let path = ["/", "/64k", "/nothing", "/files/plain.txt"][i % 4];
        requests += &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    connection.send(requests.as_bytes())?;
    for i in 0..40 {
        let response = connection.receive(true).with_context(|| format!("pipelined request {i}"))?;
        ensure!(response.status == [200, 200, 404, 200][i % 4], "pipelined request {i}: status {}", response.status);
        if i % 4 == 1 {
            ensure!(response.body == content(65536), "pipelined request {i}: the page is damaged");
        }
    }
    Ok(())
}

fn kept_alive(address: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(address)?;
    for _ in 0..20 {
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        ensure!(connection.receive(true)?.status == 200, "a kept connection");
    }
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    ensure!(connection.receive(true)?.status == 200 && connection.ended(), "Connection: close does not close");
    Ok(())
}

/// Three at once, checking every byte.
fn downloads(address: SocketAddr) -> Result<()> {
    let expected = content(LARGE);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| http::get(address, "/large"))).collect();
        for thread in threads {
            let response = thread.join().map_err(|_| anyhow::anyhow!("a download broke"))??;
            ensure!(response.body == expected, "the download of 10 MiB is damaged ({} bytes)", response.body.len());
        }
        Ok(())
    })
}

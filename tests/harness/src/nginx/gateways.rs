//! Other protocols than HTTP/1: to programs behind nginx, and HTTP/2 from clients.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::backends::{self, Backend};
use super::lives::Lives;
use super::site::{Port, Site, content};
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// `@FASTCGI@` and the like are the ports of the programs.
const SERVER: &str = r#"
http {
    include /etc/nginx/mime.types;
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    fastcgi_temp_path /var/lib/nginx/fastcgi;
    fastcgi_cache_path /var/cache/nginx/fastcgi keys_zone=gateway:64k;
    uwsgi_temp_path /var/lib/nginx/uwsgi;
    scgi_temp_path /var/lib/nginx/scgi;
    access_log off;
    root /usr/share/nginx/html;
    absolute_redirect off;
    client_body_buffer_size 8k;

    upstream programs { server @HOST@:@FASTCGI@; keepalive 2; }
    upstream values { server @HOST@:@MEMCACHED@; keepalive 2; }

    server {
        @LISTEN@
        listen @81@ http2;
        server_name first;

        location / { }
        location ~ ^/fastcgi(/.*\.php)(/.*)?$ {
            fastcgi_split_path_info ^/fastcgi(.+\.php)(/.*)?$;
            include /etc/nginx/fastcgi.conf;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_keep_conn on;
            fastcgi_pass programs;
        }
        location /fastcgi-cached { include /etc/nginx/fastcgi_params; fastcgi_cache gateway; fastcgi_cache_key $uri; fastcgi_cache_valid any 1h; add_header X-Cache $upstream_cache_status always; fastcgi_pass @HOST@:@FASTCGI@; }
        location /uwsgi { include /etc/nginx/uwsgi_params; uwsgi_pass @HOST@:@UWSGI@; }
        location /uwsgi-slow { include /etc/nginx/uwsgi_params; uwsgi_request_buffering off; uwsgi_buffering off; uwsgi_pass @HOST@:@UWSGI@; }
        location /scgi { include /etc/nginx/scgi_params; scgi_pass @HOST@:@SCGI@; }
        location /nobody { include /etc/nginx/scgi_params; scgi_pass 127.0.0.1:1; }
        location /values/ { set $memcached_key "$uri"; memcached_pass values; error_page 404 = @missing; }
        location @missing { return 203 "made up\n"; }
        location /echo.Echo/ { grpc_set_header x-mark "~~~~{|}~~~~"; grpc_pass grpc://@HOST@:@GRPC@; }
    }
}
"#;

/// Path, a part of the answer: asked with and without a body.
const PROGRAMS: &[(&str, &str)] = &[
    ("/fastcgi/a/b.php/more?x=y%20z", "PATH_INFO=/more\nQUERY_STRING=x=y%20z\nREDIRECT_STATUS=200\n"),
    ("/uwsgi/x?y", "QUERY_STRING=y\n"),
    ("/uwsgi-slow?z", "REQUEST_URI=/uwsgi-slow?z\n"),
    ("/scgi?q", "QUERY_STRING=q\n"),
];

pub fn compare(context: &Context) -> Result<Tally> {
    let mut site = Site::new(context)?;
    site.ports.push(Port::tcp(81)?);
    let behind = [
        ("@FASTCGI@", Backend::tcp(backends::fastcgi)?),
        ("@UWSGI@", Backend::tcp(backends::uwsgi)?),
        ("@SCGI@", Backend::tcp(backends::scgi)?),
        ("@MEMCACHED@", Backend::tcp(backends::memcached)?),
        ("@GRPC@", Backend::tcp(backends::grpc)?),
    ];
    let text = behind.iter().fold(SERVER.to_owned(), |text, (name, backend)| text.replace(name, &backend.port()));
    site.configure(&text)?;
    let lives = Lives::start(context, &site)?;
    for (path, part) in PROGRAMS {
        for body in [&b""[..], b"a short one", &content(200_000)] {
            let method = if body.is_empty() { "GET" } else { "POST" };
            let answer = lives.send(method, path, "X-Test: yes\r\n", body, 203)?;
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(text.contains(part) && text.contains("HTTP_X_TEST=yes\n"), "{path}: '{part}' is not in {text}");
            ensure!(text.ends_with("\n7999 of the answer\n"), "{path}: the end is missing");
        }
    }
    for said in ["MISS", "HIT"] {
        let answer = lives.get("/fastcgi-cached", "", 203)?;
        ensure!(answer.header("X-Cache") == Some(said), "{said} was expected: {}", answer.head);
    }
    lives.get("/nobody", "", 502)?;
    ensure!(lives.get("/values/100000", "", 200)?.body == content(100_000), "the large value");
    ensure!(lives.get("/values/none", "", 203)?.body == b"made up\n", "there is no such value");
    let folder = context.scratch("http2")?;
    http2(&lives, &folder, site.ports[0].addresses())?;
    for (name, backend) in behind {
        backend.content().map_err(|error| error.context(name))?;
    }
    Ok(Tally::pass(""))
}

/// curl knows beforehand that the server speaks HTTP/2, which no TLS could tell it.
fn curl(folder: &Path, words: &[&str]) -> Result<String> {
    let mut command = process::command("curl", ["-s", "-S", "-m", "30", "--http2-prior-knowledge"]);
    let done = process::run(command.args(words).current_dir(folder), b"", Duration::from_secs(60))?.expect(0)?.out();
    // What differs between any two servers.
    Ok(done.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n"))
}

fn http2(lives: &Lives, folder: &Path, addresses: [SocketAddr; 2]) -> Result<()> {
    // A message: not compressed, its length, itself.
    let message = [&[0][..], &50_000_u32.to_be_bytes(), &content(50_000)].concat();
    std::fs::write(folder.join("message"), &message)?;
    let said = lives.agree("gRPC", addresses, |address| {
        let url = format!("http://{address}/echo.Echo/Say");
        let grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@message"];
        let said = curl(folder, &[&grpc[..], &["-D", "-", "-o", "answer", &url]].concat())?;
        ensure!(std::fs::read(folder.join("answer"))? == message, "the message came back damaged: {said}");
        Ok(said)
    })?;
    ensure!(said.contains("HTTP/2 200") && said.contains("grpc-status: 0"), "{said}");
    let said = lives.agree("HTTP/2", addresses, |address| {
        let page = format!("http://{address}/index.html");
        Ok(curl(folder, &["-i", "-r", "0-99", &page])? + &curl(folder, &["-I", &page])?)
    })?;
    ensure!(said.contains("HTTP/2 206"), "{said}");
    lives.agree("HTTP/2, a body", addresses, |address| {
        let url = format!("http://{address}/uwsgi/h2");
        curl(folder, &["-i", "--data-binary", "@message", &url])
    })?;
    lives.agree("HTTP/2, 64 KiB", addresses, |address| {
        let large = format!("http://{address}/64k");
        let said = curl(folder, &["-w", "%{http_version} %{http_code}\n", "-o", "page", &large])?;
        ensure!(std::fs::read(folder.join("page"))? == content(65536), "the page is damaged");
        Ok(said)
    })?;
    Ok(())
}

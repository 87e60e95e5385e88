//! The HTTP modules that only the full build has: each is used, and its effect is the same as in the same image on Linux.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::http;
use super::lives::Lives;
use super::media;
use super::site::{Site, content};
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;

/// `@LISTEN@` is its address for outside clients, `@SELF@` its own port.
const SERVER: &str = r#"
http {
    include /etc/nginx/mime.types;
    include /etc/nginx/koi-utf;
    include /etc/nginx/koi-win;
    include /etc/nginx/win-utf;
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    proxy_cache_path /var/cache/nginx/slices keys_zone=slices:64k;
    access_log off;
    root /usr/share/nginx/html;
    absolute_redirect off;

    geo $arg_ip $place { default nowhere; 192.0.2.0/24 test; 2001:db8::/32 documents; }
    split_clients $arg_id $half { 50% left; * right; }
    log_format mirrored "$request_method $uri $args $request_length";

    upstream zoned { zone zoned 64k; server 127.0.0.1:1 down; server 127.0.0.1:@SELF@; }
    upstream least { zone least 64k; least_conn; server 127.0.0.1:1 backup; server 127.0.0.1:@SELF@; }
    upstream random { zone random 64k; random two least_conn; server 127.0.0.1:@SELF@; server 127.0.0.1:1 down; }
    upstream sticky { zone sticky 64k; ip_hash; server 127.0.0.1:@SELF@; server 127.0.0.1:1 down; }

    server {
        @LISTEN@
        server_name first;

        location / { }
        location /geo { return 200 "$place\n"; }
        location /half { return 200 "$half\n"; }
        location /browser {
            modern_browser gecko 1.9; modern_browser msie 5.5; modern_browser unlisted; ancient_browser Links;
            modern_browser_value new; ancient_browser_value old;
            return 200 "$modern_browser,$ancient_browser,$msie\n";
        }
        location = /empty.gif { empty_gif; }
        location /user { userid on; userid_name uid; userid_expires max; return 200 "$uid_got\n"; }
        location /koi8/ { alias /usr/share/nginx/html/; source_charset koi8-r; charset utf-8; }
        location /windows/ { alias /usr/share/nginx/html/; source_charset windows-1251; charset utf-8; }
        location /koi8-windows/ { alias /usr/share/nginx/html/; source_charset koi8-r; charset windows-1251; }
        location /ssi/ { alias /usr/share/nginx/html/; ssi on; ssi_last_modified on; }
        location /sub/ { alias /usr/share/nginx/html/; sub_filter "612 bytes" "$arg_size bytes"; sub_filter nginx NGINX; sub_filter_once off; }
        location /around/ { alias /usr/share/nginx/html/; add_before_body /geo; add_after_body /half; }
        location /guarded/ { alias /usr/share/nginx/html/; auth_request /verdict; auth_request_set $by $upstream_http_x_by; add_header X-By $by always; }
        location = /verdict { internal; proxy_pass http://127.0.0.1:@SELF@/judge; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
        location = /judge { add_header X-By judge always; if ($http_x_key != sesame) { return 403; } return 204; }
        location /secure/ {
            secure_link $arg_md5,$arg_expires;
            secure_link_md5 "$secure_link_expires$uri secret";
            if ($secure_link = "") { return 403; }
            if ($secure_link = "0") { return 410; }
            return 200 "secure\n";
        }
        location /sliced/ {
            slice 4k;
            proxy_cache slices;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 1h;
            proxy_set_header Range $slice_range;
            proxy_http_version 1.1;
            add_header X-Cache $upstream_cache_status;
            proxy_pass http://127.0.0.1:@SELF@/;
        }
        location /zipped/ { alias /usr/share/nginx/html/; gzip on; gzip_proxied any; gzip_http_version 1.0; gzip_types text/plain; }
        location /unzipped/ { gunzip on; proxy_set_header Accept-Encoding gzip; proxy_pass http://127.0.0.1:@SELF@/zipped/; }
        location /mirrored/ { alias /usr/share/nginx/html/; mirror /copy; mirror_request_body off; }
        location = /copy { internal; log_subrequest on; access_log /var/log/nginx/mirror.log mirrored; return 204; }
        location /logs/ { default_type text/plain; alias /var/log/nginx/; etag off; add_header Last-Modified ""; }
        location /mp4/ { alias /usr/share/nginx/html/; mp4; }
        location /flv/ { alias /usr/share/nginx/html/; flv; }
        location /any/ { alias /usr/share/nginx/html/one/; random_index on; }
        location /dav/ {
            root /tmp;
            client_body_temp_path /tmp/dav-body;
            dav_methods PUT DELETE MKCOL COPY MOVE;
            create_full_put_path on;
            dav_access user:rw group:r;
            autoindex on;
            etag off;
            add_header Last-Modified "";
        }
        location /status { stub_status; }
        location /threads/ { alias /usr/share/nginx/html/; aio threads; sendfile on; }
        location /threads-read/ { alias /usr/share/nginx/html/; aio threads; sendfile off; output_buffers 2 16k; }
        location /threads-write/ {
            aio threads; aio_write on;
            proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;
            proxy_pass http://127.0.0.1:@SELF@/;
        }
        location /zoned/ { proxy_pass http://zoned/; }
        location /least/ { proxy_pass http://least/; }
        location /random/ { proxy_pass http://random/; }
        location /sticky/ { proxy_pass http://sticky/; }
    }
}
"#;

/// The Russian word for "test" in the three encodings.
const UTF8: &str = "\u{442}\u{435}\u{441}\u{442}";
const KOI8: [u8; 4] = [0xd4, 0xc5, 0xd3, 0xd4];
const WINDOWS: [u8; 4] = [0xf2, 0xe5, 0xf1, 0xf2];

const SSI: &str = r#"<!--# set var="name" value="$arg_x!" --><!--# echo var="name" -->
<!--# if expr="$arg_x = /^y(.*)/" -->matched<!--# else -->other<!--# endif -->
<!--# include virtual="/geo?ip=192.0.2.1" --><!--# include file="plain.txt" -->
<!--# block name="fallback" -->fallback<!--# endblock --><!--# include virtual="/nothing" stub="fallback" -->
"#;

/// Path, more header lines, status, a part of the body.
const REQUESTS: &[(&str, &str, u16, &str)] = &[
    ("/geo?ip=192.0.2.200", "", 200, "test\n"),
    ("/geo?ip=2001:db8::1", "", 200, "documents\n"),
    ("/geo?ip=10.0.0.1", "", 200, "nowhere\n"),
    ("/half?id=1", "", 200, ""),
    ("/half?id=22", "", 200, ""),
    ("/half?id=333", "", 200, ""),
    ("/browser", "User-Agent: Mozilla/5.0 (X11; rv:1.9) Gecko/20100101\r\n", 200, "new,,\n"),
    ("/browser", "User-Agent: Links (2.8)\r\n", 200, ",old,\n"),
    ("/browser", "User-Agent: Mozilla/4.0 (compatible; MSIE 5.0)\r\n", 200, ",old,1\n"),
    ("/empty.gif", "", 200, "GIF89a"),
    ("/user", "Cookie: uid=AQAAf2dUZ2QAAAAAAwMDAg==\r\n", 200, "uid="),
    ("/ssi/ssi.html?x=yes", "", 200, "yes!\nmatched\ntest\nplain here\n\nfallback\n"),
    ("/ssi/ssi.html?x=no", "", 200, "no!\nother\n"),
    ("/sub/index.html?size=613", "", 200, "A page of 613 bytes, as NGINX brings one."),
    ("/around/index.html?ip=192.0.2.7&id=1", "", 200, "nowhere\n<p>"),
    ("/guarded/index.html", "", 403, ""),
    ("/guarded/index.html", "X-Key: sesame\r\n", 200, "<p>"),
    ("/secure/x?md5=hqHacMTpAJgRGRm7-QnGWA&expires=2147483647", "", 200, "secure\n"),
    ("/secure/y?md5=hqHacMTpAJgRGRm7-QnGWA&expires=2147483647", "", 403, ""),
    ("/secure/x?md5=Ne-2ff_6ReYBDG-UQ-Q3_Q&expires=1", "", 410, ""),
    ("/sliced/64k", "Range: bytes=5000-13000\r\n", 206, ""),
    ("/sliced/64k", "Range: bytes=5000-13000\r\n", 206, ""),
    ("/zipped/text.txt", "Accept-Encoding: gzip\r\n", 200, ""),
    ("/unzipped/text.txt", "", 200, "compresses well\ncompresses well\n"),
    ("/mirrored/index.html?a=b", "", 200, "<p>"),
    ("/logs/mirror.log", "", 200, "GET /copy a=b "),
    ("/any/", "", 200, "the only one\n"),
    ("/zoned/geo?ip=192.0.2.1", "", 200, "test\n"),
    ("/least/geo?ip=192.0.2.1", "", 200, "test\n"),
    ("/random/geo?ip=192.0.2.1", "", 200, "test\n"),
    ("/sticky/geo?ip=192.0.2.1", "", 200, "test\n"),
];

/// Method, path, more header lines, body, status: in this order.
const DAV: &[(&str, &str, &str, &str, u16)] = &[
    ("PUT", "/dav/a/b.txt", "", "first", 201),
    ("PUT", "/dav/a/b.txt", "", "second", 204),
    ("GET", "/dav/a/b.txt", "", "", 200),
    ("MKCOL", "/dav/c/", "", "", 201),
    ("MKCOL", "/dav/c/", "", "", 405),
    ("COPY", "/dav/a/b.txt", "Destination: /dav/c/d.txt\r\n", "", 204),
    ("GET", "/dav/c/d.txt", "", "", 200),
    ("MOVE", "/dav/c/d.txt", "Destination: http://first/dav/c/e.txt\r\n", "", 204),
    ("GET", "/dav/c/d.txt", "", "", 404),
    ("COPY", "/dav/c/", "Destination: /dav/f/\r\n", "", 201),
    ("GET", "/dav/f/e.txt", "", "", 200),
    ("DELETE", "/dav/a/b.txt", "", "", 204),
    ("DELETE", "/dav/c/", "Depth: infinity\r\n", "", 204),
    ("DELETE", "/dav/c/", "", "", 404),
    ("PUT", "/dav/", "", "", 409),
];

pub fn compare(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let html = site.root.join("usr/share/nginx/html");
    std::fs::create_dir_all(html.join("one"))?;
    std::fs::create_dir_all(site.root.join("tmp/dav"))?;
    std::fs::write(html.join("one/only.txt"), "the only one\n")?;
    std::fs::write(html.join("plain.txt"), "plain here\n")?;
    std::fs::write(html.join("koi8.txt"), KOI8)?;
    std::fs::write(html.join("windows.txt"), WINDOWS)?;
    std::fs::write(html.join("ssi.html"), SSI)?;
    std::fs::write(html.join("film.mp4"), media::mp4())?;
    std::fs::write(html.join("film.flv"), media::flv())?;
    site.configure(SERVER)?;
    let lives = Lives::start(context, &site)?;
    for (path, lines, status, part) in REQUESTS {
        let answer = lives.get(path, lines, *status)?;
        ensure!(shows(&answer.body, part), "{path} {lines}: '{part}' is not in {answer:?}");
    }
    for (method, path, lines, body, status) in DAV {
        lives.send(method, path, lines, body.as_bytes(), *status)?;
    }
    ensure!(lives.get("/koi8/koi8.txt", "", 200)?.body == UTF8.as_bytes(), "koi8-r to UTF-8");
    ensure!(lives.get("/windows/windows.txt", "", 200)?.body == UTF8.as_bytes(), "windows-1251 to UTF-8");
    ensure!(lives.get("/koi8-windows/koi8.txt", "", 200)?.body == WINDOWS, "koi8-r to windows-1251");
    for path in ["/sliced/64k", "/threads/64k", "/threads-read/64k", "/threads-write/64k"] {
        ensure!(lives.get(path, "", 200)?.body == content(65536), "{path} is damaged");
    }
    lives.get("/threads/large", "", 200)?;
    lives.get("/threads-read/large", "Range: bytes=5000000-6000000\r\n", 206)?;
    films(&lives)?;
    for address in [lives.linux, lives.guest] {
        user(address)?;
        status(address)?;
    }
    refused_reload(&lives)?;
    Ok(Tally::pass(format!("{} answers agree", REQUESTS.len() + DAV.len() + 12)))
}

/// Threads of the old configuration may be at work: it stays, and nginx says why.
fn refused_reload(lives: &Lives) -> Result<()> {
    lives.vm.kill("HUP")?;
    process::eventually(Duration::from_secs(10), || {
        let logs = lives.vm.logs();
        ensure!(logs.contains("thread pools cannot be replaced in a single process"), "no word of it\n{logs}");
        Ok(())
    })?;
    ensure!(http::get(lives.guest, "/threads/64k")?.body == content(65536), "/threads/64k after HUP");
    Ok(())
}

fn shows(body: &[u8], part: &str) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Both begin where they are told to.
fn films(lives: &Lives) -> Result<()> {
    ensure!(lives.get("/mp4/film.mp4", "", 200)?.body == media::mp4(), "the whole MP4");
    let late = lives.get("/mp4/film.mp4?start=4&end=8", "", 200)?.body;
    ensure!(
        late.ends_with(&media::samples(4..8)) && !shows(&late, "3333"),
        "the MP4 does not begin at its fifth second"
    );
    ensure!(lives.get("/flv/film.flv", "", 200)?.body == media::flv(), "the whole FLV");
    let late = lives.get("/flv/film.flv?start=1013", "", 200)?.body;
    ensure!(late[..13] == media::flv()[..13] && late[13..] == media::flv()[1013..], "the FLV does not begin there");
    lives.get("/mp4/film.mp4?start=1000", "", 500).map(drop)
}

/// A client without a cookie gets one, which is known when it comes back.
fn user(address: SocketAddr) -> Result<()> {
    let first = http::get(address, "/user")?;
    let cookie = first.header("Set-Cookie").context("no cookie")?.split(';').next().unwrap_or_default().to_owned();
    ensure!(first.body == b"\n" && cookie.starts_with("uid=") && cookie.len() > 20, "{first:?}");
    let again = http::get_with(address, "/user", &format!("Cookie: {cookie}\r\n"))?;
    ensure!(again.body.starts_with(b"uid=") && again.header("Set-Cookie").is_none(), "{again:?}");
    Ok(())
}

fn status(address: SocketAddr) -> Result<()> {
    let text = String::from_utf8(http::get(address, "/status")?.body)?;
    let plain: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
    let shape = "Active connections:  \nserver accepts handled requests\n    \nReading:  Writing:  Waiting:  \n";
    ensure!(plain == shape, "{text:?}");
    Ok(())
}

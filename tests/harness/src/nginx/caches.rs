//! Caches: what is stored, served, and removed again, which elsewhere other processes of nginx do.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::http;
use super::lives::Lives;
use super::site::{Site, content};
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;

const SERVER: &str = r#"
http {
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    proxy_cache_path /var/cache/nginx/pages levels=1:2 keys_zone=pages:128k inactive=1h use_temp_path=off;
    proxy_cache_path /var/cache/nginx/brief keys_zone=brief:128k inactive=1s;
    proxy_cache_path /var/cache/nginx/small keys_zone=small:128k max_size=256k;
    proxy_cache_path /var/cache/nginx/kept keys_zone=kept:128k max_size=256k;
    access_log off;
    root /usr/share/nginx/html;
    absolute_redirect off;
    proxy_cache_valid 200 1h;
    proxy_cache_key $uri$is_args$args;
    add_header X-Cache $upstream_cache_status always;

    server {
        @LISTEN@
        server_name first;
        location / { }
        location /pages/ { proxy_cache pages; proxy_cache_lock on; proxy_cache_revalidate on; proxy_cache_bypass $arg_bypass; proxy_pass http://127.0.0.1:@SELF@/; }
        location /twice/ { proxy_cache pages; proxy_cache_min_uses 2; proxy_pass http://127.0.0.1:@SELF@/; }
        location /stale/ { proxy_cache pages; proxy_cache_use_stale error; proxy_pass http://127.0.0.1:1/; }
        location /brief/ { proxy_cache brief; proxy_pass http://127.0.0.1:@SELF@/; }
        location /small/ { proxy_cache small; proxy_pass http://127.0.0.1:@SELF@/; }
        location /list/ { alias /var/cache/nginx/; autoindex on; autoindex_format json; }
    }
}
"#;

/// Path, status, what the cache says.
const REQUESTS: &[(&str, u16, Option<&str>)] = &[
    ("/pages/64k", 200, Some("MISS")),
    ("/pages/64k", 200, Some("HIT")),
    ("/pages/64k?bypass=1", 200, Some("BYPASS")),
    ("/pages/large", 200, Some("MISS")),
    ("/pages/large", 200, Some("HIT")),
    ("/pages/nothing", 404, Some("MISS")),
    ("/pages/nothing", 404, Some("MISS")),
    ("/twice/64k", 200, Some("MISS")),
    ("/twice/64k", 200, Some("MISS")),
    ("/twice/64k", 200, Some("HIT")),
    ("/stale/64k", 502, Some("MISS")),
    ("/brief/64k", 200, Some("MISS")),
    ("/brief/64k", 200, Some("HIT")),
];

pub fn compare(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    // From before the start. Only their names and sizes matter until somebody asks for one.
    let kept = site.root.join("var/cache/nginx/kept");
    std::fs::create_dir_all(&kept)?;
    for file in 0..12 {
        std::fs::write(kept.join(format!("{file:032x}")), content(65536))?;
    }
    site.configure(SERVER)?;
    let lives = Lives::start(context, &site)?;
    for (path, status, said) in REQUESTS {
        let answer = lives.get(path, "", *status)?;
        ensure!(answer.header("X-Cache") == *said, "{path}: {said:?} was expected\n{}", answer.head);
        ensure!(!path.ends_with("64k") || *status != 200 || answer.body == content(65536), "{path} is damaged");
    }
    for part in 0..20 {
        lives.get(&format!("/small/64k?{part}"), "", 200)?;
    }
    for address in [lives.linux, lives.guest] {
        // nginx looks every ten seconds while there is nothing to do.
        process::eventually(Duration::from_secs(30), || limits_hold(address))
            .map_err(|error| error.context(lives.vm.logs()))?;
        ensure!(http::get(address, "/brief/64k")?.header("X-Cache") == Some("MISS"), "it should have been forgotten");
    }
    Ok(Tally::pass(format!("{} answers agree", REQUESTS.len() + 20)))
}

/// What was not used is gone, and what is too much.
fn limits_hold(address: SocketAddr) -> Result<()> {
    let files = |cache: &str| -> Result<usize> {
        let list = http::get(address, &format!("/list/{cache}/"))?;
        let list: serde_json::Value = serde_json::from_slice(&list.body)?;
        Ok(list.as_array().map_or(0, Vec::len))
    };
    let brief = files("brief")?;
    ensure!(brief == 0, "{brief} files that nobody wants are still there");
    for cache in ["small", "kept"] {
        let files = files(cache)?;
        ensure!((1..=4).contains(&files), "{files} files of 64 KiB are in the cache '{cache}' of 256 KiB");
    }
    Ok(())
}

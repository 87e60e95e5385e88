//! Configurations beyond a static site: each directive has the same effect as in the same image on Linux.

use super::super::case::Tally;
use super::super::context::Context;
use super::lives::Lives;
use super::site::Site;
use anyhow::Result;

/// `@LISTEN@` is its address for outside clients, `@SELF@` its own port. No answer depends on the client's address,
/// which differs in a VM.
const SERVER: &str = r#"
http {
    include /etc/nginx/mime.types;
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    access_log off;
    root /usr/share/nginx/html;
    absolute_redirect off;
    client_body_buffer_size 2k;

    map $arg_u $kind { default other; "~^\p{N}+$" number; "~^\p{Lu}\p{Ll}+$" name; "~(*UTF8)^\p{L}{3}$" letters; }
    map $uri $mapped { default none; ~^/map/(?<digits>\d+)$ "digits $digits"; ~*^/map/abc$ letters; /map/x exact; }
    map $host $named { hostnames; default no; *.example.com wild; .example.org both; www.example.* right; }
    limit_req_zone $server_name zone=requests:64k rate=1r/m;
    limit_conn_zone $server_name zone=connections:64k;
    log_format plain '$status $request_method $uri $args "$http_x"';
    log_format json escape=json '{"x":"$http_x"}';

    upstream balanced { server 127.0.0.1:@SELF@ weight=2; server 127.0.0.1:1; }
    upstream hashed { hash $arg_k consistent; server 127.0.0.1:1 down; server 127.0.0.1:@SELF@; keepalive 2; }
    upstream backed { server 127.0.0.1:1; server 127.0.0.1:@SELF@ backup; }
    upstream dead { server 127.0.0.1:1; }

    server {
        @LISTEN@
        server_name first;
        set_real_ip_from 0.0.0.0/0;
        real_ip_header X-Real;

        location /kind { return 200 "$kind\n"; }
        location ~ "^/word/(?<word>\p{L}+)/(\d+)$" { return 200 "$word $2\n"; }
        location ~ "(*UTF8)^/utf8/(\p{L}{2})\p{N}$" { return 200 "utf8 $1\n"; }
        location /map/ { return 200 "$mapped\n"; }
        location /named { return 200 "$named\n"; }
        location /capture { rewrite ^(.*) $1?c=$1; return 200 "$uri $args\n"; }
        location /rewritten/ { rewrite "^/rewritten/(\p{L}+)$" /map/$1 last; return 404; }
        location /circle { rewrite ^ /circle; }
        location /if {
            set $a 1;
            if ($arg_a ~ "^(x+)$") { set $a $1; }
            if (-f $document_root/index.html) { set $a "$a file"; }
            if (!-e $document_root/nothing) { set $a "$a missing"; }
            return 200 "$a\n";
        }
        location /missing { error_page 404 =200 /files/plain.txt; }
        location /teapot { error_page 418 = @handler; return 418; }
        location @handler { return 202 "handled\n"; }
        location /try { try_files $uri $uri.txt /files$uri.txt @handler; }
        location /internal { internal; }
        location = /once { limit_req zone=requests; limit_req_status 429; try_files /index.html =404; }
        location = /one { limit_conn connections 1; return 200 "one\n"; }
        location /list/ { alias /usr/share/nginx/html/files/; autoindex on; autoindex_format json; }
        location /tree/ { alias /usr/share/nginx/html/files/; autoindex on; autoindex_format xml; }
        location /static/ { alias /usr/share/nginx/html/; gzip_static on; expires max; add_header X-Uri $uri always; max_ranges 1; }
        location /cached/ { alias /usr/share/nginx/html/; open_file_cache max=8; open_file_cache_errors on; sendfile off; }
        location /links/ { alias /usr/share/nginx/html/; disable_symlinks on; }
        location /slow/ { alias /usr/share/nginx/html/; limit_rate 400k; limit_rate_after 100k; sendfile_max_chunk 8k; }
        location /closed { auth_basic closed; auth_basic_user_file /etc/nginx/users; try_files /index.html =404; }
        location /either { satisfy any; deny all; auth_basic closed; auth_basic_user_file /etc/nginx/users; try_files /index.html =404; }
        location /denied { deny all; }
        location /guest { return 200 "$remote_addr\n"; }
        location /from { valid_referers none server_names ~\.ok\.; if ($invalid_referer) { return 403; } return 200 "welcome\n"; }
        location /log { access_log /var/log/nginx/plain.log plain; access_log /var/log/nginx/json.log json; return 200 "logged\n"; }
        location /logs/ { default_type text/plain; alias /var/log/nginx/; etag off; add_header Last-Modified ""; }

        location /proxy/ { proxy_pass http://127.0.0.1:@SELF@/; proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; }
        location /stream/ { proxy_pass http://127.0.0.1:@SELF@/; proxy_buffering off; proxy_http_version 1.1; proxy_request_buffering off; }
        location /balanced/ { proxy_pass http://balanced/; }
        location /hashed/ { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://hashed/; }
        location /backed/ { proxy_pass http://backed/; }
        location /dead/ { proxy_pass http://dead/; }
        location /caught/ { proxy_intercept_errors on; error_page 404 502 = @handler; proxy_pass http://127.0.0.1:@SELF@/; }
        location /named-upstream { set $upstream 127.0.0.1; proxy_pass http://$upstream:@SELF@/kind; }
        location /body { proxy_method PUT; proxy_set_header X-Sent "$request_body_file"; proxy_pass http://127.0.0.1:@SELF@/echo; }
        location /echo { client_body_in_single_buffer on; proxy_pass http://127.0.0.1:@SELF@/length; }
        location /length { return 200 "$request_method $content_length\n"; }
        location /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:@SELF@/length; }
        location /hang-up { return 444; }
        location /retried/ { proxy_next_upstream error timeout non_idempotent; proxy_pass http://127.0.0.1:@SELF@/hang-up; }
    }
}
"#;

/// Path, more header lines, status.
const REQUESTS: &[(&str, &str, u16)] = &[
    ("/kind?u=12", "", 200),
    ("/kind?u=\u{661}", "", 200),
    ("/kind?u=Abc", "", 200),
    ("/kind?u=\u{e4}\u{f6}\u{fc}", "", 200),
    ("/kind?u=-", "", 200),
    ("/word/abc/7", "", 200),
    ("/word/a1/7", "", 404),
    ("/utf8/%C3%A4%C3%B61", "", 200),
    ("/utf8/%C3%A4%C3%B6%D9%A1", "", 200),
    ("/utf8/ab", "", 404),
    ("/map/12", "", 200),
    ("/map/ABC", "", 200),
    ("/map/x", "", 200),
    ("/named", "Host: a.example.com\r\n", 200),
    ("/named", "Host: example.org\r\n", 200),
    ("/capture/%25?a=b", "", 200),
    ("/rewritten/abc", "", 200),
    ("/try/index", "", 202),
    ("/circle", "", 500),
    ("/if?a=xx", "", 200),
    ("/missing", "", 200),
    ("/teapot", "", 202),
    ("/plain", "", 404),
    ("/try/nothing", "", 202),
    ("/internal", "", 404),
    ("/once", "", 200),
    ("/once", "", 429),
    ("/one", "", 200),
    ("/list/", "", 200),
    ("/tree/", "", 200),
    ("/static/index.html", "Range: bytes=0-1,4-5\r\n", 200),
    ("/static/text.txt", "Range: bytes=100-199\r\n", 206),
    ("/static/nothing", "", 404),
    ("/cached/text.txt", "", 200),
    ("/cached/text.txt", "", 200),
    ("/cached/nothing", "", 404),
    ("/cached/nothing", "", 404),
    ("/links/link", "", 403),
    ("/links/index.html", "", 200),
    ("/slow/64k", "", 200),
    ("/closed", "", 401),
    ("/closed", "Authorization: Basic dXNlcjp3b3Jk\r\n", 200),
    ("/closed", "Authorization: Basic dXNlcjp3b3Jr\r\n", 401),
    ("/either", "Authorization: Basic dXNlcjp3b3Jk\r\n", 200),
    ("/either", "", 401),
    ("/denied", "", 403),
    ("/guest", "X-Real: 192.0.2.7\r\n", 200),
    ("/from", "Referer: http://www.ok.example/\r\n", 200),
    ("/from", "Referer: http://elsewhere.example/\r\n", 403),
    ("/log?a=1", "X: a \"quote\" \\ \u{e4}\r\n", 200),
    ("/logs/plain.log", "", 200),
    ("/logs/json.log", "", 200),
    ("/proxy/64k", "", 200),
    ("/proxy/large", "", 200),
    ("/stream/64k", "", 200),
    ("/balanced/kind?u=1", "", 200),
    ("/balanced/kind?u=1", "", 200),
    ("/hashed/kind?k=1", "", 200),
    ("/hashed/kind?k=2", "", 200),
    ("/backed/kind", "", 200),
    ("/dead/", "", 502),
    ("/caught/nothing", "", 202),
    ("/caught/kind", "", 200),
    ("/named-upstream", "", 200),
    ("/retried/", "", 502),
    ("/proxy/proxy/proxy/kind?u=5", "", 200),
];

/// Path, bytes of the body, status.
const UPLOADS: &[(&str, usize, u16)] = &[
    ("/echo", 10, 200),
    ("/echo", 100_000, 200),
    ("/body", 10_000, 200),
    ("/small", 2000, 413),
    ("/stream/length", 50_000, 200),
];

/// All of them, in the same order in both lives, since the server keeps state.
pub fn compare(context: &Context, site: &Site) -> Result<Tally> {
    std::os::unix::fs::symlink("index.html", site.root.join("usr/share/nginx/html/link"))?;
    std::fs::write(site.root.join("etc/nginx/users"), "user:{PLAIN}word\n")?;
    site.configure(SERVER)?;
    let lives = Lives::start(context, site)?;
    for (path, lines, status) in REQUESTS {
        let host = if lines.contains("Host: ") { "" } else { "Host: first\r\n" };
        let text = format!("GET {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n");
        lives.same(&format!("{path} {}", lines.trim_end()), text.as_bytes(), *status)?;
    }
    for (path, length, status) in UPLOADS {
        lives.send("POST", path, "", &vec![b'x'; *length], *status)?;
    }
    Ok(Tally::pass(format!("{} answers agree", REQUESTS.len() + UPLOADS.len())))
}

const UNIX: &str = r#"
http {
    client_body_temp_path /var/lib/nginx/body;
    proxy_temp_path /var/lib/nginx/proxy;
    access_log off;
    root /usr/share/nginx/html;
    upstream kept { server unix:/tmp/one.sock; keepalive 2; }
    server {
        @LISTEN@
        location /one { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://kept; }
        location /two/ { proxy_pass http://unix:/tmp/two.sock:/; }
        location /none { proxy_pass http://unix:/tmp/none.sock; }
    }
    server { listen unix:/tmp/one.sock; return 200 "one $remote_addr '$remote_port' $server_addr\n"; }
    server { listen unix:/tmp/two.sock backlog=16 sndbuf=32k rcvbuf=32k; }
}
"#;

/// Listening on a path, and proxying to one.
pub fn unix(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    site.configure(UNIX)?;
    let lives = Lives::start(context, &site)?;
    for (path, status) in [("/one", 200), ("/one", 200), ("/two/index.html", 200), ("/two/large", 200), ("/none", 502)]
    {
        lives.get(path, "", status)?;
    }
    Ok(Tally::pass(""))
}

//! What both guests serve, and how: one folder that is laid over their roots.

use anyhow::Result;
use std::path::{Path, PathBuf};

/// nginx's configuration in the guest.
pub const CONFIGURATION: &str = "/etc/nginx/bench.conf";

/// A page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// For people.
    pub name: &'static str,
    pub path: &'static str,
    size: usize,
}

pub const PAGES: [Page; 2] =
    [Page { name: "612 B", path: "/small", size: 612 }, Page { name: "64 KiB", path: "/large", size: 65536 }];

impl Page {
    /// Bytes in which a misplaced one shows.
    pub fn content(self) -> Vec<u8> {
        (0..self.size).map(|at| b' ' + ((at * 7 + at / 90) % 94) as u8).collect()
    }
}

/// One process, as our guest has. `sendfile` pays for large files only: on Linux the small page takes longer with it.
const TEXT: &str = "\
daemon off;
master_process off;
user root root;
error_log stderr;
pid /run/nginx.pid;
events { worker_connections 2048; }
http {
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    server {
        listen 80 backlog=1024;
        root /srv;
        location = /large { sendfile on; tcp_nopush on; }
    }
}
";

/// Writes the folder.
pub fn write(to: &Path) -> Result<PathBuf> {
    let root = to.join("site");
    for folder in ["etc/nginx", "run", "srv", "tmp", "var/log/nginx", "var/lib/nginx"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    std::fs::write(root.join(CONFIGURATION.trim_start_matches('/')), TEXT)?;
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/false\n")?;
    std::fs::write(root.join("etc/group"), "root:x:0:\n")?;
    for page in PAGES {
        std::fs::write(root.join("srv").join(page.path.trim_start_matches('/')), page.content())?;
    }
    Ok(root)
}

//! The same configuration in both lives, asked the same questions: the answers must be equal.

use super::super::context::Context;
use super::super::process::Running;
use super::super::vm::Vm;
use super::http::{self, Response};
use super::site::Site;
use anyhow::{Context as _, Result, bail};
use std::fmt::Debug;
use std::net::SocketAddr;

/// See the module.
pub struct Lives<'a> {
    /// The Linux process, and where it answers.
    _hosted: Running,
    pub linux: SocketAddr,
    /// The VM, and where it answers.
    pub vm: Vm<'a>,
    pub guest: SocketAddr,
}

impl<'a> Lives<'a> {
    /// Starts both with the site's configuration.
    pub fn start(context: &'a Context, site: &Site) -> Result<Self> {
        let (hosted, linux) = site.hosted(context)?;
        let (vm, guest) = site.vm(context, &["--smp", "2"], |_| {})?;
        Ok(Self { _hosted: hosted, linux, vm, guest })
    }

    /// Asks both, and returns their answer if it is the same one.
    pub fn agree<T: PartialEq + Debug>(
        &self,
        name: &str,
        [linux, guest]: [SocketAddr; 2],
        ask: impl Fn(SocketAddr) -> Result<T>,
    ) -> Result<T> {
        let one = ask(linux).with_context(|| format!("{name}: Linux"))?;
        let two = ask(guest).with_context(|| format!("{name}: VM\n{}", self.vm.logs()))?;
        if one != two {
            bail!("{name}: the answers differ\nLinux:\n{one:?}\nVM:\n{two:?}\n{}", self.vm.logs());
        }
        Ok(one)
    }

    /// Sends an HTTP request to both; the answers must be equal and have this status.
    pub fn same(&self, name: &str, request: &[u8], status: u16) -> Result<Response> {
        let one = http::exchange(self.linux, request).with_context(|| format!("{name}: Linux"))?;
        let two = http::exchange(self.guest, request).with_context(|| format!("{name}: VM\n{}", self.vm.logs()))?;
        if one.status != status || one.comparable() != two.comparable() {
            let text = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            bail!(
                "{name}: status {status} and equal answers expected\nLinux:\n{}\n{}\nVM:\n{}\n{}\n{}",
                one.head,
                text(&one.body),
                two.head,
                text(&two.body),
                self.vm.logs()
            );
        }
        Ok(one)
    }

    /// GET with these further header lines.
    pub fn get(&self, path: &str, lines: &str, status: u16) -> Result<Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: first\r\n{lines}Connection: close\r\n\r\n");
        self.same(&format!("{path} {}", lines.trim_end()), request.as_bytes(), status)
    }

    /// Another method, with a body.
    pub fn send(&self, method: &str, path: &str, lines: &str, body: &[u8], status: u16) -> Result<Response> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: first\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        self.same(&format!("{method} {path}, {length} bytes"), &[head.as_bytes(), body].concat(), status)
    }
}

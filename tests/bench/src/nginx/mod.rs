//! nginx: the same configuration in both guests, loaded over a TAP device.

mod idle;
mod load;
mod site;

use super::Bench;
use super::guest::Live;
use super::network::Network;
use super::program;
use super::report::What;
use super::serving::{self, Measure, Server, Service, Span};
use anyhow::{Result, ensure};
use load::Load;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unibody_support::{process, wrk};

/// Requests that must be answered with the least memory, one after the other.
const FEW: &str = "200";
/// How long these may take.
const PATIENCE: Duration = Duration::from_secs(40);

struct Nginx {
    site: PathBuf,
    /// The client for everything but load.
    http: PathBuf,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    serving::run::<Nginx>(options, yes)
}

impl Service for Nginx {
    type Load = Load;

    const SERVER: Server = Server {
        name: "nginx",
        packages: &["nginx", "nginx-core"],
        packaged: "/usr/sbin/nginx",
        place: "/usr/sbin/nginx",
        arguments: &["-c", site::CONFIGURATION],
        port: 80,
        request: "GET /small HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
        answer: "HTTP/1.1 200 ",
        first: "the first page",
        tools: &[wrk::TOOL],
    };

    fn new(work: &Path) -> Result<Self> {
        Ok(Self { site: site::write(work)?, http: program::native("http", work)? })
    }

    fn files(&self) -> &Path {
        &self.site
    }

    fn loads() -> Vec<Load> {
        load::all()
    }

    /// Every page is the right one, byte by byte.
    fn check(&self, network: &Network) -> Result<()> {
        for page in site::PAGES {
            let mut get = network.command(&self.http, ["get", Network::address(), page.path]);
            let got = process::run(&mut get, b"", serving::PATIENCE)?.expect(0)?;
            ensure!(got.stdout == page.content(), "wrong answer: {} is not what was stored", page.path);
        }
        Ok(())
    }

    fn load(&self, network: &Network, load: &Load, span: Span) -> Result<unibody_support::load::Load> {
        let seconds = match span {
            Span::WarmUp => 1,
            Span::Round => 3,
            Span::Counted => 2,
        };
        let url = format!("http://{}{}", Network::address(), load.page.path);
        let words = wrk::words(load.connections, seconds, load.close, &["--latency"], &url);
        wrk::run(&mut network.command(wrk::TOOL.0, words))
    }

    fn few(&self, network: &Network, live: &mut Live) -> Result<()> {
        let mut client = network.client(&self.http, &["many", Network::address(), site::PAGES[0].path, FEW])?;
        client.expect("answered", PATIENCE, || live.alive())
    }

    fn once() -> Vec<(What, Measure<Self>)> {
        vec![(What::cost(serving::ONCE, "memory of an idle connection", "KiB"), idle::connection)]
    }
}

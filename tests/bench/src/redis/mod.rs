//! redis: the same configuration in both guests, under load from redis-benchmark over a TAP device.

mod load;

use super::Bench;
use super::guest::Live;
use super::network::Network;
use super::serving::{self, Server, Service, Span};
use anyhow::{Context, Result, ensure};
use load::{KEYS, Load};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use unibody_support::process;
use unibody_support::redis::{BENCHMARK, CLI};

const PORT: u16 = 6379;
/// How long a load may take, with a plugin that makes the guest slow.
const LIMIT: Duration = Duration::from_secs(600);
/// Requests of each kind that must be answered with the least memory, one after the other, and how long they may take.
const FEW: &str = "50";
const PATIENCE: Duration = Duration::from_secs(40);

/// redis's configuration in the guest.
const CONFIGURATION: &str = "/etc/redis/bench.conf";
/// As our port has it: nothing is saved, everyone is answered.
const TEXT: &str = "daemonize no\nprotected-mode no\ndir /data\nsave \"\"\n";

struct Redis {
    files: PathBuf,
}

pub fn run(options: &Bench, yes: bool) -> Result<(Value, String)> {
    serving::run::<Redis>(options, yes)
}

impl Service for Redis {
    type Load = Load;

    const SERVER: Server = Server {
        name: "redis",
        // One program under several names, of which the package of the server has only a link.
        packages: &["redis-tools"],
        packaged: "/usr/bin/redis-check-rdb",
        place: "/usr/bin/redis-server",
        arguments: &[CONFIGURATION],
        port: PORT,
        request: "PING\r\n",
        answer: "+PONG\r\n",
        first: "the first PONG",
        tools: &[CLI, BENCHMARK],
    };

    fn new(work: &Path) -> Result<Self> {
        let files = work.join("redis");
        let configuration = files.join(CONFIGURATION.trim_start_matches('/'));
        std::fs::create_dir_all(configuration.parent().context("the configuration is in a folder")?)?;
        std::fs::create_dir_all(files.join("data"))?;
        std::fs::write(configuration, TEXT)?;
        Ok(Self { files })
    }

    fn files(&self) -> &Path {
        &self.files
    }

    fn loads() -> Vec<Load> {
        load::all()
    }

    /// All keys are there, each with the value that redis-benchmark sets, no other ones, and no command has failed. The
    /// first time this makes them.
    fn check(&self, network: &Network) -> Result<()> {
        let script = format!(
            "local there, empty = 0, redis.call('DBSIZE') == 0 \
             for i = 0, {KEYS} - 1 do \
               local key = string.format('key:%012d', i) \
               if empty then redis.call('SET', key, 'VXK') end \
               if redis.call('GET', key) == 'VXK' then there = there + 1 end \
             end \
             return there .. ' of ' .. redis.call('DBSIZE')"
        );
        let found = ask(network, &["EVAL", &script, "0"])?;
        ensure!(found.trim() == format!("{KEYS} of {KEYS}"), "wrong answer: keys are missing, {found}");
        let errors = ask(network, &["INFO", "errorstats"])?;
        ensure!(errors.trim() == "# Errorstats", "commands failed: {errors}");
        Ok(())
    }

    fn load(&self, network: &Network, load: &Load, span: Span) -> Result<unibody_support::load::Load> {
        let benchmark = load.benchmark(span);
        let words = benchmark.words(Network::address(), PORT);
        benchmark.run(&mut network.command(BENCHMARK.0, words), LIMIT)
    }

    fn few(&self, network: &Network, live: &mut Live) -> Result<()> {
        for keep in ["1", "0"] {
            let port = PORT.to_string();
            let words =
                ["-h", Network::address(), "-p", &port, "-t", "set,get", "-n", FEW, "-c", "1", "-k", keep, "-q"];
            let mut running = process::start(&mut network.command(BENCHMARK.0, words), b"")?;
            let end = Instant::now() + PATIENCE;
            while running.alive() {
                live.alive()?;
                ensure!(Instant::now() < end, "it takes too long");
                std::thread::sleep(Duration::from_millis(20));
            }
            running.wait(PATIENCE)?.expect(0)?;
        }
        Ok(())
    }
}

/// What redis-cli prints about a command.
fn ask(network: &Network, words: &[&str]) -> Result<String> {
    let port = PORT.to_string();
    let options = ["-h", Network::address(), "-p", &port, "-e"];
    let mut cli = network.command(CLI.0, options.iter().chain(words));
    Ok(process::run(&mut cli, b"", LIMIT)?.expect(0)?.out())
}

//! Several clients at once, and the port as a user starts it.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::process;
use super::server::Server;
use anyhow::{Result, ensure};
use std::time::Duration;

/// How long it may take until the server has noticed something.
const SOON: Duration = Duration::from_secs(20);

/// Without any setting: it answers, expires keys by itself, and does not complain but about one thing, which it would on
/// Linux, too.
pub fn as_it_comes(context: &Context) -> Result<Tally> {
    let server = Server::as_machine(context, &[], &[])?;
    server.answers(&["SET", "greeting", "good day"], "OK")?;
    server.answers(&["GET", "greeting"], "good day")?;
    server.answers(&["SET", "short", "lived", "PX", "200"], "OK")?;
    process::eventually(SOON, || server.answers(&["DBSIZE"], "1"))?;
    server.answers(&["GET", "short"], "")?;
    let stats = server.ask(&["INFO", "stats"])?;
    ensure!(stats.contains("expired_keys:1"), "the key did not expire\n{stats}");
    let logs = server.logs();
    let warnings: Vec<_> = logs.lines().filter(|line| line.contains(" # WARNING ")).collect();
    ensure!(warnings.len() == 1 && warnings[0].contains("vm.overcommit_memory"), "it complains\n{logs}");
    server.stop()?;
    Ok(Tally::pass(""))
}

/// Messages to subscribers, and clients that wait for a list.
pub fn subscribe_and_block(context: &Context) -> Result<Tally> {
    for smp in ["1", "2"] {
        let server = Server::as_machine(context, &["--smp", smp], &[])?;
        let subscribed = process::start(server.client().args(["SUBSCRIBE", "news", "weather"]), b"")?;
        let patterns = process::start(server.client().args(["PSUBSCRIBE", "n*"]), b"")?;
        let waiting = process::start(server.client().args(["BLPOP", "jobs", "60"]), b"")?;
        process::eventually(SOON, || {
            server.answers(&["PUBSUB", "NUMSUB", "news", "weather"], "news\n1\nweather\n1")?;
            server.answers(&["PUBSUB", "NUMPAT"], "1")?;
            let clients = server.ask(&["INFO", "clients"])?;
            ensure!(clients.contains("blocked_clients:1"), "nobody waits\n{clients}");
            Ok(())
        })?;
        let long = "x".repeat(100_000);
        server.answers(&["PUBLISH", "news", "first"], "2")?;
        server.answers(&["PUBLISH", "weather", "rain"], "1")?;
        server.answers(&["PUBLISH", "news", &long], "2")?;
        server.answers(&["RPUSH", "jobs", "one"], "1")?;
        let done = waiting.wait(SOON)?.expect(0)?;
        ensure!(done.out() == "jobs\none\n", "{}", done.report());
        // All that was published is on its way once this is answered.
        server.answers(&["EXISTS", "jobs"], "0")?;
        std::thread::sleep(Duration::from_millis(300));
        let got = subscribed.terminate(SOON)?.out();
        let wanted = format!(
            "subscribe\nnews\n1\nsubscribe\nweather\n2\nmessage\nnews\nfirst\nmessage\nweather\nrain\nmessage\nnews\n{long}\n"
        );
        ensure!(got == wanted, "--smp {smp}: the subscriber got {} bytes: {got:.200}", got.len());
        let got = patterns.terminate(SOON)?.out();
        let wanted = format!("psubscribe\nn*\n1\npmessage\nn*\nnews\nfirst\npmessage\nn*\nnews\n{long}\n");
        ensure!(got == wanted, "--smp {smp}: the pattern's subscriber got {} bytes: {got:.200}", got.len());
        server.stop()?;
    }
    Ok(Tally::pass(""))
}

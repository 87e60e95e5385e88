//! Power is lost at any moment while redis appends to its file with `appendfsync always`: it starts again, and every
//! command that was answered is there. See `disk/power_cut.rs`, which does the same to other programs.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::disk::drive::{Special, script};
use super::super::disk::image;
use super::super::disk::talk::Talk;
use super::super::disk::write_log::Log;
use super::server::{Server, disk};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;

/// Commands, one after the other, each answered before the next.
const COMMANDS: usize = 60;
const ANSWER: Duration = Duration::from_secs(60);
const SETTINGS: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// How many commands are there, if they are the first ones, and each is whole.
const LOOK: &str = "local n = redis.call('DBSIZE') for i = 1, n do \
    if redis.call('GET', 'key:' .. i) ~= string.rep(i .. ' ', i * 11) then return 'key ' .. i .. ' is wrong' end end return n";

pub fn power_cut(context: &Context) -> Result<Tally> {
    let cuts = if context.full { 60 } else { 6 };
    let folder = context.scratch("redis-power-cut")?;
    let (image, log) = (folder.join("disk.img"), folder.join("log"));
    image::make(&image, 16 << 20, 16, 4)?;
    std::fs::write(&log, "")?;
    let vmm = script(&folder, &image, &Special::Logged(&log))?;
    let length = || -> Result<u64> { Ok(std::fs::metadata(&log).context("there is no write log")?.len()) };
    // The file is begun before the first command; what a cut does to a new volume is another case's.
    let spec = disk(&image);
    Server::as_machine(context, &["--disk", &spec], SETTINGS)?.stop()?;
    let mut base = std::fs::read(&image)?;
    let server = Server::with(context, &["--disk", &spec], SETTINGS, |command| {
        command.env("UNIBODY_QEMU", vmm);
    })?;
    let mut client = Talk::start(&mut server.client())?;
    let mut lengths = vec![length()?];
    for n in 1..=COMMANDS {
        client.say(&format!("SET key:{n} \"{}\"\n", format!("{n} ").repeat(n * 11)))?;
        client.line_with("OK", ANSWER)?;
        lengths.push(length()?);
    }
    drop(client);
    server.stop()?;
    let log = Log::parse(std::fs::read(log)?)?;
    let marks: Vec<_> = lengths.into_iter().map(|length| log.entries_at(length)).collect();
    let points = log.cuts(marks[0], cuts, &marks[1..], 1);
    let mut from = 0;
    for (number, at) in points.into_iter().enumerate() {
        let cut = folder.join("cut.img");
        std::fs::write(&cut, log.cut(&mut base, &mut from, at, number as u64)?)?;
        let answered = marks.partition_point(|mark| *mark <= at).saturating_sub(1);
        let there = || -> Result<usize> {
            let server = Server::as_machine(context, &["--disk", &disk(&cut)], SETTINGS)?;
            let said = server.ask(&["EVAL", LOOK, "0"])?;
            server.stop()?;
            image::clean(&cut)?;
            said.parse().with_context(|| said.clone())
        };
        let here =
            || format!("cut {number}, at entry {at} of {}: {answered} commands were answered", log.entries.len());
        let there = there().with_context(here)?;
        ensure!(there == answered || there == answered + 1, "{}, {there} are there", here());
    }
    Ok(Tally::pass(format!("{cuts} cuts, {} entries, {} flushes", log.entries.len(), log.flushes())))
}

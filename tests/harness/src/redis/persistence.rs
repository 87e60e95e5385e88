//! What is stored survives, and what needs a second process is refused.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::disk::image;
use super::server::{Server, disk};
use anyhow::{Result, ensure};
use std::path::Path;

const APPEND: &[&str] = &["--appendonly", "yes", "--enable-debug-command", "yes"];
/// Stores something of each kind.
const FILL: &str = "for i = 1, 500 do \
    redis.call('SET', 'string:' .. i, string.rep('s', i * 7)) redis.call('RPUSH', 'list', i) \
    redis.call('HSET', 'hash', i, i * i) redis.call('ZADD', 'zset', i, 'm' .. i) end \
    redis.call('DEL', 'string:77') redis.call('EXPIRE', 'string:78', 100000) return redis.call('DBSIZE')";

fn start<'a>(context: &'a Context, image: &Path, smp: &str) -> Result<Server<'a>> {
    Server::as_machine(context, &["--smp", smp, "--disk", &disk(image), "--disk-size", "64M"], APPEND)
}

/// The append-only file survives restarts, and is compacted as the port's configuration tells: a dump becomes its
/// beginning.
pub fn append_only(context: &Context) -> Result<Tally> {
    let folder = context.scratch("redis-disk")?;
    let (first, second) = (folder.join("first.img"), folder.join("second.img"));
    let server = start(context, &first, "1")?;
    server.answers(&["EVAL", FILL, "0"], "502")?;
    let digest = server.digest()?;
    server.stop()?;
    image::clean(&first)?;
    let server = start(context, &first, "2")?;
    server.answers(&["DEBUG", "DIGEST"], &digest)?;
    server.answers(&["SAVE"], "OK")?;
    server.answers(&["SET", "later", "1"], "OK")?;
    server.answers(&["DEL", "later"], "1")?;
    server.stop()?;
    image::clean(&first)?;
    let dump = folder.join("dump.rdb");
    image::get(&first, "dump.rdb", &dump)?;
    image::make(&second, 64 << 20, 16, 8)?;
    image::put(&second, &dump, "appendonly.aof")?;
    for restart in 0..2 {
        let server = start(context, &second, "1")?;
        server.answers(&["GET", "again"], if restart == 0 { "" } else { "yes" })?;
        server.answers(&["DEL", "again"], if restart == 0 { "0" } else { "1" })?;
        server.answers(&["DEBUG", "DIGEST"], &digest)?;
        server.answers(&["SET", "again", "yes"], "OK")?;
        server.stop()?;
        image::clean(&second)?;
    }
    Ok(Tally::pass(""))
}

/// Saving in the background fails, says why, and nothing is refused afterwards; saving in the foreground works.
pub fn background(context: &Context) -> Result<Tally> {
    let server = Server::as_machine(context, &[], APPEND)?;
    server.answers(&["EVAL", FILL, "0"], "502")?;
    for (command, says) in [
        ("BGSAVE", "Can't save in background: fork: Function not implemented"),
        ("BGREWRITEAOF", "Can't rewrite append only file in background: fork: Function not implemented"),
    ] {
        let refused = server.cli(&["-e", command], b"")?.expect(1)?;
        ensure!(refused.err().starts_with("ERR"), "{}", refused.report());
        ensure!(server.logs().contains(says), "it does not say why {command} fails\n{}", server.logs());
    }
    server.answers(&["SET", "string:1", "changed"], "OK")?;
    let digest = server.digest()?;
    server.answers(&["SAVE"], "OK")?;
    // Loads the append-only file, all parts of it.
    server.answers(&["DEBUG", "LOADAOF"], "OK")?;
    server.answers(&["DEBUG", "DIGEST"], &digest)?;
    server.stop()?;
    Ok(Tally::pass(""))
}

//! The same commands in both lives: the answers must be equal.

use super::super::case::Tally;
use super::super::context::Context;
use super::server::Server;
use anyhow::{Context as _, Result, bail, ensure};
use std::fmt::Write as _;

/// Commands sent at once through `redis-cli --pipe`.
const PIPED: usize = 5_000;

/// Every kind of value, transactions, scripts, errors; then thousands of commands in one pipeline.
pub fn compare(context: &Context) -> Result<Tally> {
    let file = context.project.join("tests/redis/commands.txt");
    let script = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    const SETTINGS: &[&str] = &["--enable-debug-command", "yes"];
    let linux = Server::as_process(context, SETTINGS)?;
    let wanted = answers(&linux, &script)?;
    for smp in ["1", "2"] {
        let vm = Server::as_machine(context, &["--smp", smp], SETTINGS)?;
        let said = answers(&vm, &script)?;
        if let Some((one, two)) = wanted.lines().zip(said.lines()).find(|(one, two)| one != two) {
            bail!("--smp {smp}: the answers differ\n  Linux: {one}\n  VM:    {two}\n{}", vm.logs());
        }
        ensure!(said == wanted, "--smp {smp}: one has more answers than the other\n{}", vm.logs());
    }
    Ok(Tally::pass(format!("{} lines of answers", wanted.lines().count())))
}

/// All answers, and the digest of what the pipeline left.
fn answers(server: &Server, script: &[u8]) -> Result<String> {
    let said = server.cli(&["--no-raw"], script)?.expect(0)?.out();
    ensure!(said.lines().count() > 300, "only these answers came:\n{said}\n{}", server.logs());
    let piped = server.cli(&["--pipe"], pipeline().as_bytes())?.expect(0)?;
    ensure!(piped.out().contains(&format!("errors: 0, replies: {PIPED}")), "{}", piped.report());
    let said: String = said.lines().filter(|line| !is_time(line)).map(|line| format!("{line}\n")).collect();
    Ok(said + &server.digest()?)
}

/// `(0.56s)`: what redis-cli prints after an answer that took long.
fn is_time(line: &str) -> bool {
    let number = line.strip_prefix('(').and_then(|rest| rest.strip_suffix("s)"));
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

/// Commands as they are sent, with values of 0 to some thousand bytes.
fn pipeline() -> String {
    let mut text = String::new();
    for n in 0..PIPED {
        let (key, member) = (format!("{}:{}", ["string", "list", "hash", "set", "zset"][n % 5], n % 70), n.to_string());
        let value = "v".repeat(n * 37 % 4000);
        let words: Vec<&str> = match n % 5 {
            0 => vec!["SET", &key, &value],
            1 => vec!["RPUSH", &key, &value],
            2 => vec!["HSET", &key, &member, &value],
            3 => vec!["SADD", &key, &member],
            _ => vec!["ZADD", &key, &member, &value],
        };
        let _ = write!(text, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(text, "${}\r\n{word}\r\n", word.len());
        }
    }
    text
}

//! A disk without room.

use super::image;
use super::work::disk;
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Files, and SQLite.
pub fn cases(all: &mut Vec<Case>) {
    for (name, bits, cluster) in [("fat12", 12, 4), ("fat16", 16, 1)] {
        let body = move |context: &Context| files(context, bits, cluster);
        all.push(Case::new(format!("disk/full-{name}"), body).needs(&[Need::Toolchain, Need::Disk]));
    }
    all.push(Case::new("disk/full-sqlite", sqlite).needs(&[Need::Toolchain, Need::Disk, Need::Sqlite]));
}

fn files(context: &Context, bits: u32, cluster: u32) -> Result<Tally> {
    let image = context.scratch("full")?.join("disk.img");
    image::make(&image, 4 << 20, bits, cluster)?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk", &disk(&image, "/data")]);
    command.arg(context.disk_program("full")?).args(["--", "/data"]);
    process::run(&mut command, b"", Duration::from_secs(120))?.expect(0)?;
    image::clean(&image)?;
    Ok(Tally::pass(""))
}

const SCRIPT: &str = "\
PRAGMA journal_mode=TRUNCATE;
CREATE TABLE early(n INTEGER PRIMARY KEY, body TEXT);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<200) INSERT INTO early SELECT n, hex(zeroblob(500)) FROM c;
CREATE TABLE big(n INTEGER PRIMARY KEY, body TEXT);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<100) INSERT INTO big SELECT n, hex(zeroblob(5000)) FROM c;
.print FILLING
WITH RECURSIVE c(n) AS (SELECT 101 UNION ALL SELECT n+1 FROM c WHERE n<2000) INSERT INTO big SELECT n, hex(zeroblob(5000)) FROM c;
.print FULL
SELECT count(*), min(length(body)), max(length(body)) FROM early;
SELECT count(*), min(length(body)), max(length(body)) FROM big;
PRAGMA integrity_check;
DELETE FROM big;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<90) INSERT INTO big SELECT n, hex(zeroblob(5000)) FROM c;
SELECT count(*) FROM big;
DROP TABLE big;
VACUUM;
PRAGMA integrity_check;
SELECT count(*) FROM early;
";

fn sqlite(context: &Context) -> Result<Tally> {
    let image = context.scratch("full")?.join("disk.img");
    image::make(&image, 4 << 20, 12, 4)?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--disk", &disk(&image, "/data")]);
    command.arg(context.sqlite()?).args(["--", "-batch", "-list", "/data/app.db"]);
    let done = process::run(&mut command, SCRIPT.as_bytes(), Duration::from_secs(120))?;
    let expected = "truncate\nFILLING\nFULL\n200|1000|1000\n100|10000|10000\nok\n90\nok\n200\n";
    ensure!(done.out() == expected, "expected\n{expected}\n{}", done.report());
    ensure!(done.err().contains("full (13)"), "SQLite did not say that the disk is full\n{}", done.report());
    image::clean(&image)?;
    Ok(Tally::pass(""))
}

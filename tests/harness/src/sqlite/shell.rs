//! The command-line shell: scripts, databases on disks that Linux reads or has written, errors.

use super::super::case::Tally;
use super::super::context::Context;
use super::super::disk::image;
use super::super::process::{self, Finished};
use super::Life;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Fills a table for the disk tests; the same queries must give the same results everywhere.
const FILL: &str = "PRAGMA journal_mode = wal;
CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT, data BLOB);
CREATE INDEX by_word ON t(word);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO t SELECT i, 'word ' || i, zeroblob(i % 3000) FROM n;
DELETE FROM t WHERE id % 7 = 0;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA journal_mode = delete;
";
const LOOK: &str = "PRAGMA integrity_check; SELECT count(*), sum(length(data)), min(word), max(word) FROM t;";
const SEEN: &str = "ok\n1715|1715715|word 1|word 999\n";

fn project_file(context: &Context, name: &str) -> Result<Vec<u8>> {
    let file = context.project.join("tests/sqlite").join(name);
    std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

fn agree(hosted: &Finished, vm: &Finished) -> Result<()> {
    if (hosted.status, &hosted.stdout) == (vm.status, &vm.stdout) && !hosted.timed_out {
        return Ok(());
    }
    let (one, two) = (hosted.out(), vm.out());
    let line = one.lines().zip(two.lines()).enumerate().find(|(_, (a, b))| a != b);
    let line = line.map_or(String::new(), |(n, (a, b))| format!("line {}:\n  Linux: {a}\n  VM:    {b}\n", n + 1));
    bail!("the two lives differ\n{line}{}\nLinux:\n{}", vm.report(), hosted.report())
}

/// A long script, on a file and in memory.
pub fn script(context: &Context) -> Result<Tally> {
    let image = context.sqlite()?;
    let script = project_file(context, "script.sql")?;
    let life = Life::new(context, &image);
    let mut took = Duration::ZERO;
    for database in ["/data/app.db", ":memory:"] {
        let hosted = life.as_process(&["-batch", database], &script)?;
        ensure!(hosted.out().contains("1500|666839"), "the script did not come to its end\n{}", hosted.report());
        let vm = life.as_machine(&["-batch", database], &script)?;
        agree(&hosted, &vm)?;
        took += vm.took;
    }
    Ok(Tally::pass(format!("VM {:.1} s", took.as_secs_f32())))
}

/// The output of `.dump` rebuilds the same database, inside one VM, and is the same text in both lives.
pub fn dump(context: &Context) -> Result<Tally> {
    let image = context.sqlite()?;
    let life = Life::new(context, &image);
    let script = format!(
        r#"{FILL}CREATE VIEW v AS SELECT word FROM t;
CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT 'it''s'; END;
UPDATE t SET data = x'00ff27' || word WHERE id < 40; INSERT INTO t(id, word) VALUES (-1, 'line' || char(10) || 'β''"');
.output /data/one.sql
.dump
.output
.open /data/two.db
.read /data/one.sql
.output /data/two.sql
.dump
.output
SELECT count(*), sum(readfile('/data/one.sql') = readfile('/data/two.sql')), length(readfile('/data/one.sql')) FROM t WHERE id = -1;
.dump
"#
    );
    let hosted = life.as_process(&["-batch", "/data/one.db"], script.as_bytes())?.expect(0)?;
    let vm = life.as_machine(&["-batch", "/data/one.db"], script.as_bytes())?.expect(0)?;
    ensure!(vm.out().contains("\n1|1|"), "the second dump is not the first\n{}", vm.report());
    agree(&hosted, &vm)?;
    Ok(Tally::pass(format!("{} bytes", vm.stdout.len())))
}

/// Statuses and messages of errors.
pub fn errors(context: &Context) -> Result<Tally> {
    let image = context.sqlite()?;
    let life = Life::new(context, &image);
    let cases: [(&[&str], &[u8]); 5] = [
        (&["-batch", "/no/such/folder/x.db", "CREATE TABLE t(a)"], b""),
        (&["-batch", "-bail", ":memory:"], b"SELECT 1; SELEKT 2; SELECT 3;"),
        (
            &["-batch", "-bail", ":memory:"],
            b"SELECT writefile('/data/x', 'no database'); ATTACH '/data/x' AS x; SELECT * FROM x.t;",
        ),
        (&["-readonly", "/data/none.db", "SELECT 1 FROM t"], b""),
        (&["-no-such-option"], b""),
    ];
    for (args, stdin) in cases {
        let hosted = life.as_process(args, stdin)?;
        let vm = life.as_machine(args, stdin)?;
        agree(&hosted, &vm)?;
        ensure!(vm.status != 0, "{args:?} succeeded\n{}", vm.report());
        let wanted = hosted.err();
        for line in wanted.lines().filter(|line| line.to_lowercase().contains("error")) {
            ensure!(vm.err().contains(line), "the VM does not say '{line}'\n{}", vm.report());
        }
    }
    Ok(Tally::pass(""))
}

struct Disk {
    folder: PathBuf,
    file: PathBuf,
}

impl Disk {
    fn new(context: &Context) -> Result<Self> {
        let folder = context.scratch("sqlite-disk")?;
        let file = folder.join("app.img");
        Ok(Self { folder, file })
    }

    fn vm(&self, context: &Context, image: &Path, script: &str) -> Result<Finished> {
        let spec = format!("{}:/data", self.file.display());
        Life::new(context, image)
            .vm(&["--disk", &spec, "--disk-size", "64M"])
            .as_machine(&["-batch", "/data/app.db"], script.as_bytes())?
            .expect(0)
    }

    fn linux(&self, database: &Path, script: &str) -> Result<Finished> {
        let mut sqlite = process::command("sqlite3", ["-batch"]);
        process::run(sqlite.arg(database).current_dir(&self.folder), script.as_bytes(), Duration::from_secs(60))?
            .expect(0)
    }
}

/// A database that the VM created on a new disk, read by this machine's own sqlite3 through mtools; the disk has no
/// fault.
pub fn disk_to_linux(context: &Context) -> Result<Tally> {
    let shell = context.sqlite()?;
    let disk = Disk::new(context)?;
    disk.vm(context, &shell, FILL)?;
    let again = disk.vm(context, &shell, LOOK)?;
    ensure!(again.out() == SEEN, "the database did not survive\n{}", again.report());
    image::clean(&disk.file)?;
    let copy = disk.folder.join("copy.db");
    image::get(&disk.file, "app.db", &copy)?;
    let seen = disk.linux(&copy, LOOK)?;
    ensure!(seen.out() == SEEN, "Linux sees something else\n{}", seen.report());
    Ok(Tally::pass(""))
}

/// The other way round: Linux creates volume and database, the VM reads and changes them, Linux reads them again.
pub fn disk_from_linux(context: &Context) -> Result<Tally> {
    let shell = context.sqlite()?;
    let disk = Disk::new(context)?;
    let copy = disk.folder.join("copy.db");
    disk.linux(&copy, FILL)?;
    image::make(&disk.file, 64 << 20, 32, 1)?;
    image::put(&disk.file, &copy, "app.db")?;
    let change =
        format!("{LOOK}\nBEGIN; DELETE FROM t WHERE id > 500; INSERT INTO t(word) VALUES ('new'); COMMIT; VACUUM;");
    let seen = disk.vm(context, &shell, &change)?;
    ensure!(seen.out() == SEEN, "the VM sees something else\n{}", seen.report());
    image::clean(&disk.file)?;
    std::fs::remove_file(&copy)?;
    image::get(&disk.file, "app.db", &copy)?;
    let seen = disk.linux(&copy, "PRAGMA integrity_check; SELECT count(*), max(id), max(word) FROM t;")?;
    ensure!(seen.out() == "ok\n430|501|word 99\n", "Linux does not see the change\n{}", seen.report());
    Ok(Tally::pass(""))
}

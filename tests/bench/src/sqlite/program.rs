//! The program of both guests, from one source: SQLite's speedtest1 and our commit driver. Ours is linked with the source
//! package's SQLite, compiled with the options that the distribution's own build uses; Linux's with the distribution's library.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody::fingerprint::Fingerprint;
use unibody::packages::Program;
use unibody::{apt, command, files, lock, paths, progress, sysroot, wrapper};

/// Programs that must be installed for the measurement.
pub const TOOLS: [Program; 6] = [
    ("gcc", "gcc"),
    ("make", "make"),
    ("tclsh", "tcl"),
    ("dpkg-deb", "dpkg"),
    ("mkfs.ext4", "e2fsprogs"),
    ("xz", "xz-utils"),
];

/// The distribution's packages that the Linux program needs.
const LIBRARIES: [&str; 2] = ["libsqlite3-0", "libc6"];

/// Where everything is.
pub struct Programs {
    /// This bench's folder in the cache.
    pub dir: PathBuf,
    /// Our image.
    pub image: PathBuf,
    /// Version of the source package.
    pub version: String,
    driver: PathBuf,
    source: PathBuf,
}

/// Builds our image.
pub fn ours(project: &Path, sysroot: &Path) -> Result<Programs> {
    let source = apt::source("sqlite3")?;
    let driver = project.join("tests/bench/sqlite.c");
    let text = std::fs::read_to_string(&driver).with_context(|| format!("cannot read {}", driver.display()))?;
    let speedtest = source.tree.join("test/speedtest1.c");
    if !speedtest.is_file() {
        bail!("the source of sqlite3 {} has no test/speedtest1.c", source.version);
    }
    let hex = Fingerprint::default()
        .text(&source.version)
        .text(&text)
        .text(&sysroot::code_stamp(sysroot)?)
        .text(&sysroot.to_string_lossy())
        .hex();
    let base = paths::cache()?.join("bench");
    let _lock = lock::exclusive(&base.join("lock"))?;
    let dir = base.join(format!("sqlite-{hex}"));
    let rules = std::fs::read_to_string(source.tree.join("debian/rules")).unwrap_or_default();
    let options = options(&rules);
    let gcc = sysroot.join("bin").join(format!("{}gcc", wrapper::PREFIX));
    if !dir.join("sqlite3.o").is_file() {
        progress::step(&format!("compiling SQLite {}", source.version), || {
            files::build_dir(&dir, |new| {
                amalgamation(&source.tree, new, &options)?;
                let mut compile = Command::new(&gcc);
                compile.args(["-O2", "-g", "-fno-strict-aliasing", "-DSQLITE_OMIT_LOAD_EXTENSION"]).args(&options);
                command::run(compile.args(["-c", "sqlite3.c", "-o", "sqlite3.o"]).current_dir(new), None)?;
                objects(&gcc, "", &driver, &speedtest, new)
            })
        })?;
    }
    let image = dir.join("image");
    let stamp = sysroot::stamp(sysroot)?;
    if !std::fs::read_to_string(dir.join("stamp")).is_ok_and(|s| s == stamp) || !image.is_file() {
        progress::step("linking the image of the bench", || {
            let mut link = Command::new(&gcc);
            link.args(["-o", "image", "driver.o", "speedtest1.o", "sqlite3.o", "-lm"]).current_dir(&dir);
            // Parameters and files come in the initrd.
            command::run(link.env_remove(wrapper::ROOTFS).env(wrapper::DEBUG, "0"), None)?;
            files::write(&dir.join("stamp"), stamp)
        })?;
    }
    Ok(Programs { dir, image, version: source.version, driver, source: speedtest })
}

/// The files for the Linux guest.
pub struct ForLinux {
    pub program: PathBuf,
    /// Unpacked packages with its libraries.
    pub libraries: Vec<PathBuf>,
    /// The library's version.
    pub version: String,
}

/// Builds the program for Linux against the distribution's library.
pub fn linux(ours: &Programs) -> Result<ForLinux> {
    let packages = LIBRARIES.map(apt::binary);
    let mut libraries = Vec::new();
    let mut version = String::new();
    for package in packages {
        let (tree, exact) = package?;
        if version.is_empty() {
            version = exact;
        }
        libraries.push(tree);
    }
    objects(Path::new("gcc"), "linux-", &ours.driver, &ours.source, &ours.dir)?;
    let library = libraries
        .first()
        .map(|tree| tree.join("usr/lib/x86_64-linux-gnu/libsqlite3.so.0"))
        .filter(|path| path.is_file())
        .context("the package libsqlite3-0 has no libsqlite3.so.0")?;
    let program = ours.dir.join("linux-program");
    let mut link = Command::new("gcc");
    link.arg("-o").arg(&program).args(["linux-driver.o", "linux-speedtest1.o"]).arg(library).arg("-lm");
    command::run(link.current_dir(&ours.dir), None)?;
    Ok(ForLinux { program, libraries, version })
}

/// Compiles the two files that both guests share.
fn objects(gcc: &Path, prefix: &str, driver: &Path, speedtest: &Path, dir: &Path) -> Result<()> {
    for (source, name, flags) in
        [(driver, "driver", &[][..]), (speedtest, "speedtest1", &["-Dmain=speedtest1_main"][..])]
    {
        let mut compile = Command::new(gcc);
        compile.args(["-O2", "-g", "-I."]).args(flags).arg("-c").arg(source).arg("-o").arg(format!("{prefix}{name}.o"));
        command::run(compile.current_dir(dir), None)?;
    }
    Ok(())
}

/// Makes `sqlite3.c` and `sqlite3.h`, as the source's own makefile does: some options affect how the parser is
/// generated.
fn amalgamation(tree: &Path, to: &Path, options: &[String]) -> Result<()> {
    let build = to.join("build");
    command::run(Command::new("cp").arg("-a").arg(tree).arg(&build), None)?;
    let mut configure = Command::new("./configure");
    configure.args(["--disable-tcl", "--disable-readline", "--disable-shared"]);
    configure.arg(format!("CFLAGS=-O1 {}", options.join(" "))).env_remove("CC").env_remove("LDFLAGS");
    command::run(configure.current_dir(&build), None)?;
    command::run(Command::new("make").args([&command::jobs(), "sqlite3.c"]).current_dir(&build), None)?;
    for name in ["sqlite3.c", "sqlite3.h"] {
        std::fs::rename(build.join(name), to.join(name)).with_context(|| format!("make left no {name}"))?;
    }
    files::remove(&build)
}

/// The options of the distribution's build: definitions and `--enable` words in its rules.
fn options(rules: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in rules.split(|c: char| c.is_whitespace() || c == '\\') {
        let option = match word.strip_prefix("--enable-") {
            Some("fts3") => "-DSQLITE_ENABLE_FTS3",
            Some("fts4") => "-DSQLITE_ENABLE_FTS4",
            Some("fts5") => "-DSQLITE_ENABLE_FTS5",
            Some("math") => "-DSQLITE_ENABLE_MATH_FUNCTIONS",
            Some("rtree") => "-DSQLITE_ENABLE_RTREE",
            _ if word.starts_with("-DSQLITE_") && word != "-DSQLITE_ENABLE_LOAD_EXTENSION" => word,
            _ => continue,
        };
        if !found.iter().any(|one| one == option) {
            found.push(option.to_owned());
        }
    }
    // The source's configure turns these on in every build.
    for default in ["-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_THREADSAFE=1"] {
        if !found.iter().any(|one| one == default) {
            found.push(default.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_distribution() {
        let rules = "export CFLAGS += -O2 \\\n\t-DSQLITE_SECURE_DELETE -DSQLITE_SOUNDEX=1 \\\n\t-DSQLITE_ENABLE_LOAD_EXTENSION\n\
            \t./configure --enable-fts5 --enable-json \\\n";
        assert_eq!(
            options(rules),
            [
                "-DSQLITE_SECURE_DELETE",
                "-DSQLITE_SOUNDEX=1",
                "-DSQLITE_ENABLE_FTS5",
                "-DSQLITE_ENABLE_MATH_FUNCTIONS",
                "-DSQLITE_THREADSAFE=1"
            ]
        );
    }
}

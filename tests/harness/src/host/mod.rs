//! Host unit tests: `cargo test` package by package, counting each test; and checks of the source: dependencies,
//! floors, processor-specific code.

mod architecture;
mod floors;
mod source;

use super::case::{Case, Tally};
use super::context::Context;
use super::process;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One case for each package of the workspace.
pub fn cases(all: &mut Vec<Case>) -> Result<()> {
    for package in packages()? {
        let name = format!("host/{package}");
        all.push(Case::new(name, move |context| test(context, &package)).alone().needs(&[]).limit(1500));
    }
    all.push(Case::new("host/dependencies", |_| dependencies()).needs(&[]));
    all.push(Case::new("host/floors", |_| floors::check()).needs(&[]));
    all.push(Case::new("host/architecture", |_| architecture::check()).needs(&[]));
    Ok(())
}

/// Every dependency is named somewhere in the code of the package that declares it.
fn dependencies() -> Result<Tally> {
    let mut unused = Vec::new();
    for package in metadata()? {
        let manifest = Path::new(package["manifest_path"].as_str().context("a package has no manifest")?);
        let code = code(manifest.parent().context("a manifest lies nowhere")?)?;
        // A dependency compiled for no target is there for its files.
        let compiled = |dependency: &&serde_json::Value| dependency["target"] != "cfg(any())";
        for dependency in package["dependencies"].as_array().into_iter().flatten().filter(compiled) {
            let declared = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap_or_default();
            let name = declared.replace('-', "_");
            let named =
                [format!("{name}::"), format!("use {name};"), format!("use {name} as"), format!("extern crate {name}")];
            if !named.iter().any(|words| has_word(&code, words)) {
                unused.push(format!("{}: {declared}", package["name"].as_str().unwrap_or_default()));
            }
        }
    }
    if unused.is_empty() { Ok(Tally::pass("")) } else { bail!("declared and never used: {}", unused.join(", ")) }
}

/// All Rust code of a package, without comments and without the packages in its folders.
fn code(dir: &Path) -> Result<String> {
    let mut all = String::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.join("Cargo.toml").exists() && !path.ends_with("target") {
            all += &code(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path)?.lines() {
                all.push_str(line.split("//").next().unwrap_or_default());
                all.push('\n');
            }
        }
    }
    Ok(all)
}

/// Whether the code contains `words`, not as the end of a longer name.
fn has_word(code: &str, words: &str) -> bool {
    code.match_indices(words).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn metadata() -> Result<Vec<serde_json::Value>> {
    let project = unibody::paths::project(None)?;
    let mut cargo = process::command("cargo", ["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let found = process::run(cargo.current_dir(&project), b"", Duration::from_secs(120))?.expect(0)?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&found.stdout).context("cargo metadata printed no JSON")?;
    metadata["packages"].as_array().cloned().context("cargo metadata names no packages")
}

fn packages() -> Result<Vec<String>> {
    // libunibody is the kernel as an archive: the packages that it consists of have the tests.
    let tested = |package: &&serde_json::Value| {
        package["targets"].as_array().is_some_and(|all| all.iter().any(|target| target["test"] == true))
    };
    Ok(metadata()?.iter().filter(tested).filter_map(|package| package["name"].as_str().map(str::to_owned)).collect())
}

fn test(context: &Context, package: &str) -> Result<Tally> {
    let mut cargo = process::command("cargo", ["test", "--package", package, "--no-fail-fast"]);
    let done = process::run(cargo.current_dir(&context.project), b"", Duration::from_secs(1400))?;
    let tally = count(&done.out());
    if done.timed_out || (done.status != 0 && tally.failed == 0) {
        bail!("{}", done.report());
    }
    if tally.failed > 0 {
        bail!("{} of {} tests failed\n{}", tally.failed, tally.failed + tally.passed, done.report());
    }
    Ok(tally)
}

/// Adds up the result lines of all test binaries. Ignored tests count as skipped, with the attribute's reason.
fn count(output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines() {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let number = |word: &str| {
                let parts = rest.split([';', '.']).map(str::trim);
                parts.filter_map(|part| part.strip_suffix(word)?.trim().parse::<usize>().ok()).sum::<usize>()
            };
            tally.passed += number("passed");
            tally.failed += number("failed");
        } else if let Some((name, reason)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
        {
            let reason = reason.trim_start_matches([',', ' ']);
            tally.skipped.push(format!("{name}: {}", if reason.is_empty() { "marked as ignored" } else { reason }));
        }
    }
    tally.note = format!("{} tests", tally.passed);
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines() {
        let tally = count(
            "running 3 tests\ntest a::b ... ok\ntest c ... ignored, needs a disk\ntest result: ok. 2 passed; 0 failed; 1 ignored; \
             0 measured; 0 filtered out; finished in 0.01s\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n",
        );
        assert_eq!((tally.passed, tally.failed), (5, 1));
        assert_eq!(tally.skipped, ["c: needs a disk"]);
    }
}

//! The floors of the kernel: a module names only modules on floors below its own.

use super::source;
use crate::case::Tally;
use anyhow::{Context as _, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The only list, from the top down: a floor's name, its modules, what they do.
const LIST: &str = "libos/src/floors.txt";
/// The document that shows the list, between this line and the end of the block.
const DOCUMENT: &str = "docs/ARCHITECTURE.md";
const PICTURE: &str = "libos/src, the top floor first\n";

/// Checks the code against the list, and the list against the document.
pub fn check() -> Result<Tally> {
    let project = unibody::paths::project(None)?;
    let list = fs::read_to_string(project.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let src = project.join("libos/src");
    let house = House::new(&list, &modules(&src)?)?;
    let arrows = arrows(&src, &house)?;
    let mut wrong = house.wrong.clone();
    for ((from, to), places) in &arrows {
        if house.floor(from) <= house.floor(to) {
            wrong.extend(
                places.iter().map(|place| format!("{place}: {from} names {to}, which does not stand below it")),
            );
        }
    }
    wrong.extend(circles(&arrows).into_iter().map(|circle| format!("a circle: {circle}")));
    wrong.extend(headers(&src, &house)?);
    if let Err(e) = picture(&project.join(DOCUMENT), &list) {
        wrong.push(format!("{e:#}"));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(Tally::pass(format!("{} modules, {} arrows down", house.of.len(), arrows.len())))
}

/// Which module is on which floor.
struct House {
    names: Vec<String>,
    /// The floor's number by module, 0 at the top.
    of: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl House {
    fn new(list: &str, modules: &BTreeSet<String>) -> Result<Self> {
        let mut house = House { names: Vec::new(), of: BTreeMap::new(), wrong: Vec::new() };
        for (number, line) in list.lines().enumerate() {
            let (name, rest) = line.split_once(' ').with_context(|| format!("{LIST}: a floor has a name: {line}"))?;
            let (on_it, _) =
                rest.trim_start().split_once("  ").with_context(|| format!("{LIST}: and modules: {line}"))?;
            house.names.push(name.to_owned());
            for module in on_it.split(' ') {
                if !modules.contains(module) {
                    house.wrong.push(format!("{LIST}: there is no module {module}"));
                }
                if house.of.insert(module.to_owned(), number).is_some() {
                    house.wrong.push(format!("{LIST}: {module} stands on two floors"));
                }
            }
        }
        // A module that is not in the list (a component in a file of its own) may name everything, and no module may
        // name it.
        for module in modules {
            house.of.entry(module.clone()).or_insert(0);
        }
        Ok(house)
    }

    /// Counted from the ground: a higher number is higher up.
    fn floor(&self, module: &str) -> usize {
        self.names.len() - self.of[module]
    }
}

/// The modules of the crate's root, found by their files.
fn modules(src: &Path) -> Result<BTreeSet<String>> {
    let files = source::files(src)?;
    Ok(files.iter().map(|file| module(src, file)).filter(|name| name != "lib").collect())
}

fn module(src: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(src).unwrap_or(file);
    let first = inside.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

type Arrows = BTreeMap<(String, String), Vec<String>>;

/// Which module names which, and where.
fn arrows(src: &Path, house: &House) -> Result<Arrows> {
    let mut all = Arrows::new();
    for file in source::files(src)? {
        let from = module(src, &file);
        if from == "lib" {
            continue;
        }
        let inside = file.strip_prefix(src)?;
        let code = source::code(&fs::read_to_string(&file)?);
        for (to, line) in source::named(inside, &code) {
            if to != from && house.of.contains_key(&to) {
                let place = format!("libos/src/{}:{line}", inside.display());
                all.entry((from.clone(), to)).or_default().push(place);
            }
        }
    }
    Ok(all)
}

/// Groups of modules that all reach each other.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reached = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = todo.pop() {
            for (_, to) in arrows.keys().filter(|(here, _)| *here == at) {
                if seen.insert(to.clone()) {
                    todo.push(to.clone());
                }
            }
        }
        seen
    };
    let all: BTreeSet<&String> = arrows.keys().map(|(from, _)| from).collect();
    let reach: BTreeMap<&String, BTreeSet<String>> = all.iter().map(|&from| (from, reached(from))).collect();
    let circle = |from: &String| {
        let both = reach[from].iter().filter(|to| reach.get(to).is_some_and(|back| back.contains(from)));
        both.cloned().collect::<Vec<_>>().join(", ")
    };
    let groups: BTreeSet<String> = all.iter().map(|from| circle(from)).filter(|group| !group.is_empty()).collect();
    groups.into_iter().collect()
}

/// Checks that the first lines of each module say its floor.
fn headers(src: &Path, house: &House) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (module, number) in &house.of {
        let file = [format!("{module}/mod.rs"), format!("{module}.rs")].into_iter().find(|f| src.join(f).exists());
        let file = file.with_context(|| format!("{module} has no file"))?;
        let text = fs::read_to_string(src.join(&file))?;
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let says = format!("Floor: {}.", house.names[*number]);
        // A component in a file of its own need not say one.
        if !header.iter().any(|line| line.contains(&says)) && !text.contains("crate::component!(") {
            wrong.push(format!("libos/src/{file}: its first lines do not say \"{says}\""));
        }
    }
    Ok(wrong)
}

/// Checks that the document shows the list. `UPDATE_DOCS=1` writes it there.
fn picture(document: &Path, list: &str) -> Result<()> {
    let text = fs::read_to_string(document)?;
    let begin = text.find(PICTURE).with_context(|| format!("{DOCUMENT} has no picture of the floors"))? + PICTURE.len();
    let end = begin + text[begin..].find("```").context("the picture of the floors has no end")?;
    if &text[begin..end] == list {
        return Ok(());
    }
    if std::env::var_os("UPDATE_DOCS").is_none() {
        bail!("{DOCUMENT} shows other floors than {LIST}: UPDATE_DOCS=1 writes them");
    }
    Ok(fs::write(document, format!("{}{list}{}", &text[..begin], &text[end..]))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_and_a_way_back_is_needed_for_one() {
        let arrow = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), Vec::new());
        let all = Arrows::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d")]);
        assert_eq!(circles(&all), ["a, b, c"]);
        assert!(circles(&Arrows::from([arrow("a", "b"), arrow("a", "c"), arrow("b", "c")])).is_empty());
    }

    #[test]
    fn what_is_not_listed_stands_at_the_top() {
        let modules = BTreeSet::from(["low", "high", "new"].map(str::to_owned));
        let house = House::new("top  high  x\nground  low  y\n", &modules).unwrap();
        assert!(house.wrong.is_empty() && house.floor("high") > house.floor("low"));
        assert_eq!(house.floor("new"), house.floor("high"));
    }
}

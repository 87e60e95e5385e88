//! Rust source for these checks: the code without comments, and the paths that it names.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files below a folder that are built into the kernel, sorted: no tests.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    collect(dir, &mut all)?;
    all.sort();
    Ok(all)
}

fn collect(dir: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "target" {
                collect(&path, all)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            all.push(path);
        }
    }
    Ok(())
}

/// The text with comments blanked, line by line as it was, up to its tests.
pub fn code(text: &str) -> String {
    let text = text.find("\n#[cfg(test)]\nmod tests").map_or(text, |at| &text[..at]);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else {
            let len = literal(rest).unwrap_or(c.len_utf8());
            out.push_str(&rest[..len]);
            rest = &rest[len..];
            continue;
        };
        out.extend(rest[..len].chars().filter(|&c| c == '\n'));
        rest = &rest[len..];
    }
    out
}

/// The length of the string or character literal that begins here.
fn literal(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let body = 1 + hashes + 1;
        return text[body..].find(&end).map(|at| body + at + end.len());
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            _ if c == quote => return Some(at + 1),
            // A lifetime.
            _ if quote == '\'' && at > 1 && !text[1..].starts_with('\\') => return None,
            _ => {}
        }
    }
    None
}

/// The modules of the crate's root that the code of the file `path` (in the crate's `src`) names, each with its line.
pub fn named(path: &Path, code: &str) -> Vec<(String, usize)> {
    let parts = path.components().count();
    let depth = if path.ends_with("mod.rs") { parts - 1 } else { parts };
    let to_root = format!("{}::", vec!["super"; depth].join("::"));
    let mut all = Vec::new();
    for start in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
                continue;
            }
            let after = at + start.len();
            // A longer chain of `super` leaves the crate, or begins in a module inside the file.
            for (name, offset) in heads(&code[after..]).into_iter().filter(|(name, _)| name != "super") {
                all.push((name, code[..after + offset].matches('\n').count() + 1));
            }
        }
    }
    all
}

/// The first names of a path or of a group of paths, except macros.
fn heads(text: &str) -> Vec<(String, usize)> {
    let word = |at: usize| text[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !text.starts_with('{') {
        let name = word(0);
        let is_macro = text[name.len()..].starts_with('!');
        return if is_macro { Vec::new() } else { vec![(name, 0)] };
    }
    let (mut all, mut depth, mut fresh) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' => (depth, fresh) = (depth + 1, depth == 0),
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => fresh = depth == 1,
            c if c.is_alphanumeric() && fresh => {
                all.push((word(at), at));
                fresh = false;
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let text =
            "a // b\n/* c\n */ d \"// e\" 'f' '\\'' fn g<'h>(i: &'h str) r#\"/* j\"#;\n#[cfg(test)]\nmod tests { k }\n";
        assert_eq!(code(text), "a \n\n d \"// e\" 'f' '\\'' fn g<'h>(i: &'h str) r#\"/* j\"#;");
    }

    #[test]
    fn paths_are_found_with_their_lines() {
        let code = "use crate::a::{b, c};\nuse crate::{\n    d::{e, f},\n    g as h,\n};\n$crate::i!(); crate::j!(x);\nsuper::k(); super::super::l();\n";
        let names = |path: &str| {
            let found = named(Path::new(path), code).into_iter();
            found.map(|(name, line)| format!("{name}:{line}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("m/n.rs"), "a:1 d:3 g:4 l:7");
        assert_eq!(names("m/mod.rs"), "a:1 d:3 g:4 k:7");
    }
}

//! Undefined symbols, reported in one message instead of one line per use.

use std::collections::{BTreeMap, BTreeSet};

/// Splits the linker's output into missing names (with their users) and everything else.
pub fn split(said: &str) -> (BTreeMap<String, BTreeSet<String>>, String) {
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut function, mut rest) = (String::new(), String::new());
    for line in said.lines() {
        if let Some((before, name)) = quoted(line, "in function `") {
            let file = before.rsplit("ld: ").next().unwrap_or(before).trim_end_matches([':', ' ']);
            function = format!("{name} ({})", short(file));
        } else if let Some((before, name)) =
            quoted(line, "undefined reference to `").or_else(|| quoted(line, "undefined references to `"))
        {
            let users = missing.entry(name.to_owned()).or_default();
            let place = before.rsplit("ld: ").next().unwrap_or(before);
            let in_data = place.split_once(":(").filter(|(_, s)| !s.starts_with(".text"));
            match in_data {
                Some((file, _)) => users.insert(short(file).to_owned()),
                None if function.is_empty() => false,
                None => users.insert(function.clone()),
            };
        } else if let Some((_, name)) = quoted(line, "hidden symbol `") {
            missing.entry(name.to_owned()).or_default();
        } else if !(line.contains("collect2: error: ld returned") || line.contains("final link failed")) {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    (missing, rest)
}

pub fn describe(missing: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut text = match missing.len() {
        1 => "1 name is used and exists nowhere:".to_owned(),
        n => format!("{n} names are used and exist nowhere:"),
    };
    for (name, users) in missing {
        text.push_str("\n  ");
        text.push_str(name);
        if let Some(first) = users.first() {
            text.push_str(&format!("  used by {first}"));
            if users.len() > 1 {
                text.push_str(&format!(" and {} more", users.len() - 1));
            }
        }
    }
    text
}

fn quoted<'a>(line: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    let at = line.find(before)?;
    let name = line[at + before.len()..].split('\'').next()?;
    Some((&line[..at], name))
}

fn short(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message() {
        let said = "/usr/bin/ld: /tmp/a.o: in function `main':\na.c:(.text.main+0x5): undefined reference to `foo'\n\
                    /usr/bin/ld: a.c:(.text.main+0xa): undefined reference to `bar'\n\
                    /usr/bin/ld: b.o:(.data+0x0): undefined reference to `foo'\n\
                    a.c: warning: this stays\ncollect2: error: ld returned 1 exit status\n";
        let (missing, rest) = split(said);
        assert_eq!(missing.keys().collect::<Vec<_>>(), ["bar", "foo"]);
        assert_eq!(rest, "a.c: warning: this stays\n");
        let text = describe(&missing);
        assert!(
            text.contains("2 names")
                && text.contains("bar  used by main (a.o)")
                && text.contains("foo  used by b.o and 1 more"),
            "{text}"
        );
    }
}

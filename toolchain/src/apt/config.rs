//! The machine's apt configuration, turned into one of our own: the same mirrors, keys, proxies and credentials, but
//! one kind of package (`deb` or `deb-src`), private folders, and no hooks that need root.

/// Entries of a one-line list, as `kind`.
pub fn one_line(text: &str, kind: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default().trim();
            let rest = line.strip_prefix("deb-src").or_else(|| line.strip_prefix("deb"))?;
            let usable = rest.starts_with([' ', '\t', '[']) && !rest.contains("cdrom:");
            usable.then(|| format!("{kind} {}", rest.trim()))
        })
        .collect()
}

/// Stanzas of a deb822 file, as `kind`. Continuation lines (suites, embedded keys) stay with their field.
pub fn deb822(text: &str, kind: &str) -> Vec<String> {
    let mut stanzas = vec![Vec::new()];
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if let Some(stanza) = stanzas.last_mut() {
            stanza.push(line);
        }
    }
    stanzas.iter().filter_map(|s| stanza(s, kind)).collect()
}

fn stanza(lines: &[&str], kind: &str) -> Option<String> {
    let value = |name: &str| {
        lines.iter().find_map(|l| {
            let (key, value) = l.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let enabled =
        !matches!(value("Enabled").map(str::to_ascii_lowercase).as_deref(), Some("no" | "false" | "0" | "off"));
    value("Types").filter(|_| enabled)?;
    if value("URIs").is_some_and(|u| u.contains("cdrom:")) {
        return None;
    }
    let is = |l: &str, name: &str| l.split(':').next().is_some_and(|k| k.eq_ignore_ascii_case(name));
    let rest = lines.iter().filter(|l| !is(l, "Types"));
    let types = format!("Types: {kind}");
    Some(std::iter::once(types.as_str()).chain(rest.copied()).collect::<Vec<_>>().join("\n"))
}

/// The output of `apt-config dump`, without hooks and without paths that only root may write to.
pub fn without_hooks(dump: &str) -> String {
    const LEFT_OUT: [&str; 9] = [
        "APT::Update::",
        "APT::Sandbox",
        "APT::Architectures",
        "DPkg",
        "Dir::State",
        "Dir::Cache",
        "Dir::Log",
        "Dir::Etc::source",
        "Dir::Etc::main",
    ];
    let keep = |line: &&str| {
        let key = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        !key.is_empty()
            && !key.starts_with("dir::etc::parts")
            && !LEFT_OUT.iter().any(|p| key.starts_with(&p.to_ascii_lowercase()))
    };
    dump.lines().filter(keep).map(|l| format!("{l}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let text = "# deb http://no no main\ndeb [signed-by=/k] http://a/debian bookworm main # x\ndeb-src http://b c d\ndeb cdrom:[x]/ y z\nfoo\n";
        assert_eq!(
            one_line(text, "deb-src"),
            ["deb-src [signed-by=/k] http://a/debian bookworm main", "deb-src http://b c d"]
        );
        assert_eq!(one_line("deb http://a b c", "deb"), ["deb http://a b c"]);
    }

    #[test]
    fn stanzas() {
        let text = "Types: deb\n# a comment\nURIs: http://a\nSuites: x\n  y\nSigned-By:\n -----BEGIN\n .\n abc\n\nTypes: deb\nEnabled: no\nURIs: http://b\n\n\n";
        assert_eq!(
            deb822(text, "deb-src"),
            ["Types: deb-src\nURIs: http://a\nSuites: x\n  y\nSigned-By:\n -----BEGIN\n .\n abc"]
        );
    }

    #[test]
    fn hooks_go_and_proxies_stay() {
        let dump = "Acquire::http::Proxy \"http://p:1\";\nAPT::Update::Post-Invoke:: \"rm x\";\nDir::State::lists \"lists/\";\nDir::Etc::trusted \"trusted.gpg\";\n";
        assert_eq!(without_hooks(dump), "Acquire::http::Proxy \"http://p:1\";\nDir::Etc::trusted \"trusted.gpg\";\n");
    }
}

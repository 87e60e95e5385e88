//! `docs/SUPPORT.md` is generated from the table: `UPDATE_DOCS=1 cargo test -p libos-abi support_matrix` writes it.

use libos_abi::table::CALLS;
use libos_abi::{Errno, Support};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// The test programs.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/programs");

/// For every call the programs that show it: those whose source says `//@ shows CALL...`.
fn shown() -> BTreeMap<String, Vec<String>> {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(PROGRAMS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).unwrap();
        for call in source.lines().filter_map(|line| line.strip_prefix("//@ shows ")).flat_map(str::split_whitespace) {
            shown.entry(call.to_owned()).or_default().push(format!("`{name}`"));
        }
    }
    shown.values_mut().for_each(|by| by.sort());
    shown
}

fn matrix() -> String {
    let shown = shown();
    let by = |call: &str| shown.get(call).map_or(String::new(), |by| by.join(", "));
    let count = |f: fn(&Support) -> bool| CALLS.iter().filter(|r| f(&r.support)).count();
    let mut out = String::from(
        "# Supported system calls\n\nGenerated from `libos/abi/src/table.rs`; do not edit. Numbers are Linux's (x86-64). A call \
         that is not listed fails with ENOSYS and is named once in the kernel log. A refused call fails in the same way when \
         the image runs as a Linux process; the test `support/refused` makes each of them in both lives. The last column \
         names a program in `tests/programs` that makes the call as a Linux process and as a VM, with the same results: \
         `cargo unibody test program/NAME`.\n\n",
    );
    let _ = writeln!(
        out,
        "{} calls: {} full, {} partial, {} refused.\n",
        CALLS.len(),
        count(|s| *s == Support::Full),
        count(|s| matches!(s, Support::Partial(_))),
        count(|s| matches!(s, Support::Refused(..))),
    );
    out.push_str("| number | call | support | what is missing | shown by |\n|---|---|---|---|---|\n");
    let mut refusals: Vec<(Errno, &str, Vec<String>)> = Vec::new();
    for r in CALLS {
        let _ = match r.support {
            Support::Full => writeln!(out, "| {} | `{}` | full | | {} |", r.number, r.name, by(r.name)),
            Support::Partial(why) => {
                writeln!(out, "| {} | `{}` | partial | {why} | {} |", r.number, r.name, by(r.name))
            }
            Support::Refused(e, why) => {
                let call = format!("`{}` ({})", r.name, r.number);
                match refusals.iter_mut().find(|other| (other.0, other.1) == (e, why)) {
                    Some((_, _, calls)) => calls.push(call),
                    None => refusals.push((e, why, vec![call])),
                }
                Ok(())
            }
        };
    }
    out.push_str("\n## Refused\n\n| with | because | calls |\n|---|---|---|\n");
    for (e, why, calls) in refusals {
        let _ = writeln!(out, "| {e} | {why} | {} |", calls.join(", "));
    }
    out
}

#[test]
fn page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SUPPORT.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, matrix()).unwrap();
    }
    let page = fs::read_to_string(path).unwrap_or_default();
    assert!(page == matrix(), "docs/SUPPORT.md is stale: UPDATE_DOCS=1 cargo test -p libos-abi support_matrix");
}

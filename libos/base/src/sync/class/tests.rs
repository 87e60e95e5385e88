use super::*;
use std::fmt::Write;

#[test]
fn blocking_locks_come_first_and_those_without_interrupts_last() {
    assert!(LIST.is_sorted_by_key(|line| line.kind));
    assert!(LIST.len() < 256 && LIST.iter().all(|line| !line.why.is_empty()));
}

const BEGIN: &str = "```text\nlocks, outermost first\n";

/// The list as `docs/ARCHITECTURE.md` shows it: a line for each part, with what may be taken under what.
fn tree() -> String {
    let mut out = String::from(BEGIN);
    let mut kind = None;
    for part in LIST.chunk_by(|a, b| (a.kind, a.part) == (b.kind, b.part)) {
        let first = &part[0];
        if kind.replace(first.kind) != Some(first.kind) {
            let _ = writeln!(
                out,
                "{}",
                match first.kind {
                    Kind::Blocking => "a thread may sleep while it holds or wants them (Mutex)",
                    Kind::Spin => "spin locks; interrupts stay on (SpinLock)",
                    Kind::Irq => "spin locks; interrupts are off (IrqSpinLock)",
                }
            );
        }
        let mut line = format!("  {:<18}", first.part);
        for class in part {
            if line.len() + class.name.len() > 112 {
                let _ = writeln!(out, "{}", line.trim_end());
                line = " ".repeat(20);
            }
            let _ = write!(line, " > {}", class.name);
        }
        let _ = writeln!(out, "{line}");
    }
    out + "```\n"
}

/// `UPDATE_DOCS=1 cargo test -p libos-base tree` writes it.
#[test]
fn the_tree_on_the_page_is_the_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ARCHITECTURE.md");
    let page = std::fs::read_to_string(path).unwrap();
    let begin = page.find(BEGIN).expect("docs/ARCHITECTURE.md has the tree of locks");
    let end = begin + page[begin..].find("\n```\n").expect("it ends") + 5;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, [&page[..begin], &tree(), &page[end..]].concat()).unwrap();
    } else {
        assert!(page[begin..end] == tree(), "stale: UPDATE_DOCS=1 cargo test -p libos-base tree");
    }
}

//! Names of system calls, from the kernel's one table.

use std::collections::BTreeMap;

/// The table's source: what the kernel is built from is what is shown, nothing is kept twice.
const TABLE: &str = include_str!("../../../libos/src/syscall/table.rs");

/// Name and support level (`full`, `partial` or `refused ERRNO`) by number.
pub fn table() -> BTreeMap<u32, (&'static str, String)> {
    TABLE.lines().filter_map(row).collect()
}

/// `0 read(fd: Fd, ...) => file::read, full;`
fn row(line: &'static str) -> Option<(u32, (&'static str, String))> {
    let (number, rest) = line.trim_start().split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (_, handler) = rest.split_once("=>")?;
    let handler = handler.trim().trim_end_matches(';');
    let level = match handler.strip_prefix("refused ") {
        Some(rest) => format!("refused {}", rest.split([' ', ';']).next()?),
        None => handler.split_once(',')?.1.trim().split([' ', ';']).next()?.to_owned(),
    };
    Some((number.parse().ok()?, (name, level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_understood() {
        let table = table();
        assert_eq!(table.get(&9).map(|(name, _)| *name), Some("mmap"));
        let rows = TABLE.lines().filter(|line| line.contains("=>") && !line.trim_start().starts_with("//"));
        assert_eq!(rows.count(), table.len());
        let levels = table.values().map(|(_, level)| level.as_str());
        for level in levels {
            assert!(matches!(level, "full" | "partial") || level.starts_with("refused E"), "{level}");
        }
    }
}

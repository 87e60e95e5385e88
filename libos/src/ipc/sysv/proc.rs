//! `/proc/sysvipc`, and the limits in `/proc/sys/kernel` (sysvipc(7), proc(5)).

use alloc::vec::Vec;
use libos_base::sync::Provider;
use libos_fs::procfs::{More, Node, ROOT};
use libos_fs::util::Text;

/// The files of the kinds that are linked.
pub static LISTS: Provider<More> = Provider::new();
static FOLDER: More = More::new(&[("sysvipc", Node::Open(&[], &LISTS))]);

/// Shows a kind's list.
pub fn show(list: &'static More) {
    FOLDER.add_to(&ROOT);
    list.add_to(&LISTS);
}

/// A table: its heading, whose columns say how wide they are, and the rows.
pub fn table<const N: usize>(heading: &str, widths: &[usize; N], rows: impl Iterator<Item = [i64; N]>) -> Vec<u8> {
    let heading = Text::new().s(heading).s("\n");
    rows.fold(heading, |mut t, row| {
        for (i, (value, width)) in row.into_iter().zip(widths).enumerate() {
            let text = number(value);
            t = t.s(if i > 0 { " " } else { "" }).s(" ".repeat(width.saturating_sub(text.0.len()))).s(text.0);
        }
        t.s("\n")
    })
    .0
}

fn number(v: i64) -> Text {
    Text::new().s(if v < 0 { "-" } else { "" }).n(v.unsigned_abs())
}

/// A mode in octal digits, as a number that is printed in decimal ones.
pub fn octal(mode: u32) -> i64 {
    let digit = |shift: u32| i64::from(mode >> shift & 7);
    digit(9) * 1000 + digit(6) * 100 + digit(3) * 10 + digit(0)
}

/// A limit that is shown and set: the name in `/proc/sys/kernel`, the atomic, and what it may be.
macro_rules! setting {
    ($name:literal, $of:ident, $range:expr) => {
        (
            $name,
            libos_fs::procfs::Node::Setting(
                || $of.load(core::sync::atomic::Ordering::Relaxed) as u64,
                |v| {
                    if !$range.contains(&v) {
                        return Err(libos_base::Errno::EINVAL);
                    }
                    $of.store(v as _, core::sync::atomic::Ordering::Relaxed);
                    Ok(())
                },
            ),
        )
    };
}
pub(super) use setting;

#[cfg(test)]
#[test]
fn rows_are_aligned() {
    let rows = [[-7, octal(0o640)], [123, octal(0o1777)]];
    assert_eq!(table("h", &[4, 5], rows.into_iter()), b"h\n  -7   640\n 123  1777\n");
}

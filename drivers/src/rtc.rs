//! The CMOS real-time clock (MC146818), in UTC as virtual machine monitors set it.

use crate::port;

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const UPDATING: u8 = 0x80;
const B_BINARY: u8 = 0x04;
const B_24H: u8 = 0x02;
const PM: u8 = 0x80;
/// An update takes 2 ms at most; a read of the register about a microsecond.
const PATIENCE: u32 = 100_000;

fn cmos(reg: u8) -> u8 {
    // SAFETY: reading the clock's registers changes nothing but the index.
    unsafe {
        port::out8(INDEX, reg);
        port::in8(DATA)
    }
}

/// Registers of one reading: second, minute, hour, day, month, year, century (0: unknown).
type Raw = [u8; 7];

fn stable(century: u8, read: &mut dyn FnMut(u8) -> u8) -> Option<Raw> {
    let once = |read: &mut dyn FnMut(u8) -> u8| -> Option<Raw> {
        let mut left = PATIENCE;
        while read(STATUS_A) & UPDATING != 0 {
            left = left.checked_sub(1)?;
        }
        let c = if century == 0 { 0 } else { read(century) };
        Some([read(0), read(2), read(4), read(7), read(8), read(9), c])
    };
    // Two equal readings: no update came in between.
    let mut last = once(read)?;
    for _ in 0..5 {
        let now = once(read)?;
        if now == last {
            return Some(now);
        }
        last = now;
    }
    None
}

fn decode(raw: Raw, status_b: u8) -> Option<u64> {
    let number = |v: u8| if status_b & B_BINARY != 0 { v } else { (v >> 4) * 10 + (v & 15) };
    let pm = status_b & B_24H == 0 && raw[2] & PM != 0;
    let mut hour = number(if status_b & B_24H == 0 { raw[2] & !PM } else { raw[2] });
    if status_b & B_24H == 0 {
        hour = hour % 12 + if pm { 12 } else { 0 };
    }
    let (second, minute, day, month) = (number(raw[0]), number(raw[1]), number(raw[3]), number(raw[4]));
    let century = number(raw[6]);
    let year = u64::from(number(raw[5])) + if (19..=30).contains(&century) { u64::from(century) * 100 } else { 2000 };
    if second > 60 || minute > 59 || hour > 23 || !(1..=31).contains(&day) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_since_epoch(year, month.into(), day.into())?;
    Some(days * 86400 + u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second))
}

fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that start in March put the leap day last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

/// Seconds since the Unix epoch; `None` without a clock. `century` is the FADT's register index (0: assume 20xx).
pub fn read_unix_seconds(century: u8) -> Option<u64> {
    // With nothing behind the ports, reads are all ones, which no real clock returns for these.
    if cmos(STATUS_A) == 0xff && cmos(STATUS_B) == 0xff {
        return None;
    }
    let raw = stable(century, &mut cmos)?;
    decode(raw, cmos(STATUS_B))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(days_since_epoch(1970, 1, 1), Some(0));
        assert_eq!(days_since_epoch(2000, 3, 1), Some(11017));
        assert_eq!(days_since_epoch(2024, 2, 29), Some(19782));
        assert_eq!(days_since_epoch(1969, 12, 31), None);
    }

    #[test]
    fn formats() {
        let want = Some(1_709_210_096); // 2024-02-29 12:34:56
        assert_eq!(decode([0x56, 0x34, 0x12, 0x29, 0x02, 0x24, 0x20], B_24H), want);
        assert_eq!(decode([56, 34, 12, 29, 2, 24, 20], B_24H | B_BINARY), want);
        assert_eq!(decode([0x56, 0x34, 0x12 | PM, 0x29, 0x02, 0x24, 0], 0), want);
        assert_eq!(decode([0x56, 0x34, 0x12, 0x29, 0x02, 0x24, 0], 0), want.map(|w| w - 12 * 3600), "12 AM");
        assert_eq!(decode([0xff; 7], B_24H), None);
    }

    #[test]
    fn torn_reading_is_repeated() {
        let mut n = 0;
        let mut read = |reg: u8| {
            n += 1;
            match reg {
                STATUS_A => 0,
                0 if n < 4 => 59, // first pass: before the update
                0 => 0,
                _ => 1,
            }
        };
        assert_eq!(stable(0, &mut read).map(|r| r[0]), Some(0));
        let mut never = |_: u8| UPDATING;
        assert_eq!(stable(0, &mut never), None);
    }
}

//! Sizes, as options spell them.

use unibody_proto::number;

/// A size of memory or of a disk: a plain number means MiB.
pub fn parse(text: &str) -> Result<u64, String> {
    let bytes = match number::decimal(text.as_bytes()) {
        Some(mebibytes) => mebibytes.checked_mul(1 << 20),
        None => number::size(text.as_bytes()),
    };
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "expected a size like 64M or 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse("64M"), Ok(64 << 20));
        assert_eq!(parse("64"), Ok(64 << 20));
        assert_eq!(parse("5000K"), Ok(5000 << 10));
        for bad in ["", "0", "M", "lots", "-5M", "99999999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! `--ulimit NAME=SOFT[:HARD]`.

use anyhow::{Context, Result};
use nix::sys::resource::Resource::{self, *};
use nix::sys::resource::setrlimit;
use unibody_proto::number::decimal;
use unibody_proto::rlimit::{Rlimit, UNLIMITED};

const NAMES: [(&str, Resource); 16] = [
    ("as", RLIMIT_AS),
    ("core", RLIMIT_CORE),
    ("cpu", RLIMIT_CPU),
    ("data", RLIMIT_DATA),
    ("fsize", RLIMIT_FSIZE),
    ("locks", RLIMIT_LOCKS),
    ("memlock", RLIMIT_MEMLOCK),
    ("msgqueue", RLIMIT_MSGQUEUE),
    ("nice", RLIMIT_NICE),
    ("nofile", RLIMIT_NOFILE),
    ("nproc", RLIMIT_NPROC),
    ("rss", RLIMIT_RSS),
    ("rtprio", RLIMIT_RTPRIO),
    ("rttime", RLIMIT_RTTIME),
    ("sigpending", RLIMIT_SIGPENDING),
    ("stack", RLIMIT_STACK),
];

/// The most descriptors: fs.nr_open.
const NOFILE_MAX: u64 = 1 << 20;

/// Reads the option; returns it as the guest's parameter. Numbers count what setrlimit(2) counts; `unlimited` and `-1`
/// are no limit.
pub fn parse(text: &str) -> Result<String, String> {
    let (name, values) = text.split_once('=').ok_or("expected NAME=SOFT[:HARD]")?;
    let known = NAMES.iter().find(|(known, _)| *known == name);
    let (_, which) = known.ok_or_else(|| format!("the limits are {}", NAMES.map(|(name, _)| name).join(", ")))?;
    let value = |text: &str| match text {
        "unlimited" | "-1" => Ok(UNLIMITED),
        text => decimal(text.as_bytes()).ok_or_else(|| format!("{text:?} is neither a number nor \"unlimited\"")),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        return Err("the soft limit exceeds the hard one".to_owned());
    }
    if name == "nofile" && hard > NOFILE_MAX {
        return Err(format!("at most {NOFILE_MAX} descriptors"));
    }
    Ok(format!("{}:{soft}:{hard}", *which as u32))
}

/// Sets a limit of this process, for the program that it will become.
pub fn apply(parameter: &str) -> Result<()> {
    let limit = Rlimit::parse(parameter.as_bytes()).context("a malformed limit")?;
    let known = NAMES.iter().find(|(_, which)| *which as u32 == limit.which);
    let (name, which) = known.context("an unknown limit")?;
    setrlimit(*which, limit.soft, limit.hard).with_context(|| format!("--ulimit {name}: this system refuses it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let good = |text| parse(text).unwrap();
        assert_eq!(good("nofile=10000"), "7:10000:10000");
        assert_eq!(good("nofile=1024:1048576"), "7:1024:1048576");
        assert_eq!(good("core=0:unlimited"), format!("4:0:{UNLIMITED}"));
        assert_eq!(good("rttime=-1"), format!("15:{UNLIMITED}:{UNLIMITED}"));
        for bad in ["", "nofile", "nofile=", "nofile=ten", "nofile=2:1", "nofile=1048577", "files=1", "nofile=1:2:3"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

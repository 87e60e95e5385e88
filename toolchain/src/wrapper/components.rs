//! Kernel components that an image can do without: the kernel provides their names.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// Prefix of the symbols of those components.
pub const SYMBOL: &str = "libos_component_";
/// The file in the sysroot with their names.
pub const LIST: &str = "share/unibody/components";
/// Names the components to leave out, separated by commas.
pub const WITHOUT: &str = "UNIBODY_WITHOUT";

/// Their names.
pub fn optional(sysroot: &Path) -> Result<Vec<String>> {
    let names = std::fs::read_to_string(sysroot.join(LIST)).context("the sysroot has no list of components")?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Linker arguments that leave out what [`WITHOUT`] names.
pub fn absent(sysroot: &Path) -> Result<Vec<String>> {
    let named = std::env::var(WITHOUT).unwrap_or_default();
    let known = optional(sysroot)?;
    let absent = |name: &str| {
        if !known.iter().any(|k| k == name) {
            bail!("{WITHOUT} names '{name}'; what can be left out is: {}", known.join(", "));
        }
        Ok(format!("-Wl,--defsym={SYMBOL}{name}=libos_no_component"))
    };
    named.split(',').filter(|name| !name.is_empty()).map(absent).collect()
}

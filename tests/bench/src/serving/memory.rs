//! The least memory with which a guest serves.

use super::{Guests, PATIENCE, Service};
use crate::guest::Side;
use crate::machine::Machine;
use anyhow::{Context, Result};
use std::time::Duration;
use unibody::progress;

/// A guest with less than it needs is often silent, so most are not waited for as long as one that must answer.
const LESS_PATIENCE: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;
/// The most that is tried.
const MOST: u64 = 256;

/// Megabytes with which all requests are answered, one less not being enough.
pub fn least<S: Service>(service: &S, guests: &Guests, side: Side) -> Result<f64> {
    let (mut too_little, mut enough) = (0, MOST);
    serves(service, guests, side, enough, PATIENCE).context("it does not serve with the most memory")?;
    while enough - too_little > 1 {
        let tried = u64::midpoint(too_little, enough);
        if progress::step(&format!("{tried} MiB"), || Ok(serves(service, guests, side, tried, LESS_PATIENCE).is_ok()))?
        {
            enough = tried;
        } else {
            too_little = tried;
        }
    }
    Ok(enough as f64)
}

fn serves<S: Service>(service: &S, guests: &Guests, side: Side, megabytes: u64, patience: Duration) -> Result<()> {
    let guest = guests.guest(side, &Machine { memory: megabytes * MIB, ..guests.machine.clone() })?;
    let (mut live, _) = guests.boot(&guest, patience)?;
    service.few(&guests.network, &mut live)
}

//! How capabilities change (capset(2), prctl(2)).

use libos_base::abi::{CapAmbient, SecureBits};
use libos_base::cred::{Credentials, cap};
use libos_base::{Errno, Result};

/// The sets that `capset` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

fn within(set: u64, of: u64) -> Result<()> {
    if set & !of == 0 { Ok(()) } else { Err(Errno::EPERM) }
}

/// `capset`.
pub fn set(c: &mut Credentials, new: Sets) -> Result<()> {
    let Sets { effective, permitted, inheritable } = new;
    let old = c.caps;
    if !c.capable(cap::SETPCAP) {
        within(inheritable, old.inheritable | old.permitted())?;
    }
    within(inheritable, old.inheritable | old.bounding())?;
    within(permitted, old.permitted())?;
    within(effective, permitted)?;
    c.caps.set_effective(effective);
    c.caps.set_permitted(permitted);
    c.caps.inheritable = inheritable;
    c.caps.ambient &= permitted & inheritable;
    Ok(())
}

fn bit(which: usize) -> Result<u64> {
    if which <= cap::LAST as usize { Ok(1 << which) } else { Err(Errno::EINVAL) }
}

/// PR_CAPBSET_READ.
pub fn in_bounding(c: &Credentials, which: usize) -> Result<usize> {
    Ok(usize::from(c.caps.bounding() & bit(which)? != 0))
}

/// PR_CAPBSET_DROP.
pub fn drop_bounding(c: &mut Credentials, which: usize) -> Result<()> {
    if !c.capable(cap::SETPCAP) {
        return Err(Errno::EPERM);
    }
    c.caps.set_bounding(c.caps.bounding() & !bit(which)?);
    Ok(())
}

/// PR_SET_KEEPCAPS.
pub fn keep(c: &mut Credentials, on: usize) -> Result<()> {
    match on {
        0 | 1 if c.securebits.contains(SecureBits::KEEP_CAPS_LOCKED) => return Err(Errno::EPERM),
        0 | 1 => c.securebits.set(SecureBits::KEEP_CAPS, on == 1),
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// PR_SET_SECUREBITS: locked bits stay.
pub fn secure(c: &mut Credentials, bits: usize) -> Result<()> {
    const LOCKS: SecureBits = SecureBits::from_bits_retain(0xaa);
    let new = u32::try_from(bits).ok().and_then(SecureBits::from_bits).ok_or(Errno::EPERM)?;
    let locks = c.securebits & LOCKS;
    let breaks = (locks.bits() >> 1) & (c.securebits ^ new).bits() != 0 || !new.contains(locks);
    if breaks || !c.capable(cap::SETPCAP) {
        return Err(Errno::EPERM);
    }
    c.securebits = new;
    Ok(())
}

/// PR_CAP_AMBIENT.
pub fn ambient(c: &mut Credentials, what: usize, which: usize, rest: [usize; 2]) -> Result<usize> {
    let what = CapAmbient(u32::try_from(what).map_err(|_| Errno::EINVAL)?);
    if rest != [0; 2] || what == CapAmbient::CLEAR_ALL && which != 0 {
        return Err(Errno::EINVAL);
    }
    let bit = bit(which)?;
    match what {
        CapAmbient::CLEAR_ALL => c.caps.ambient = 0,
        CapAmbient::IS_SET => return Ok(usize::from(c.caps.ambient & bit != 0)),
        CapAmbient::RAISE => {
            within(bit, c.caps.permitted() & c.caps.inheritable)?;
            if c.securebits.contains(SecureBits::NO_CAP_AMBIENT_RAISE) {
                return Err(Errno::EPERM);
            }
            c.caps.ambient |= bit;
        }
        CapAmbient::LOWER => c.caps.ambient &= !bit,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_does_not_come_back() {
        let mut c = Credentials::default();
        let some =
            Sets { effective: 1 << cap::NET_BIND_SERVICE, permitted: 1 << cap::NET_BIND_SERVICE, inheritable: 0 };
        set(&mut c, some).unwrap();
        assert!(c.capable(cap::NET_BIND_SERVICE) && !c.capable(cap::CHOWN));
        assert_eq!(set(&mut c, Sets { permitted: cap::ALL, ..some }), Err(Errno::EPERM));
        assert_eq!(set(&mut c, Sets { effective: 1, ..some }), Err(Errno::EPERM));
        assert_eq!(set(&mut c, Sets { inheritable: 1, ..some }), Err(Errno::EPERM));
        assert_eq!(drop_bounding(&mut c, 0), Err(Errno::EPERM));
    }

    #[test]
    fn locked_bits_stay() {
        let mut c = Credentials::default();
        secure(&mut c, (SecureBits::KEEP_CAPS | SecureBits::KEEP_CAPS_LOCKED).bits() as usize).unwrap();
        assert_eq!(keep(&mut c, 0), Err(Errno::EPERM));
        assert_eq!(secure(&mut c, 0), Err(Errno::EPERM));
    }
}

//! `prctl`: what the process declares about itself, and what it gives up.

use crate::process::capset;
use crate::sched::current;
use core::sync::atomic::{AtomicI32, Ordering::*};
use libos_base::abi::{PrctlArgument, PrctlMore, PrctlOption, SecureBits};
use libos_base::cred::{self, Credentials};
use libos_base::{Errno, Result, user};

static PDEATHSIG: AtomicI32 = AtomicI32::new(0);

pub fn prctl(option: PrctlOption, a: PrctlArgument, b: PrctlMore, c: PrctlMore, d: PrctlMore) -> Result<usize> {
    match option {
        PrctlOption::SET_NAME => {
            let mut name = [0u8; 16];
            // Up to the terminator, which may be the last mapped byte.
            for (i, slot) in name.iter_mut().enumerate().take(15) {
                *slot = user::read(a.to::<u8>().nth(i))?;
                if *slot == 0 {
                    break;
                }
            }
            current().set_name(&name);
        }
        PrctlOption::GET_NAME => user::write(a.to(), &current().name())?,
        // There is no parent to die.
        PrctlOption::SET_PDEATHSIG if a.0 <= 64 => PDEATHSIG.store(a.0 as i32, Relaxed),
        PrctlOption::GET_PDEATHSIG => user::write(a.to(), &PDEATHSIG.load(Relaxed))?,
        // None of these changes what is allowed now, so no program links the rules because of them.
        _ => return cred::change(|now| of_credentials(now, option, [a.0, b.0, c.0, d.0])),
    }
    Ok(0)
}

fn of_credentials(now: &mut Credentials, option: PrctlOption, arguments: [usize; 4]) -> Result<usize> {
    let [a, b, c, d] = arguments;
    match option {
        // Whatever this says, no core is ever written and nobody can attach; it decides who owns the files of
        // /proc/self.
        PrctlOption::SET_DUMPABLE if a <= 1 => now.undumpable = a == 0,
        PrctlOption::GET_DUMPABLE => return Ok(usize::from(!now.undumpable)),
        // Nothing is ever executed that could gain privileges.
        PrctlOption::SET_NO_NEW_PRIVS if arguments == [1, 0, 0, 0] => now.no_new_privileges = true,
        PrctlOption::GET_NO_NEW_PRIVS if arguments == [0; 4] => return Ok(usize::from(now.no_new_privileges)),
        PrctlOption::GET_KEEPCAPS => return Ok(usize::from(now.securebits.contains(SecureBits::KEEP_CAPS))),
        PrctlOption::SET_KEEPCAPS => capset::keep(now, a)?,
        PrctlOption::CAPBSET_READ => return capset::in_bounding(now, a),
        PrctlOption::CAPBSET_DROP => capset::drop_bounding(now, a)?,
        PrctlOption::GET_SECUREBITS => return Ok(now.securebits.bits() as usize),
        PrctlOption::SET_SECUREBITS => capset::secure(now, a)?,
        PrctlOption::CAP_AMBIENT => return capset::ambient(now, a, b, [c, d]),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

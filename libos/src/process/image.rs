//! The program's start: a stack as Linux lays it out (System V ABI AMD64, 3.4.1), then libc.

use crate::arch::cpu;
use crate::arch::image::{__image_end, __image_start};
use crate::entry;
use crate::params::Params;
use alloc::vec::Vec;
use libos_base::abi::Out;
use libos_base::{Result, user};

const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_BASE: u64 = 7;
const AT_FLAGS: u64 = 8;
const AT_ENTRY: u64 = 9;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_HWCAP: u64 = 16;
const AT_CLKTCK: u64 = 17;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;

unsafe extern "C" {
    /// libc's start, after relocation (libc-shim).
    fn unibody_program_start();
}

/// Builds the stack and starts the main thread.
pub fn start(params: &Params) -> Result<()> {
    let sp = build_stack(crate::mm::program::make_stack(), params)?;
    entry::start_main(unibody_program_start as *const () as usize, sp)
}

fn build_stack(top: usize, params: &Params) -> Result<usize> {
    let mut at = top;
    let mut push = |bytes: &[u8]| -> Result<u64> {
        at -= bytes.len() + 1;
        user::copy_out(at, bytes)?;
        user::copy_out(at + bytes.len(), &[0])?;
        Ok(at as u64)
    };
    let name = push(params.argv0())?;
    let mut argv = alloc::vec![name];
    for a in &params.args {
        argv.push(push(a)?);
    }
    let mut envp = Vec::new();
    for e in &params.env {
        envp.push(push(e)?);
    }
    let mut random = [0u8; 16];
    libos_base::random::fill(&mut random);
    at = (at - 16) & !15;
    user::copy_out(at, &random)?;

    let (phdr, phnum) = program_headers();
    let auxv = [
        (AT_PHDR, phdr),
        (AT_PHENT, 56),
        (AT_PHNUM, phnum),
        (AT_PAGESZ, 4096),
        (AT_BASE, 0),
        (AT_FLAGS, 0),
        (AT_ENTRY, unibody_program_start as *const () as u64),
        (AT_UID, 0),
        (AT_EUID, 0),
        (AT_GID, 0),
        (AT_EGID, 0),
        (AT_HWCAP, cpu::hwcap()),
        (AT_CLKTCK, 100),
        (AT_SECURE, 0),
        (AT_RANDOM, at as u64),
        (AT_EXECFN, name),
        (0, 0),
    ];
    let mut words: Vec<u64> = Vec::new();
    words.push(argv.len() as u64);
    words.extend(&argv);
    words.push(0);
    words.extend(&envp);
    words.push(0);
    for (k, v) in auxv {
        words.extend([k, v]);
    }
    let sp = (at - words.len() * 8) & !15;
    for (i, w) in words.iter().enumerate() {
        user::write(Out::new(sp + i * 8), w)?;
    }
    Ok(sp)
}

/// Address and number of the image's own program headers: they lie in its first segment.
fn program_headers() -> (u64, u64) {
    let base = &raw const __image_start as u64;
    debug_assert!(&raw const __image_end as u64 > base + 64);
    // SAFETY: the ELF header is the first thing in the image (linker script).
    unsafe {
        let phoff = *((base + 32) as *const u64);
        let phnum = *((base + 56) as *const u16);
        (base + phoff, phnum as u64)
    }
}

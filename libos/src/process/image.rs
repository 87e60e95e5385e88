//! The program's start: a stack as Linux lays it out (System V ABI AMD64, 3.4.1), then libc.

use crate::arch::cpu;
use crate::arch::image::{__image_end, __image_start};
use crate::entry;
use crate::params::Params;
use alloc::vec::Vec;
use libos_base::abi::{Out, auxv};
use libos_base::{Result, user};

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
        (auxv::PHDR, phdr),
        (auxv::PHENT, 56),
        (auxv::PHNUM, phnum),
        (auxv::PAGESZ, 4096),
        (auxv::BASE, 0),
        (auxv::FLAGS, 0),
        (auxv::ENTRY, unibody_program_start as *const () as u64),
        (auxv::UID, 0),
        (auxv::EUID, 0),
        (auxv::GID, 0),
        (auxv::EGID, 0),
        (auxv::HWCAP, cpu::hwcap()),
        (auxv::CLKTCK, 100),
        (auxv::SECURE, 0),
        (auxv::RANDOM, at as u64),
        (auxv::EXECFN, name),
        (auxv::NULL, 0),
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

//! The program's start: a stack as Linux lays it out (System V ABI AMD64, 3.4.1), then libc.

use crate::arch::cpu;
use crate::arch::image::{__image_end, __image_start};
use crate::entry;
use crate::params::Params;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::abi::{In, Out, auxv};
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
    let auxv: [(u64, u64); AUXV] = [
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
    AUXV_AT.store(sp + (words.len() - 2 * AUXV) * 8, Relaxed);
    for (i, w) in words.iter().enumerate() {
        user::write(Out::new(sp + i * 8), w)?;
    }
    Ok(sp)
}

/// Entries of the auxiliary vector, with the one that ends it.
const AUXV: usize = 17;
/// Where it is.
static AUXV_AT: AtomicUsize = AtomicUsize::new(0);

/// The auxiliary vector.
pub fn auxiliary_vector() -> Vec<u8> {
    user::read_vec(In::new(AUXV_AT.load(Relaxed)), 16 * AUXV).unwrap_or_default()
}

/// The segments that are loaded: where each is in the file, its linked address and its length.
fn segments() -> impl Iterator<Item = [u64; 3]> {
    let (at, n) = program_headers();
    (0..n).filter_map(move |i| {
        let word = |offset: u64| {
            // SAFETY: program headers have 56 bytes each (ELF-64, figure 6), and `n` of them are at `at`.
            unsafe { ((at + i * 56 + offset) as *const u64).read_unaligned() }
        };
        // p_type is PT_LOAD; p_offset, p_vaddr, p_memsz.
        (word(0) as u32 == 1).then(|| [word(8), word(16), word(40)])
    })
}

/// Where in the program's file the byte of the image at this address is. Its first segment begins with the file, and the
/// others lie as far from it as they were linked.
pub fn file_offset(addr: usize) -> Option<u64> {
    let lowest = segments().map(|[_, linked, _]| linked).min()?;
    segments().find_map(|[offset, linked, len]| {
        let start = &raw const __image_start as u64 + (linked - lowest);
        // Pages are mapped as a whole.
        let before = (start & 0xfff).min(offset);
        let into = (addr as u64).checked_sub(start - before)?;
        (into < before + len).then(|| offset - before + into)
    })
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

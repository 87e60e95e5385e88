//! Page faults: by the program, and by the kernel on program memory.

use super::space;
use super::vma::{Flags, Kind, Prot, Vma};
use crate::arch::fault::{By, Fault, PageFault};
use crate::arch::page;
use libos_base::Errno;
use libos_base::abi::signal::{SIGBUS, SIGKILL, SIGSEGV};
use libos_base::layout::{KERNEL_HALF, PAGE_SIZE, PROGRAM_END, PROGRAM_START, page_down};

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRERR: i32 = 2;

/// Why a page cannot be provided: SIGSEGV or SIGBUS, SIGKILL without memory. The address is put in at the end.
const fn fault(signo: i32, code: i32, what: &'static str) -> Fault {
    Fault { signo, code, addr: 0, what }
}

/// Handles a page fault; once it is resolved the instruction is run again.
pub fn handle(fault: &PageFault) -> Result<(), Fault> {
    let &PageFault { addr, by, .. } = fault;
    if addr >= KERNEL_HALF && is_stale(fault) {
        super::cpu::invalidate_page(addr);
        return Ok(());
    }
    let bad = |what| Err(self::fault(SIGSEGV, SEGV_MAPERR, what));
    let result = if addr >= PROGRAM_END || fault.malformed {
        Err(beyond(addr))
    } else if by == By::Kernel {
        bad(if addr < PROGRAM_START { "null pointer" } else { "program memory touched outside of a copy" })
    } else if !fault.can_block {
        bad("page fault where nothing may wait")
    } else {
        resolve(addr, fault.write, fault.fetch, 0)
    };
    match result {
        Err(f) if f.signo == SIGKILL && super::oom::averted(addr, by == By::Call) => Ok(()),
        r => r.map_err(|f| Fault { addr, ..f }),
    }
}

/// Whether kernel memory is writable by now: this CPU still believes that a frame is sealed (`table_frames::unseal`).
fn is_stale(fault: &PageFault) -> bool {
    let both = page::PRESENT | page::WRITE;
    fault.present && fault.write && !fault.malformed && super::last_entry(fault.addr) & both == both
}

fn beyond(addr: usize) -> Fault {
    let what = if super::kstack::is_guard(addr) {
        "kernel stack overflow"
    } else if addr >= KERNEL_HALF {
        "access to kernel memory"
    } else {
        "address beyond program memory"
    };
    fault(SIGSEGV, if addr >= KERNEL_HALF { SEGV_ACCERR } else { SEGV_MAPERR }, what)
}

/// All that lies before `sure` is going to be touched, too.
fn resolve(addr: usize, write: bool, exec: bool, sure: usize) -> Result<(), Fault> {
    let page = page_down(addr);
    loop {
        let mut s = space::lock();
        let (start, vma) = match s.vmas.find(addr) {
            Some((start, v)) => {
                if let Err(f) = allowed(v, write, exec) {
                    let f = explain(&s, v, f);
                    if super::rlimit::grow_stack(&mut s, page) {
                        continue;
                    }
                    return Err(f);
                }
                (start, at(start, v, page))
            }
            None => {
                if super::rlimit::grow_down(&mut s, page) {
                    continue;
                }
                let what = if addr < PROGRAM_START { "null pointer" } else { "nothing is mapped there" };
                return Err(fault(SIGSEGV, SEGV_MAPERR, what));
            }
        };
        // Another thread was faster, or this CPU had an old translation.
        if s.allows(page, write, exec) {
            super::cpu::invalidate_page(page);
            return Ok(());
        }
        let (file, offset) = match &vma.kind {
            Kind::File(f, offset) => (f.clone(), *offset),
            Kind::Image => {
                let there = s.restore(page, &vma);
                return if there { Ok(()) } else { Err(fault(SIGSEGV, SEGV_MAPERR, "image page is gone")) };
            }
            _ => {
                // Nobody else maps a shared anonymous mapping: there is no fork.
                let r = s.fill_zero(page, start, &vma, write, sure);
                drop(s);
                return r.map_err(|_| no_memory());
            }
        };
        // The file's own locks come before the space's: fetch the page without the space's, then check
        // that the mapping is still the same.
        drop(s);
        let shared = vma.flags.contains(Flags::SHARED);
        let data = match file.map_page(offset / PAGE_SIZE as u64, write && shared) {
            Ok(Some(p)) => p,
            Ok(None) => return Err(fault(SIGBUS, BUS_ADRERR, "beyond the end of the mapped file")),
            Err(Errno::ENOMEM) => return Err(no_memory()),
            Err(_) => return Err(fault(SIGBUS, BUS_ADRERR, "the mapped file cannot be read")),
        };
        let mut s = space::lock();
        let same = s.vmas.find(addr).map(|(start, v)| at(start, v, page)).is_some_and(|v| {
            let same_file = matches!(&v.kind, Kind::File(f, o) if alloc::sync::Arc::ptr_eq(f, &file) && *o == offset);
            same_file && v.flags == vma.flags && v.prot == vma.prot
        });
        // Checked under this lock: truncation and write-back change the file first and get to the mappings after that.
        // So a page that is cut off now is not mapped any more, and one that is written back now gets dirty again.
        if same && file.still_page(offset / PAGE_SIZE as u64, &data, write && shared) {
            let r = s.fill_file(page, &vma, data, write);
            drop(s);
            return r.map_err(|_| no_memory());
        }
    }
}

fn no_memory() -> Fault {
    fault(SIGKILL, 0, "out of memory")
}

/// The mapping as seen from `page` on.
fn at(start: usize, v: &Vma, page: usize) -> Vma {
    let mut v = v.clone();
    if let Kind::File(_, offset) = &mut v.kind {
        *offset += (page - start) as u64;
    }
    v
}

fn allowed(v: &Vma, write: bool, exec: bool) -> Result<(), Fault> {
    let what = match v.kind {
        Kind::Kernel => "access to kernel memory",
        Kind::StackGuard => "stack overflow",
        _ if write && !v.prot.contains(Prot::WRITE) => "write to read-only memory",
        _ if exec && !v.prot.contains(Prot::EXEC) => "execution of data",
        _ if v.prot.is_empty() => "access to inaccessible memory",
        _ => return Ok(()),
    };
    // As on Linux, where nothing is mapped below the stack.
    let code = if matches!(v.kind, Kind::StackGuard) { SEGV_MAPERR } else { SEGV_ACCERR };
    Err(fault(SIGSEGV, code, what))
}

/// An inaccessible mapping right below a writable one is how thread libraries make stack guards.
fn explain(s: &space::Space, v: &Vma, f: Fault) -> Fault {
    let above = s.vmas.find(v.end).is_some_and(|(_, a)| a.prot.contains(Prot::WRITE) && a.kind.is_zeroed());
    if v.prot.is_empty() && matches!(v.kind, Kind::Anon) && above {
        return Fault { what: "stack overflow (or another guard page)", ..f };
    }
    f
}

/// Makes the pages of a program range present, as reading or writing them would. EFAULT, or ENOMEM.
pub fn fault_in(addr: usize, len: usize, write: bool) -> Result<(), Errno> {
    libos_base::user::check(addr, len)?;
    let end = addr + len;
    let mut page = page_down(addr);
    while page < end {
        resolve(page, write, false, end).map_err(|f| if f.signo == SIGKILL { Errno::ENOMEM } else { Errno::EFAULT })?;
        page += PAGE_SIZE;
    }
    Ok(())
}

//! kvmclock (Linux, Documentation/virt/kvm/x86/msr.rst and cpuid.rst): the TSC's rate and the wall clock, from the host.

use super::cpuid::hypervisor;
use crate::dma::DmaBuf;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{Ordering, fence};

const SIGNATURE: &[u8; 12] = b"KVMKVMKVM\0\0\0";
const FEATURES: u32 = 0x4000_0001;
const FEATURE_CLOCK2: u32 = 1 << 3;
const MSR_WALL_CLOCK: u32 = 0x4b56_4d00;
const MSR_SYSTEM_TIME: u32 = 0x4b56_4d01;

/// Whether the host offers kvmclock.
pub fn present() -> bool {
    hypervisor().is_some_and(|s| s == *SIGNATURE) && __cpuid(FEATURES).eax & FEATURE_CLOCK2 != 0
}

/// # Safety
/// The MSR must exist and accept the value.
unsafe fn wrmsr(msr: u32, v: u64) {
    // SAFETY: the caller's. Not `nomem`: the host writes to memory named by the value.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") v as u32, in("edx") (v >> 32) as u32, options(nostack, preserves_flags))
    };
}

/// What is needed of `pvclock_vcpu_time_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuTime {
    /// Nanoseconds since the host's boot of this machine.
    pub system_time: u64,
    /// Nanoseconds = ((ticks << shift) * mul) >> 32.
    pub mul: u32,
    /// See `mul`; may be negative.
    pub shift: i8,
}

impl VcpuTime {
    /// The TSC's rate.
    pub fn tsc_hz(&self) -> Option<u64> {
        let hz = (1_000_000_000u128 << 32) / u128::from((self.mul != 0).then_some(self.mul)?);
        let hz = match self.shift {
            s @ 0..=31 => hz >> s,
            s @ -31..0 => hz << -s,
            _ => return None,
        };
        u64::try_from(hz).ok()
    }
}

fn read_consistent<T>(buf: &DmaBuf, get: impl Fn(*const u8) -> T) -> Option<T> {
    let p = buf.ptr().cast_const();
    for _ in 0..1000 {
        // SAFETY: 32 bytes of owned, aligned memory that the host writes.
        let version = unsafe { p.cast::<u32>().read_volatile() };
        fence(Ordering::Acquire);
        let v = get(p);
        fence(Ordering::Acquire);
        // SAFETY: as above. Odd: being written.
        if version & 1 == 0 && version != 0 && version == unsafe { p.cast::<u32>().read_volatile() } {
            return Some(v);
        }
        core::hint::spin_loop();
    }
    None
}

/// This processor's time information. The page is registered only for the duration of the call. `None` without kvmclock
/// or memory.
pub fn vcpu_time() -> Option<VcpuTime> {
    if !present() {
        return None;
    }
    let buf = DmaBuf::new(64, 64)?;
    // SAFETY: the MSR exists (feature bit); `buf` is 4-byte aligned guest memory; bit 0 enables.
    unsafe { wrmsr(MSR_SYSTEM_TIME, buf.phys() | 1) };
    // SAFETY: offsets of the 32-byte structure inside `buf`.
    let t = read_consistent(&buf, |p| unsafe {
        VcpuTime {
            system_time: p.add(16).cast::<u64>().read_volatile(),
            mul: p.add(24).cast::<u32>().read_volatile(),
            shift: p.add(28).cast::<i8>().read_volatile(),
        }
    });
    // SAFETY: disables; the host writes nothing more by the time `buf` goes.
    unsafe { wrmsr(MSR_SYSTEM_TIME, 0) };
    t
}

/// The wall clock at the machine's boot, in nanoseconds since the Unix epoch: add the current `system_time`.
pub fn boot_wall_clock_ns() -> Option<u64> {
    if !present() {
        return None;
    }
    let buf = DmaBuf::new(16, 16)?;
    // SAFETY: the MSR exists; the host writes 12 bytes once, before the instruction ends.
    unsafe { wrmsr(MSR_WALL_CLOCK, buf.phys()) };
    // SAFETY: offsets of the 12-byte structure inside `buf`.
    let (s, ns) = read_consistent(&buf, |p| unsafe {
        (p.add(4).cast::<u32>().read_volatile(), p.add(8).cast::<u32>().read_volatile())
    })?;
    Some(u64::from(s) * 1_000_000_000 + u64::from(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let t = |mul, shift| VcpuTime { system_time: 0, mul, shift };
        // 2 GHz: half a nanosecond a tick.
        assert_eq!(t(0x8000_0000, 0).tsc_hz(), Some(2_000_000_000));
        assert_eq!(t(0x8000_0000, 1).tsc_hz(), Some(1_000_000_000));
        // 3 GHz as Linux encodes it.
        assert_eq!(t(2_863_311_530, -1).tsc_hz().map(|h| h / 1_000_000), Some(3000));
        assert_eq!(t(0, 0).tsc_hz(), None);
        assert_eq!(t(1, 64).tsc_hz(), None);
    }
}

//! What the processor and the hypervisor say about the TSC.

use core::arch::x86_64::{__cpuid, __cpuid_count};

/// First leaf of the hypervisor's range.
const HYPERVISOR: u32 = 0x4000_0000;
/// VMware's timing leaf, which others adopted: EAX is the TSC's rate in kHz.
const TIMING: u32 = 0x4000_0010;

/// Signature of the hypervisor ("KVMKVMKVM\0\0\0", "TCGTCGTCGTCG", ...); `None` on bare metal.
pub fn hypervisor() -> Option<[u8; 12]> {
    if __cpuid(1).ecx & 1 << 31 == 0 {
        return None;
    }
    let r = __cpuid(HYPERVISOR);
    let mut s = [0; 12];
    for (to, from) in s.chunks_exact_mut(4).zip([r.ebx, r.ecx, r.edx]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    Some(s)
}

/// The TSC's rate from the hypervisor's timing leaf.
pub fn timing_leaf_hz() -> Option<u64> {
    hypervisor()?;
    let last = __cpuid(HYPERVISOR).eax;
    if !(TIMING..TIMING + 0x1000).contains(&last) {
        return None;
    }
    Some(u64::from(__cpuid(TIMING).eax) * 1000).filter(|&hz| hz != 0)
}

/// The TSC's rate from leaf 15h: crystal times ratio, when the processor reports all three.
pub fn crystal_hz() -> Option<u64> {
    if __cpuid(0).eax < 0x15 {
        return None;
    }
    let r = __cpuid_count(0x15, 0);
    if r.eax == 0 || r.ebx == 0 || r.ecx == 0 {
        return None;
    }
    Some(u64::from(r.ecx) * u64::from(r.ebx) / u64::from(r.eax))
}

/// The nominal rate of leaf 16h, exact to 1 % or so: good for judging a measurement.
pub fn nominal_hz() -> Option<u64> {
    if __cpuid(0).eax < 0x16 {
        return None;
    }
    let mhz = __cpuid_count(0x16, 0).eax & 0xffff;
    (mhz != 0).then(|| u64::from(mhz) * 1_000_000)
}

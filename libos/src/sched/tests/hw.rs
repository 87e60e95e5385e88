//! Host builds have one "CPU" and never switch.

pub fn cpu_id() -> usize {
    0
}
pub fn disable_interrupts() -> bool {
    false
}
pub fn restore_interrupts(_: bool) {}
pub fn halt_until_interrupt() {}
pub fn set_tls(_: usize) {}
pub fn send_reschedule(_: usize) {}
pub fn set_deadline(_: u64) {}
pub fn set_work(_: u32) {}
pub fn clear_work(_: u32) {}
pub fn may_switch() -> bool {
    false
}
pub unsafe fn switch(_save: *mut usize, _next: usize) {
    unreachable!("host builds do not switch");
}
pub unsafe fn prepare(_top: usize, _start: extern "C" fn(usize, usize) -> !, _arguments: [usize; 2]) -> usize {
    0
}

//! One processor, which remembers no translations.

pub fn pinned<R>(f: impl FnOnce(usize) -> R) -> R {
    f(0)
}
pub fn invalidate_page(_: usize) {}
pub fn invalidate_all() {}
pub fn may_switch() -> bool {
    false
}
pub fn others_online() -> u64 {
    0
}
pub fn send_tlb_flush(_: u64) {}

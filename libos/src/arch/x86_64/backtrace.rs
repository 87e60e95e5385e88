//! Call chains by frame pointer. Kernel and programs are built with them.

/// Calls `f` with the place of each call, innermost first, from frame pointer `rbp`: the last byte of the call, since a call
/// that never returns may be the last thing in its function. Every address is checked by `readable` before it is read: a
/// broken chain ends the walk.
pub fn walk(mut rbp: u64, readable: impl Fn(usize) -> bool, mut f: impl FnMut(u64)) {
    const MAX_FRAMES: usize = 48;
    for _ in 0..MAX_FRAMES {
        if rbp == 0 || !rbp.is_multiple_of(8) || !readable(rbp as usize) || !readable(rbp as usize + 15) {
            return;
        }
        // SAFETY: mapped, aligned.
        let [next, ret] = unsafe { (rbp as *const [u64; 2]).read_volatile() };
        if ret == 0 {
            return;
        }
        f(ret - 1);
        // Stacks grow down, so callers lie above; the step from the kernel stack to the program's may go either way.
        if next == rbp {
            return;
        }
        rbp = next;
    }
}

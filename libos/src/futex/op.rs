//! Decoding futex operations (linux/futex.h).

use libos_base::{Errno, Result};

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "FUTEX_WAKE_OP")]
pub enum Op {
    Wait { bitset: u32 },
    Wake { bitset: u32 },
    Requeue { compare: bool },
    WakeOp,
    Owned(Owned),
}

/// The operations of locks with owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    Lock,
    TryLock,
    Unlock,
    WaitRequeue,
    Requeue,
}

/// Which clock an absolute deadline is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// FUTEX_WAIT: from now, monotonic.
    Relative,
    Monotonic,
    Realtime,
}

const CMD_MASK: u32 = 0x7f;
/// FUTEX_PRIVATE_FLAG.
pub const PRIVATE: u32 = 0x80;
const CLOCK_REALTIME: u32 = 0x100;
/// FUTEX_WAIT.
pub const WAIT: u32 = 0;
/// FUTEX_WAKE.
pub const WAKE: u32 = 1;
/// FUTEX_WAIT_PRIVATE.
pub const WAIT_PRIVATE: u32 = WAIT | PRIVATE;
/// FUTEX_WAKE_PRIVATE.
pub const WAKE_PRIVATE: u32 = WAKE | PRIVATE;
/// FUTEX_BITSET_MATCH_ANY.
pub const ANY: u32 = u32::MAX;

/// The operation, and the kind of its deadline. Private or not makes no difference. `val3` is the bitset of the bitset
/// operations.
pub fn decode(op: u32, val3: u32) -> Result<(Op, Deadline)> {
    let realtime = op & CLOCK_REALTIME != 0;
    let (decoded, deadline) = match op & CMD_MASK {
        WAIT => (Op::Wait { bitset: ANY }, if realtime { Deadline::Realtime } else { Deadline::Relative }),
        WAKE => (Op::Wake { bitset: ANY }, Deadline::Relative),
        3 => (Op::Requeue { compare: false }, Deadline::Relative),
        4 => (Op::Requeue { compare: true }, Deadline::Relative),
        5 => (Op::WakeOp, Deadline::Relative),
        9 if val3 != 0 => (Op::Wait { bitset: val3 }, if realtime { Deadline::Realtime } else { Deadline::Monotonic }),
        10 if val3 != 0 => (Op::Wake { bitset: val3 }, Deadline::Relative),
        9 | 10 => return Err(Errno::EINVAL),
        6 => (Op::Owned(Owned::Lock), Deadline::Realtime),
        7 => (Op::Owned(Owned::Unlock), Deadline::Relative),
        8 => (Op::Owned(Owned::TryLock), Deadline::Relative),
        11 => (Op::Owned(Owned::WaitRequeue), if realtime { Deadline::Realtime } else { Deadline::Monotonic }),
        12 => (Op::Owned(Owned::Requeue), Deadline::Relative),
        13 => (Op::Owned(Owned::Lock), if realtime { Deadline::Realtime } else { Deadline::Monotonic }),
        // FUTEX_FD, which Linux removed.
        _ => return Err(Errno::ENOSYS),
    };
    if op & !(CMD_MASK | PRIVATE | CLOCK_REALTIME) != 0 {
        return Err(Errno::ENOSYS);
    }
    let timed = matches!(decoded, Op::Wait { .. } | Op::Owned(Owned::WaitRequeue)) || op & CMD_MASK == 13;
    if realtime && !timed {
        return Err(Errno::ENOSYS);
    }
    Ok((decoded, deadline))
}

/// FUTEX_WAKE_OP's packed operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    op: u32,
    arg: u32,
    cmp: u32,
    cmp_arg: u32,
}

impl Packed {
    /// Unpacks; ENOSYS for operations that do not exist.
    pub fn decode(v: u32) -> Result<Self> {
        // Both arguments are 12 bits, sign-extended.
        let extend = |x: u32| ((x << 20) as i32 >> 20) as u32;
        let (op, cmp) = (v >> 28 & 7, v >> 24 & 15);
        if op > 4 || cmp > 5 {
            return Err(Errno::ENOSYS);
        }
        let shift = v >> 31 != 0;
        let arg = extend(v >> 12 & 0xfff);
        Ok(Self { op, arg: if shift { 1 << (arg & 31) } else { arg }, cmp, cmp_arg: extend(v & 0xfff) })
    }

    /// The new value.
    pub fn apply(self, old: u32) -> u32 {
        match self.op {
            0 => self.arg,
            1 => old.wrapping_add(self.arg),
            2 => old | self.arg,
            3 => old & !self.arg,
            _ => old ^ self.arg,
        }
    }

    /// Whether to wake the second address's waiters.
    pub fn test(self, old: u32) -> bool {
        let (a, b) = (old as i32, self.cmp_arg as i32);
        match self.cmp {
            0 => a == b,
            1 => a != b,
            2 => a < b,
            3 => a <= b,
            4 => a > b,
            _ => a >= b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_flags_and_clocks() {
        assert_eq!(decode(0x80, 0), Ok((Op::Wait { bitset: ANY }, Deadline::Relative)));
        assert_eq!(decode(0x189, 7), Ok((Op::Wait { bitset: 7 }, Deadline::Realtime)));
        assert_eq!(decode(9, 7), Ok((Op::Wait { bitset: 7 }, Deadline::Monotonic)));
        assert_eq!(decode(9, 0), Err(Errno::EINVAL));
        assert_eq!(decode(0x101, 0), Err(Errno::ENOSYS));
        assert_eq!(decode(6, 0), Ok((Op::Owned(Owned::Lock), Deadline::Realtime)));
        assert_eq!(decode(13, 0), Ok((Op::Owned(Owned::Lock), Deadline::Monotonic)));
        assert_eq!(decode(0x106, 0), Err(Errno::ENOSYS));
        assert_eq!(decode(2, 0), Err(Errno::ENOSYS));
        assert_eq!(decode(4, 9).unwrap().0, Op::Requeue { compare: true });
    }

    #[test]
    fn wake_op_is_unpacked_as_in_futex_2() {
        // FUTEX_OP(FUTEX_OP_ADD, -1, FUTEX_OP_CMP_GT, 1)
        let p = Packed::decode(1 << 28 | 4 << 24 | 0xfff << 12 | 1).unwrap();
        assert_eq!((p.apply(5), p.test(5), p.test(1)), (4, true, false));
        // FUTEX_OP_OPARG_SHIFT: the argument is 1 << 3
        let p = Packed::decode((8 | 2) << 28 | 3 << 12).unwrap();
        assert_eq!((p.apply(1), p.test(0)), (9, true));
        assert_eq!(Packed::decode(5 << 28), Err(Errno::ENOSYS));
    }
}

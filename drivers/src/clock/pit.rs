//! The 8254's channel 2, whose gate is in port 0x61, as a free-running counter of 16 bits.

use crate::port;

/// Its frequency in Hz.
pub const HZ: u64 = 1_193_182;
/// A mask of its bits.
pub const MASK: u64 = 0xffff;

const CHANNEL2: u16 = 0x42;
const COMMAND: u16 = 0x43;
const GATE: u16 = 0x61;
/// Channel 2, low byte then high byte, mode 2 (counts down and reloads), binary.
const RATE_GENERATOR: u8 = 0xb4;
const LATCH: u8 = 0x80;

/// Starts channel 2 at its full period, speaker off. The kernel uses no channel for interrupts.
pub fn start() {
    // SAFETY: programs the timer's channel 2 and the speaker gate, which nothing else uses.
    unsafe {
        port::out8(GATE, port::in8(GATE) & !2 | 1);
        port::out8(COMMAND, RATE_GENERATOR);
        port::out8(CHANNEL2, 0);
        port::out8(CHANNEL2, 0);
    }
}

/// Ticks since some point, modulo 65536. Constant where there is no timer.
pub fn read() -> u64 {
    // SAFETY: latches and reads channel 2.
    let down = unsafe {
        port::out8(COMMAND, LATCH);
        u16::from(port::in8(CHANNEL2)) | u16::from(port::in8(CHANNEL2)) << 8
    };
    u64::from(down.wrapping_neg())
}

//! Randomness: a ChaCha20 generator, seeded from the processor's generator and virtio-rng, and from the processor again
//! at each request.
//! Floor: memory.

use crate::arch::clock::counter;
use crate::arch::cpu::{self, hardware_random};
use libos_base::sync::{IrqSpinLock, class};
use rand_chacha::ChaCha20Core;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::rand_core::block::BlockRngCore;

struct Pool {
    /// The generator's next key.
    key: [u8; 32],
    /// Whether anything better than timing jitter went in.
    hardware: bool,
}

static POOL: IrqSpinLock<Pool> = IrqSpinLock::new(class::RANDOM, Pool { key: [0; 32], hardware: false });

impl Pool {
    /// A generator whose key depends on the old one and on `input`: adding bad input never makes it worse. Its first
    /// output becomes the pool's own next key.
    fn next(&mut self, input: &[u8; 32]) -> ChaCha20Core {
        for (k, i) in self.key.iter_mut().zip(input) {
            *k ^= i;
        }
        let mut rng = ChaCha20Core::from_seed(self.key);
        generate(&mut rng, &mut self.key);
        rng
    }

    /// Input that a snapshot of this machine does not hold: 128 bits from the processor's generator, or what the
    /// counter reads now. Two machines resumed from one snapshot diverge here.
    fn fresh() -> [u8; 32] {
        let mut input = [0; 32];
        for word in input[..16].chunks_exact_mut(8) {
            word.copy_from_slice(&hardware_random().unwrap_or_else(counter).to_le_bytes());
        }
        input
    }
}

/// The next bytes of the stream; the rest of the last four blocks is thrown away. (The crate's buffered generator would
/// hand it out later; nothing is handed out later here, and the buffering is 3 KiB of code.)
fn generate(rng: &mut ChaCha20Core, out: &mut [u8]) {
    for piece in out.chunks_mut(256) {
        let mut blocks = <ChaCha20Core as BlockRngCore>::Results::default();
        rng.generate(&mut blocks);
        for (bytes, word) in piece.chunks_mut(4).zip(blocks.as_ref()) {
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Seeds from the processor, before anything asks for randomness.
pub fn init() {
    let mut pool = POOL.lock();
    for _ in 0..2 {
        let mut input = [0u8; 32];
        for word in input.chunks_exact_mut(8) {
            let hw = hardware_random();
            pool.hardware |= hw.is_some();
            let jitter = counter().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            word.copy_from_slice(&(hw.unwrap_or(0) ^ jitter).to_le_bytes());
        }
        pool.next(&input);
    }
}

/// Adds bytes from a hardware generator (virtio-rng).
pub fn add_hardware(input: &[u8; 32]) {
    let mut pool = POOL.lock();
    pool.next(input);
    pool.hardware = true;
}

/// Warns, loudly, if there was no hardware generator.
pub fn warn_if_weak() {
    if !POOL.lock().hardware {
        libos_base::warn!(
            "no hardware randomness: this machine has neither {0} nor a virtio-rng device; keys made here are guessable. \
             Add -device virtio-rng-pci or a CPU with {0}",
            cpu::GENERATOR
        );
    }
}

/// Fills `buf` with cryptographic randomness.
pub fn fill(buf: &mut [u8]) {
    let mut pool = POOL.lock();
    // The pool keeps only the next key: past output cannot be computed from a later memory dump.
    let mut rng = pool.next(&Pool::fresh());
    generate(&mut rng, buf);
}

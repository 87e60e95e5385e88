//! Randomness: a ChaCha20 generator, seeded from RDRAND and virtio-rng and re-seeded as they give more.

use libos_base::sync::{IrqSpinLock, Rank};
use rand_chacha::ChaCha20Core;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::rand_core::block::BlockRngCore;

struct Pool {
    rng: Option<ChaCha20Core>,
    /// Whether anything better than timing jitter went in.
    hardware: bool,
}

static POOL: IrqSpinLock<Pool> = IrqSpinLock::new(Rank::Random, Pool { rng: None, hardware: false });

impl Pool {
    /// The new key depends on the old stream and on `input`: adding bad input never makes it worse.
    fn mix(&mut self, input: &[u8; 32]) {
        let mut seed = [0u8; 32];
        if let Some(rng) = &mut self.rng {
            generate(rng, &mut seed);
        }
        for (s, i) in seed.iter_mut().zip(input) {
            *s ^= i;
        }
        self.rng = Some(ChaCha20Core::from_seed(seed));
    }
}

/// The next bytes of the stream, what is left of the last four blocks thrown away. (The buffered generator of the crate
/// would hand it out later; nothing is handed out later here, and the buffering is 3 KiB of code.)
fn generate(rng: &mut ChaCha20Core, out: &mut [u8]) {
    for piece in out.chunks_mut(256) {
        let mut blocks = <ChaCha20Core as BlockRngCore>::Results::default();
        rng.generate(&mut blocks);
        for (bytes, word) in piece.chunks_mut(4).zip(blocks.as_ref()) {
            bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
        }
    }
}

/// Seeds from the processor. Before anything asks for randomness.
pub fn init() {
    let mut pool = POOL.lock();
    for _ in 0..2 {
        let mut input = [0u8; 32];
        for word in input.chunks_exact_mut(8) {
            let hw = crate::arch::cpu::rdrand();
            pool.hardware |= hw.is_some();
            let jitter = crate::arch::cpu::rdtsc().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            word.copy_from_slice(&(hw.unwrap_or(0) ^ jitter).to_le_bytes());
        }
        pool.mix(&input);
    }
}

/// Adds bytes from a hardware generator (virtio-rng).
pub fn add_hardware(input: &[u8; 32]) {
    let mut pool = POOL.lock();
    pool.mix(input);
    pool.hardware = true;
}

/// Says so, loudly, when there was neither RDRAND nor virtio-rng.
pub fn warn_if_weak() {
    if !POOL.lock().hardware {
        libos_base::warn!(
            "no hardware randomness: this machine has neither RDRAND nor a virtio-rng device; keys made here are guessable. \
             Add -device virtio-rng-pci or a CPU with RDRAND"
        );
    }
}

/// Answers the base's hook.
#[unsafe(no_mangle)]
fn libos_fill_random(buf: &mut [u8]) {
    let mut pool = POOL.lock();
    if let Some(rng) = &mut pool.rng {
        generate(rng, buf);
        // Past output cannot be computed from a later memory dump.
        pool.mix(&[0; 32]);
    }
}

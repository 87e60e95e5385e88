use super::*;

const MIB: usize = 256;

fn memory(total: usize, free: usize) -> Memory {
    Memory { total, reserve: total / 64, promised: 0, free, cached: 0 }
}

#[test]
fn untouched_mappings_cost_nothing_when_guessing() {
    // A hundred stacks of 8 MiB, then maps of 30 MiB, in 128 MiB.
    let mut m = memory(120 * MIB, 115 * MIB);
    for _ in 0..100 {
        assert_eq!(m.missing(GUESS, 8 * MIB), Ok(0));
        m.promised += 8 * MIB;
        m.free -= 11;
    }
    for _ in 0..40 {
        assert_eq!(m.missing(GUESS, 30 * MIB), Ok(0));
        m.promised += 30 * MIB;
    }
    assert_eq!(m.missing(GUESS, 100 * MIB), Ok(0));
    assert_eq!(m.missing(STRICT, 1), Err(Errno::ENOMEM));
    assert_eq!(m.missing(ALWAYS, 1 << 30), Ok(0));
}

#[test]
fn more_than_all_memory_is_refused() {
    let m = memory(120 * MIB, 118 * MIB);
    assert_eq!(m.missing(GUESS, 120 * MIB), Ok(0));
    assert_eq!(m.missing(GUESS, 120 * MIB + 1), Err(Errno::ENOMEM));
    assert_eq!(m.missing(STRICT, 118 * MIB), Err(Errno::ENOMEM));
}

#[test]
fn who_touches_what_he_gets_is_refused_before_memory_ends() {
    for total in [12 * MIB, 29 * MIB, 120 * MIB, 1000 * MIB] {
        for size in [1, 16, 64, MIB, 8 * MIB, 9 * MIB, 30 * MIB, 41 * MIB, 61 * MIB] {
            for mode in [GUESS, STRICT] {
                let mut m = memory(total, total - total / 50);
                if size > m.free - 2 * m.reserve {
                    continue;
                }
                let mut n = 0;
                while m.missing(mode, size) == Ok(0) {
                    assert!(m.free >= size + m.reserve, "{size} of {total} in mode {mode}: {} free after {n}", m.free);
                    m.free -= size;
                    n += 1;
                }
                // Not much is left unused either.
                assert!(m.free < with_tables(size) + 2 * m.reserve);
            }
        }
    }
}

#[test]
fn a_block_of_almost_half_of_memory_is_not_granted_twice() {
    // As with `realloc`: the old block is there until the new one is written. Some memory is always the kernel's.
    for total in [12 * MIB, 47 * MIB, 120 * MIB] {
        for promised in [0, MIB / 4, total / 8, total] {
            for size in 1..total - total / 100 {
                let m = Memory { promised, ..memory(total, total - total / 100 - size) };
                assert!(
                    m.missing(GUESS, size) != Ok(0) || m.free >= size + m.reserve,
                    "{size} of {total}: {} free",
                    m.free
                );
            }
        }
    }
}

#[test]
fn pieces_that_malloc_committed_stay_promised_while_others_are_taken() {
    // 1 MiB committed and not touched yet.
    let mut m = memory(29 * MIB, 28 * MIB);
    m.promised = MIB;
    while m.missing(GUESS, 64) == Ok(0) {
        m.free -= 64;
    }
    assert!(m.free >= with_tables(MIB) + 2 * m.reserve);
    // But for what was never touched, no more than an eighth of memory.
    m.promised = 100 * MIB;
    m.free = 6 * MIB;
    assert_eq!(m.missing(GUESS, 64), Ok(0));
}

#[test]
fn what_was_given_back_is_there_for_others() {
    // 100 MiB were touched and then returned with MADV_DONTNEED.
    let mut m = memory(120 * MIB, 118 * MIB);
    m.promised = 100 * MIB;
    for pages in [64, 14 * MIB, 100 * MIB] {
        assert_eq!(m.missing(GUESS, pages), Ok(0));
    }
}

#[test]
fn the_page_cache_gives_way() {
    let mut m = memory(100 * MIB, 10 * MIB);
    m.cached = 30 * MIB;
    let needed = 20 * MIB + 20 * MIB / 256 + 2 * m.reserve;
    assert_eq!(m.missing(GUESS, 20 * MIB), Ok(needed - m.free));
    assert_eq!(m.missing(GUESS, 39 * MIB), Err(Errno::ENOMEM));
    // Half of memory is available: nothing is dropped for what may never be touched.
    m.cached = 43 * MIB;
    assert_eq!(m.missing(GUESS, 80 * MIB), Ok(0));
    assert_eq!(m.missing(STRICT, 20 * MIB), Ok(needed - m.free));
}

//! Data between two ends on one host: the books of the memory that they share balance.
mod common;
use common::*;
use libos_tcp::Pool;

/// A write that stops where a chunk begins, as at a page of the program that is not there, has taken that chunk
/// already; then the chunks before it change hands.
#[test]
fn a_chunk_that_a_write_left_empty_goes_back() {
    const CHUNK: usize = 4096;
    let w = World::connected(Weather::default());
    let [mut writer, mut reader] = w.hosts;
    let mut pool = Pool::new(1 << 20);
    for _ in 0..100 {
        assert_eq!(writer.c.write(&mut pool, w.now, CHUNK, false, |to| to.len()), CHUNK);
        assert_eq!(writer.c.write(&mut pool, w.now, CHUNK, false, |_| 0), 0);
        let mut queue = writer.c.lend();
        assert_eq!(reader.c.take_queued(&mut pool, w.now, CHUNK, &mut queue), CHUNK);
        writer.c.give_back(queue);
        reader.c.read(&mut pool, w.now, |data| data.len());
        assert_eq!(pool.used(), 0);
    }
}

/*
 * mimalloc, and what it does not look at: whether what is freed is a block.
 *
 * mimalloc believes every pointer. A block that is freed twice makes its free list a ring, on which it then runs for ever.
 * Its own checks (MI_SECURE=4) look at what is in the block, so they miss one that was written to after it was freed, and
 * cost more. Here each segment (32 MiB) has a bit for every 16 bytes of it: a block that the program holds begins there.
 * The bits live and die with the segment.
 */
#include "prelude.h"
#include <stdint.h>

/* The bits of one slice of a segment (64 KiB). */
typedef struct { uintptr_t word[64]; } live_bits;

/* mimalloc's declaration of a segment ends with an entry a slice; it gets a second array as long as that. */
#define slices slices[MI_SLICES_PER_SEGMENT + 1]; live_bits live
#include "mimalloc/types.h"
#undef slices

/* As mimalloc's static.c, but for its segment map, which knows only a part of the address space. */
#include "mimalloc.h"
#include "mimalloc/internal.h"
#include "alloc.c"
#include "alloc-aligned.c"
#include "arena.c"
#include "bitmap.c"
#include "heap.c"
#include "init.c"
#include "libc.c"
#include "options.c"
#include "os.c"
#include "page.c"
#include "random.c"
#include "segment.c"
#include "stats.c"
#include "prim/prim.c"

#include "../musl/src/malloc/x86_64/live.h"
#include "segments.h"

/* Blocks begin at multiples of this, also those of a program that asks for less. */
#define GRANULE 16
_Static_assert(MI_SEGMENT_SLICE_SIZE / GRANULE == 8 * sizeof(live_bits), "a bit a granule");

static size_t rounded(size_t n)
{
	return n < GRANULE ? GRANULE : n;
}

/* A block may begin right behind the last slice (large alignments), so the array has one more. */
static uintptr_t *live_word(mi_segment_t *s, const void *p)
{
	uintptr_t n = ((uintptr_t)p - (uintptr_t)s) / GRANULE;
	return (uintptr_t *)s->live + n / 64;
}

static uintptr_t live_bit(const void *p)
{
	return 1UL << ((uintptr_t)p / GRANULE & 63);
}

/* Before the first thread is made (`threads`), nothing can come between. */
static void *begin(void *p, int threads)
{
	if (mi_likely(p != 0)) {
		uintptr_t *w = live_word(_mi_ptr_segment(p), p);
		if (threads)
			__atomic_fetch_or(w, live_bit(p), __ATOMIC_RELAXED);
		else
			*w |= live_bit(p);
	}
	return p;
}

static mi_decl_noinline _Noreturn void wrong(void *p)
{
	mi_segment_t *s = segment_of(p);

	if (s && (uint8_t *)p - (uint8_t *)s >= (ptrdiff_t)mi_segment_info_size(s)) {
		/* Freed before: one of the blocks of a page that still is one. */
		mi_page_t *page = _mi_segment_page_of(s, p);
		size_t size = page->block_size, from = (uint8_t *)p - page->page_start;
		if (size && from % size == 0 && from / size < page->reserved)
			__libos_die(DIE_FREED_TWICE, p);
	}
	__libos_die(DIE_NOT_ALLOCATED, p);
}

static int is_block(void *p)
{
	mi_segment_t *s = segment_of(p);
	return s && (uintptr_t)p % GRANULE == 0 && *live_word(s, p) & live_bit(p);
}

void *__live_malloc(size_t n, int threads)
{
	return begin(mi_malloc(rounded(n)), threads);
}

void *__live_zalloc(size_t n, int threads)
{
	return begin(mi_zalloc(rounded(n)), threads);
}

void *__live_aligned(size_t n, size_t align, int threads)
{
	return begin(mi_malloc_aligned(rounded(n), rounded(align)), threads);
}

void __live_free(void *p, int threads)
{
	mi_segment_t *s = segment_of(p);
	uintptr_t *w, old, bit = live_bit(p);

	if (mi_unlikely(!s || (uintptr_t)p % GRANULE)) {
		if (!p)
			return;
		wrong(p);
	}
	w = live_word(s, p);
	/* Of two threads that free it at once, one is told. */
	if (threads) {
		old = __atomic_fetch_and(w, ~bit, __ATOMIC_RELAXED);
	} else {
		old = *w;
		*w = old & ~bit;
	}
	if (mi_unlikely(!(old & bit)))
		wrong(p);
	mi_free(p);
}

size_t __live_size(void *p)
{
	if (!p)
		return 0;
	if (!is_block(p))
		wrong(p);
	return mi_usable_size(p);
}

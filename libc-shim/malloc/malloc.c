/*
 * mimalloc, and what it does not check: whether a freed pointer is a block.
 *
 * mimalloc trusts every pointer. A block that is freed twice turns its free list into a ring, on which it then loops
 * forever. Its own checks (MI_SECURE=4) look at the contents of the block, so they miss one that was written to after
 * it was freed, and cost more. Here each segment (32 MiB) has a bit for every 16 bytes: it is set if a block that the
 * program holds begins there. The bits live and die with the segment.
 */
#include "prelude.h"
#include <stdint.h>

/* The bits of one slice of a segment (64 KiB). */
typedef struct { uintptr_t word[64]; } live_bits;

/* mimalloc's declaration of a segment ends with one entry per slice; this adds a second array of the same length. */
#define slices slices[MI_SLICES_PER_SEGMENT + 1]; live_bits live
#include "mimalloc/types.h"
#undef slices

/* Like mimalloc's static.c, except for its segment map, which covers only part of the address space. */
#include "mimalloc.h"
#include "mimalloc/internal.h"
/* Out of line, so that the check before it needs no stack frame. */
__attribute__((__noinline__)) void mi_free(void *) mi_attr_noexcept;
/* mimalloc's messages are left out: they need a printf of their own and 8 KiB. */
#include "options.c"
#define _mi_error_message(...) ((void)0)
#define _mi_message(...) ((void)0)
#define _mi_trace_message(...) ((void)0)
#define _mi_verbose_message(...) ((void)0)
#define _mi_warning_message(...) ((void)0)
#define mi_stats_print(...) ((void)0)

/*
 * A page whose last block is freed stays for a while if it is the only one of its size, which mimalloc finds out each time.
 * If it was found out before and nothing has changed, there is nothing to do.
 */
static inline void retire(mi_page_t *page)
{
	if (mi_likely(page->retire_expire && !page->next && !page->prev && !mi_page_is_in_full(page)))
		mi_page_set_has_aligned(page, false);
	else
		_mi_page_retire(page);
}
#define _mi_page_retire(page) retire(page)
#include "alloc.c"
#undef _mi_page_retire
#include "alloc-aligned.c"
#include "arena.c"
#include "bitmap.c"
#include "heap.c"
#include "init.c"
#include "libc.c"
#include "os.c"
#include "page.c"
#include "random.c"
#include "segment.c"
#undef mi_stats_print
#include "stats.c"
#define _mi_prim_decommit _mi_prim_decommit_unasked
#include "prim/prim.c"
#undef _mi_prim_decommit

#include "../musl/src/malloc/x86_64/live.h"
#include "segments.h"

/*
 * mimalloc reuses memory that it gave back without asking. Here it asks: so malloc, rather than the first touch, finds
 * that there is none, and memory that was given back is free for whatever asks first.
 */
int _mi_prim_decommit(void *start, size_t size, bool *needs_recommit)
{
	int err = unix_madvise(start, size, MADV_DONTNEED);

	*needs_recommit = true;
	return mprotect(start, size, PROT_NONE) ? errno : err;
}

_Static_assert(MI_SEGMENT_SLICE_SIZE / GRANULE == 8 * sizeof(live_bits), "a bit a granule");

/*
 * A block that begins at `p` has bit `live_number(p)` of its segment's, counted from the end of the 16 bytes before it:
 * a block that begins right after a segment (large alignments) belongs to that segment.
 */
static inline uintptr_t live_number(const void *p)
{
	return ((uintptr_t)p - 1) / GRANULE % (MI_SEGMENT_SIZE / GRANULE);
}

/* Ends the program. Not declared noreturn: so it can be reached by a jump, and the check needs no stack frame. */
static mi_decl_noinline mi_decl_cold void wrong(const void *p)
{
	mi_segment_t *s = segment_base(p);

	if (mi_is_in_heap_region(p) && (uint8_t *)p - (uint8_t *)s >= (ptrdiff_t)mi_segment_info_size(s)) {
		/* Freed before: it is one of the blocks of a page that is still in use. */
		mi_page_t *page = _mi_segment_page_of(s, p);
		size_t size = page->block_size, from = (uint8_t *)p - page->page_start;
		if (size && from % size == 0 && from / size < page->reserved)
			__libos_die(DIE_FREED_TWICE, p);
	}
	__libos_die(DIE_NOT_ALLOCATED, p);
}

void *__live_begin(void *p, int threads)
{
	uintptr_t n = live_number(p), *w = (uintptr_t *)segment_base(p)->live + n / 64;

	if (mi_unlikely(threads))
		__atomic_fetch_or(w, 1UL << (n & 63), __ATOMIC_RELAXED);
	else
		__asm__("btsq %1, %0" : "+r"(*w) : "r"(n) : "cc");
	return p;
}

/* If two threads free a block at the same time, only one of them is reported. */
static inline void end(void *p, uintptr_t *bits, int threads)
{
	uintptr_t n = live_number(p), *w = bits + n / 64;
	bool live;

	if (mi_unlikely(threads))
		__asm__("lock btrq %2, %0" : "+m"(*w), "=@ccc"(live) : "r"(n & 63));
	else
		__asm__("btrq %2, %0" : "+r"(*w), "=@ccc"(live) : "r"(n));
	if (mi_likely(live))
		mi_free(p);
	else
		wrong(p);
}

static mi_decl_noinline mi_decl_cold void unusual_free(void *p)
{
	uintptr_t *bits = unknown_segment_bits(p);

	if ((uintptr_t)p % GRANULE == 0 && bits)
		end(p, bits, 1);
	else
		wrong(p);
}

void __live_free(void *p, int threads)
{
	uintptr_t *bits = segment_bits(p);

	if (mi_likely(bits && (uintptr_t)p % GRANULE == 0))
		end(p, bits, threads);
	else
		unusual_free(p);
}

size_t __live_size(const void *p)
{
	uintptr_t n = live_number(p), *bits = segment_bits(p);

	if (!bits)
		bits = unknown_segment_bits(p);
	if (!bits || (uintptr_t)p % GRANULE || !(bits[n / 64] >> (n & 63) & 1))
		wrong(p);
	return mi_usable_size(p);
}

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
/* Out of line, so that what comes before it needs no stack frame. */
__attribute__((__noinline__)) void mi_free(void *) mi_attr_noexcept;
/* mimalloc's messages are left out: they need a printf of their own and 8 KiB. */
#include "options.c"
#define _mi_error_message(...) ((void)0)
#define _mi_message(...) ((void)0)
#define _mi_trace_message(...) ((void)0)
#define _mi_verbose_message(...) ((void)0)
#define _mi_warning_message(...) ((void)0)
#define mi_stats_print(...) ((void)0)

#include "alloc.c"
#include "alloc-aligned.c"
#include "arena.c"
#include "bitmap.c"
#include "heap.c"
#define _mi_thread_done mi_thread_done_for_good
#define mi_thread_init mi_thread_init_anew
void mi_thread_done_for_good(mi_heap_t *);
void mi_thread_init_anew(void) mi_attr_noexcept;
#include "init.c"
#undef _mi_thread_done
#undef mi_thread_init
#include "libc.c"
#include "os.c"
#include "page.c"
#include "random.c"
#include "segment.c"
#undef mi_stats_print
#include "stats.c"
#define _mi_prim_alloc mi_prim_alloc_once
#define _mi_prim_commit mi_prim_commit_once
#define _mi_prim_decommit _mi_prim_decommit_unasked
#include "prim/prim.c"
#undef _mi_prim_alloc
#undef _mi_prim_commit
#undef _mi_prim_decommit

#include "../musl/src/malloc/x86_64/live.h"
#include "heaps.h"
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
	return ((uintptr_t)p - 1) / GRANULE;
}

/* The word with that bit, which is its number modulo 64. */
static inline uintptr_t *live_word(uintptr_t *bits, const void *p)
{
	return bits + ((uintptr_t)p - 1) / (64 * GRANULE) % (MI_SEGMENT_SIZE / (64 * GRANULE));
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

static inline void *begin(void *p, int threads)
{
	uintptr_t n = live_number(p), *w = live_word((uintptr_t *)segment_base(p)->live, p);

	if (mi_unlikely(threads))
		__asm__("lock btsq %1, %0" : "+m"(*w) : "r"(n & 63) : "cc");
	else
		__asm__("btsq %1, %0" : "+r"(*w) : "r"(n) : "cc");
	return p;
}

void *__live_begin(void *p, int threads)
{
	return begin(p, threads);
}

/*
 * A free block of this page, or NULL. The one that came back last is first: mimalloc would go through all those that were
 * never used, and their memory, and then search for a page.
 */
static inline mi_block_t *take(mi_page_t *page)
{
	mi_block_t *block = page->local_free;

	if (mi_likely(block != NULL)) {
		page->local_free = mi_block_next(page, block);
	} else {
		block = page->free;
		if (mi_unlikely(!block))
			return NULL;
		page->free = mi_block_next(page, block);
	}
	page->used++;
	return block;
}

static mi_decl_noinline void *search(size_t n, int threads)
{
	void *p = mi_malloc(n);

	if (mi_likely(p))
		return begin(p, threads);
	errno = ENOMEM;
	return NULL;
}

/* Sizes that mimalloc keeps no table for have the pages in use in a list. */
static mi_decl_noinline void *malloc_larger(size_t n, int threads)
{
	if (mi_likely(n <= MI_SMALL_OBJ_SIZE_MAX)) {
		mi_page_t *page = mi_page_queue(mi_prim_get_default_heap(), n)->first;
		mi_block_t *block = page ? take(page) : NULL;
		if (mi_likely(block != NULL))
			return begin(block, threads);
	}
	return search(n, threads);
}

/* mi_malloc() and the mark in one: without a stack frame if a page for this size has a free block. */
void *__live_malloc(size_t n, int threads)
{
	mi_block_t *block;

	n = AT_LEAST_A_GRANULE(n);
	if (mi_unlikely(n > MI_SMALL_SIZE_MAX))
		return malloc_larger(n, threads);
	block = take(_mi_heap_get_free_small_page(mi_prim_get_default_heap(), n));
	return mi_likely(block != NULL) ? begin(block, threads) : search(n, threads);
}

static mi_decl_noinline mi_decl_cold void unusual_free(void *p)
{
	uintptr_t *bits = unknown_segment_bits(p);
	bool live = false;

	if ((uintptr_t)p % GRANULE == 0 && bits)
		__asm__("lock btrq %2, %0" : "+m"(*live_word(bits, p)), "=@ccc"(live) : "r"(live_number(p) & 63));
	if (live)
		mi_free(p);
	else
		wrong(p);
}

/* For how many searches for a page a small one stays that nothing is left in. mimalloc's 16 are less than there are sizes. */
#define RETIRED_FOR 32

static mi_decl_noinline void retire_first(mi_page_t *page)
{
	/* Then it stays, and may be looked at afterwards. */
	bool stays = !((uintptr_t)page->next | (uintptr_t)page->prev) && page->block_size <= MI_SMALL_OBJ_SIZE_MAX;

	_mi_page_retire(page);
	if (stays)
		page->retire_expire = RETIRED_FOR;
}

/*
 * The last block of a page is free again. A page stays for a while if it is the only one of its size, which mimalloc finds
 * out each time. If it was found out before and nothing has changed, that while begins again. The page is not full.
 */
static inline void retire(mi_page_t *page)
{
	if (mi_likely(page->retire_expire && !((uintptr_t)page->next | (uintptr_t)page->prev)))
		page->retire_expire |= MI_RETIRE_CYCLES;
	else
		retire_first(page);
}

/* mi_free() for what it does most: a block that begins where mimalloc's does, of a page of this thread that is not full. */
static inline void quick_free(mi_segment_t *s, void *p)
{
	mi_slice_t *slice = &s->slices[((uintptr_t)p - (uintptr_t)s) / MI_SEGMENT_SLICE_SIZE];
	mi_block_t *block = p;
	mi_page_t *page;
	bool last;

	__asm__("" : "+r"(slice)); /* its address once, not two sums */
	page = (mi_page_t *)((uint8_t *)slice - slice->slice_offset);
	if (mi_unlikely(mi_atomic_load_relaxed(&s->thread_id) != _mi_prim_thread_id() || page->flags.full_aligned)) {
		mi_free(p);
		return;
	}
	mi_block_set_next(page, block, page->local_free);
	page->local_free = block;
	__asm__("subw $1, %0" : "+m"(page->used), "=@ccz"(last));
	if (last)
		retire(page);
}

void __live_free(void *p, int threads)
{
	uintptr_t *bits = segment_bits(p), *w, n = live_number(p);
	bool live;

	if (mi_unlikely(!bits || (uintptr_t)p % GRANULE)) {
		unusual_free(p);
		return;
	}
	w = live_word(bits, p);
	/* If two threads free a block at the same time, only one of them is reported. The flag is branched on in both places. */
	if (mi_unlikely(threads)) {
		__asm__("lock btrq %2, %0" : "+m"(*w), "=@ccc"(live) : "r"(n & 63));
		if (mi_unlikely(!live))
			goto not_live;
	} else {
		__asm__("btrq %2, %0" : "+r"(*w), "=@ccc"(live) : "r"(n));
		if (mi_unlikely(!live))
			goto not_live;
	}
	quick_free((mi_segment_t *)((uint8_t *)bits - offsetof(mi_segment_t, live)), p);
	return;
not_live:
	wrong(p);
}

size_t __live_size(const void *p)
{
	uintptr_t *bits = segment_bits(p);

	if (!bits)
		bits = unknown_segment_bits(p);
	if (!bits || (uintptr_t)p % GRANULE || !(*live_word(bits, p) >> (live_number(p) & 63) & 1))
		wrong(p);
	return mi_usable_size(p);
}

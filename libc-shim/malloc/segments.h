/*
 * Which addresses begin a segment: a bit for each 32 MiB of the program's addresses, in pages that are made when they are
 * needed. In place of mimalloc's segment-map.c.
 */
#define ADDRESS_BITS 47
#define PART_BITS 15 /* segments that a page of 4096 bytes tells of */

typedef struct { uintptr_t word[(1 << PART_BITS) / 64]; } segment_part;
static segment_part *segment_parts[1 << (ADDRESS_BITS - MI_SEGMENT_SHIFT - PART_BITS)];
/* There was no memory for a part: then the segment's own cookie must do. */
static bool segments_unknown;

/* A block may begin right behind its segment (large alignments), but none does where one begins. */
static inline mi_segment_t *segment_base(const void *p)
{
	return (mi_segment_t *)(((uintptr_t)p - 1) & ~(uintptr_t)MI_SEGMENT_MASK);
}

static inline uintptr_t segment_number(const mi_segment_t *s)
{
	return (uintptr_t)s >> MI_SEGMENT_SHIFT;
}

static uintptr_t *segment_word(const mi_segment_t *s)
{
	segment_part *part = segment_parts[segment_number(s) >> PART_BITS];
	return part ? &part->word[segment_number(s) % (1 << PART_BITS) / 64] : NULL;
}

void _mi_segment_map_allocated_at(const mi_segment_t *s)
{
	segment_part **slot = &segment_parts[segment_number(s) >> PART_BITS], *none = NULL, *part;
	mi_memid_t id;

	if (!__atomic_load_n(slot, __ATOMIC_ACQUIRE)) {
		part = _mi_os_zalloc(sizeof *part, &id);
		if (!part) {
			segments_unknown = true;
			return;
		}
		if (!__atomic_compare_exchange_n(slot, &none, part, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			_mi_os_free(part, sizeof *part, id);
	}
	__atomic_fetch_or(segment_word(s), 1UL << (segment_number(s) & 63), __ATOMIC_RELEASE);
}

void _mi_segment_map_freed_at(const mi_segment_t *s)
{
	uintptr_t *w = segment_word(s);
	if (w)
		__atomic_fetch_and(w, ~(1UL << (segment_number(s) & 63)), __ATOMIC_RELEASE);
}

static bool in_unknown_segment(const void *p)
{
	mi_segment_t *s = segment_base(p);
	return segments_unknown && segment_number(s) >> (ADDRESS_BITS - MI_SEGMENT_SHIFT) == 0 && !segment_word(s) && s &&
		s->cookie == _mi_ptr_cookie(s);
}

/* Whether `p` is in the first 32 MiB of a segment, where every block begins. */
static inline __attribute__((__always_inline__)) bool in_segment(const void *p)
{
	uintptr_t n = ((uintptr_t)p - 1) >> MI_SEGMENT_SHIFT;
	const segment_part *part;

	if (mi_unlikely(n >> (ADDRESS_BITS - MI_SEGMENT_SHIFT)))
		return false;
	part = segment_parts[n >> PART_BITS];
	return mi_likely(part != NULL) && part->word[n % (1 << PART_BITS) / 64] >> (n & 63) & 1;
}

bool mi_is_in_heap_region(const void *p) mi_attr_noexcept
{
	return in_segment(p) || in_unknown_segment(p);
}

void _mi_segment_map_unsafe_destroy(void) {}

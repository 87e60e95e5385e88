/*
 * Where the bits of each segment are: a pointer for each 32 MiB of the program's addresses, in parts that are allocated
 * on demand. Replaces mimalloc's segment-map.c.
 */
#define ADDRESS_BITS 47
#define PART_BITS 13 /* segments that a part covers */

typedef uintptr_t *segment_part[1 << PART_BITS];
static segment_part *segment_parts[1 << (ADDRESS_BITS - MI_SEGMENT_SHIFT - PART_BITS)];
/* A part found no memory once: since then a segment that no part knows is one if its own cookie says so. */
static bool segments_unknown;

/* A block may begin right after its segment (large alignments), but none begins at a segment's start. */
static inline mi_segment_t *segment_base(const void *p)
{
	return (mi_segment_t *)(((uintptr_t)p - 1) & ~(uintptr_t)MI_SEGMENT_MASK);
}

static inline segment_part **segment_slot(uintptr_t n)
{
	return &segment_parts[n >> PART_BITS];
}

void _mi_segment_map_allocated_at(const mi_segment_t *s)
{
	uintptr_t n = (uintptr_t)s >> MI_SEGMENT_SHIFT;
	segment_part **slot = segment_slot(n), *none = NULL, *part;
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
	__atomic_store_n(&(**slot)[n % (1 << PART_BITS)], (uintptr_t *)s->live, __ATOMIC_RELEASE);
}

void _mi_segment_map_freed_at(const mi_segment_t *s)
{
	uintptr_t n = (uintptr_t)s >> MI_SEGMENT_SHIFT;

	if (*segment_slot(n))
		__atomic_store_n(&(**segment_slot(n))[n % (1 << PART_BITS)], NULL, __ATOMIC_RELEASE);
}

/* The bits of the segment in whose first 32 MiB, where every block begins, `p` lies; NULL if there is none. */
static inline __attribute__((__always_inline__)) uintptr_t *segment_bits(const void *p)
{
	uintptr_t n = ((uintptr_t)p - 1) >> MI_SEGMENT_SHIFT;
	segment_part *part;

	if (mi_unlikely(n >> PART_BITS >= sizeof segment_parts / sizeof *segment_parts))
		return NULL;
	part = *segment_slot(n);
	return mi_likely(part != NULL) ? (*part)[n % (1 << PART_BITS)] : NULL;
}

/* The segment's part may be there by now: another segment's turn brought it. */
static uintptr_t *unknown_segment_bits(const void *p)
{
	mi_segment_t *s = segment_base(p);

	if (!segments_unknown || !s || (uintptr_t)s >> ADDRESS_BITS)
		return NULL;
	return s->cookie == _mi_ptr_cookie(s) ? (uintptr_t *)s->live : NULL;
}

bool mi_is_in_heap_region(const void *p) mi_attr_noexcept
{
	return segment_bits(p) || unknown_segment_bits(p);
}

void _mi_segment_map_unsafe_destroy(void) {}

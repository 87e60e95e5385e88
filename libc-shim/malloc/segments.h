/*
 * Which addresses begin a segment: a bit for each 32 MiB of the program's addresses, in pages that are made when they are
 * needed. In place of mimalloc's segment-map.c.
 */
#define ADDRESS_BITS 47
#define PART_BITS 15 /* segments that a page of 4096 bytes tells of */

static _Atomic(uintptr_t) *_Atomic segment_parts[1 << (ADDRESS_BITS - MI_SEGMENT_SHIFT - PART_BITS)];
/* There was no memory for a part: then the segment's own cookie must do. */
static bool segments_unknown;

static _Atomic(uintptr_t) *segment_word(const void *segment, bool make)
{
	uintptr_t n = (uintptr_t)segment >> MI_SEGMENT_SHIFT;
	_Atomic(uintptr_t) *_Atomic *slot = &segment_parts[n >> PART_BITS];
	_Atomic(uintptr_t) *part = *slot, *none = NULL;

	if (!part && make) {
		mi_memid_t id;
		part = _mi_os_zalloc(1 << (PART_BITS - 3), &id);
		if (!part) {
			segments_unknown = true;
			return NULL;
		}
		if (!atomic_compare_exchange_strong(slot, &none, part)) {
			_mi_os_free(part, 1 << (PART_BITS - 3), id);
			part = none;
		}
	}
	return part ? &part[(n & ((1 << PART_BITS) - 1)) / 64] : NULL;
}

static uintptr_t segment_bit(const void *segment)
{
	return 1UL << ((uintptr_t)segment >> MI_SEGMENT_SHIFT & 63);
}

void _mi_segment_map_allocated_at(const mi_segment_t *s)
{
	_Atomic(uintptr_t) *w = segment_word(s, true);
	if (w)
		atomic_fetch_or(w, segment_bit(s));
}

void _mi_segment_map_freed_at(const mi_segment_t *s)
{
	_Atomic(uintptr_t) *w = segment_word(s, false);
	if (w)
		atomic_fetch_and(w, ~segment_bit(s));
}

/* The segment that `p` is in the first 32 MiB of, where every block begins; NULL if there is none. */
static inline mi_segment_t *segment_of(const void *p)
{
	mi_segment_t *s = _mi_ptr_segment(p);
	_Atomic(uintptr_t) *w;

	if ((uintptr_t)s >> ADDRESS_BITS)
		return NULL;
	w = segment_word(s, false);
	if (mi_likely(w && *w & segment_bit(s)))
		return s;
	return segments_unknown && !w && p && s->cookie == _mi_ptr_cookie(s) ? s : NULL;
}

bool mi_is_in_heap_region(const void *p) mi_attr_noexcept
{
	return segment_of(p) != NULL;
}

void _mi_segment_map_unsafe_destroy(void) {}

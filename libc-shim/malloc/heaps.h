/*
 * Heaps of threads that have ended, kept for the threads to come.
 *
 * Making a thread's heap and its first segment, and giving both back, costs ten times what the rest of a thread costs. So
 * a few heaps in which no block is in use any more stay as they are. A heap that is kept belongs to no thread, and
 * nobody looks into it until a thread takes it over, or until there is no memory.
 */
#define KEPT_HEAPS 4
/* A heap that is kept has no more pages than this, all of them small. */
#define KEPT_PAGES 4

/* No lock: threads come here while they end, when locks may be skipped already. */
static _Atomic(mi_heap_t *) kept_heaps[KEPT_HEAPS];

/* A heap of one segment, or none; the segment, too, says whose it is. */
static void set_heap_owner(mi_heap_t *heap, mi_segment_t *segment, mi_threadid_t owner)
{
	heap->thread_id = owner;
	if (segment)
		mi_atomic_store_release(&segment->thread_id, owner);
}

/* Whether a heap has few pages, all in one segment, without a block in use. */
static bool may_be_kept(mi_heap_t *heap, mi_segment_t **segment)
{
	size_t pages = 0;

	*segment = NULL;
	_mi_heap_delayed_free_all(heap);
	if (heap->page_count > KEPT_PAGES || heap->tld->segments.count > 1)
		return false;
	for (size_t bin = 0; pages < heap->page_count && bin < MI_BIN_HUGE; bin++)
		for (mi_page_t *page = heap->pages[bin].first; page; page = page->next, pages++) {
			_mi_page_free_collect(page, false);
			if (!mi_page_all_free(page) || page->block_size > MI_SMALL_OBJ_SIZE_MAX)
				return false;
			*segment = _mi_page_segment(page);
		}
	return pages == heap->page_count;
}

/* Keeps the heap of the calling thread, which ends. False: the heap is in use, too large, or enough are kept. */
static bool keep_heap(mi_heap_t *heap)
{
	mi_segment_t *segment;

	if (heap->thread_id != _mi_prim_thread_id() || heap->tld->heaps != heap || heap->next)
		return false;
	if (!may_be_kept(heap, &segment))
		return false;
	/* A thread's number is an address, which the next thread may have again. That of the segment is no thread's. */
	set_heap_owner(heap, segment, (mi_threadid_t)segment);
	for (int i = 0; i < KEPT_HEAPS; i++) {
		mi_heap_t *none = NULL;
		if (mi_atomic_cas_ptr_strong_acq_rel(mi_heap_t, &kept_heaps[i], &none, heap)) {
			_mi_heap_default = (mi_heap_t *)&_mi_heap_empty;
			return true;
		}
	}
	set_heap_owner(heap, segment, _mi_prim_thread_id());
	return false;
}

/* A heap that was kept, which belongs to the calling thread from now on; NULL: there is none. */
static mi_heap_t *take_kept_heap(void)
{
	for (int i = 0; i < KEPT_HEAPS; i++) {
		mi_heap_t *heap = mi_atomic_load_ptr_relaxed(mi_heap_t, &kept_heaps[i]);
		if (heap && (heap = mi_atomic_exchange_ptr_acq_rel(mi_heap_t, &kept_heaps[i], NULL))) {
			set_heap_owner(heap, (mi_segment_t *)heap->thread_id, _mi_prim_thread_id());
			return heap;
		}
	}
	return NULL;
}

/* There is no memory: gives back what is kept. False: nothing is. */
static mi_decl_noinline mi_decl_cold bool give_kept_heaps_back(void)
{
	bool some = false;

	for (mi_heap_t *heap; (heap = take_kept_heap()); some = true) {
		_mi_heap_collect_abandon(heap);
		mi_atomic_decrement_relaxed(&thread_count);
		mi_thread_data_free((mi_thread_data_t *)heap);
	}
	return some;
}

void mi_thread_init(void) mi_attr_noexcept
{
	mi_heap_t *heap = NULL;

	if (!mi_heap_is_initialized(mi_prim_get_default_heap()) && !_mi_is_main_thread())
		heap = take_kept_heap();
	if (heap)
		_mi_heap_set_default_direct(heap);
	else
		mi_thread_init_anew();
}

void _mi_thread_done(mi_heap_t *heap)
{
	if (heap == mi_prim_get_default_heap() && mi_heap_is_initialized(heap) && heap != &_mi_heap_main && keep_heap(heap))
		return;
	mi_thread_done_for_good(heap);
}

/* Memory from the system, for which heaps that are kept have to go if need be. */
int _mi_prim_alloc(void *hint, size_t size, size_t alignment, bool commit, bool allow_large, bool *is_large, bool *is_zero,
	void **addr)
{
	int err = mi_prim_alloc_once(hint, size, alignment, commit, allow_large, is_large, is_zero, addr);

	if (mi_unlikely(err) && give_kept_heaps_back())
		err = mi_prim_alloc_once(hint, size, alignment, commit, allow_large, is_large, is_zero, addr);
	return err;
}

int _mi_prim_commit(void *start, size_t size, bool *is_zero)
{
	int err = mi_prim_commit_once(start, size, is_zero);

	if (mi_unlikely(err) && give_kept_heaps_back())
		err = mi_prim_commit_once(start, size, is_zero);
	return err;
}

/*
 * What musl's malloc functions call: mimalloc, with a check of what is freed (libc-shim/malloc). `threads`: whether the program
 * ever made a thread.
 */
#ifndef LIBOS_LIVE_H
#define LIBOS_LIVE_H

#include <stddef.h>
#include "../../exit/x86_64/die.h"

#define LIVE_HIDDEN __attribute__((__visibility__("hidden")))

LIVE_HIDDEN void *__live_malloc(size_t, int threads);
LIVE_HIDDEN void *__live_zalloc(size_t, int threads);
LIVE_HIDDEN void *__live_aligned(size_t, size_t align, int threads);
LIVE_HIDDEN void __live_free(void *, int threads);
/* Usable bytes; what is no block ends the program. */
LIVE_HIDDEN size_t __live_size(void *);

#endif

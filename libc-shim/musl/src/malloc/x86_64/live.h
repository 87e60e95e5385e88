/*
 * What musl's malloc functions call: mimalloc, with a check of the pointers that are freed (libc-shim/malloc).
 * `threads`: whether the program ever made a thread. Until it does, nothing can run in between.
 */
#ifndef LIBOS_LIVE_H
#define LIBOS_LIVE_H

#include <stddef.h>
#include "../../exit/x86_64/die.h"

/* Blocks begin at multiples of this, even in a program that asks for less. */
#define GRANULE 16
#define AT_LEAST_A_GRANULE(n) ((n) < GRANULE ? GRANULE : (n))

#define LIVE_HIDDEN __attribute__((__visibility__("hidden")))

/* A marked block, or NULL and ENOMEM. */
LIVE_HIDDEN void *__live_malloc(size_t, int threads);
/* Marks a block that mimalloc gave to the program. */
LIVE_HIDDEN void *__live_begin(void *, int threads);
/* Takes a block back from the program; a pointer that is not a block ends the program. */
LIVE_HIDDEN void __live_free(void *, int threads);
/* Usable bytes of a block; a pointer that is not a block ends the program. */
LIVE_HIDDEN size_t __live_size(const void *);

#endif

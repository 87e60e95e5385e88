/*
 * What musl's malloc functions call: mimalloc, with a check of what is freed (libc-shim/malloc). `threads`: whether the program
 * ever made a thread. Before it does, nothing can come between.
 */
#ifndef LIBOS_LIVE_H
#define LIBOS_LIVE_H

#include <stddef.h>
#include "../../exit/x86_64/die.h"

/* Blocks begin at multiples of this, also those of a program that asks for less. */
#define GRANULE 16
#define AT_LEAST_A_GRANULE(n) ((n) < GRANULE ? GRANULE : (n))

#define LIVE_HIDDEN __attribute__((__visibility__("hidden")))

/* mimalloc gave this to the program. */
LIVE_HIDDEN void *__live_begin(void *, int threads);
/* The program gives it back; what is no block ends the program. */
LIVE_HIDDEN void __live_free(void *, int threads);
/* Usable bytes of a block; what is none ends the program. */
LIVE_HIDDEN size_t __live_size(const void *);

#endif

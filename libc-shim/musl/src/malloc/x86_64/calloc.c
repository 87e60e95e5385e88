/* calloc is in libc_calloc.c: this file only replaces musl's file of the same name. */
typedef int calloc_is_elsewhere;

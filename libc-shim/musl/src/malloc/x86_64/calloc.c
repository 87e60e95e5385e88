/* calloc is in libc_calloc.c: this only takes the place of the file of that name. */
typedef int calloc_is_elsewhere;

// mmap_truncate.c on a disk.
//@ disk 64M
//@ smp 2
#include "mmap_truncate.c"

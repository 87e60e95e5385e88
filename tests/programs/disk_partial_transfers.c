// The part of partial_transfers that concerns files, on a disk.
//@ disk 64M
#define FILES_ONLY 1
#include "partial_transfers.c"

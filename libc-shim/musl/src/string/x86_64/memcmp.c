/* Eight bytes at a time: the portable one takes seven instructions for each byte. */
#include <string.h>
#include <stdint.h>

typedef uint64_t __attribute__((__may_alias__, __aligned__(1))) word;

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *l = a, *r = b;

	for (; n >= sizeof(word); n -= sizeof(word), l += sizeof(word), r += sizeof(word)) {
		uint64_t x = *(const word *)l, y = *(const word *)r;
		if (x != y)
			return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
	}
	for (; n; n--, l++, r++)
		if (*l != *r)
			return *l - *r;
	return 0;
}

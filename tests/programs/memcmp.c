/* memcmp() of every length and alignment, with the difference at every place: the sign of the first one counts. */
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

int main(void)
{
	enum { MOST = 80 };
	int wrong = 0;
	unsigned char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static unsigned char other[MOST + 8];
	MUST(page != MAP_FAILED && !mprotect(page + 4096, 4096, PROT_NONE));
	/* The first operand ends where nothing is mapped: no byte behind the last is looked at. */
	for (int n = 0; n <= MOST; n++)
		for (int shift = 0; shift < 8; shift++) {
			unsigned char *a = page + 4096 - n, *b = other + shift;
			for (int i = 0; i < n; i++)
				a[i] = b[i] = i * 37 + n;
			wrong += memcmp(a, b, n) != 0;
			for (int at = 0; at < n; at++) {
				unsigned char was = b[at];
				b[at] = was ^ 0x80;
				/* What comes after the difference does not matter. */
				if (at + 1 < n)
					b[at + 1] ^= 0x55;
				int want = was > b[at] ? 1 : -1;
				wrong += sign(memcmp(a, b, n)) != want || sign(memcmp(b, a, n)) != -want;
				if (at + 1 < n)
					b[at + 1] ^= 0x55;
				b[at] = was;
			}
		}
	SHOW(wrong);
	IS(wrong == 0);
	return done();
}

/* memcpy(), memmove() and memset() of every short length and some longer ones, from and to every alignment, and over
 * themselves at every distance. */
#include "test.h"
#include <string.h>
#include <sys/mman.h>

enum { MOST = 600, ROOM = 2 * MOST + 64 };

static unsigned char memory[ROOM], want[ROOM];

static void fill(void)
{
	static unsigned at;
	for (int i = 0; i < ROOM; i++)
		want[i] = memory[i] = ++at * 167 >> 3;
}

/* Whether moving n bytes is what it is byte by byte, and touches nothing else. */
static int moves(int to, int from, int n)
{
	void *(*volatile move)(void *, const void *, size_t) = memmove;
	fill();
	for (int i = 0; i < n; i++)
		want[to + i] = memory[from + i];
	return move(memory + to, memory + from, n) == memory + to && !memcmp(memory, want, ROOM);
}

int main(void)
{
	static unsigned char source[MOST + 64];
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	void *(*volatile set)(void *, int, size_t) = memset;
	int wrong = 0;
	for (int n = 0; n <= MOST; n += n < 140 ? 1 : 23)
		for (int from = 0; from < 17; from += 1 + n / 200)
			for (int to = 0; to < 33; to += 1 + n / 100) {
				fill();
				for (int i = 0; i < n; i++)
					want[16 + to + i] = source[from + i] = i * 37 + n;
				wrong += copy(memory + 16 + to, source + from, n) != memory + 16 + to;
				wrong += !!memcmp(memory, want, ROOM);
			}
	SHOW(wrong);
	for (int n = 0; n <= MOST; n += n < 20 ? 1 : 43)
		for (int by = 0; by <= n + 1; by += n < 150 ? 1 : 11)
			wrong += !moves(16 + by, 16, n) + !moves(16, 16 + by, n);
	SHOW(wrong);
	for (int n = 0; n <= MOST; n += n < 300 ? 1 : 23)
		for (int to = 0; to < 33; to++) {
			fill();
			for (int i = 0; i < n; i++)
				want[16 + to + i] = (unsigned char)(n * 3 + 0x181);
			wrong += set(memory + 16 + to, n * 3 + 0x181, n) != memory + 16 + to;
			wrong += !!memcmp(memory, want, ROOM);
		}
	SHOW(wrong);

	/* Both end where nothing is mapped: no byte behind the last is touched. */
	unsigned char *two = mmap(0, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(two != MAP_FAILED && !mprotect(two + 4096, 4096, PROT_NONE) && !mprotect(two + 3 * 4096, 4096, PROT_NONE));
	for (int n = 0; n <= 400; n++) {
		unsigned char *from = two + 4096 - n, *to = two + 3 * 4096 - n;
		wrong += set(from, n, n) != from;
		wrong += copy(to, from, n) != to || !!memcmp(to, from, n);
	}
	SHOW(wrong);
	IS(wrong == 0);
	return done();
}

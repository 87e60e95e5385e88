// Random file operations checked against a model in memory, like Apple's fsx: every byte that is read is compared.
// fsx [-d DIR] [-s SEED] [-r RUNS] [-n OPERATIONS] [-t THREADS] [-l LONGEST FILE] [-v]
// With several threads, each has its own files, and all write stripes of one shared file. A seed's operations do not
// depend on timing or file system, so the final output is the same on every correct system.
//@ args -s 1 -r 2 -n 5000 -t 1 -- -s 3 -r 2 -n 5000 -t 2
//@ smp 2
//@ timeout 120
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#define FILES 3
#define GUARD 64
#define NOTES 60
#define STRIPE 1000
#define ROUND 200
#ifndef FALLOC_FL_ZERO_RANGE
#define FALLOC_FL_ZERO_RANGE 0x10
#endif

struct file {
    int fd, flags;
    bool orphan;         /* unlinked, still open */
    char name[2][24];    /* the current name, and the one for the next rename */
    long size;
    uint8_t *good;       /* its expected contents; zeros past the end */
    uint8_t *map;        /* a mapping kept over many operations, or null */
};

struct worker {
    int number;
    uint64_t random;
    struct file files[FILES];
    uint8_t *buffer;
    char notes[NOTES][120];
    long count;
};

static long longest = 256 << 10, page;
static bool verbose;
static struct file shared;
static int threads;
static long operations;
static pthread_barrier_t barrier;

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static long below(struct worker *w, long limit) { return limit > 0 ? (long)(next(&w->random) % (uint64_t)limit) : 0; }

/* Offsets and lengths near page and sector boundaries find more bugs than evenly spread ones. */
static long place(struct worker *w, long limit)
{
    long at = below(w, limit), step = below(w, 2) ? page : 512;
    if (below(w, 4) == 0) at = at / step * step + below(w, 3) - 1;
    return at < 0 ? 0 : at >= limit ? (limit > 0 ? limit - 1 : 0) : at;
}

static long amount(struct worker *w, long most)
{
    long n = below(w, 3) ? below(w, 8192) : below(w, 65536);
    n = below(w, 8) == 0 ? (n + page - 1) / page * page : n;
    return n > most ? most : n;
}

__attribute__((format(printf, 2, 3))) static void note(struct worker *w, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *line = w->notes[w->count % NOTES];
    int n = snprintf(line, 24, "%d:%ld ", w->number, w->count);
    vsnprintf(line + n, sizeof *w->notes - (size_t)n, format, list);
    va_end(list);
    w->count++;
    if (verbose) fprintf(stderr, "%s\n", line);
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(struct worker *w, const char *format, ...)
{
    va_list list;
    int e = errno;
    static atomic_flag once = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&once)) pause();
    for (long i = w->count > NOTES ? w->count - NOTES : 0; i < w->count; i++) fprintf(stderr, "%s\n", w->notes[i % NOTES]);
    va_start(list, format);
    printf("FAIL in operation %ld of thread %d: ", w->count - 1, w->number);
    vprintf(format, list);
    printf(" (errno %s)\n", errname(e));
    va_end(list);
    fflush(stdout);
    _exit(1);
}

static void compare(struct worker *w, const char *how, const struct file *f, const uint8_t *got, long at, long n)
{
    if (memcmp(got, f->good + at, (size_t)n) == 0) return;
    long first = -1, last = 0, bad = 0;
    for (long i = 0; i < n; i++)
        if (got[i] != f->good[at + i]) { bad++; last = i; if (first < 0) first = i; }
    fail(w, "%s %s: %ld of %ld bytes at %#lx are wrong, from %#lx to %#lx: %02x for %02x, size %#lx", how, f->name[0], bad, n, at,
         at + first, at + last, got[first], f->good[at + first], f->size);
}

static void check_size(struct worker *w, const struct file *f)
{
    struct stat st;
    if (fstat(f->fd, &st)) fail(w, "fstat");
    if (st.st_size != f->size) fail(w, "%s is %#lx long instead of %#lx", f->name[0], (long)st.st_size, f->size);
    if (f->orphan) return;
    if (stat(f->name[0], &st)) fail(w, "stat %s", f->name[0]);
    if (st.st_size != f->size) fail(w, "by name %s is %#lx long instead of %#lx", f->name[0], (long)st.st_size, f->size);
}

static void fill(struct worker *w, uint8_t *to, long n)
{
    uint64_t x = next(&w->random) | 1;
    for (long i = 0; i < n; i++, x += 0x0101010101010101 * 3) to[i] = (uint8_t)(x >> (i & 7) * 8);
}

static void resized(struct file *f, long size)
{
    if (size < f->size) memset(f->good + size, 0, (size_t)(f->size - size));
    f->size = size;
}

static void open_again(struct worker *w, struct file *f, int more)
{
    if (f->orphan) resized(f, 0);
    f->flags = more;
    f->fd = open(f->name[0], O_RDWR | more | (f->orphan ? O_CREAT | O_EXCL : 0), 0644);
    if (f->fd < 0) fail(w, "open %s, flags %#x", f->name[0], (unsigned)more);
    f->orphan = false;
}

static void start(struct worker *w, struct file *f, int number)
{
    memset(f, 0, sizeof *f);
    snprintf(f->name[0], sizeof f->name[0], "%d-%d.a", w->number, number);
    snprintf(f->name[1], sizeof f->name[1], "%d-%d long name.b", w->number, number);
    f->good = calloc(1, (size_t)longest + 65536);
    if (!f->good) fail(w, "no memory");
    unlink(f->name[0]);
    unlink(f->name[1]);
    f->orphan = true;
    open_again(w, f, 0);
}

static void finish(struct file *f)
{
    if (f->map) munmap(f->map, (size_t)longest);
    close(f->fd);
    unlink(f->name[0]);
    free(f->good);
}

static void do_write(struct worker *w, struct file *f)
{
    long at = place(w, longest), n = 1 + amount(w, longest - at - 1), way = below(w, 3);
    if (f->flags & O_APPEND) {
        at = f->size;
        way = 1;
        if (n > longest - at) n = longest - at;
        if (n == 0) return;
    }
    note(w, "write %s %#lx +%#lx way %ld", f->name[0], at, n, way);
    fill(w, w->buffer, n);
    long done = 0;
    if (way == 0) done = pwrite(f->fd, w->buffer, (size_t)n, at);
    else if (way == 1) done = lseek(f->fd, at, SEEK_SET) == at ? write(f->fd, w->buffer, (size_t)n) : -2;
    else {
        size_t cut = (size_t)below(w, n);
        struct iovec parts[3] = { { w->buffer, cut / 2 }, { w->buffer + cut / 2, cut - cut / 2 }, { w->buffer + cut, (size_t)n - cut } };
        done = pwritev(f->fd, parts, 3, at);
    }
    if (done != n) fail(w, "%ld of %ld bytes were written", done, n);
    memcpy(f->good + at, w->buffer, (size_t)n);
    if (at + n > f->size) f->size = at + n;
}

static void do_read(struct worker *w, struct file *f)
{
    long at = place(w, f->size + 4096), n = amount(w, longest + 65536 - at), way = below(w, 3);
    long expected = at >= f->size ? 0 : f->size - at < n ? f->size - at : n;
    note(w, "read %s %#lx +%#lx way %ld", f->name[0], at, n, way);
    memset(w->buffer, 0xa5, (size_t)n + GUARD);
    long done = 0;
    if (way == 0) done = pread(f->fd, w->buffer, (size_t)n, at);
    else if (way == 1) done = lseek(f->fd, at, SEEK_SET) == at ? read(f->fd, w->buffer, (size_t)n) : -2;
    else {
        size_t cut = (size_t)below(w, n);
        struct iovec parts[2] = { { w->buffer, cut }, { w->buffer + cut, (size_t)n - cut } };
        done = preadv(f->fd, parts, 2, at);
    }
    if (done != expected) fail(w, "%ld bytes were read instead of %ld", done, expected);
    compare(w, "read", f, w->buffer, at, done);
    for (long i = done; i < n + GUARD; i++)
        if (w->buffer[i] != 0xa5) fail(w, "a read of %ld bytes wrote byte %ld", done, i);
}

/* The kept mapping is as long as the longest file; only the part before the end may be touched. */
static uint8_t *keep_map(struct worker *w, struct file *f)
{
    if (!f->map) f->map = mmap(0, (size_t)longest, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (f->map == MAP_FAILED) fail(w, "mmap %s", f->name[0]);
    return f->map;
}

static void do_map(struct worker *w, struct file *f, bool writing)
{
    if (f->size == 0) return;
    long at = place(w, f->size), n = 1 + amount(w, f->size - at - 1), start = at / page * page, way = below(w, 4);
    note(w, "map%s %s %#lx +%#lx way %ld", writing ? "write" : "read", f->name[0], at, n, way);
    size_t length = (size_t)(at + n - start);
    uint8_t *map = way ? keep_map(w, f) + start : mmap(0, length, PROT_READ | (writing ? PROT_WRITE : 0), MAP_SHARED, f->fd, start);
    if (map == MAP_FAILED) fail(w, "mmap");
    if (writing) {
        fill(w, f->good + at, n);
        memcpy(map + (at - start), f->good + at, (size_t)n);
        if (below(w, 4) == 0 && msync(map, length, below(w, 2) ? MS_SYNC : MS_ASYNC)) fail(w, "msync");
    } else {
        compare(w, "mapping of", f, map + (at - start), at, n);
        if (at + n == f->size && f->size % page != 0)
            for (long i = f->size; i % page != 0; i++)
                if (map[i - start]) fail(w, "%02x is mapped at %#lx, behind the end %#lx of %s", map[i - start], i, f->size, f->name[0]);
    }
    if (!way && munmap(map, length)) fail(w, "munmap");
}

static void do_truncate(struct worker *w, struct file *f)
{
    long size = below(w, 4) ? place(w, longest) : place(w, f->size + 1);
    note(w, "truncate %s %#lx -> %#lx", f->name[0], f->size, size);
    if (f->orphan || below(w, 2) ? ftruncate(f->fd, size) : truncate(f->name[0], size)) fail(w, "truncate");
    resized(f, size);
}

/* If the file system does not support it, it is done by hand, so that a seed gives the same results everywhere. */
static void do_allocate(struct worker *w, struct file *f)
{
    static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE };
    int mode = modes[below(w, 4)];
    long at = place(w, longest), n = 1 + amount(w, longest - at - 1);
    bool zeroes = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE), grows = !(mode & FALLOC_FL_KEEP_SIZE) && at + n > f->size;
    long end = grows || at + n < f->size ? at + n : f->size;
    note(w, "fallocate %s mode %d %#lx +%#lx", f->name[0], mode, at, n);
    if (zeroes && at < end) memset(f->good + at, 0, (size_t)(end - at));
    long old = f->size;
    if (grows) f->size = end;
    if (fallocate(f->fd, mode, at, n) == 0) return;
    if (errno != EOPNOTSUPP) fail(w, "fallocate");
    if (grows && ftruncate(f->fd, end)) fail(w, "ftruncate");
    if (zeroes && at < old) {
        long most = old - at < n ? old - at : n;
        memset(w->buffer, 0, (size_t)most);
        int flags = fcntl(f->fd, F_GETFL);
        if (flags & O_APPEND) fcntl(f->fd, F_SETFL, flags & ~O_APPEND);
        if (pwrite(f->fd, w->buffer, (size_t)most, at) != most) fail(w, "pwrite of zeros");
        if (flags & O_APPEND) fcntl(f->fd, F_SETFL, flags);
    }
}

static void do_copy(struct worker *w, struct file *from, struct file *to, bool send)
{
    if ((to->flags & O_APPEND) || from->size == 0) return;
    long at = place(w, from->size), dest = place(w, longest), n = 1 + amount(w, from->size - at - 1);
    if (n > longest - dest) n = longest - dest;
    if (from == to && at < dest + n && dest < at + n) return;
    note(w, "%s %s %#lx +%#lx -> %s %#lx", send ? "sendfile" : "copy_file_range", from->name[0], at, n, to->name[0], dest);
    off_t in = at, out = dest;
    long left = n;
    if (send && lseek(to->fd, dest, SEEK_SET) != dest) fail(w, "lseek");
    while (left > 0) {
        ssize_t done = send ? sendfile(to->fd, from->fd, &in, (size_t)left) : copy_file_range(from->fd, &in, to->fd, &out, (size_t)left, 0);
        if (done < 0 && !send && (errno == ENOSYS || errno == EXDEV || errno == EOPNOTSUPP)) {
            done = pread(from->fd, w->buffer, (size_t)left, in);
            if (done > 0) done = pwrite(to->fd, w->buffer, (size_t)done, out);
            in += done;
            out += done;
        }
        if (done <= 0) fail(w, "copied %ld of %ld bytes", n - left, n);
        left -= done;
    }
    if (in != at + n || (!send && out != dest + n)) fail(w, "offsets after copying: %ld, %ld", (long)in, (long)out);
    memmove(to->good + dest, from->good + at, (size_t)n);
    if (dest + n > to->size) to->size = dest + n;
}

/* Bypasses the cache, with whole blocks. File systems without O_DIRECT refuse the flag, as on Linux. */
static void do_direct(struct worker *w, struct file *f)
{
    long at = below(w, longest) / 4096 * 4096, n = (1 + below(w, 8)) * 4096;
    bool writing = below(w, 2);
    if (n > longest - at) n = longest - at;
    if (f->orphan || (writing && at > f->size)) return;
    note(w, "direct %s %s %#lx +%#lx", writing ? "write" : "read", f->name[0], at, n);
    int fd = open(f->name[0], O_RDWR | O_DIRECT);
    if (fd < 0 && errno == EINVAL) fd = open(f->name[0], O_RDWR);
    if (fd < 0) fail(w, "open for direct I/O");
    if (writing) {
        fill(w, w->buffer, n);
        long done = pwrite(fd, w->buffer, (size_t)n, at);
        if (done != n) fail(w, "%ld of %ld bytes were written", done, n);
        memcpy(f->good + at, w->buffer, (size_t)n);
        if (at + n > f->size) f->size = at + n;
    } else {
        long expected = at >= f->size ? 0 : f->size - at < n ? f->size - at : n, done = pread(fd, w->buffer, (size_t)n, at);
        if (done != expected) fail(w, "%ld bytes were read instead of %ld", done, expected);
        compare(w, "direct read", f, w->buffer, at, done);
    }
    close(fd);
}

static void do_rename(struct worker *w, struct file *f)
{
    if (f->orphan) return;
    bool over = below(w, 2);
    note(w, "rename %s -> %s%s", f->name[0], f->name[1], over ? ", which exists" : "");
    if (over) {
        int fd = open(f->name[1], O_CREAT | O_WRONLY | O_EXCL, 0644);
        if (fd < 0 || write(fd, "victim", 6) != 6 || close(fd)) fail(w, "making %s", f->name[1]);
    }
    if (rename(f->name[0], f->name[1])) fail(w, "rename");
    struct stat st;
    if (stat(f->name[0], &st) == 0 || errno != ENOENT) fail(w, "%s is still there", f->name[0]);
    char name[sizeof *f->name];
    memcpy(name, f->name[0], sizeof name);
    memcpy(f->name[0], f->name[1], sizeof name);
    memcpy(f->name[1], name, sizeof name);
}

static void do_open(struct worker *w, struct file *f)
{
    static const int choice[] = { 0, 0, O_SYNC, O_DSYNC, O_APPEND, O_APPEND | O_DSYNC };
    int flags = choice[below(w, 6)];
    bool unmap = below(w, 2);
    if (f->map && (unmap || f->orphan)) {
        if (munmap(f->map, (size_t)longest)) fail(w, "munmap");
        f->map = 0;
    }
    if (!f->orphan && below(w, 8) == 0) {
        note(w, "unlink %s", f->name[0]);
        if (unlink(f->name[0])) fail(w, "unlink");
        f->orphan = true;
        return;
    }
    note(w, "reopen %s, flags %#x", f->name[0], (unsigned)flags);
    if (close(f->fd)) fail(w, "close");
    open_again(w, f, flags);
}

static void do_sync(struct worker *w, struct file *f)
{
    long way = below(w, 8);
    note(w, "sync %s way %ld", f->name[0], way);
    if (way == 0) sync();
    else if (way < 3 ? fdatasync(f->fd) : fsync(f->fd)) fail(w, "fsync");
}

static void one(struct worker *w)
{
    struct file *f = &w->files[below(w, FILES)], *other = &w->files[below(w, FILES)];
    long kind = below(w, 100);
    if (kind < 22) do_write(w, f);
    else if (kind < 44) do_read(w, f);
    else if (kind < 55) do_map(w, f, false);
    else if (kind < 66) do_map(w, f, true);
    else if (kind < 74) do_truncate(w, f);
    else if (kind < 79) do_allocate(w, f);
    else if (kind < 84) do_copy(w, f, other, false);
    else if (kind < 88) do_copy(w, f, other, true);
    else if (kind < 91) do_direct(w, f);
    else if (kind < 94) do_rename(w, f);
    else if (kind < 97) do_open(w, f);
    else do_sync(w, f);
    check_size(w, f);
}

/* Reads all of it, in every way. */
static void whole(struct worker *w, struct file *f)
{
    check_size(w, f);
    for (long at = 0; at < f->size; at += 65536) {
        long n = f->size - at < 65536 ? f->size - at : 65536;
        if (pread(f->fd, w->buffer, (size_t)n, at) != n) fail(w, "pread at %#lx", at);
        compare(w, "all of", f, w->buffer, at, n);
    }
    if (f->size) compare(w, "mapping of all of", f, keep_map(w, f), 0, f->size);
}

/* One operation on this thread's stripes of the shared file: neighbouring bytes in the same page and sector belong to
   other threads. */
static void on_stripe(struct worker *w)
{
    struct file *f = &shared;
    long stripes = f->size / STRIPE, index = below(w, stripes) / threads * threads + w->number;
    if (index >= stripes) return;
    long at = index * STRIPE + below(w, STRIPE), n = 1 + below(w, (index + 1) * STRIPE - at), kind = below(w, 100);
    note(w, "stripe %ld %#lx +%#lx kind %ld", index, at, n, kind);
    if (kind < 35) {
        fill(w, f->good + at, n);
        if (pwrite(f->fd, f->good + at, (size_t)n, at) != n) fail(w, "pwrite");
    } else if (kind < 60) {
        fill(w, f->good + at, n);
        memcpy(f->map + at, f->good + at, (size_t)n);
    } else if (kind < 80) {
        if (pread(f->fd, w->buffer, (size_t)n, at) != n) fail(w, "pread");
        compare(w, "stripe of", f, w->buffer, at, n);
    } else if (kind < 96) compare(w, "mapped stripe of", f, f->map + at, at, n);
    else if (kind < 98 ? fdatasync(f->fd) : msync(f->map + at / page * page, (size_t)page, MS_SYNC)) fail(w, "fdatasync or msync");
}

/* Between two rounds, while the other threads wait: compares all of it and changes its size and name. */
static void between(struct worker *w)
{
    whole(w, &shared);
    do_truncate(w, &shared);
    do_allocate(w, &shared);
    do_rename(w, &shared);
    if (shared.size < STRIPE * 4 * threads) {
        note(w, "truncate %s to half", shared.name[0]);
        if (ftruncate(shared.fd, longest / 2)) fail(w, "ftruncate");
        shared.size = longest / 2;
    }
    whole(w, &shared);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (long i = 0; i < operations; i++) {
        if (threads > 1 && i % ROUND == 0) {
            pthread_barrier_wait(&barrier);
            if (w->number == 0) between(w);
            pthread_barrier_wait(&barrier);
        }
        if (threads > 1 && i % 3 == 0) on_stripe(w);
        else one(w);
    }
    for (int i = 0; i < FILES; i++) whole(w, &w->files[i]);
    return 0;
}

static uint32_t sum(const struct file *f)
{
    uint32_t hash = 2166136261;
    for (long i = 0; i < f->size; i++) hash = (hash ^ f->good[i]) * 16777619;
    return hash;
}

static void run(uint64_t seed)
{
    pthread_t ids[threads];
    struct worker *all = calloc((size_t)threads, sizeof *all);
    if (!all) exit(99);
    pthread_barrier_init(&barrier, 0, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        all[i].number = i;
        all[i].random = seed * 1000 + (uint64_t)i;
        all[i].buffer = aligned_alloc(4096, (size_t)longest + 65536 * 2);
        if (!all[i].buffer) exit(99);
        for (int j = 0; j < FILES; j++) start(&all[i], &all[i].files[j], j);
    }
    start(&all[0], &shared, 99);
    for (int i = 0; i < threads; i++) MUST0(pthread_create(&ids[i], 0, work, &all[i]));
    for (int i = 0; i < threads; i++) pthread_join(ids[i], 0);
    if (threads > 1) whole(&all[0], &shared);
    printf("seed %lu, threads %d, %ld operations each: no mismatch\n", (unsigned long)seed, threads, operations);
    for (int i = 0; i < threads; i++)
        for (int j = 0; j < FILES; j++) {
            struct file *f = &all[i].files[j];
            printf("  %s: %ld bytes, %08x\n", f->name[0], f->size, sum(f));
            finish(f);
        }
    if (threads > 1) printf("  shared: %ld bytes, %08x\n", shared.size, sum(&shared));
    finish(&shared);
    for (int i = 0; i < threads; i++) free(all[i].buffer);
    free(all);
    pthread_barrier_destroy(&barrier);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    long runs = 1;
    bool entered = false;
    page = sysconf(_SC_PAGESIZE);
    threads = 1;
    operations = 5000;
    /* "--" starts another set of arguments, for another set of runs in the same process. */
    for (int i = 1; i <= argc; i++) {
        if (i == argc || strcmp(argv[i], "--") == 0) {
            if (!entered) enter_scratch();
            entered = true;
            for (long r = 0; r < runs; r++) run(seed + (uint64_t)r);
            continue;
        }
        const char option = argv[i][0] == '-' ? argv[i][1] : 0;
        if (option == 'v') { verbose = true; continue; }
        if (!option || i + 1 == argc) { printf("unknown argument %s\n", argv[i]); return 2; }
        const char *value = argv[++i];
        if (option == 'd') { MUST(chdir(value)); entered = true; }
        else if (option == 's') seed = strtoull(value, 0, 10);
        else if (option == 'r') runs = atol(value);
        else if (option == 'n') operations = atol(value);
        else if (option == 't') threads = atoi(value);
        else if (option == 'l') longest = atol(value);
        else { printf("unknown option -%c\n", option); return 2; }
    }
    return done();
}

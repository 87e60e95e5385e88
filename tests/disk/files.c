// Files and what fsync promises, for power cuts and failing disks (tests/harness/src/disk).
// files work DIR STEPS [alone]   does the steps; prints "acked N" after each and, unless alone, waits for a line of input
// files check DIR ACKED ...      for each DIR: whether its state is that after ACKED steps and perhaps part of the next
// files check-failed DIR ACKED ...  the same after a disk error that the program saw: what the unfinished step
//                                wrote may be zeros, too
// The kind of step N is N % KINDS. What a step writes depends only on N.
#include "../programs/test.h"
#include <dirent.h>

#define BLOCK 4096
#define BLOCKS 32

enum { APPEND, REPLACE, TREE, OVERWRITE, SYNCHRONOUS, RESIZE, REMOVE, KINDS };

static const char *where;

static char *name(const char *format, int n)
{
    static char names[4][256];
    static int turn;
    char *to = names[turn++ % 4];
    int length = snprintf(to, 256, "%s/", where);
    snprintf(to + length, (size_t)(256 - length), format, n);
    return to;
}

static char byte(int n, long at) { return (char)('!' + (n * 31 + at * 7 + at / 95) % 94); }

static void fill(char *to, int n, long length)
{
    for (long i = 0; i < length; i++) to[i] = byte(n, i);
}

static long length_of(int n) { return 100 + n % 11 * 700; }

static long resized(int n) { return n * 977L % 50000; }

/* A failing call fails the whole step; prints which call it was. */
#define TRY(expr) do { if ((long)(expr) < 0) { printf("error %d %s %s\n", n, errname(errno), #expr); return false; } } while (0)

static bool sync_folder(int n, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    TRY(fd);
    int e = fsync(fd) ? errno : 0;
    close(fd);
    errno = e;
    TRY(e ? -1 : 0);
    return true;
}

static bool put(int n, int fd, long length, long at)
{
    static char buffer[65536];
    fill(buffer, n, length);
    long done = at < 0 ? write(fd, buffer, (size_t)length) : pwrite(fd, buffer, (size_t)length, at);
    if (done >= 0 && done < length) errno = ENOSPC;
    TRY(done < length ? -1 : 0);
    return true;
}

static bool step(int n)
{
    int fd = -1;
    bool ok = true;
    switch (n % KINDS) {
    case APPEND:
        TRY(fd = open(name("log.txt", 0), O_WRONLY | O_CREAT | O_APPEND, 0644));
        ok = put(n, fd, length_of(n), -1);
        if (ok && fsync(fd)) { printf("error %d %s fsync\n", n, errname(errno)); ok = false; }
        break;
    case REPLACE:
        TRY(fd = open(name("settings.tmp", 0), O_WRONLY | O_CREAT | O_TRUNC, 0644));
        ok = put(n, fd, length_of(n), -1);
        if (ok && fsync(fd)) { printf("error %d %s fsync\n", n, errname(errno)); ok = false; }
        if (!ok) break;
        close(fd);
        fd = -1;
        TRY(rename(name("settings.tmp", 0), name("settings", 0)));
        return sync_folder(n, where);
    case TREE:
        if (mkdir(name("trees", 0), 0755) && errno != EEXIST) TRY(-1);
        TRY(mkdir(name("trees/tree number %d", n), 0755));
        TRY(mkdir(name("trees/tree number %d/inner", n), 0755));
        TRY(fd = open(name("trees/tree number %d/inner/leaf", n), O_WRONLY | O_CREAT | O_EXCL, 0644));
        ok = put(n, fd, length_of(n), -1);
        if (ok && fsync(fd)) { printf("error %d %s fsync\n", n, errname(errno)); ok = false; }
        close(fd);
        return ok && sync_folder(n, name("trees/tree number %d/inner", n)) && sync_folder(n, name("trees/tree number %d", n)) &&
               sync_folder(n, name("trees", 0)) && sync_folder(n, where);
    case OVERWRITE:
        TRY(fd = open(name("blocks", 0), O_RDWR | O_CREAT, 0644));
        ok = put(n, fd, BLOCK, n / KINDS % BLOCKS * (long)BLOCK);
        if (ok && fdatasync(fd)) { printf("error %d %s fdatasync\n", n, errname(errno)); ok = false; }
        break;
    case SYNCHRONOUS:
        TRY(fd = open(name("synchronous.txt", 0), O_WRONLY | O_CREAT | O_APPEND | (n / KINDS % 2 ? O_SYNC : O_DSYNC), 0644));
        ok = put(n, fd, length_of(n), -1);
        break;
    case RESIZE:
        TRY(fd = open(name("resized", 0), O_RDWR | O_CREAT, 0644));
        if (ftruncate(fd, resized(n))) { printf("error %d %s ftruncate\n", n, errname(errno)); ok = false; break; }
        ok = resized(n) == 0 || put(n, fd, resized(n), 0);
        if (ok && fsync(fd)) { printf("error %d %s fsync\n", n, errname(errno)); ok = false; }
        break;
    default: { /* every second tree that the same round made */
        int old = n - REMOVE + TREE;
        if (old / KINDS % 2) return sync_folder(n, where);
        TRY(unlink(name("trees/tree number %d/inner/leaf", old)));
        TRY(rmdir(name("trees/tree number %d/inner", old)));
        TRY(rmdir(name("trees/tree number %d", old)));
        return sync_folder(n, name("trees", 0));
    }
    }
    if (close(fd) && ok) { printf("error %d %s close\n", n, errname(errno)); ok = false; }
    return ok;
}

static int faults;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    printf("fault in %s: ", where);
    vprintf(format, list);
    putchar('\n');
    va_end(list);
    faults++;
}

/* Reads a whole file; -1 if it does not exist. */
static long whole(const char *path, char **to)
{
    static char buffer[4 << 20];
    int fd = open(path, O_RDONLY);
    *to = buffer;
    if (fd < 0) {
        if (errno != ENOENT) fault("%s cannot be opened: %s", path, errname(errno));
        return -1;
    }
    long length = 0, n;
    while ((n = read(fd, buffer + length, sizeof buffer - (size_t)length)) > 0) length += n;
    if (n < 0) fault("%s cannot be read: %s", path, errname(errno));
    close(fd);
    return length;
}

static bool equal(const char *data, int n, long length)
{
    for (long i = 0; i < length; i++)
        if (data[i] != byte(n, i)) return false;
    return true;
}

static bool zeros_too;

/* Whether this can be what an unfinished step left. */
static bool left(const char *data, int n, long length)
{
    for (long i = 0; i < length; i++)
        if (data[i] != byte(n, i) && !(zeros_too && data[i] == 0)) return false;
    return true;
}

/* Records of one kind, one after the other; after the promised ones at most part of the one being written. */
static void check_records(const char *file, int kind, int acked)
{
    char *data;
    long size = whole(name(file, 0), &data), at = 0;
    for (int n = 1; n <= acked; n++) {
        if (n % KINDS != kind) continue;
        if (at + length_of(n) > size) { fault("%s has %ld bytes: step %d of %d is lost", file, size, n, acked); return; }
        if (!equal(data + at, n, length_of(n))) { fault("%s: step %d of %d is damaged", file, n, acked); return; }
        at += length_of(n);
    }
    long more = size - at;
    if (more <= 0) return;
    if ((acked + 1) % KINDS != kind || more > length_of(acked + 1)) fault("%s has %ld bytes too many", file, more);
    else if (!left(data + at, acked + 1, more)) fault("%s: foreign data in the %ld bytes of the unfinished step %d", file, more, acked + 1);
}

static void check_tree(int n, bool must, bool may, bool whole_leaf)
{
    char *data, *leaf = name("trees/tree number %d/inner/leaf", n);
    long size = whole(leaf, &data);
    if (size < 0) {
        if (must) fault("tree %d is lost", n);
        struct stat st;
        if (!may && stat(name("trees/tree number %d", n), &st) == 0) fault("tree %d was removed and is there", n);
        return;
    }
    if (!may) fault("the leaf of tree %d was removed and is there", n);
    if (whole_leaf ? size != length_of(n) : size > length_of(n)) fault("the leaf of tree %d has %ld bytes", n, size);
    else if (!(whole_leaf ? equal : left)(data, n, size)) fault("the leaf of tree %d is damaged", n);
}

/* The last finished step of a kind, and whether the next of all is of that kind. */
static int last(int kind, int acked)
{
    for (int n = acked; n > 0; n--)
        if (n % KINDS == kind) return n;
    return 0;
}

static void check(int acked)
{
    char *data;
    struct stat st;
    int next = acked + 1;
    if (stat(where, &st)) { fault("not there: %s", errname(errno)); return; }
    check_records("log.txt", APPEND, acked);
    check_records("synchronous.txt", SYNCHRONOUS, acked);

    int n = last(REPLACE, acked);
    long size = whole(name("settings", 0), &data);
    bool old = n && size == length_of(n) && equal(data, n, size);
    bool new = next % KINDS == REPLACE && size == length_of(next) && equal(data, next, size);
    if (!old && !new && !(n == 0 && size < 0)) fault("settings are neither those of step %d nor newer: %ld bytes", n, size);
    if (next % KINDS != REPLACE && stat(name("settings.tmp", 0), &st) == 0) fault("settings.tmp was renamed and is there");

    for (n = 1; n <= next; n++) {
        if (n % KINDS != TREE) continue;
        int removal = n - TREE + REMOVE;
        bool removed = n / KINDS % 2 == 0 && removal <= acked, removing = n / KINDS % 2 == 0 && removal == next;
        bool made = n <= acked;
        check_tree(n, made && !removed && !removing, !removed, made);
    }

    size = whole(name("blocks", 0), &data);
    for (int b = 0; b < BLOCKS; b++) {
        int newest = 0;
        for (n = 1; n <= acked; n++)
            if (n % KINDS == OVERWRITE && n / KINDS % BLOCKS == b) newest = n;
        if (!newest) continue;
        if (next % KINDS == OVERWRITE && next / KINDS % BLOCKS == b) continue;
        if (size < (b + 1L) * BLOCK) fault("blocks have %ld bytes: block %d of step %d is lost", size, b, newest);
        else if (!equal(data + b * (long)BLOCK, newest, BLOCK)) fault("block %d of step %d is not there", b, newest);
    }

    n = last(RESIZE, acked);
    if (n && next % KINDS != RESIZE) {
        size = whole(name("resized", 0), &data);
        if (size != resized(n)) fault("resized has %ld bytes instead of %ld", size, resized(n));
        else if (!equal(data, n, size)) fault("resized is damaged");
    }
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "work") == 0) {
        char line[64];
        where = argv[2];
        for (int n = 1; n <= atoi(argv[3]); n++) {
            if (!step(n)) return 3;
            printf("acked %d\n", n);
            if (argc == 4 && !fgets(line, sizeof line, stdin)) return 4;
        }
        puts("end");
        return 0;
    }
    zeros_too = argc > 1 && strcmp(argv[1], "check-failed") == 0;
    if (argc > 3 && (zeros_too || strcmp(argv[1], "check") == 0)) {
        for (int i = 2; i + 1 < argc; i += 2) {
            int before = faults;
            where = argv[i];
            check(atoi(argv[i + 1]));
            printf("%s %s %s\n", where, argv[i + 1], faults == before ? "good" : "bad");
        }
        return faults ? 1 : 0;
    }
    puts("usage: see the source");
    return 2;
}

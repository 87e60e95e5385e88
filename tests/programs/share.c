// Commands on files, for folders shared by the host (tests/harness/src/shares.rs); without a command, a self-contained
// test.
#include "test.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* The same bytes as `content` in shares.rs. */
static unsigned char byte_at(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 24;
}

static uint32_t sum(const unsigned char *p, size_t n)
{
    uint32_t h = 2166136261u;
    while (n--) h = (h ^ *p++) * 16777619u;
    return h;
}

static void fill(const char *path, size_t n)
{
    unsigned char buf[70000];
    uint32_t state = 0x12345678;
    int fd = (int)MUST(open(path, O_CREAT | O_TRUNC | O_RDWR, 0640));
    for (size_t done = 0; done < n;) {
        size_t k = n - done < sizeof buf ? n - done : sizeof buf;
        for (size_t i = 0; i < k; i++) buf[i] = byte_at(&state);
        MUST((size_t)write(fd, buf, k) == k ? 0 : -1);
        done += k;
    }
    MUST(fsync(fd));
    MUST(close(fd));
}

/* Prints it, by read and through a mapping. */
static void show(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) { printf("%s\n", errname(errno)); return; }
    struct stat st;
    MUST(fstat(fd, &st));
    unsigned char *all = malloc((size_t)st.st_size + 1);
    size_t n = 0;
    for (ssize_t k; n < (size_t)st.st_size && (k = read(fd, all + n, (size_t)st.st_size - n)) > 0;) n += (size_t)k;
    uint32_t a = sum(all, n), b = a;
    if (n) {
        unsigned char *map = mmap(0, n, PROT_READ, MAP_SHARED, fd, 0);
        MUST(map == MAP_FAILED ? -1 : 0);
        b = sum(map, n);
        munmap(map, n);
    }
    printf("%zu bytes %08x %s\n", n, a, a == b ? "mapped too" : "MAPPED DIFFERENTLY");
    free(all);
    close(fd);
}

static void text(const char *path)
{
    char buf[4096];
    int fd = open(path, O_RDONLY);
    if (fd < 0) { printf("%s\n", errname(errno)); return; }
    printf("%.*s", (int)MUST(read(fd, buf, sizeof buf)), buf);
    close(fd);
}

static int hidden(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

/* Names may come in any order, so their sums are added. */
static void list(const char *path, bool remove)
{
    DIR *d = opendir(path);
    MUST(d ? 0 : -1);
    MUST(chdir(path));
    uint32_t n = 0, h = 0, wrong = 0;
    long half = -1;
    for (struct dirent *e; (e = readdir(d));) {
        if (hidden(e->d_name)) continue;
        struct stat st;
        if (n % 97 == 0 && (lstat(e->d_name, &st) || st.st_ino != e->d_ino || IFTODT(st.st_mode) != e->d_type)) wrong++;
        n++;
        h += sum((unsigned char *)e->d_name, strlen(e->d_name));
        if (n == 3000) half = telldir(d);
        if (remove) MUST(unlink(e->d_name));
    }
    printf("%u names %08x, %u wrong\n", n, h, wrong);
    if (half >= 0 && !remove) {
        uint32_t rest = 0;
        seekdir(d, half);
        while (readdir(d)) rest++;
        printf("%u behind\n", rest);
        rewinddir(d);
        rest = 0;
        while (readdir(d)) rest++;
        printf("%u again\n", rest);
    }
    closedir(d);
}

/* Reopens the file until its content is "end". */
static void watch(const char *path)
{
    char last[100] = "", now[100];
    for (int i = 0; i < 600 && strcmp(last, "end"); i++) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof now - 1);
        if (fd >= 0) close(fd);
        snprintf(now + (n < 0 ? 0 : n), sizeof now - (n < 0 ? 0 : (size_t)n), "%s", n < 0 ? errname(errno) : "");
        if (strcmp(now, last)) printf("%s\n", strcpy(last, now));
        sleep_ms(50);
    }
}

/* What a read-only folder refuses. */
static void refused(const char *path)
{
    MUST(chdir(path));
    SHOW(open("f", O_RDWR));
    SHOW(open("f", O_RDONLY | O_TRUNC));
    SHOW(open("new", O_CREAT | O_WRONLY, 0600));
    SHOW(mkdir("d", 0700));
    SHOW(symlink("a", "l"));
    SHOW(link("f", "g"));
    SHOW(rename("f", "g"));
    SHOW(unlink("f"));
    SHOW(chmod("f", 0777));
    SHOW(truncate("f", 0));
    SHOW(access("f", R_OK));
    SHOW(access("f", W_OK));
    show("f");
}

/* What the host user's rights do not allow, and what no shared folder supports. */
static void rights(const char *path)
{
    MUST(chdir(path));
    SHOW(open("secret", O_RDONLY));
    SHOW(open("fixed", O_RDWR));
    SHOW(open("fixed", O_RDONLY) >= 0);
    SHOW(open("closed/inner", O_RDONLY));
    SHOW(unlink("locked/f"));
    SHOW(open("locked/new", O_CREAT | O_WRONLY, 0600));
    SHOW(mkfifo("fifo", 0600));
    SHOW(mknod("null", S_IFCHR | 0600, 0x103));
    struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "socket" };
    int s = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(bind(s, (void *)&a, sizeof a));
    SHOW(open("pipe", O_RDONLY | O_NONBLOCK));
    SHOW(setxattr("fixed", "user.a", "b", 1, 0));
    /* A file that cannot be opened again stays usable to its creator while open. */
    int fd = (int)MUST(open("mine", O_CREAT | O_RDWR, 0));
    SHOW(write(fd, "x", 1));
    SHOW(open("mine", O_RDONLY));
    SHOW(chmod("mine", 0600));
    SHOW(open("mine", O_RDONLY) >= 0);
}

/* Appends lines in quick succession, even when the host removes the file's name; the host then creates NAME.gone. */
static void append(const char *path)
{
    char gone[300], line[9], got[8];
    snprintf(gone, sizeof gone, "%s.gone", path);
    int fd = (int)MUST(open(path, O_CREAT | O_RDWR | O_APPEND, 0644)), lines = 0;
    puts("appending");
    for (int after = 0; after < 200; lines++) {
        snprintf(line, sizeof line, "%07d\n", lines);
        MUST(write(fd, line, 8));
        after += access(gone, F_OK) == 0;
        nanosleep(&(struct timespec){ 0, 1000000 }, 0);
    }
    struct stat st;
    MUST(fstat(fd, &st));
    IS(st.st_size == lines * 8L);
    int wrong = 0;
    for (int i = 0; i < lines; i++) {
        snprintf(line, sizeof line, "%07d\n", i);
        wrong += pread(fd, got, 8, i * 8L) != 8 || memcmp(got, line, 8);
    }
    SHOW(wrong);
    fflush(stdout);
}

static void own(void)
{
    enter_scratch();
    fill("a", 300000);
    show("a");
    show("none");
    MUST(mkdir("d", 0755));
    for (int i = 0; i < 100; i++) {
        char name[40];
        snprintf(name, sizeof name, "d/a rather long name %d", i);
        MUST(close((int)MUST(open(name, O_CREAT | O_WRONLY, 0600))));
    }
    list("d", false);
    list(".", true);
    MUST(chdir(".."));
    SHOW(rmdir("d"));
    SHOW(rename("a", "b"));
    show("b");
    int fd = (int)MUST(open("b", O_RDWR));
    char *map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map == MAP_FAILED ? -1 : 0);
    memcpy(map + 4000, "written through a mapping", 25);
    MUST(msync(map, 8192, MS_SYNC));
    show("b");
    MUST(unlink("b"));
    SHOW(ftruncate(fd, 10));
    SHOW(pwrite(fd, "end", 3, 20));
    char buf[40];
    IS(pread(fd, buf, 40, 0) == 23 && !memcmp(buf + 10, "\0\0\0\0\0\0\0\0\0\0end", 13));
    struct stat st;
    SHOW(fstat(fd, &st));
    SHOW(st.st_nlink);
    SHOW(st.st_size);
}

int main(int argc, char **argv)
{
    if (argc == 1) own();
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *what = argv[i], *path = argv[i + 1];
        if (!strcmp(what, "fill")) fill(path, 3000001);
        else if (!strcmp(what, "show")) show(path);
        else if (!strcmp(what, "text")) text(path);
        else if (!strcmp(what, "list")) list(path, false);
        else if (!strcmp(what, "remove")) list(path, true);
        else if (!strcmp(what, "watch")) watch(path);
        else if (!strcmp(what, "append")) append(path);
        else if (!strcmp(what, "refused")) refused(path);
        else if (!strcmp(what, "rights")) rights(path);
        else printf("%s?\n", what);
    }
    return done();
}

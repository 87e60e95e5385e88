// open: flags, modes, errors; the lowest descriptor is taken.
//@ shows open close umask
#include "test.h"

static long closed(int fd) { return fd < 0 ? -1 : (close(fd), 0); }
#define OPENS(...) show_call("open(" #__VA_ARGS__ ")", closed(open(__VA_ARGS__)))

int main(void)
{
    struct stat st;
    char buf[16];
    enter_scratch();
    OPENS("f", O_RDONLY);
    OPENS("f", O_RDWR | O_CREAT | O_EXCL, 0640);
    OPENS("f", O_RDWR | O_CREAT | O_EXCL, 0640);
    OPENS("f", O_RDWR | O_CREAT, 0600);
    MUST(stat("f", &st));
    printf("mode %o\n", st.st_mode);
    umask(077);
    OPENS("g", O_WRONLY | O_CREAT, 0666);
    umask(022);
    MUST(stat("g", &st));
    printf("mode %o\n", st.st_mode);
    OPENS("f", O_DIRECTORY);
    OPENS("f/x", O_RDONLY);
    OPENS("f/x", O_WRONLY | O_CREAT, 0600);
    OPENS("none/x", O_WRONLY | O_CREAT, 0600);
    OPENS("", O_RDONLY);
    MUST(mkdir("d", 0755));
    OPENS("d", O_RDONLY);
    OPENS("d/", O_RDONLY | O_DIRECTORY);
    OPENS("d", O_WRONLY);
    OPENS("d", O_RDWR | O_CREAT, 0600);
    OPENS("f/", O_RDONLY);
    OPENS("new/", O_WRONLY | O_CREAT, 0600);
    MUST(symlink("f", "l"));
    MUST(symlink("nowhere", "dangling"));
    MUST(symlink("loop2", "loop1"));
    MUST(symlink("loop1", "loop2"));
    OPENS("l", O_RDONLY);
    OPENS("l", O_RDONLY | O_NOFOLLOW);
    OPENS("l", O_RDWR | O_CREAT | O_EXCL, 0600);
    OPENS("dangling", O_RDONLY);
    OPENS("dangling", O_RDWR | O_CREAT, 0600);
    IS(stat("nowhere", &st) == 0);
    OPENS("loop1", O_RDONLY);
    char longest[300];
    memset(longest, 'n', 299);
    longest[255] = 0;
    OPENS(longest, O_WRONLY | O_CREAT, 0600);
    longest[255] = 'n', longest[256] = 0;
    OPENS(longest, O_WRONLY | O_CREAT, 0600);
    char *path = malloc(5000);
    for (int i = 0; i < 4998; i += 2) memcpy(path + i, "./", 2);
    strcpy(path + 4998, "f");
    OPENS(path, O_RDONLY);
    strcpy(path + 4000, "f");
    OPENS(path, O_RDONLY);
    OPENS((char *)8, O_RDONLY);

    section("descriptors");
    int fd = open("f", O_RDWR);
    SHOW(fd);
    SHOW(dup(fd));
    SHOW(close(fd));
    SHOW(open("f", O_RDONLY));
    SHOW(close(99));
    SHOW(close(-1));
    fd = open("f", O_WRONLY);
    SHOW(read(fd, buf, 1));
    SHOW(write(fd, "12345", 5));
    close(fd);
    fd = open("f", O_RDONLY);
    SHOW(write(fd, "x", 1));
    SHOW(read(fd, buf, 16));
    SHOW(read(fd, buf, 16));
    SHOW(read(fd, (void *)8, 1));
    lseek(fd, 0, SEEK_SET);
    SHOW(read(fd, (void *)8, 1));
    SHOW(read(fd, buf, 0));
    close(fd);
    fd = open("d", O_RDONLY);
    SHOW(read(fd, buf, 1));
    close(fd);
    fd = open("f", O_WRONLY | O_TRUNC);
    MUST(fstat(fd, &st));
    SHOW(st.st_size);
    close(fd);
    OPENS("f", O_RDONLY | O_PATH);
    fd = open("f", O_PATH);
    SHOW(read(fd, buf, 1));
    MUST(fstat(fd, &st));
    IS(S_ISREG(st.st_mode));
    close(fd);
    return done();
}

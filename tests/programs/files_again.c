/* Paths that are walked again and again lead where they should after every change of a name on the way. */
#include "test.h"
#include <sys/syscall.h>

enum { EXCHANGE = 2 };

static char here[256], text[512];

static const char *at(const char *name)
{
	snprintf(text, sizeof text, "%s/%s", here, name);
	return text;
}
static void file(const char *name, int size)
{
	int fd = (int)MUST(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
	MUST(write(fd, "123456789", (size_t)size));
	close(fd);
}
static long exchange(const char *a, const char *b)
{
	return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
}
/* The file's size, found by stat and by open several times. */
static long size(const char *name)
{
	long first = -1;
	for (int i = 0; i < 3; i++) {
		struct stat s, o;
		long by_stat = stat(at(name), &s) ? -1 : (long)s.st_size;
		int e = errno, fd = open(at(name), O_RDONLY);
		long by_open = fd < 0 || fstat(fd, &o) ? -1 : (long)o.st_size;
		if (fd >= 0)
			close(fd);
		if (by_stat != by_open || (i && by_stat != first))
			return -100;
		first = by_stat;
		errno = by_stat == -1 ? e : 0;
	}
	return first;
}
static long is_dir(const char *name)
{
	struct stat s;
	return stat(at(name), &s) ? -1 : !!S_ISDIR(s.st_mode);
}

int main(void)
{
	enter_scratch();
	MUST(getcwd(here, sizeof here) ? 0 : -1);
	MUST(mkdir("a", 0755));
	MUST(mkdir("a/b", 0755));
	file("a/b/f", 1);
	file("g", 2);

	SHOW(size("a/b/f"));
	section("the name is replaced");
	SHOW(rename("g", "a/b/f"));
	SHOW(size("a/b/f"));
	section("a directory on the way is moved");
	SHOW(rename("a/b", "a/c"));
	SHOW(size("a/b/f"));
	SHOW(size("a/c/f"));
	section("another takes its place");
	MUST(mkdir("a/b", 0755));
	file("a/b/f", 3);
	SHOW(size("a/b/f"));
	SHOW(exchange("a/b", "a/c"));
	SHOW(size("a/b/f"));
	SHOW(size("a/c/f"));
	section("the name is removed, and made again");
	SHOW(unlink("a/b/f"));
	SHOW(size("a/b/f"));
	file("a/b/f", 4);
	SHOW(size("a/b/f"));
	section("a link in its place");
	SHOW(unlink("a/b/f"));
	SHOW(symlink("../c/f", "a/b/f"));
	SHOW(size("a/b/f"));
	SHOW(unlink("a/c/f"));
	SHOW(size("a/b/f"));
	section("a slash at the end");
	SHOW(is_dir("a/b/"));
	SHOW(is_dir("a/b/"));
	SHOW(unlink("a/b/f"));
	SHOW(rmdir("a/b"));
	SHOW(is_dir("a/b/"));
	file("a/b", 5);
	SHOW(is_dir("a/b/"));
	SHOW(size("a/b"));
	SHOW(is_dir("a/b/"));
	section("content and mode, which are not the name's");
	SHOW(truncate(at("a/b"), 7));
	SHOW(size("a/b"));
	SHOW(chmod(at("a/b"), 0600));
	struct stat s;
	MUST(stat(at("a/b"), &s));
	SHOW(s.st_mode & 0777);
	return done();
}

// stdio on files: buffering, seeking, ungetc, scanning, getline, temporary files, memory streams.
#include "test.h"
#include <wchar.h>

int main(void)
{
    enter_scratch();
    FILE *f = fopen("f", "w+");
    for (int i = 0; i < 3000; i++) fprintf(f, "line %d\n", i);
    printf("at %ld\n", ftell(f));
    rewind(f);
    char *line = 0;
    size_t cap = 0;
    long lines = 0, sum = 0;
    int n;
    while (getline(&line, &cap, f) > 0)
        if (sscanf(line, "line %d", &n) == 1) lines++, sum += n;
    printf("%ld lines, sum %ld, eof %d\n", lines, sum, feof(f) != 0);
    SHOW(fseek(f, -9, SEEK_END));
    SHOW(fgetc(f));
    SHOW(ungetc('#', f));
    char buf[100];
    printf("%s", fgets(buf, sizeof buf, f));
    SHOW(fclose(f));
    f = fopen("f", "r");
    SHOW(fputc('x', f));
    IS(ferror(f) != 0);
    fclose(f);
    IS(fopen("none", "r") == 0 && errno == ENOENT);
    IS(fopen("f", "wx") == 0 && errno == EEXIST);
    IS(fopen("f", "zzz") == 0 && errno == EINVAL);
    f = fopen("f", "a+");
    fputs("tail\n", f);
    fseek(f, 0, SEEK_SET);
    printf("%s", fgets(buf, sizeof buf, f));
    fputs("end\n", f);
    printf("at %ld\n", ftell(f));
    fclose(f);
    f = tmpfile();
    IS(f != 0);
    fwrite("0123456789", 1, 10, f);
    rewind(f);
    SHOW(fread(buf, 3, 10, f));
    SHOW(fclose(f));
    char *mem;
    size_t size;
    f = open_memstream(&mem, &size);
    fprintf(f, "%s-%05d", "memory", 42);
    fclose(f);
    printf("%s %zu\n", mem, size);
    f = fmemopen("12 abc 3.5", 10, "r");
    double d;
    printf("%d", fscanf(f, "%d %99s %lf", &n, buf, &d));
    printf(" %d %s %g\n", n, buf, d);
    fclose(f);
    f = freopen("out", "w", stderr);
    IS(f == stderr);
    fprintf(stderr, "to the file");
    fflush(stderr);
    struct stat st;
    MUST(stat("out", &st));
    SHOW(st.st_size);
    SHOW(remove("out"));
    SHOW(rename("f", "g"));
    SHOW(remove("f"));
    f = fopen("/dev/full", "w");
    fputs("no room", f);
    SHOW(fflush(f));
    SHOW(fclose(f));
    return done();
}

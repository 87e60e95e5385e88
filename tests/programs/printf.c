// Formatting, scanning, mathematics, sorting, locale, wide characters: a tour of the C library.
#include "test.h"
#include <complex.h>
#include <ctype.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <search.h>
#include <signal.h>
#include <wchar.h>
#include <wctype.h>

static int up(const void *a, const void *b) { int x = *(const int *)a, y = *(const int *)b; return (x > y) - (x < y); }

int main(void)
{
    char buf[200];
    section("printf");
    printf("%d %5d|%-5d|%05d %+d % d %x %#X %o %u\n", -42, 42, 42, 42, 42, 42, 255, 255, 8, 4000000000u);
    printf("%ld %lld %zu %hhd %" PRIu64 " %jd\n", LONG_MIN, LLONG_MAX, SIZE_MAX, 300, UINT64_MAX, INTMAX_MIN);
    printf("%f %.3f %e %g %g %a %10.2f|%-10.1f|\n", 3.14159, 2.71828, 12345.678, 0.0001, 1e20, 1.5, 9.999, 9.95);
    printf("%Lf %.20g %g %g %g\n", 1.25L, 0.1, INFINITY, -INFINITY, NAN);
    printf("%s|%10s|%-10s|%.2s|%c|%%|%5.1s|\n", "str", "right", "left", "cut", 'c', "xyz");

    volatile size_t five = 5;
    SHOW(snprintf(buf, five, "%s", "truncated"));
    printf("%s\n", buf);
    SHOW(snprintf(0, 0, "%d", 12345));
    section("scanf");
    int a, b, n;
    unsigned x;
    double d;
    char w[20], set[20];
    SHOW(sscanf("12 -7 ff 2.5e3 word [abc]", "%d %d %x %lf %19s [%19[a-c]%n", &a, &b, &x, &d, w, set, &n));
    printf("%d %d %u %g %s %s %d\n", a, b, x, d, w, set, n);
    errno = 0;
    SHOW(strtol("99999999999999999999", 0, 10) == LONG_MAX && errno == ERANGE);
    SHOW(strtoul("0x1fz", 0, 0));
    printf("%.17g %.17g %.17g\n", strtod("0.1", 0), strtod("1e-320", 0), strtod("0x1.8p3", 0));
    section("math");
    volatile double two = 2;
    printf("%.15g %.15g %.15g %.15g %.15g\n", sqrt(two), sin(two), exp(two), pow(two, 0.5), log(two));
    printf("%.15g %.15g %.15g %.15g %ld\n", tgamma(5), cbrt(27 * two), hypot(3, 4), fmod(10, 3 + two), lround(two + 0.5));
    printf("%.12g%+.12gi\n", creal(cexp(I * two)), cimag(cexp(I * two)));
    section("sorting and searching");
    int v[1000];
    srand(1);
    for (int i = 0; i < 1000; i++) v[i] = (i * 7919) % 1009;
    qsort(v, 1000, sizeof *v, up);
    bool sorted = true;
    for (int i = 1; i < 1000; i++) sorted = sorted && v[i - 1] <= v[i];
    IS(sorted);
    int key = v[500];
    IS(*(int *)bsearch(&key, v, 1000, sizeof *v, up) == key);
    section("strings");
    char text[] = "a,b;;c";
    for (char *save, *t = strtok_r(text, ",;", &save); t; t = strtok_r(0, ",;", &save)) printf("[%s]", t);
    printf(" %zu %s %s\n", strspn("abcde", "cba"), strstr("needle in hay", "in"), strerror(ENOENT));
    printf("%d %d %s\n", strcasecmp("HeLLo", "hEllO"), toupper('x'), strsignal(SIGSEGV));
    section("locale");
    printf("%s\n", setlocale(LC_ALL, "C.UTF-8") ? "set" : "not set");
    wchar_t wide[20];
    SHOW(mbstowcs(wide, "grüße", 20));
    SHOW(towupper(wide[2]));
    printf("%ls %s\n", wide, localeconv()->decimal_point);
    return done();
}

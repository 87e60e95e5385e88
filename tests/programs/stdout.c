// Long output arrives complete and in order, also from several threads; standard error stays separate.
//@ smp 2
#include "test.h"
#include <pthread.h>

static void *say(void *arg)
{
    char line[80];
    for (int i = 0; i < 200; i++) {
        int n = snprintf(line, sizeof line, "thread %ld says %d\n", (long)arg, i);
        if (write(2, line, (size_t)n) != n) return (void *)1;
    }
    return 0;
}

int main(void)
{
    pthread_t t[2];
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    for (long i = 0; i < 2; i++) MUST0(pthread_create(&t[i], 0, say, (void *)i));
    for (int i = 0; i < 6000; i++) printf("%05d the quick brown fox jumps over the lazy dog, says line %d\n", i, i);
    long bad = 0;
    for (int i = 0; i < 2; i++) {
        void *r;
        MUST0(pthread_join(t[i], &r));
        bad += (long)r;
    }
    SHOW(bad);
    unsigned char all[256];
    for (int i = 0; i < 256; i++) all[i] = (unsigned char)i;
    fwrite(all, 1, 256, stdout);
    fputs("\r\n\n\r", stdout);
    return done();
}

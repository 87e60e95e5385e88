// A slow disk does not block other threads: one writes and syncs, one sleeps in short steps and prints how late it
// woke, one answers on TCP port 7000. slow DIR SECONDS
#include "../programs/test.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

static atomic_bool over;
static atomic_long syncs, wrote;

static void *writer(void *path)
{
    static char block[200000];
    int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    while (!over) {
        MUST(pwrite(fd, block, sizeof block, syncs % 8 * (long)sizeof block));
        wrote += sizeof block;
        MUST(fsync(fd));
        syncs++;
    }
    close(fd);
    return 0;
}

static void *server(void *arg)
{
    (void)arg;
    int one = 1, listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7000) };
    MUST(bind(listener, (struct sockaddr *)&any, sizeof any));
    MUST(listen(listener, 5));
    for (;;) {
        int fd = accept(listener, 0, 0);
        char text[100];
        for (long n; fd >= 0 && (n = read(fd, text, sizeof text)) > 0;) if (write(fd, text, (size_t)n) < n) break;
        if (fd >= 0) close(fd);
    }
    return 0;
}

int main(int argc, char **argv)
{
    char path[256];
    pthread_t threads[2];
    snprintf(path, sizeof path, "%s/slow", argv[1]);
    MUST0(pthread_create(&threads[0], 0, writer, path));
    MUST0(pthread_create(&threads[1], 0, server, 0));
    int64_t start = now_ns(), end = start + atol(argv[argc - 1]) * 1000000000L, latest = 0;
    long steps = 0;
    while (now_ns() < end) {
        int64_t before = now_ns();
        sleep_ms(10);
        int64_t late = now_ns() - before - 10000000;
        if (late > latest) latest = late;
        steps++;
    }
    over = true;
    printf("%ld syncs of %ld bytes, %ld short sleeps, the latest by %ld ms\n", (long)syncs, (long)wrote, steps, (long)(latest / 1000000));
    pthread_join(threads[0], 0);
    puts("end");
    return argc > 2 ? 0 : 2;
}

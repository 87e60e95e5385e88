// Terminals: what a program sees of one, or of pipes instead. Without arguments it runs on pipes, like other programs;
// `cargo unibody test terminal` gives it a terminal and an argument, types, and compares what both lives show.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

static const char *name(int error) {
    return error == ENOTTY ? "ENOTTY" : error == EINVAL ? "EINVAL" : error == ENXIO ? "ENXIO" : error == EAGAIN ? "EAGAIN"
         : error == EINTR ? "EINTR" : error == 0 ? "0" : strerror(error);
}

static void on_alarm(int signo) { (void)signo; }

static const char *result(int value) { return value == 0 ? "0" : name(errno); }

static void pipes(void) {
    struct termios t;
    struct winsize w;
    int n = -1;
    for (int fd = 0; fd < 2; fd++) {
        errno = 0;
        printf("%d: isatty %d %s", fd, isatty(fd), name(errno));
        printf(", tcgetattr %s", result(tcgetattr(fd, &t)));
        printf(", window %s", result(ioctl(fd, TIOCGWINSZ, &w)));
        printf(", group %s", result(ioctl(fd, TIOCGPGRP, &n)));
        printf(", ttyname %s\n", ttyname(fd) ? "a name" : name(errno));
    }
}

static void line(const char *what, const char *bytes, int n) {
    printf("%s %d:", what, n);
    for (int i = 0; i < n; i++) {
        unsigned char c = bytes[i];
        if (c > ' ' && c < 0x7f) printf(" %c", c);
        else printf(" %02x", c);
    }
    printf("\n");
    fflush(stdout);
}

static void facts(void) {
    struct termios t;
    struct winsize w;
    struct stat a, b, c;
    for (int fd = 0; fd < 3; fd++) printf("isatty %d\n", isatty(fd));
    tcgetattr(0, &t);
    printf("iflag %o oflag %o lflag %o\n", t.c_iflag, t.c_oflag, t.c_lflag);
    for (int i = 0; i < 17; i++) printf(" %02x", t.c_cc[i]);
    printf("\nspeed %u %u\n", cfgetospeed(&t) == B38400, cfgetispeed(&t) == B38400);
    ioctl(1, TIOCGWINSZ, &w);
    printf("window %d %d\n", w.ws_row, w.ws_col);
    printf("pgrp %d sid %d\n", tcgetpgrp(0) == getpgrp(), tcgetsid(0) == getsid(0));
    printf("tcsetpgrp %s\n", result(tcsetpgrp(0, getpgrp())));
    // fstat on the descriptor and stat on its name give the same object.
    char *path = ttyname(0);
    fstat(0, &a);
    stat(path ? path : "", &b);
    printf("name %d stat %d %d %d character %d\n", path != NULL, a.st_dev == b.st_dev, a.st_ino == b.st_ino,
           a.st_rdev == b.st_rdev, S_ISCHR(a.st_mode));
    stat("/dev/stdin", &c);
    printf("stdin %d\n", c.st_rdev == a.st_rdev);
    int again = open(path, O_RDWR | O_NOCTTY), tty = open("/dev/tty", O_RDWR);
    printf("opened %d %d\n", isatty(again), isatty(tty));
    if (write(tty, "by way of /dev/tty\n", 19) != 19) printf("not written\n");
    printf("pread %d", pread(0, &w, 1, 0) == -1 && errno == ESPIPE);
    printf(", lseek %d\n", lseek(0, 0, SEEK_CUR) == -1 && errno == ESPIPE);
    int flags = fcntl(0, F_GETFL);
    char buf[8];
    fcntl(0, F_SETFL, flags | O_NONBLOCK);
    errno = 0;
    printf("nothing typed: %zd", read(0, buf, 8));
    printf(" %s\n", name(errno));
    fcntl(0, F_SETFL, flags);
    // A timer that goes on, since the first expiry may come before the read.
    struct sigaction alarm = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &alarm, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    printf("interrupted: %zd", read(0, buf, 8));
    printf(" %s\n", name(errno));
    setitimer(ITIMER_REAL, &never, NULL);
    int bad = 99;
    printf("TIOCGETD %s %d, ", result(ioctl(0, TIOCGETD, &bad)), bad);
    printf("tcflush %s, ", result(tcflush(0, TCIFLUSH)));
    printf("wrong %s, ", result(tcflush(0, 7)));
    printf("tcdrain %s, ", result(tcdrain(1)));
    printf("tcflow %s, ", result(tcflow(1, TCOON)));
    printf("unknown %s\n", result(ioctl(0, 0x54ff, &bad)));
    w.ws_row = 7, w.ws_col = 9;
    ioctl(0, TIOCSWINSZ, &w);
    memset(&w, 0, sizeof w);
    ioctl(0, TIOCGWINSZ, &w);
    printf("window %d %d\n", w.ws_row, w.ws_col);
}

static volatile sig_atomic_t interrupted, resized;
static void on_interrupt(int signo) { (void)signo; interrupted++; }
static void on_resize(int signo) { (void)signo; resized++; }

/// Reads lines at a prompt, as a shell does. Signals arrive only while it waits: one between the prompt and a `read` would
/// be lost.
static void shell(void) {
    struct sigaction sa = {.sa_handler = on_interrupt};
    struct pollfd typed = {.fd = 0, .events = POLLIN};
    sigset_t block, waiting;
    char buf[256];
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGWINCH);
    sigprocmask(SIG_BLOCK, &block, &waiting);
    sigaction(SIGINT, &sa, NULL);
    sa.sa_handler = on_resize;
    sigaction(SIGWINCH, &sa, NULL);
    for (;;) {
        printf("> ");
        fflush(stdout);
        ssize_t n = ppoll(&typed, 1, NULL, &waiting);
        if (n > 0) n = read(0, buf, sizeof buf);
        if (n < 0 && errno == EINTR) {
            if (interrupted) printf("\ninterrupted\n");
            if (resized) {
                struct winsize w;
                ioctl(0, TIOCGWINSZ, &w);
                printf("\nwindow %d %d\n", w.ws_row, w.ws_col);
            }
            interrupted = resized = 0;
            continue;
        }
        if (n <= 0) break;
        line("line", buf, n);
    }
    printf("end\n");
}

/// Reads in raw mode: keys, and timeouts.
static void raw(void) {
    struct termios before, t;
    char buf[64];
    tcgetattr(0, &before);
    t = before;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | ONLCR;
    tcsetattr(0, TCSAFLUSH, &t);
    printf("keys\n");
    fflush(stdout);
    for (;;) {
        ssize_t n = read(0, buf, sizeof buf);
        line("key", buf, n);
        if (n == 1 && buf[0] == 'q') break;
    }
    t.c_cc[VMIN] = 0, t.c_cc[VTIME] = 2;
    tcsetattr(0, TCSANOW, &t);
    printf("in time %zd\n", read(0, buf, sizeof buf));
    t.c_cc[VTIME] = 0;
    tcsetattr(0, TCSANOW, &t);
    printf("at once %zd\n", read(0, buf, sizeof buf));
    t.c_cc[VMIN] = 3;
    tcsetattr(0, TCSANOW, &t);
    printf("three\n");
    fflush(stdout);
    struct pollfd p = {.fd = 0, .events = POLLIN};
    printf("poll %d", poll(&p, 1, -1));
    int available = 0;
    ioctl(0, FIONREAD, &available);
    printf(" there %d\n", available);
    line("three", buf, read(0, buf, sizeof buf));
    tcsetattr(0, TCSADRAIN, &before);
    printf("lines again\n");
    fflush(stdout);
    printf("poll %d", poll(&p, 1, -1));
    ioctl(0, FIONREAD, &available);
    printf(" there %d\n", available);
    line("line", buf, read(0, buf, sizeof buf));
}

/// Prints and never reads.
static void busy(void) {
    printf("busy\n");
    fflush(stdout);
    for (;;) pause();
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "facts")) facts();
    else if (!strcmp(what, "shell")) shell();
    else if (!strcmp(what, "raw")) raw();
    else if (!strcmp(what, "busy")) busy();
    else if (!strcmp(what, "stubborn")) {
        signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGQUIT, SIG_IGN);
        busy();
    } else pipes();
    return 0;
}

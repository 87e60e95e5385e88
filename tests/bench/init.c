/* The init of the Linux guest: loads the modules beside it in the order of their names, sets up the network (the card
 * if the environment has an `address`, which is then eth0's), mounts the file system named after `bench` on /data, runs
 * the remaining arguments as a program, and turns the machine off. Linked statically. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void off(void)
{
    fflush(stdout);
    tcdrain(1);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static void fail(const char *what)
{
    printf("bench: error=init: %s: %s\n", what, strerror(errno));
    off();
}

static void modules(void)
{
    struct dirent **names;
    int n = scandir("/modules", &names, 0, alphasort);
    for (int i = 0; i < n; i++) {
        char path[300];
        if (names[i]->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            fail(path);
        close(fd);
    }
}

/* A driver finds its device some time after its module was loaded. */
static void await(const char *path)
{
    for (int i = 0; access(path, F_OK) && i < 5000; i++)
        usleep(1000);
}

/* Switches an interface on, with an address in a network of 24 bits if one is given. */
static void up(const char *name, const char *address)
{
    struct ifreq r = {0};
    struct sockaddr_in *a = (void *)&r.ifr_addr;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    strcpy(r.ifr_name, name);
    for (int i = 0; ioctl(s, SIOCGIFINDEX, &r) && i < 5000; i++)
        usleep(1000);
    if (address) {
        memset(a, 0, sizeof *a);
        a->sin_family = AF_INET;
        if (!inet_aton(address, &a->sin_addr) || ioctl(s, SIOCSIFADDR, &r))
            fail(address);
        inet_aton("255.255.255.0", &a->sin_addr);
        if (ioctl(s, SIOCSIFNETMASK, &r))
            fail(address);
    }
    if (ioctl(s, SIOCGIFFLAGS, &r))
        fail(name);
    r.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &r))
        fail(name);
    close(s);
}

static void console(const char *path)
{
    struct termios t;
    int fd = open(path, O_RDWR);
    if (fd < 0)
        fail(path);
    dup2(fd, 0), dup2(fd, 1), dup2(fd, 2);
    if (!tcgetattr(0, &t)) {
        t.c_lflag &= ~ECHO;
        t.c_oflag &= ~OPOST;
        tcsetattr(0, TCSANOW, &t);
    }
}

int main(int argc, char **argv)
{
    mkdir("/dev", 0755);
    mkdir("/proc", 0755);
    mkdir("/data", 0755);
    if (mount("dev", "/dev", "devtmpfs", 0, 0) || mount("proc", "/proc", "proc", 0, 0))
        return 1;
    console("/dev/console");
    modules();
    /* As in our own guests: the program uses virtio, the kernel the serial port. */
    await("/dev/hvc0");
    console("/dev/hvc0");
    up("lo", 0);
    if (getenv("address"))
        up("eth0", getenv("address"));
    /* Parameters unknown to the kernel come first. */
    while (argc > 1 && strcmp(*argv, "bench"))
        argc--, argv++;
    if (argc < 3)
        errno = EINVAL, fail("arguments");
    const char *kind = argv[1], *from = strcmp(kind, "tmpfs") ? "/dev/vda" : "none";
    if (*from == '/')
        await(from);
    if (mount(from, "/data", kind, 0, 0))
        fail(kind);
    pid_t child = fork();
    if (!child) {
        execv(argv[2], argv + 2);
        fail(argv[2]);
    }
    int status;
    waitpid(child, &status, 0);
    if (umount("/data"))
        fail("umount");
    printf("bench: exit=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    off();
}

// System V shared memory: making, attaching, detaching, removing, what is told about it, who may what.
//@ shows shmget shmat shmdt shmctl
//@ user root
//@ smp 2
#include "ipc.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#ifndef SHM_LOCKED
#define SHM_LOCKED 02000
#endif

static void about(int id)
{
    struct shmid_ds d;
    if (shmctl(id, IPC_STAT, &d)) {
        printf("%s\n", errname(errno));
        return;
    }
    printf("mode %o size %ld attached %ld uid %d gid %d cuid %d cgid %d\n", d.shm_perm.mode, (long)d.shm_segsz,
           (long)d.shm_nattch, (int)d.shm_perm.uid, (int)d.shm_perm.gid, (int)d.shm_perm.cuid, (int)d.shm_perm.cgid);
    time_t now = time(0);
    IS(d.shm_cpid == getpid() && (d.shm_lpid == 0 || d.shm_lpid == getpid()));
    IS((d.shm_atime == 0 || now - d.shm_atime < 100) && (d.shm_dtime == 0 || now - d.shm_dtime < 100) && now - d.shm_ctime < 100);
}
static long attach(int id, const void *at, int flags)
{
    void *p = shmat(id, at, flags);
    return p == (void *)-1 ? -1 : 0;
}

int main(void)
{
    ipc_apart();
    const char *names[] = { "shmmax", "shmall", "shmmni" };
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/sys/kernel/%s", names[i]);
        file_text(path);
    }
    section("making");
    SHOW(shmget(77, 4096, 0600));
    SHOW(shmget(77, 0, IPC_CREAT | 0600));
    int id = (int)SHOW(shmget(77, 5000, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(shmget(77, 5000, IPC_CREAT | IPC_EXCL | 0600));
    IS(shmget(77, 0, 0) == id);
    IS(shmget(77, 5000, IPC_CREAT | 0600) == id);
    SHOW(shmget(77, 5001, 0));
    about(id);
    int other = (int)SHOW(shmget(IPC_PRIVATE, 1, 0640));
    IS(other != id);
    int third = (int)SHOW(shmget(IPC_PRIVATE, 1 << 20, 0));
    about(third);
    MUST(write_file("/proc/sys/kernel/shmmax", "8192"));
    SHOW(shmget(IPC_PRIVATE, 8193, 0600));
    MUST(write_file("/proc/sys/kernel/shmmax", "18446744073692774399"));
    MUST(write_file("/proc/sys/kernel/shmmni", "3"));
    SHOW(shmget(IPC_PRIVATE, 1, 0600));
    MUST(write_file("/proc/sys/kernel/shmmni", "4096"));
    MUST(write_file("/proc/sys/kernel/shmall", "300"));
    SHOW(shmget(IPC_PRIVATE, 1 << 20, 0600));
    MUST(write_file("/proc/sys/kernel/shmall", "18446744073692774399"));
    key_t key = ftok("/", 'x');
    IS(key != -1 && key == ftok("/", 'x') && key != ftok("/", 'y'));
    SHOW(ftok("/none", 'x'));

    section("attaching");
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, 0), *r = shmat(id, NULL, SHM_RDONLY);
    IS(a != (void *)-1 && b != (void *)-1 && r != (void *)-1 && a != b);
    about(id);
    strcpy(a, "shared");
    puts(b);
    puts(r);
    strcpy(b + 4096, "second page");
    puts(r + 4096);
    SHOW(mprotect(r, 8192, PROT_READ | PROT_WRITE));
    SHOW(mprotect(a, 4096, PROT_READ));
    SHOW(attach(id, a, 0));
    SHOW(attach(id, a + 1, 0));
    SHOW(attach(id, a, SHM_REMAP));
    SHOW(attach(id, a + 1, SHM_REMAP));
    SHOW(attach(id, a + 1, SHM_RND | SHM_REMAP));
    SHOW(attach(id, NULL, SHM_REMAP));
    SHOW(attach(id, (void *)1, SHM_RND | SHM_REMAP));
    about(id);
    SHOW(attach(-1, NULL, 0));
    SHOW(attach(4711, NULL, 0));
    SHOW(attach(id, (void *)(LONG_MAX & ~4095L), 0));
    char *hole = mmap(0, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(hole, 1 << 16);
    SHOW(attach(id, hole + 8192, 0));
    SHOW(strcmp(hole + 8192, "shared"));
    SHOW(shmdt(hole + 8192));
    SHOW(shmdt(hole + 8192));
    SHOW(attach(id, hole + 12345, SHM_RND));
    SHOW(strcmp(hole + 12288, "shared"));
    SHOW(shmdt(hole + 12345));
    SHOW(shmdt(hole + 12288 + 4096));
    SHOW(shmdt(hole + 12288));
    SHOW(shmdt(NULL));
    char *anonymous = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(shmdt(anonymous));

    section("pieces");
    char *p = shmat(third, NULL, 0);
    MUST(munmap(p + 4096, 4096));
    SHOW(shmdt(p));
    unsigned char vec[1];
    SHOW(mincore(p + 8192, 4096, vec));
    p = shmat(third, NULL, 0);
    MUST(mprotect(p + 4096, 4096, PROT_READ));
    MUST(munmap(p, 4096));
    SHOW(shmdt(p + 4096));
    SHOW(shmdt(p));
    SHOW(mincore(p + 4096, 4096, vec));
    about(third);

    section("removing");
    SHOW(shmctl(id, IPC_RMID, NULL));
    about(id);
    SHOW(shmget(77, 5000, 0600));
    puts(b);
    int again = (int)SHOW(shmget(77, 100, IPC_CREAT | 0600));
    IS(again != id);
    SHOW(shmdt(b));
    SHOW(attach(id, NULL, 0));
    about(id);
    SHOW(munmap(r, 8192));
    about(id);
    SHOW(shmdt(a));
    struct shmid_ds d;
    MUST(shmctl(id, IPC_STAT, &d));
    while (d.shm_nattch > 0) {
        /* What was attached at addresses chosen for it. */
        char line[256], *end;
        FILE *f = fopen("/proc/self/maps", "r");
        unsigned long from = 0;
        while (fgets(line, sizeof line, f))
            if (strstr(line, "/SYSV0000004d (deleted)")) from = strtoul(line, &end, 16);
        fclose(f);
        if (!from || shmdt((void *)from)) break;
        if (shmctl(id, IPC_STAT, &d)) break;
    }
    about(id);
    SHOW(attach(id, NULL, 0));
    SHOW(shmctl(again, IPC_RMID, NULL));
    SHOW(shmctl(again, IPC_RMID, NULL));
    int next = (int)SHOW(shmget(IPC_PRIVATE, 100, 0600));
    IS(next != again && next != id);
    SHOW(shmctl(next, IPC_RMID, NULL));

    section("what is told");
    struct shminfo info;
    struct shm_info all;
    SHOW(shmctl(0, IPC_INFO, (void *)&info));
    printf("%lu %lu %lu %lu %lu\n", info.shmmax, info.shmmin, info.shmmni, info.shmseg, info.shmall);
    SHOW(shmctl(0, SHM_INFO, (void *)&all));
    printf("%d %lu %lu\n", all.used_ids, all.shm_tot, all.shm_swp);
    for (int i = -1; i < 4; i++) {
        long n = shmctl(i, SHM_STAT, &d);
        printf("%d: %s", i, n < 0 ? errname(errno) : "");
        if (n >= 0) printf("%s size %ld", n == other ? "other" : n == third ? "third" : "?", (long)d.shm_segsz);
        puts("");
    }
    IS(shmctl(1, SHM_STAT_ANY, &d) == other);
    SHOW(shmctl(other, 99, &d));
    SHOW(shmctl(other, -1, &d));
    SHOW(shmctl(-1, IPC_STAT, &d));
    SHOW(shmctl(4711, IPC_STAT, &d));
    SHOW(shmctl(other, IPC_STAT, (void *)8));
    SHOW(shmctl(0, IPC_INFO, (void *)8));
    SHOW(shmctl(0, SHM_INFO, (void *)8));
    SHOW(shmctl(other, IPC_SET, (void *)8));
    SHOW(shmctl(other, SHM_LOCK, NULL));
    MUST(shmctl(other, IPC_STAT, &d));
    printf("%o\n", d.shm_perm.mode);
    SHOW(shmctl(other, SHM_UNLOCK, NULL));
    d.shm_perm.mode = 0777 | 07000;
    d.shm_perm.uid = 33;
    d.shm_perm.gid = 34;
    SHOW(shmctl(other, IPC_SET, &d));
    about(other);
    d.shm_perm.uid = -1;
    SHOW(shmctl(other, IPC_SET, &d));
    int fd = (int)MUST(open("/proc/sysvipc/shm", O_RDONLY));
    char text[4096];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n] = 0;
    close(fd);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"), lines++) {
        long k, i, m, size, cpid, lpid, attached, uid, gid, cuid, cgid;
        if (!lines) puts(line);
        else if (sscanf(line, "%ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", &k, &i, &m, &size, &cpid, &lpid, &attached, &uid, &gid, &cuid, &cgid) == 11) {
            printf("%ld %s %ld %ld %ld %ld %ld %ld %ld\n", k, i == other ? "other" : i == third ? "third" : "?", m, size, attached, uid, gid, cuid, cgid);
            IS(cpid == getpid() && strlen(line) == strlen("         0          2     0               1048576 20000 20000      0     0     0     0     0 1000000000 1000000000 1000000000               1048576                     0"));
        }
    }
    SHOW(lines);

    section("users");
    MUST(shmctl(third, IPC_RMID, NULL));
    int open_id = (int)MUST(shmget(88, 4096, IPC_CREAT | 0644)), closed = (int)MUST(shmget(89, 4096, IPC_CREAT | 0600));
    MUST(setegid(34));
    MUST(seteuid(35));
    SHOW(attach(open_id, NULL, 0));
    SHOW(attach(open_id, NULL, SHM_RDONLY));
    SHOW(attach(closed, NULL, SHM_RDONLY));
    SHOW(shmget(89, 4096, 0400));
    SHOW(shmget(89, 4096, 0) == closed ? 0 : -1);
    SHOW(shmget(88, 4096, 0600));
    SHOW(shmget(88, 4096, 0444) == open_id ? 0 : -1);
    SHOW(shmctl(closed, IPC_STAT, &d));
    SHOW(shmctl(open_id, IPC_STAT, &d));
    SHOW(shmctl(open_id, IPC_RMID, NULL));
    SHOW(shmctl(open_id, IPC_SET, &d));
    SHOW(shmctl(open_id, SHM_LOCK, NULL));
    SHOW(attach(other, NULL, 0));
    int mine = (int)MUST(shmget(IPC_PRIVATE, 4096, 0600));
    about(mine);
    SHOW(shmctl(mine, SHM_LOCK, NULL));
    SHOW(shmctl(mine, IPC_RMID, NULL));
    MUST(seteuid(0));
    MUST(seteuid(33));
    MUST(shmctl(other, IPC_STAT, &d));
    d.shm_perm.mode = 0;
    SHOW(shmctl(other, IPC_SET, &d));
    SHOW(attach(other, NULL, 0));
    SHOW(shmctl(other, IPC_RMID, NULL));
    MUST(seteuid(0));
    SHOW(shmctl(closed, IPC_RMID, NULL));
    SHOW(shmctl(open_id, IPC_RMID, NULL));
    ipc_cleanup();
    return done();
}

/* A plugin for QEMU's translator that counts what a guest executes, without the guest noticing:
 *
 *   -plugin file=counters.so,out=FILE[,exits=off]
 *
 * FILE begins with the counters below, each of 64 bits, and may be read at any time. One virtual processor. With
 * exits=off only instructions are counted, which is several times faster.
 * Distributions do not package QEMU's header for plugins, so what is used of the interface that it documents
 * (docs/devel/tcg-plugins) is declared here; API is its version, which depends on QEMU's. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef void (*on_execution)(unsigned cpu, void *data);
typedef void (*on_access)(unsigned cpu, uint32_t info, uint64_t address, void *data);
enum { NO_REGISTERS = 0, READS_AND_WRITES = 3 };
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*)(uint64_t id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution, int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_execution, int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, on_access, int, int, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address);
_Bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
#if API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif

EXPORT int qemu_plugin_version = API;

static struct {
    uint64_t instructions;
    uint64_t ports;         /* IN, OUT and their string forms */
    uint64_t registers;     /* accesses to memory that is a device's */
    uint64_t msrs;          /* WRMSR */
    uint64_t halts;
} *count;

static _Bool exits = 1;

static void block(unsigned cpu, void *instructions)
{
    count->instructions += (uintptr_t)instructions;
}

static void one(unsigned cpu, void *counter)
{
    ++*(uint64_t *)counter;
}

static void access_(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    /* The look-up is slow. Both kernels have devices in the upper half; programs use the lower one. */
    if (!(address >> 63))
        return;
    struct qemu_plugin_hwaddr *physical = qemu_plugin_get_hwaddr(info, address);
    count->registers += physical && qemu_plugin_hwaddr_is_io(physical);
}

/* The counter of an instruction that a hypervisor would have to see. */
static uint64_t *counter(const uint8_t *code, size_t size)
{
    size_t at = 0;
    while (at < size && (code[at] == 0x66 || code[at] == 0xf2 || code[at] == 0xf3 || (code[at] & 0xf0) == 0x40))
        at++;
    if (at == size)
        return 0;
    uint8_t op = code[at];
    if ((op >= 0x6c && op <= 0x6f) || (op >= 0xe4 && op <= 0xe7) || (op >= 0xec && op <= 0xef))
        return &count->ports;
    if (op == 0xf4)
        return &count->halts;
    return op == 0x0f && at + 1 < size && code[at + 1] == 0x30 ? &count->msrs : 0;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, block, NO_REGISTERS, (void *)n);
    for (size_t i = 0; exits && i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint8_t code[16];
        size_t size = qemu_plugin_insn_size(insn);
        size = size < sizeof code ? size : sizeof code;
#if API >= 3
        qemu_plugin_insn_data(insn, code, size);
#else
        memcpy(code, qemu_plugin_insn_data(insn), size);
#endif
        uint64_t *seen = counter(code, size);
        if (seen)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, one, NO_REGISTERS, seen);
        qemu_plugin_register_vcpu_mem_cb(insn, access_, NO_REGISTERS, READS_AND_WRITES, 0);
    }
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    if (argc < 1 || argc > 2 || strncmp(argv[0], "out=", 4) || (argc == 2 && strncmp(argv[1], "exits=", 6)))
        return -1;
    exits = argc == 1 || strcmp(argv[1], "exits=off");
    int fd = open(argv[0] + 4, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *count))
        return -1;
    count = mmap(0, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (count == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}

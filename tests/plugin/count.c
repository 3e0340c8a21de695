/*
 * A plugin for QEMU's TCG that counts the instructions that Oche executes at EL2.
 *
 * Arguments, numbers in hexadecimal:
 *   out=FILE        where the counts go when QEMU ends
 *   start=LOW-HIGH  where the loader puts Oche's image: it runs there until it moves itself
 *   image=LOW-HIGH  where Oche's image moves itself to
 *   vectors=ADDR    where EL2's vectors then are
 *
 * The address of a block of instructions decides whose it is. Nobody else executes at addresses that
 * Oche's image has: guests' kernels are at theirs from the first instruction on, and programs at EL0
 * are elsewhere.
 *
 * On each core time at EL2 is cut into stays. A stay begins where the core comes to a vector for
 * exceptions from a lower level, has that vector's kind, and ends where the core leaves the image.
 *
 * What is written, one per line:
 *   image ADDR                where the image is
 *   boot N                    instructions of the first core from Oche's first to the guest's first
 *   guest N                   instructions outside the image since then, all cores
 *   stay KIND N MIN MAX SUM   how many stays of a kind, and their instructions
 *   block ADDR LEN C0 ... C4  a block of LEN instructions, and how often it was executed in each kind of stay
 * KIND is 0 for no stay (booting, a core's start), 1 synchronous, 2 IRQ, 3 FIQ, 4 SError.
 *
 * Blocks are counted when they begin. QEMU ends them at every branch, so that a count is too high only
 * where an instruction in the middle of a block faults: in guests, not in Oche.
 *
 * Distributions ship QEMU without its qemu-plugin.h, so what is used of it is declared here. All of it
 * is the same from version 1 of the interface (QEMU 7.2) to version 4 (10.0).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*call)(qemu_plugin_id_t, struct qemu_plugin_tb *));
/* `flags` is an enumeration; 0 says that the call looks at no registers. */
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*call)(unsigned, void *),
                                          int flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*call)(qemu_plugin_id_t, void *),
                                    void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = 1;

/* QEMU from 9.0 on refuses plugins for version 1, and 7.2 those for later ones. QEMU looks at the number
 * after the loader has run this. */
__attribute__((constructor)) static void choose_version(void)
{
    if (dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new"))
        qemu_plugin_version = 2;
}

enum { CORES = 8, KINDS = 5, NO_STAY = 0 };

/* A block that was translated. One that is translated again is another. */
struct block {
    struct block *next;
    uint64_t address;
    uint64_t length;
    int kind; /* of the stay that begins with it, or NO_STAY */
    uint64_t count[CORES][KINDS];
};

struct stays {
    uint64_t count, least, most, sum;
};

/* Only its own core writes it. */
struct core {
    uint64_t guest;
    uint64_t stay; /* instructions of the present one */
    int kind;      /* of the present one */
    int inside;    /* the image */
    struct stays stays[KINDS];
} __attribute__((aligned(64)));

struct range {
    uint64_t low, high;
};

static struct range start, image;
static uint64_t vectors;
static const char *out;
static struct core cores[CORES];
static struct block *blocks;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
/* Of the first core alone. */
static uint64_t boot;
static int guest_started;

static int is_in(struct range range, uint64_t address)
{
    return address >= range.low && address < range.high;
}

static void end_stay(struct core *core)
{
    struct stays *stays = &core->stays[core->kind];
    if (!stays->count || core->stay < stays->least)
        stays->least = core->stay;
    if (core->stay > stays->most)
        stays->most = core->stay;
    stays->count++;
    stays->sum += core->stay;
    core->stay = 0;
    core->kind = NO_STAY;
}

static void at_oches_block(unsigned index, void *data)
{
    struct block *block = data;
    struct core *core = &cores[index % CORES];
    if (block->kind != NO_STAY) {
        if (core->inside)
            end_stay(core);
        core->kind = block->kind;
    }
    core->inside = 1;
    core->stay += block->length;
    block->count[index % CORES][core->kind]++;
    if (index == 0 && !guest_started)
        boot += block->length;
}

static void at_starting_block(unsigned index, void *data)
{
    if (index == 0 && !guest_started)
        boot += (uintptr_t)data;
}

static void at_guests_block(unsigned index, void *data)
{
    struct core *core = &cores[index % CORES];
    if (core->inside) {
        end_stay(core);
        core->inside = 0;
        guest_started = 1;
    }
    core->guest += (uintptr_t)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    size_t length = qemu_plugin_tb_n_insns(tb);
    if (!is_in(image, address)) {
        int starting = !guest_started && is_in(start, address);
        qemu_plugin_register_vcpu_tb_exec_cb(tb, starting ? at_starting_block : at_guests_block, 0,
                                             (void *)length);
        return;
    }
    struct block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    block->address = address;
    block->length = length;
    /* Eight vectors of 0x80 bytes from 0x400 on: from AArch64, then from AArch32 (Arm ARM, D1.3). */
    uint64_t offset = address - vectors;
    if (offset >= 0x400 && offset < 0x800 && offset % 0x80 == 0)
        block->kind = 1 + (offset / 0x80) % 4;
    pthread_mutex_lock(&blocks_lock);
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&blocks_lock);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, at_oches_block, 0, block);
}

static void at_exit(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    FILE *file = fopen(out, "w");
    if (!file) {
        perror(out);
        return;
    }
    uint64_t guest = 0;
    for (int core = 0; core < CORES; core++)
        guest += cores[core].guest;
    fprintf(file, "image %" PRIx64 "\nboot %" PRIu64 "\nguest %" PRIu64 "\n", image.low, boot, guest);
    for (int kind = 0; kind < KINDS; kind++) {
        struct stays all = {0};
        for (int core = 0; core < CORES; core++) {
            struct stays *stays = &cores[core].stays[kind];
            if (!stays->count)
                continue;
            if (!all.count || stays->least < all.least)
                all.least = stays->least;
            if (stays->most > all.most)
                all.most = stays->most;
            all.count += stays->count;
            all.sum += stays->sum;
        }
        fprintf(file, "stay %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", kind, all.count,
                all.least, all.most, all.sum);
    }
    for (struct block *block = blocks; block; block = block->next) {
        fprintf(file, "block %" PRIx64 " %" PRIu64, block->address, block->length);
        for (int kind = 0; kind < KINDS; kind++) {
            uint64_t count = 0;
            for (int core = 0; core < CORES; core++)
                count += block->count[core][kind];
            fprintf(file, " %" PRIu64, count);
        }
        fputc('\n', file);
    }
    fclose(file);
}

static const char *value_of(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

static int read_range(const char *text, struct range *range)
{
    return sscanf(text, "%" SCNx64 "-%" SCNx64, &range->low, &range->high) == 2;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    int good = 1;
    for (int i = 0; i < argc; i++) {
        const char *value;
        if ((value = value_of(argv[i], "out")))
            out = strdup(value);
        else if ((value = value_of(argv[i], "start")))
            good &= read_range(value, &start);
        else if ((value = value_of(argv[i], "image")))
            good &= read_range(value, &image);
        else if ((value = value_of(argv[i], "vectors")))
            good &= sscanf(value, "%" SCNx64, &vectors) == 1;
        else
            good = 0;
    }
    if (!good || !out || !start.high || !image.high || !vectors) {
        fprintf(stderr, "the counting plugin needs out=, start=, image= and vectors=\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}

/* How long does it take to read the variant's artifact? An example of the exec interface, in C: what to do comes in the
 * environment, results go out as lines of JSON, {"done": true} last. Standard C and POSIX; compile with `cc -O2`. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 100000

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double setting(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text ? atof(text) : otherwise;
}

/* Read a file from its start to its end; return its size, or -1. */
static long read_all(int file, char *block, size_t size) {
    long total = 0;
    ssize_t got;
    if (lseek(file, 0, SEEK_SET) != 0) return -1;
    while ((got = read(file, block, size)) > 0) total += got;
    return got < 0 ? -1 : total;
}

static int fail(const char *message) {
    printf("{\"failure\": {\"kind\": \"load-error\", \"message\": \"%s\"}}\n", message);
    return 0;
}

int main(void) {
    static int64_t samples[RUNS_MAX];
    const char *model = getenv("BENCHFLEET_MODEL");
    const double block_kib = setting("BENCHFLEET_SETTING_BLOCK_KIB", 64);
    const double runs_min = setting("BENCHFLEET_RUNS_MIN", 50);
    const int64_t measure_ns = (int64_t)(setting("BENCHFLEET_SECONDS_MIN", 1) * 1e9);
    if (!model || block_kib < 1 || block_kib > 1048576) return fail("no model, or a block size out of range");
    const size_t size = (size_t)block_kib * 1024;
    char *block = malloc(size);
    const int file = open(model, O_RDONLY);
    if (!block || file < 0) return fail("the model cannot be opened");

    for (int i = 0; i < 5; i++) /* warm up */
        if (read_all(file, block, size) < 0) return fail("the model cannot be read");

    int runs = 0;
    const int64_t begin = now_ns();
    while (runs < RUNS_MAX && (runs < runs_min || now_ns() - begin < measure_ns)) {
        const int64_t before = now_ns();
        read_all(file, block, size);
        samples[runs++] = now_ns() - before;
    }
    const int64_t end = now_ns();

    printf("{\"runtime\": {\"name\": \"read-model\", \"version\": \"1\"}}\n");
    printf("{\"window\": {\"begin_mono_ns\": %" PRId64 ", \"end_mono_ns\": %" PRId64 "}}\n", begin, end);
    printf("{\"metric\": \"latency_ns\", \"samples\": [");
    for (int i = 0; i < runs; i++) printf("%s%" PRId64, i ? ", " : "", samples[i]);
    printf("]}\n{\"done\": true}\n");
    return 0;
}

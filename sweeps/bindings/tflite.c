/* Call a model of TensorFlow Lite from C, through the C library of a Python package. An example of the exec interface:
 * docs/exec.md. The C interface is declared here, since the package ships the library without headers.
 *
 * One call is what an application does: inputs from an array of its own, the inference, outputs into an array of its
 * own. `call_ns` is all of that, `latency_ns` the inference alone. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct TfLiteModel TfLiteModel;
typedef struct TfLiteOptions TfLiteOptions;
typedef struct TfLiteInterpreter TfLiteInterpreter;
typedef struct TfLiteTensor TfLiteTensor;
const char *TfLiteVersion(void);
TfLiteModel *TfLiteModelCreateFromFile(const char *path);
TfLiteOptions *TfLiteInterpreterOptionsCreate(void);
void TfLiteInterpreterOptionsSetNumThreads(TfLiteOptions *options, int32_t threads);
void TfLiteInterpreterOptionsAddDelegate(TfLiteOptions *options, void *delegate);
void *TfLiteXNNPackDelegateCreate(const void *options);
TfLiteInterpreter *TfLiteInterpreterCreate(const TfLiteModel *model, const TfLiteOptions *options);
int TfLiteInterpreterAllocateTensors(TfLiteInterpreter *interpreter);
int TfLiteInterpreterInvoke(TfLiteInterpreter *interpreter);
TfLiteTensor *TfLiteInterpreterGetInputTensor(const TfLiteInterpreter *interpreter, int32_t index);
const TfLiteTensor *TfLiteInterpreterGetOutputTensor(const TfLiteInterpreter *interpreter, int32_t index);
int TfLiteTensorType(const TfLiteTensor *tensor);
size_t TfLiteTensorByteSize(const TfLiteTensor *tensor);
int TfLiteTensorCopyFromBuffer(TfLiteTensor *tensor, const void *data, size_t bytes);
int TfLiteTensorCopyToBuffer(const TfLiteTensor *tensor, void *data, size_t bytes);

enum { FLOAT32 = 1, RUNS_MAX = 1000000 };
enum { SET, INVOKE, GET, CALL, PARTS };

static TfLiteInterpreter *interpreter;
static TfLiteTensor *input;
static const TfLiteTensor *output;
static float *in, *out;
static size_t in_bytes, out_bytes;
static int64_t *samples[PARTS];

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double setting(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text ? atof(text) : otherwise;
}

static void fail(const char *message) {
    printf("{\"failure\": {\"kind\": \"load-error\", \"message\": \"%s\"}}\n", message);
    exit(0); /* the line says it all: another exit code would hide the line */
}

static void load(const char *path) {
    TfLiteModel *model = path ? TfLiteModelCreateFromFile(path) : NULL;
    if (!model) fail("the model cannot be loaded");
    TfLiteOptions *options = TfLiteInterpreterOptionsCreate();
    TfLiteInterpreterOptionsSetNumThreads(options, (int32_t)setting("BENCHFLEET_SETTING_THREADS", 1));
    const char *kernels = getenv("BENCHFLEET_SETTING_KERNELS");
    if (kernels && !strcmp(kernels, "xnnpack")) /* NULL: the options that the delegate has by itself */
        TfLiteInterpreterOptionsAddDelegate(options, TfLiteXNNPackDelegateCreate(NULL));
    interpreter = TfLiteInterpreterCreate(model, options);
    if (!interpreter || TfLiteInterpreterAllocateTensors(interpreter)) fail("the tensors cannot be allocated");
    input = TfLiteInterpreterGetInputTensor(interpreter, 0);
    output = TfLiteInterpreterGetOutputTensor(interpreter, 0);
    if (TfLiteTensorType(input) != FLOAT32 || TfLiteTensorType(output) != FLOAT32)
        fail("this program wants a model with one input and one output of float32");
    in_bytes = TfLiteTensorByteSize(input), out_bytes = TfLiteTensorByteSize(output);
    in = malloc(in_bytes), out = malloc(out_bytes);
    for (int part = 0; part < PARTS; part++)
        if (!(samples[part] = malloc(RUNS_MAX * sizeof(int64_t)))) fail("out of memory");
    if (!in || !out) fail("out of memory");
    /* The same numbers in every language, so that outputs can be compared. */
    for (size_t place = 0; place < in_bytes / sizeof(float); place++) in[place] = (float)(place * 7919 % 1000) / 1000;
}

/* Call the model until there are enough runs and enough time. Return the number of runs. */
static int call_repeatedly(double runs_min, double seconds_min) {
    const int64_t begin = now_ns(), least_ns = (int64_t)(seconds_min * 1e9);
    int runs = 0, failed = 0;
    int64_t done = begin;
    while (runs < RUNS_MAX && (runs < runs_min || done - begin < least_ns)) {
        const int64_t start = now_ns();
        failed |= TfLiteTensorCopyFromBuffer(input, in, in_bytes);
        const int64_t set = now_ns();
        failed |= TfLiteInterpreterInvoke(interpreter);
        const int64_t invoked = now_ns();
        failed |= TfLiteTensorCopyToBuffer(output, out, out_bytes);
        done = now_ns();
        samples[SET][runs] = set - start, samples[INVOKE][runs] = invoked - set;
        samples[GET][runs] = done - invoked, samples[CALL][runs++] = done - start;
    }
    if (failed) fail("an inference failed");
    return runs;
}

static int by_size(const void *one, const void *other) {
    const int64_t left = *(const int64_t *)one, right = *(const int64_t *)other;
    return (left > right) - (left < right);
}

static void say_samples(const char *metric, const int64_t *values, int count) {
    printf("{\"metric\": \"%s\", \"samples\": [", metric);
    for (int place = 0; place < count; place++) printf("%s%" PRId64, place ? "," : "", values[place]);
    printf("]}\n");
}

static void say_median(const char *metric, int64_t *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_size);
    printf("{\"metric\": \"%s\", \"value\": %" PRId64 "}\n", metric, values[count / 2]);
}

int main(void) {
    load(getenv("BENCHFLEET_MODEL"));
    call_repeatedly(setting("BENCHFLEET_WARMUP_RUNS_MIN", 5), setting("BENCHFLEET_WARMUP_SECONDS_MIN", 0.3));
    const int64_t begin = now_ns();
    const int runs = call_repeatedly(setting("BENCHFLEET_RUNS_MIN", 50), setting("BENCHFLEET_SECONDS_MIN", 1));
    const int64_t end = now_ns();
    printf("{\"runtime\": {\"name\": \"tflite, C\", \"version\": \"%s\", \"output\": [", TfLiteVersion());
    for (size_t place = 0; place < out_bytes / sizeof(float) && place < 16; place++)
        printf("%s%.9g", place ? ", " : "", (double)out[place]);
    printf("]}}\n{\"window\": {\"begin_mono_ns\": %" PRId64 ", \"end_mono_ns\": %" PRId64 "}}\n", begin, end);
    say_samples("latency_ns", samples[INVOKE], runs);
    say_samples("call_ns", samples[CALL], runs);
    say_median("set_input_ns", samples[SET], runs);
    say_median("get_output_ns", samples[GET], runs);
    printf("{\"done\": true}\n");
    return 0;
}

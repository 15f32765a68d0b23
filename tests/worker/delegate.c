/* A delegate of TensorFlow Lite that runs operators of two kinds by copying: RESHAPE and `edgetpu-custom-op`, which is
 * what the EdgeTPU's compiler makes of a network. It is a fake: it stands for the library of an accelerator that knows
 * few operators. The option `take=nothing` lets it take none, and it refuses any other option. The structures are those of tensorflow/lite/core/c/common.h, 2.11 to 2.14, as
 * far as they are used; registrations are handed over by value, and may be longer than the library's own. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { RESHAPE = 22, OK = 0, ERROR = 1, NODES_MAX = 16, ALLOW_DYNAMIC_TENSORS = 1 };

typedef struct { int size; int data[]; } IntArray;

typedef struct {
    int type;
    char *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    _Bool is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct { IntArray *inputs, *outputs, *intermediates, *temporaries; void *user_data; } Node;

struct Context;
typedef struct {
    void *(*init)(struct Context *, const char *, size_t);
    void (*free)(struct Context *, void *);
    int (*prepare)(struct Context *, Node *);
    int (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *later[5];
} Registration;

typedef struct Delegate {
    void *data;
    int (*prepare)(struct Context *, struct Delegate *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *later[5];
} Delegate;

typedef struct Context {
    size_t tensors_size;
    int (*get_plan)(struct Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    void *resize;
    void *report;
    void *add;
    int (*get_node)(struct Context *, int, Node **, Registration **);
    int (*replace)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

typedef struct { Delegate *delegate; IntArray *nodes, *inputs, *outputs; } Params;

typedef struct { int count, from[NODES_MAX], to[NODES_MAX]; } Copies;

static void *init(Context *context, const char *buffer, size_t length) {
    const Params *params = (const Params *)buffer;
    Copies *copies = calloc(1, sizeof *copies);
    (void)length;
    for (int at = 0; at < params->nodes->size && at < NODES_MAX; at++) {
        Node *node;
        Registration *registration;
        if (context->get_node(context, params->nodes->data[at], &node, &registration) != OK) continue;
        copies->from[copies->count] = node->inputs->data[0];
        copies->to[copies->count++] = node->outputs->data[0];
    }
    return copies;
}

static void release(Context *context, void *copies) { (void)context; free(copies); }

static int ready(Context *context, Node *node) { (void)context; (void)node; return OK; }

static int invoke(Context *context, Node *node) {
    const Copies *copies = node->user_data;
    for (int at = 0; at < copies->count; at++) {
        const Tensor *from = &context->tensors[copies->from[at]];
        Tensor *to = &context->tensors[copies->to[at]];
        if (from->bytes != to->bytes) return ERROR;
        memmove(to->data, from->data, from->bytes);
    }
    return OK;
}

static int prepare(Context *context, Delegate *delegate) {
    IntArray *plan, *taken;
    if (context->get_plan(context, &plan) != OK) return ERROR;
    taken = calloc(1, sizeof *taken + plan->size * sizeof(int));
    for (int at = 0; at < plan->size; at++) {
        Node *node;
        Registration *registration;
        if (context->get_node(context, plan->data[at], &node, &registration) == OK
            && *(int *)delegate->data
            && (registration->builtin_code == RESHAPE
                || (registration->custom_name && strcmp(registration->custom_name, "edgetpu-custom-op") == 0)))
            taken->data[taken->size++] = plan->data[at];
    }
    Registration own = {init, release, ready, invoke, NULL, 0, "CopyingDelegate", 1, {NULL}};
    int status = context->replace(context, own, taken, delegate);
    free(taken);
    return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    int takes = 1;
    for (size_t at = 0; at < count; at++) {
        if (strcmp(keys[at], "take") != 0 || strcmp(values[at], "nothing") != 0) {
            report("this delegate knows the option take=nothing alone");
            return NULL;
        }
        takes = 0;
    }
    Delegate *made = calloc(1, sizeof *made + sizeof takes);
    made->data = made + 1;
    *(int *)made->data = takes;
    made->prepare = prepare;
    made->flags = ALLOW_DYNAMIC_TENSORS; /* else the library prepares operators first, and knows no custom one */
    return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }

/* Bytes that grow, without the interpreter's lock. */
#ifndef K2CONN_GROWING_H
#define K2CONN_GROWING_H

#include <Python.h>
#include <string.h>

#include "avro_body.h"

typedef struct {
    char *bytes;
    size_t used, size;
} Growing;

/* Makes room for `more` bytes: DONE or NO_MEMORY. */
static inline int room(Growing *to, size_t more)
{
    if (to->size - to->used >= more)
        return DONE;
    if (more > SIZE_MAX / 4 || to->used > SIZE_MAX / 4)
        return NO_MEMORY;
    size_t size = 2 * (to->used + more);
    char *bytes = PyMem_RawRealloc(to->bytes, size);
    if (bytes == NULL)
        return NO_MEMORY;
    to->bytes = bytes;
    to->size = size;
    return DONE;
}

static inline int put_raw(Growing *to, const void *bytes, size_t size)
{
    if (room(to, size) != DONE)
        return NO_MEMORY;
    if (size)
        memcpy(to->bytes + to->used, bytes, size);
    to->used += size;
    return DONE;
}

static inline void let_go(Growing *of)
{
    PyMem_RawFree(of->bytes);
    of->bytes = NULL;
    of->used = of->size = 0;
}

#endif

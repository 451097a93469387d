/* A byte buffer that starts on the stack, and functions that write Avro values into it. */
#ifndef K2CONN_BUFFER_H
#define K2CONN_BUFFER_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "numbers.h"

#ifndef BUFFER_START /* fuzzing makes it small */
#define BUFFER_START 1024
#endif

typedef struct {
    char *bytes;
    Py_ssize_t used, size;
    char own[BUFFER_START];
} Buffer;

static inline void buffer_open(Buffer *buffer)
{
    buffer->bytes = buffer->own;
    buffer->used = 0;
    buffer->size = BUFFER_START;
}

static inline void buffer_close(Buffer *buffer)
{
    if (buffer->bytes != buffer->own)
        PyMem_Free(buffer->bytes);
}

static int buffer_grow(Buffer *buffer, Py_ssize_t more)
{
    if (more > PY_SSIZE_T_MAX / 4 || buffer->used > PY_SSIZE_T_MAX / 4) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t size = 2 * (buffer->used + more);
    char *bytes = buffer->bytes == buffer->own ? PyMem_Malloc((size_t)size)
                                               : PyMem_Realloc(buffer->bytes, (size_t)size);
    if (bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (buffer->bytes == buffer->own)
        memcpy(bytes, buffer->own, (size_t)buffer->used);
    buffer->bytes = bytes;
    buffer->size = size;
    return 0;
}

/* Makes room for `more` bytes; every function below calls it before it writes. 0, or -1 with MemoryError set. */
static inline int buffer_room(Buffer *buffer, Py_ssize_t more)
{
    return buffer->size - buffer->used >= more ? 0 : buffer_grow(buffer, more);
}

static inline int put_bytes(Buffer *buffer, const char *bytes, Py_ssize_t size)
{
    if (buffer_room(buffer, size) < 0)
        return -1;
    memcpy(buffer->bytes + buffer->used, bytes, (size_t)size);
    buffer->used += size;
    return 0;
}

/* An Avro int or long: zigzag, then seven bits a byte, lowest first. */
static inline int put_long(Buffer *buffer, int64_t value)
{
    if (buffer_room(buffer, 10) < 0)
        return -1;
    uint64_t rest = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
    char *at = buffer->bytes + buffer->used;
    while (rest > 127) {
        *at++ = (char)((rest & 127) | 128);
        rest >>= 7;
    }
    *at++ = (char)rest;
    buffer->used = at - buffer->bytes;
    return 0;
}

/* Avro's string: its length, its bytes. */
static inline int put_text(Buffer *buffer, const char *text, Py_ssize_t size)
{
    return put_long(buffer, size) < 0 ? -1 : put_bytes(buffer, text, size);
}

/* Avro's decimal: the unscaled integer in as few bytes as hold it with its sign, highest first. */
static inline int put_decimal(Buffer *buffer, wide_int value)
{
    if (buffer_room(buffer, 1 + (Py_ssize_t)sizeof value) < 0)
        return -1;
    wide_int magnitude = value < 0 ? ~value : value;
    int size = 1;
    while (size < (int)sizeof value && magnitude >> (8 * size - 1))
        size++;
    char *at = buffer->bytes + buffer->used;
    *at++ = (char)(size << 1);
    for (int byte = size - 1; byte >= 0; byte--)
        *at++ = (char)(value >> (8 * byte));
    buffer->used = at - buffer->bytes;
    return 0;
}

/* The decimal digits of a number, as text in JSON spelling; `digits` has room for 20. How many there are. */
static inline int number_text(int64_t value, char *digits)
{
    char back[20];
    int count = 0, size = 0;
    uint64_t rest = value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
    do {
        back[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[size++] = '-';
    while (count)
        digits[size++] = back[--count];
    return size;
}

#define WIDE_TEXT 40 /* characters of the longest number of 128 bits, with its sign */

/* The same of a number that may need more than 64 bits; `digits` has room for WIDE_TEXT. */
static inline int wide_text(wide_int value, char *digits)
{
    char back[WIDE_TEXT];
    int count = 0, size = 0;
    if (is_long(value))
        return number_text((int64_t)value, digits);
    if (value < 0)
        digits[size++] = '-';
    for (wide_int rest = value; rest != 0; rest /= 10)
        back[count++] = (char)('0' + (rest < 0 ? -(int)(rest % 10) : (int)(rest % 10)));
    while (count)
        digits[size++] = back[--count];
    return size;
}

#endif

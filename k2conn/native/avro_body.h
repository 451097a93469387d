/* Reading the Avro body of one record: every read is checked against its end. */
#ifndef K2CONN_AVRO_BODY_H
#define K2CONN_AVRO_BODY_H

#include <stddef.h>
#include <stdint.h>

enum { DONE, MALFORMED, UNHANDLED, NO_MEMORY };

typedef struct {
    const uint8_t *at, *end;
} Body;

static inline int get_long(Body *body, int64_t *found)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (body->at == body->end)
            return MALFORMED;
        uint8_t byte = *body->at++;
        if (shift == 63 && byte > 1)
            return MALFORMED;
        value |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) {
            *found = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return DONE;
        }
    }
    return MALFORMED;
}

static inline int get_text(Body *body, const uint8_t **text, size_t *size)
{
    int64_t length;
    if (get_long(body, &length) != DONE || length < 0 || length > body->end - body->at || length > INT32_MAX / 8)
        return MALFORMED;
    *text = body->at;
    *size = (size_t)length;
    body->at += length;
    return DONE;
}

/* How many entries the next block of an array or map has; 0 at its end. */
static inline int block(Body *body, int64_t *count)
{
    int64_t bytes;
    if (get_long(body, count) != DONE || *count == INT64_MIN)
        return MALFORMED;
    if (*count < 0) {
        *count = -*count;
        if (get_long(body, &bytes) != DONE)
            return MALFORMED;
    }
    return *count > body->end - body->at ? MALFORMED : DONE;
}

#endif

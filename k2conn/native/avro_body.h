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

/* UTF-8 as RFC 3629 has it: no surrogates, nothing longer than it needs to be. */
static inline int is_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    while (at < end) {
        uint8_t lead = *at++;
        if (lead < 0x80)
            continue;
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        uint8_t low = 0x80, high = 0xbf;
        if (lead < 0xc2 || lead > 0xf4 || end - at < more)
            return 0;
        if (lead == 0xe0)
            low = 0xa0;
        else if (lead == 0xed)
            high = 0x9f;
        else if (lead == 0xf0)
            low = 0x90;
        else if (lead == 0xf4)
            high = 0x8f;
        for (; more; more--, low = 0x80, high = 0xbf) {
            uint8_t byte = *at++;
            if (byte < low || byte > high)
                return 0;
        }
    }
    return 1;
}

/* A text, which must be UTF-8. */
static inline int get_utf8(Body *body, const uint8_t **text, size_t *size)
{
    int failed = get_text(body, text, size);
    return failed == DONE && !is_utf8(*text, *size) ? MALFORMED : failed;
}

/* The keys of a map. One with more, or that names a key twice, is not handled. */
enum { MOST_ENTRIES = 64 };
typedef struct {
    const uint8_t *texts[MOST_ENTRIES];
    size_t sizes[MOST_ENTRIES];
    int count;
} Keys;

static inline int put_key(Keys *keys, const uint8_t *text, size_t size)
{
    if (keys->count == MOST_ENTRIES)
        return UNHANDLED;
    for (int at = 0; at < keys->count; at++)
        if (keys->sizes[at] == size && !memcmp(keys->texts[at], text, size))
            return UNHANDLED;
    keys->texts[keys->count] = text;
    keys->sizes[keys->count++] = size;
    return DONE;
}

#endif

/* SHA-1 (FIPS 180-4), for name-based UUIDs only: a state that has read a name's beginning, continued for each name. */
#ifndef K2CONN_SHA1_H
#define K2CONN_SHA1_H

#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t words[5];
    uint8_t rest[64];
    unsigned waiting;
    uint64_t length;
} Sha1;

static inline uint32_t sha1_turned(uint32_t word, int by)
{
    return (word << by) | (word >> (32 - by));
}

static void sha1_block(Sha1 *state, const uint8_t *block)
{
    uint32_t w[80];
    for (int at = 0; at < 16; at++)
        w[at] = (uint32_t)block[4 * at] << 24 | (uint32_t)block[4 * at + 1] << 16
              | (uint32_t)block[4 * at + 2] << 8 | (uint32_t)block[4 * at + 3];
    for (int at = 16; at < 80; at++)
        w[at] = sha1_turned(w[at - 3] ^ w[at - 8] ^ w[at - 14] ^ w[at - 16], 1);
    uint32_t a = state->words[0], b = state->words[1], c = state->words[2], d = state->words[3], e = state->words[4];
    for (int at = 0; at < 80; at++) {
        uint32_t mixed, constant;
        if (at < 20) {
            mixed = (b & c) | (~b & d);
            constant = 0x5a827999;
        } else if (at < 40) {
            mixed = b ^ c ^ d;
            constant = 0x6ed9eba1;
        } else if (at < 60) {
            mixed = (b & c) | (b & d) | (c & d);
            constant = 0x8f1bbcdc;
        } else {
            mixed = b ^ c ^ d;
            constant = 0xca62c1d6;
        }
        uint32_t next = sha1_turned(a, 5) + mixed + e + constant + w[at];
        e = d;
        d = c;
        c = sha1_turned(b, 30);
        b = a;
        a = next;
    }
    state->words[0] += a;
    state->words[1] += b;
    state->words[2] += c;
    state->words[3] += d;
    state->words[4] += e;
}

static void sha1_open(Sha1 *state)
{
    static const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(state->words, start, sizeof start);
    state->waiting = 0;
    state->length = 0;
}

static void sha1_read(Sha1 *state, const uint8_t *bytes, size_t size)
{
    state->length += size;
    while (size) {
        size_t some = 64 - state->waiting;
        if (some > size)
            some = size;
        memcpy(state->rest + state->waiting, bytes, some);
        state->waiting += (unsigned)some;
        bytes += some;
        size -= some;
        if (state->waiting == 64) {
            sha1_block(state, state->rest);
            state->waiting = 0;
        }
    }
}

static void sha1_end(Sha1 *state, uint8_t *digest)
{
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = state->length * 8;
    uint8_t length[8];
    for (int at = 0; at < 8; at++)
        length[at] = (uint8_t)(bits >> (56 - 8 * at));
    sha1_read(state, padding, (state->waiting < 56 ? 56 : 120) - state->waiting);
    sha1_read(state, length, 8);
    for (int at = 0; at < 20; at++)
        digest[at] = (uint8_t)(state->words[at / 4] >> (24 - 8 * (at % 4)));
}

#endif

/* SHA-1 (FIPS 180-4), for name-based UUIDs and digests of rows only, never where somebody could gain by a collision: a
   state that has read a name's beginning, continued for each name.

   One block is five words mixed in eighty rounds. Processors of the last years have instructions for four rounds at once
   (Intel's SHA extensions): whether this one has is asked once, by `sha1_choose`, and both ways give the same words. */
#ifndef K2CONN_SHA1_H
#define K2CONN_SHA1_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define SHA1_INSTRUCTIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

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

static void sha1_block_anywhere(Sha1 *state, const uint8_t *block)
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

static void (*sha1_block)(Sha1 *state, const uint8_t *block) = sha1_block_anywhere;

#ifdef SHA1_INSTRUCTIONS
/* The words stand in the registers with the first one highest; `before` is the first word as it was four rounds ago, of which
   the instructions make the fifth. A message word is used in its group of four rounds, and then becomes that of four groups
   later. */
__attribute__((target("sha,sse4.1"))) static void sha1_block_here(Sha1 *state, const uint8_t *block)
{
    const __m128i order = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
    const __m128i start = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state->words), 0x1b);
    const __m128i fifth = _mm_set_epi32((int)state->words[4], 0, 0, 0);
    __m128i four = start, before = fifth, m[4];
    for (int at = 0; at < 4; at++)
        m[at] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * at)), order);
    for (int group = 0; group < 20; group++) {
        __m128i word = m[group & 3], last = four;
        __m128i added = group ? _mm_sha1nexte_epu32(before, word) : _mm_add_epi32(before, word);
        if (group < 5)
            four = _mm_sha1rnds4_epu32(four, added, 0);
        else if (group < 10)
            four = _mm_sha1rnds4_epu32(four, added, 1);
        else if (group < 15)
            four = _mm_sha1rnds4_epu32(four, added, 2);
        else
            four = _mm_sha1rnds4_epu32(four, added, 3);
        before = last;
        word = _mm_xor_si128(_mm_sha1msg1_epu32(word, m[(group + 1) & 3]), m[(group + 2) & 3]);
        m[group & 3] = _mm_sha1msg2_epu32(word, m[(group + 3) & 3]);
    }
    before = _mm_sha1nexte_epu32(before, fifth);
    four = _mm_shuffle_epi32(_mm_add_epi32(four, start), 0x1b);
    _mm_storeu_si128((__m128i *)state->words, four);
    state->words[4] = (uint32_t)_mm_extract_epi32(before, 3);
}
#endif

/* Takes the processor's instructions where it has them: SHA (leaf 7, EBX bit 29), SSSE3 and SSE4.1 (leaf 1, ECX 9 and 19). */
static void sha1_choose(void)
{
#ifdef SHA1_INSTRUCTIONS
    unsigned a, b, c, d, sse;
    if (__get_cpuid(1, &a, &b, &sse, &d) && (sse >> 9 & 1) && (sse >> 19 & 1) && __get_cpuid_count(7, 0, &a, &b, &c, &d)
        && (b >> 29 & 1))
        sha1_block = sha1_block_here;
#endif
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

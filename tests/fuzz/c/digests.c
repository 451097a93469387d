/* SHA-1 and the hash of a record's content. A digest does not depend on how the bytes come, nor on the processor's
   instructions, and is that of Python's own hashlib. Input: one byte of piece size, then the bytes. */
#include "harness.h"

#include "../../../k2conn/native/content.h"
#include "../../../k2conn/native/sha1.h"

static PyObject *sha1;

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    start_python();
    PyObject *module = PyImport_ImportModule("_sha1");
    CHECK(module != NULL);
    sha1 = PyObject_GetAttrString(module, "sha1");
    CHECK(sha1 != NULL);
    sha1_choose();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = data[0] + 1u;
    data++, size--;
    Sha1 whole, pieces;
    uint8_t one[20], other[20];
    sha1_open(&whole);
    sha1_read(&whole, data, size);
    sha1_end(&whole, one);
    void (*chosen)(Sha1 *, const uint8_t *) = sha1_block;
    sha1_block = sha1_block_anywhere;
    sha1_open(&pieces);
    for (size_t at = 0; at < size; at += piece)
        sha1_read(&pieces, data + at, size - at < piece ? size - at : piece);
    Sha1 continued = pieces; /* as a seed that has read a name's beginning */
    sha1_end(&continued, other);
    sha1_block = chosen;
    CHECK(memcmp(one, other, sizeof one) == 0);
    PyObject *judge = PyObject_CallFunction(sha1, "y#", data, (Py_ssize_t)size);
    PyObject *digest = PyObject_CallMethod(judge, "digest", NULL);
    CHECK(digest != NULL && memcmp(PyBytes_AS_STRING(digest), one, sizeof one) == 0);
    Py_DECREF(digest);
    Py_DECREF(judge);
    int64_t numbers[CONTENT_FIELDS];
    int count = (int)(size / 8 < CONTENT_FIELDS ? size / 8 : CONTENT_FIELDS);
    memcpy(numbers, data, (size_t)count * 8);
    uint32_t words = hash_word(2166136261u, (const char *)data, (Py_ssize_t)size), again = 2166136261u;
    for (size_t at = 0; at < size; at++) {
        again ^= data[at];
        again *= 16777619u;
    }
    again ^= 0xff;
    again *= 16777619u;
    CHECK(words == again);
    char *content = malloc(CONTENT_BYTES);
    uint64_t time = count ? (uint64_t)numbers[0] : 0, back = 0;
    spell_content(time, hash_numbers(numbers, count), (uint16_t)words, content);
    for (int at = 0; at < 8; at++)
        back = back << 8 | (uint8_t)content[at];
    CHECK(back == time);
    free(content);
    return 0;
}

/* The Avro writer: what is put into a buffer, in any order and size, is what a second reading finds there.
   Input: a list of commands, each one byte and its operand. */
#include "harness.h"

#define BUFFER_START 24 /* so that it grows at every place */
#include "../../../k2conn/native/buffer.h"

typedef struct {
    const uint8_t *at, *end;
} Input;

/* Up to `most` bytes as a number with sign, after one that says how many. */
static wide_int drawn(Input *input, int most)
{
    int size = input->at < input->end ? *input->at++ % (most + 1) : 0;
    wide_int number = size && input->at < input->end && (*input->at & 0x80) ? -1 : 0;
    while (size-- && input->at < input->end)
        number = (wide_int)((unsigned __int128)number << 8 | *input->at++);
    return number;
}

static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t found = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        CHECK(*at < end);
        uint8_t byte = *(*at)++;
        CHECK(shift < 63 || byte <= 1);
        found |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            CHECK(byte || !shift); /* the shortest form */
            return found;
        }
    }
    abort();
}

static int64_t read_long(const uint8_t **at, const uint8_t *end)
{
    uint64_t found = read_varint(at, end);
    return (int64_t)(found >> 1) ^ -(int64_t)(found & 1);
}

static wide_int read_decimal(const uint8_t **at, const uint8_t *end)
{
    int64_t size = read_long(at, end);
    CHECK(size >= 1 && size <= (int64_t)sizeof(wide_int) && end - *at >= size);
    if (size > 1) /* the fewest bytes */
        CHECK(!(((*at)[0] == 0 && (*at)[1] < 128) || ((*at)[0] == 255 && (*at)[1] > 127)));
    unsigned __int128 found = **at & 0x80 ? ~(unsigned __int128)0 : 0;
    while (size--)
        found = found << 8 | *(*at)++;
    return (wide_int)found;
}

static void check_number_text(int64_t number)
{
    char digits[20], wanted[24];
    int size = number_text(number, digits);
    CHECK(size == snprintf(wanted, sizeof wanted, "%lld", (long long)number) && memcmp(digits, wanted, (size_t)size) == 0);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    start_python();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buffer *buffer = malloc(sizeof *buffer);
    buffer_open(buffer);
    const uint8_t *end = data + size;
    for (Input input = {data, end}; input.at < end;) {
        uint8_t kind = *input.at++ % 3;
        if (kind == 0)
            CHECK(put_long(buffer, (int64_t)drawn(&input, 8)) == 0);
        else if (kind == 1)
            CHECK(put_decimal(buffer, drawn(&input, sizeof(wide_int))) == 0);
        else {
            size_t length = input.at < end ? *input.at++ : 0, left = (size_t)(end - input.at);
            length = length < left ? length : left;
            CHECK(put_text(buffer, (const char *)input.at, (Py_ssize_t)length) == 0);
            input.at += length;
        }
        CHECK(buffer->used <= buffer->size);
    }
    const uint8_t *at = (const uint8_t *)buffer->bytes, *last = at + buffer->used;
    for (Input input = {data, end}; input.at < end;) {
        uint8_t kind = *input.at++ % 3;
        if (kind == 0) {
            int64_t number = (int64_t)drawn(&input, 8);
            CHECK(read_long(&at, last) == number);
            check_number_text(number);
        } else if (kind == 1)
            CHECK(read_decimal(&at, last) == drawn(&input, sizeof(wide_int)));
        else {
            size_t length = input.at < end ? *input.at++ : 0, left = (size_t)(end - input.at);
            length = length < left ? length : left;
            CHECK(read_long(&at, last) == (int64_t)length && (size_t)(last - at) >= length);
            CHECK(memcmp(at, input.at, length) == 0);
            input.at += length, at += length;
        }
    }
    CHECK(at == last && !PyErr_Occurred());
    buffer_close(buffer);
    free(buffer);
    return 0;
}

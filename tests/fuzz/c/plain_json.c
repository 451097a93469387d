/* JSON as a flat list of values, against a second reading of RFC 8259 that descends, and of what `json_text.h` calls
   plain. Input: the text. */
#include "harness.h"
#include <errno.h>

#define JSON_NODES 64 /* so that a short text can have too many */
#include "../../../k2conn/native/json_text.h"

/* The same as the list that is tried, from the second reading. */
typedef struct {
    size_t start, size, key, key_size;
    int kind, last, true_;
    int around; /* the node of the list or object that holds it; NOWHERE: none */
} Value;

typedef struct {
    const char *text;
    size_t size, at;
    int count;
    Value values[JSON_NODES];
} Reading;

static int letter(Reading *reading)
{
    return reading->at < reading->size ? (unsigned char)reading->text[reading->at] : -1;
}

static int taken(Reading *reading, int wanted)
{
    if (letter(reading) != wanted)
        return 0;
    reading->at++;
    return 1;
}

static void skip_space(Reading *reading)
{
    while (taken(reading, ' ') || taken(reading, '\t') || taken(reading, '\n') || taken(reading, '\r'))
        ;
}

/* A string whose first quotation mark is next; where its characters begin, and how many bytes they are. */
static int read_string(Reading *reading, size_t *start, size_t *size)
{
    if (!taken(reading, '"'))
        return 0;
    *start = reading->at;
    for (int one = letter(reading); one != '"'; one = letter(reading)) {
        if (one < 0x20 || one == '\\')
            return 0;
        reading->at++;
    }
    *size = reading->at++ - *start;
    return 1;
}

static size_t digits(Reading *reading)
{
    size_t found = 0;
    for (; letter(reading) >= '0' && letter(reading) <= '9'; found++)
        reading->at++;
    return found;
}

static int read_exponent(Reading *reading, Value *value)
{
    if (!taken(reading, 'e') && !taken(reading, 'E'))
        return 1;
    value->kind = JSON_OTHER;
    if (!taken(reading, '-'))
        taken(reading, '+');
    size_t found = digits(reading);
    return found == 1 || found == 2;
}

static int read_number(Reading *reading, Value *value)
{
    int negative = taken(reading, '-'), zero = letter(reading) == '0';
    size_t whole = digits(reading);
    if (whole == 0 || (zero && whole > 1))
        return 0;
    value->kind = taken(reading, '.') ? JSON_FRACTION : JSON_INT;
    if (value->kind == JSON_FRACTION && (digits(reading) == 0 || reading->at - value->start > LONGEST_NUMBER))
        return 0;
    if (value->kind == JSON_INT) {
        char number[32] = "";
        memcpy(number, reading->text + value->start, reading->at - value->start < 31 ? reading->at - value->start : 31);
        errno = 0;
        long long found = strtoll(number, NULL, 10);
        if (whole > LONGEST_NUMBER || (negative && zero))
            return 0;
        if (whole > 19 || errno || found == INT64_MIN)
            value->kind = JSON_OTHER;
    }
    return read_exponent(reading, value);
}

static int read_word(Reading *reading, const char *word)
{
    for (; *word; word++)
        if (!taken(reading, *word))
            return 0;
    return 1;
}

static int read_value(Reading *reading, int around, int depth);

static int read_members(Reading *reading, int own, int depth)
{
    int object = taken(reading, '{');
    reading->values[own].kind = object ? JSON_DICT : JSON_LIST;
    if (depth == JSON_DEPTH || (!object && !taken(reading, '[')))
        return 0;
    skip_space(reading);
    if (!taken(reading, object ? '}' : ']')) {
        do {
            skip_space(reading);
            if (!read_value(reading, own, depth + 1))
                return 0;
            skip_space(reading);
            reading->values[own].true_ = 1;
        } while (taken(reading, ','));
        return taken(reading, object ? '}' : ']');
    }
    return 1;
}

static int read_value(Reading *reading, int around, int depth)
{
    if (reading->count == JSON_NODES)
        return 0;
    int own = reading->count++, good;
    Value *value = reading->values + own;
    *value = (Value){.around = around};
    if (around != NOWHERE && reading->values[around].kind == JSON_DICT) {
        if (!read_string(reading, &value->key, &value->key_size))
            return 0;
        skip_space(reading);
        if (!taken(reading, ':'))
            return 0;
        skip_space(reading);
    }
    value->start = reading->at;
    int first = letter(reading);
    if (first == '{' || first == '[') {
        good = read_members(reading, own, depth);
    } else if (first == '"') {
        value->kind = JSON_STRING;
        good = read_string(reading, &value->start, &value->size);
        value->true_ = value->size > 0;
    } else if (first == '-' || (first >= '0' && first <= '9')) {
        value->true_ = 1;
        good = read_number(reading, value);
    } else {
        value->kind = first == 'n' ? JSON_NULL : first == 't' ? JSON_TRUE : JSON_FALSE;
        value->true_ = first == 't';
        good = read_word(reading, first == 'n' ? "null" : first == 't' ? "true" : "false");
    }
    if (value->kind != JSON_STRING)
        value->size = reading->at - value->start;
    value->last = reading->count;
    return good;
}

static void check_scalar(const JsonText *json, int at, const Value *value)
{
    const JsonNode *node = json->nodes + at;
    char digits_of[32] = "";
    if (value->kind == JSON_INT) {
        memcpy(digits_of, json->text + value->start, value->size);
        CHECK(json_int(json, node) == strtoll(digits_of, NULL, 10));
    } else if (value->kind == JSON_STRING) {
        int wide = 0;
        for (size_t one = 0; one < value->size; one++)
            wide |= (unsigned char)json->text[value->start + one] > 127;
        CHECK(node->wide == wide);
    }
}

/* All that a list or an object holds, by place from both ends, by key the last of equal ones. */
static void check_inner(const JsonText *json, const Reading *reading, int own)
{
    const Value *values = reading->values;
    int inner[JSON_NODES], count = 0;
    for (int at = own + 1; at < values[own].last; at++)
        if (values[at].around == own)
            inner[count++] = at;
    for (int one = 0; one < count; one++) {
        const Value *value = values + inner[one];
        if (values[own].kind == JSON_LIST) {
            CHECK(json_element(json, own, one) == inner[one] && json_element(json, own, one - count) == inner[one]);
            continue;
        }
        int last = one;
        for (int other = one + 1; other < count; other++)
            if (values[inner[other]].key_size == value->key_size
                && !memcmp(json->text + values[inner[other]].key, json->text + value->key, value->key_size))
                last = other;
        CHECK(json_member(json, own, json->text + value->key, (Py_ssize_t)value->key_size) == inner[last]);
        int absent = 1;
        for (int other = 0; other < count; other++)
            absent &= values[inner[other]].key_size != value->key_size + 1
                      || memcmp(json->text + values[inner[other]].key, json->text + value->key, value->key_size + 1);
        if (absent) /* a key with its quotation mark: no other is */
            CHECK(json_member(json, own, json->text + value->key, (Py_ssize_t)value->key_size + 1) == NOWHERE);
    }
    if (values[own].kind == JSON_LIST)
        CHECK(json_element(json, own, count) == NOWHERE && json_element(json, own, -count - 1) == NOWHERE);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static JsonText json;
    static Reading reading;
    char *text = malloc(size ? size : 1); /* of its very size */
    memcpy(text, data, size);
    reading = (Reading){.text = text, .size = size};
    skip_space(&reading);
    int plain = read_value(&reading, NOWHERE, 0);
    skip_space(&reading);
    plain = plain && reading.at == size && size <= JSON_LONGEST;
    CHECK(json_scan(&json, text, (Py_ssize_t)size) == plain);
    CHECK(!plain || json.count == reading.count);
    for (int at = 0; plain && at < reading.count; at++) {
        const Value *value = reading.values + at;
        const JsonNode *node = json.nodes + at;
        CHECK(node->kind == value->kind && node->start == value->start && node->size == value->size);
        CHECK(node->key == value->key && node->key_size == value->key_size && node->next == value->last);
        CHECK(json_is_true(&json, at) == value->true_);
        if (value->kind < JSON_LIST)
            check_scalar(&json, at, value);
        else
            check_inner(&json, &reading, at);
    }
    free(text);
    return 0;
}

/* JSON as a flat list of its values, each with the place of its text: nothing is converted before somebody wants it.

   `json_scan` takes plain texts only, which are most of what venues send: no escapes in strings, numbers of few
   characters, no more than JSON_NODES values and JSON_DEPTH levels. Of these it checks the
   whole grammar, and says 0 for anything else: that is for the decoder, which reads it or says what is wrong. Strings
   are not checked for UTF-8, so the text must be known to be that.

   The list is in the order of the text; `next` is the node behind all that a value holds, so the first child of a list or
   an object stands directly behind it, and each one's sibling is its `next`. Of equal keys the last one counts, as in a
   dict. */
#ifndef K2CONN_JSON_TEXT_H
#define K2CONN_JSON_TEXT_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "numbers.h"

#ifndef JSON_NODES /* fuzzing makes it small */
#define JSON_NODES 1024
#endif
#define JSON_DEPTH 16
#define JSON_LONGEST 65535 /* bytes of a text */
#define NOWHERE (-1)       /* no node */

/* JSON_INT: a whole number of 64 bits (times in nanoseconds have 19 digits); JSON_FRACTION: digits with a point between
   them; JSON_OTHER: a number that is longer, or has an exponent. */
enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_INT, JSON_FRACTION, JSON_OTHER, JSON_STRING, JSON_LIST, JSON_DICT };

typedef struct {
    uint16_t start, size;   /* of a string: without the quotation marks */
    uint16_t key, key_size; /* of a member */
    uint16_t next;
    uint8_t kind, wide;     /* `wide`: a string that is not ASCII */
    uint8_t unsure;         /* whether an object may have the same key twice */
} JsonNode;

typedef struct JsonText {
    const char *text;
    int count;
    JsonNode nodes[JSON_NODES];
} JsonText;

static inline const char *json_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Where the string ends whose first character is at `at`, at its quotation mark; NULL where it is not plain. */
static inline const char *json_string(const char *at, const char *end, uint8_t *wide)
{
    unsigned char all = 0;
    for (; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < ' ' || *at == '\\')
            return NULL;
        all |= (unsigned char)*at;
    }
    *wide = all >> 7;
    return at < end ? at : NULL;
}

static inline int is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Whether that many digits, of which the first is not 0 unless it is alone, are a number of 64 bits, whatever its sign. */
static inline int fits_int64(const char *digits, Py_ssize_t count)
{
    return count <= SHORT_DIGITS || (count == SHORT_DIGITS + 1 && memcmp(digits, "9223372036854775807", (size_t)count) <= 0);
}

/* Where an exponent ends that has one or two digits; NULL where it is not plain. */
static const char *json_exponent(const char *at, const char *end, uint8_t *kind)
{
    *kind = JSON_OTHER;
    at++;
    at += at < end && (*at == '-' || *at == '+');
    const char *digits = at;
    while (at < end && is_digit(*at))
        at++;
    return at - digits < 1 || at - digits > 2 ? NULL : at;
}

/* Where a number ends; NULL where it is not plain. */
static const char *json_number(const char *at, const char *end, uint8_t *kind)
{
    const char *start = at, *digits = at += *at == '-';
    while (at < end && is_digit(*at))
        at++;
    Py_ssize_t count = at - digits;
    *kind = JSON_INT;
    if (count < 1 || (*digits == '0' && count > 1))
        return NULL;
    if (at < end && *at == '.') {
        const char *point = at++;
        while (at < end && is_digit(*at))
            at++;
        *kind = JSON_FRACTION;
        if (at - point < 2 || at - start > LONGEST_NUMBER)
            return NULL;
    } else if (*start == '-' && *digits == '0') {
        return NULL;
    } else if (!fits_int64(digits, count)) {
        *kind = JSON_OTHER;
        if (count > LONGEST_NUMBER)
            return NULL;
    }
    return at < end && (*at == 'e' || *at == 'E') ? json_exponent(at, end, kind) : at;
}

/* Where a value ends that holds no others; NULL where it is not plain. */
static const char *json_scalar(const char *text, const char *at, const char *end, JsonNode *node)
{
    static const struct {
        char first;
        uint8_t kind, size;
        const char *word;
    } words[] = {{'n', JSON_NULL, 4, "null"}, {'t', JSON_TRUE, 4, "true"}, {'f', JSON_FALSE, 5, "false"}};
    const char *start = at;
    if (*at == '"') {
        node->kind = JSON_STRING;
        at = json_string(++start, end, &node->wide);
    } else if (*at == '-' || is_digit(*at)) {
        at = json_number(at, end, &node->kind);
    } else {
        at = NULL;
        for (int word = 0; word < 3; word++)
            if (*start == words[word].first && end - start >= words[word].size
                && memcmp(start, words[word].word, words[word].size) == 0) {
                node->kind = words[word].kind;
                at = start + words[word].size;
            }
    }
    if (at == NULL)
        return NULL;
    node->start = (uint16_t)(start - text);
    node->size = (uint16_t)(at - start);
    return at + (node->kind == JSON_STRING);
}

/* Reads a member's key and the colon; where its value begins, NULL where it is not plain. */
static const char *json_key(const char *text, const char *at, const char *end, JsonNode *node)
{
    uint8_t wide;
    if (at == end || *at != '"')
        return NULL;
    const char *start = ++at;
    at = json_string(at, end, &wide);
    if (at == NULL)
        return NULL;
    node->key = (uint16_t)(start - text);
    node->key_size = (uint16_t)(at - start);
    at = json_space(at + 1, end);
    return at < end && *at == ':' ? json_space(at + 1, end) : NULL;
}

/* Of each level, which keys the object has by a hash: one that is there already may be twice. */
typedef struct {
    uint64_t bits[4];
} KeySet;

static inline int key_set_add(KeySet *set, const char *key, int size)
{
    unsigned hash = (unsigned)size * 5u;
    if (size)
        hash += (unsigned char)key[0] * 31u + (unsigned char)key[size - 1] * 7u + (unsigned char)key[size / 2];
    uint64_t bit = (uint64_t)1 << (hash & 63), *word = set->bits + (hash >> 6 & 3);
    int there = (*word & bit) != 0;
    *word |= bit;
    return there;
}

/* The values of a text. 1 where it is plain JSON, else 0. */
static int json_scan(JsonText *json, const char *text, Py_ssize_t size)
{
    uint16_t open[JSON_DEPTH];
    KeySet keys[JSON_DEPTH];
    int depth = 0;
    const char *end = text + size, *at = json_space(text, end);
    json->text = text;
    json->count = 0;
    if (size > JSON_LONGEST)
        return 0;
    for (;;) {
        if (json->count == JSON_NODES)
            return 0;
        int number = json->count++;
        JsonNode *node = json->nodes + number;
        *node = (JsonNode){.next = (uint16_t)json->count};
        JsonNode *object = depth ? json->nodes + open[depth - 1] : NULL;
        if (object != NULL && object->kind == JSON_DICT) {
            at = json_key(text, at, end, node);
            if (at != NULL && key_set_add(keys + depth - 1, text + node->key, node->key_size))
                object->unsure = 1;
        }
        if (at == NULL || at == end)
            return 0;
        if (*at == '{' || *at == '[') {
            node->kind = *at == '{' ? JSON_DICT : JSON_LIST;
            node->start = (uint16_t)(at - text);
            at = json_space(at + 1, end);
            if (depth == JSON_DEPTH || at == end)
                return 0;
            keys[depth] = (KeySet){{0}};
            open[depth++] = (uint16_t)number;
            if (*at != '}' && *at != ']')
                continue;
        } else {
            at = json_scalar(text, at, end, node);
            if (at == NULL)
                return 0;
        }
        for (;;) { /* behind a value, or at the end of what holds some */
            at = json_space(at, end);
            if (!depth)
                return at == end;
            JsonNode *around = json->nodes + open[depth - 1];
            if (at == end)
                return 0;
            if (*at == ',')
                break;
            if (*at != (around->kind == JSON_DICT ? '}' : ']'))
                return 0;
            at++;
            around->size = (uint16_t)(at - text - around->start);
            around->next = (uint16_t)json->count;
            depth--;
        }
        at = json_space(at + 1, end);
    }
}

static inline int json_has_key(const JsonText *json, const JsonNode *node, const char *key, Py_ssize_t size)
{
    const char *own = json->text + node->key;
    return node->key_size == size && (size == 0 || (*own == *key && memcmp(own, key, (size_t)size) == 0));
}

/* The member of an object; NOWHERE where there is none. */
static int json_member(const JsonText *json, int node, const char *key, Py_ssize_t size)
{
    int found = NOWHERE;
    for (int at = node + 1; at < json->nodes[node].next; at = json->nodes[at].next)
        if (json_has_key(json, json->nodes + at, key, size)) {
            found = at;
            if (!json->nodes[node].unsure)
                break;
        }
    return found;
}

/* The element of a list, counted from its end where `index` is negative; NOWHERE where there is none. */
static int json_element(const JsonText *json, int node, Py_ssize_t index)
{
    int at = node + 1, end = json->nodes[node].next;
    if (index < 0) {
        for (int one = at; one < end; one = json->nodes[one].next)
            index++;
        if (index < 0)
            return NOWHERE;
    }
    for (; index > 0 && at < end; index--)
        at = json->nodes[at].next;
    return at < end ? at : NOWHERE;
}

/* The number of a JSON_INT. */
static int64_t json_int(const JsonText *json, const JsonNode *node)
{
    const char *at = json->text + node->start, *end = at + node->size;
    int negative = *at == '-';
    int64_t found = 0;
    for (at += negative; at < end; at++)
        found = found * 10 + (*at - '0');
    return negative ? -found : found;
}

/* A whole number, also where it is written as a text of nothing but its digits. 1 found, else 0. */
static int whole_of_node(const JsonText *json, const JsonNode *node, int64_t *number)
{
    const char *digits = json->text + node->start;
    if (node->kind == JSON_STRING) {
        if (node->size < 1 || node->size > SHORT_DIGITS || (*digits == '0' && node->size > 1))
            return 0;
        for (int at = 0; at < node->size; at++)
            if (!is_digit(digits[at]))
                return 0;
    } else if (node->kind != JSON_INT) {
        return 0;
    }
    *number = json_int(json, node);
    return 1;
}

/* What JMESPath calls true: all but null, false and what is empty. */
static inline int json_is_true(const JsonText *json, int at)
{
    const JsonNode *node = json->nodes + at;
    return node->kind == JSON_STRING ? node->size > 0 : node->kind >= JSON_LIST ? node->next > at + 1 : node->kind >= JSON_TRUE;
}

#endif

/* Avro records as rows of PostgreSQL's binary COPY: see `k2conn.sinks.postgres.rows`, which does the same in Python.

   Every read is checked against the end of the body. Bodies that this file does not handle (decimals beyond 128 bits,
   maps that name a key twice, texts that are no UTF-8) make `rows` return None, and the Python beside it decides. The
   work is done without the interpreter's lock. */
#include <stdlib.h>

#include "fields.h"
#include "growing.h"

enum { MOST_SCALE = MOST_DIGITS - 4, MOST_KEYS = 8 };

#define EPOCH_MICROS INT64_C(946684800000000) /* PostgreSQL counts from 2000 */
#define EPOCH_DAYS 10957

typedef Growing Rows;

/* The last `size` bytes of a number, highest first. */
static int put(Rows *rows, uint64_t value, int size)
{
    if (room(rows, 8) != DONE)
        return NO_MEMORY;
    for (int byte = size - 1; byte >= 0; byte--)
        rows->bytes[rows->used++] = (char)(value >> (8 * byte));
    return DONE;
}

/* A column's length, known only now. */
static void put_length(Rows *rows, size_t place)
{
    uint32_t size = (uint32_t)(rows->used - place - 4);
    for (int byte = 0; byte < 4; byte++)
        rows->bytes[place + (size_t)byte] = (char)(size >> (8 * (3 - byte)));
}

static int hex_digit(uint8_t letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 32;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The UUID in its usual spelling only: 36 characters. */
static int put_uuid(Rows *rows, const uint8_t *text, size_t size)
{
    if (size != 36)
        return UNHANDLED;
    uint8_t found[16];
    int count = 0;
    for (int at = 0; at < 36;) {
        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (text[at++] != '-')
                return UNHANDLED;
            continue;
        }
        int high = hex_digit(text[at]), low = hex_digit(text[at + 1]);
        if (high < 0 || low < 0)
            return UNHANDLED;
        found[count++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return put(rows, 16, 4) == DONE ? put_raw(rows, found, 16) : NO_MEMORY;
}

static int put_decimal(Rows *rows, Body *body, int precision, int scale)
{
    wide_int value;
    int failed = scale > MOST_SCALE ? UNHANDLED : get_decimal(body, precision, &value);
    if (failed != DONE)
        return failed;
    int negative = value < 0;
    if (negative)
        value = -value;
    wide_int whole = value / ten_to[scale], part = value % ten_to[scale];
    int padding = (4 - scale % 4) % 4, places = (scale + padding) / 4, count = 0, digits_before = 0;
    uint16_t back[MOST_DIGITS / 4 + 4];
    part *= ten_to[padding];
    for (int at = 0; at < places; at++, part /= 10000)
        back[count++] = (uint16_t)(part % 10000);
    for (; whole; whole /= 10000, digits_before++)
        back[count++] = (uint16_t)(whole % 10000);
    if (put(rows, (uint64_t)(8 + 2 * count), 4) != DONE || put(rows, (uint64_t)count, 2) != DONE
        || put(rows, (uint64_t)(int64_t)(digits_before - 1), 2) != DONE
        || put(rows, negative ? 0x4000 : 0, 2) != DONE || put(rows, (uint64_t)scale, 2) != DONE)
        return NO_MEMORY;
    while (count)
        if (put(rows, back[--count], 2) != DONE)
            return NO_MEMORY;
    return DONE;
}

static int put_json(Rows *rows, const uint8_t *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    if (room(rows, 6 * size + 2) != DONE)
        return NO_MEMORY;
    char *to = rows->bytes + rows->used;
    *to++ = '"';
    for (size_t at = 0; at < size; at++) {
        uint8_t letter = text[at];
        if (letter == '"' || letter == '\\') {
            *to++ = '\\';
            *to++ = (char)letter;
        } else if (letter < 32) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[letter >> 4];
            to[5] = hex[letter & 15];
            to += 6;
        } else {
            *to++ = (char)letter;
        }
    }
    *to++ = '"';
    rows->used = (size_t)(to - rows->bytes);
    return DONE;
}

static int put_map(Rows *rows, Body *body)
{
    size_t place = rows->used, size;
    int64_t count;
    const uint8_t *text;
    Keys keys = {.count = 0};
    int first = 1, failed;
    if (put(rows, 0, 4) != DONE || put_raw(rows, "\1{", 2) != DONE)
        return NO_MEMORY;
    do {
        if ((failed = block(body, &count)) != DONE)
            return failed;
        for (int64_t at = 0; at < count; at++, first = 0) {
            if ((!first && put_raw(rows, ",", 1) != DONE))
                return NO_MEMORY;
            if ((failed = get_utf8(body, &text, &size)) != DONE || (failed = put_key(&keys, text, size)) != DONE
                || (failed = put_json(rows, text, size)) != DONE)
                return failed;
            if (put_raw(rows, ":", 1) != DONE)
                return NO_MEMORY;
            if ((failed = get_utf8(body, &text, &size)) != DONE || (failed = put_json(rows, text, size)) != DONE)
                return failed;
        }
    } while (count);
    if (put_raw(rows, "}", 1) != DONE)
        return NO_MEMORY;
    put_length(rows, place);
    return DONE;
}

static int put_texts(Rows *rows, Body *body)
{
    size_t place = rows->used, size;
    int64_t count, all = 0;
    const uint8_t *text;
    int failed;
    if (put(rows, 0, 4) != DONE || put(rows, 1, 4) != DONE || put(rows, 0, 4) != DONE || put(rows, 25, 4) != DONE
        || put(rows, 0, 4) != DONE || put(rows, 1, 4) != DONE)
        return NO_MEMORY;
    do {
        if ((failed = block(body, &count)) != DONE)
            return failed;
        for (int64_t at = 0; at < count; at++) {
            if ((failed = get_utf8(body, &text, &size)) != DONE)
                return failed;
            if (put(rows, size, 4) != DONE || put_raw(rows, text, size) != DONE)
                return NO_MEMORY;
        }
        all += count;
    } while (count);
    if (!all) { /* an empty array has no dimension */
        rows->bytes[place + 7] = 0;
        rows->used = place + 16;
    } else {
        for (int byte = 0; byte < 4; byte++)
            rows->bytes[place + 16 + (size_t)byte] = (char)((uint64_t)all >> (8 * (3 - byte)));
    }
    put_length(rows, place);
    return DONE;
}

static int put_number(Rows *rows, int64_t value, int size)
{
    return put(rows, (uint64_t)size, 4) == DONE ? put(rows, (uint64_t)value, size) : NO_MEMORY;
}

static int put_column(Rows *rows, Body *body, const Field *column)
{
    int64_t value = 0;
    const uint8_t *text = NULL;
    size_t size = 0;
    int failed, found;
    if ((failed = get_present(body, column, &found)) != DONE)
        return failed;
    if (!found)
        return put(rows, UINT32_MAX, 4);
    switch (column->kind) {
    case TEXT: case UUID: case BYTES:
        failed = column->kind == TEXT ? get_utf8(body, &text, &size) : get_text(body, &text, &size);
        if (failed != DONE)
            return failed;
        if (column->kind == UUID)
            return put_uuid(rows, text, size);
        return put(rows, size, 4) == DONE ? put_raw(rows, text, size) : NO_MEMORY;
    case DECIMAL:
        return put_decimal(rows, body, column->precision, column->scale);
    case BOOLEAN:
        return (failed = get_boolean(body, &found)) != DONE ? failed : put_number(rows, found, 1);
    case TEXTS:
        return put_texts(rows, body);
    case MAP:
        return put_map(rows, body);
    default:
        break;
    }
    if ((failed = get_long(body, &value)) != DONE)
        return failed;
    switch (column->kind) {
    case INT:
        return value < INT32_MIN || value > INT32_MAX ? MALFORMED : put_number(rows, value, 4);
    case LONG:
        return put_number(rows, value, 8);
    case MILLIS:
        if (value > INT64_MAX / 1000 || value < INT64_MIN / 1000)
            return UNHANDLED;
        value *= 1000;
        /* fall through */
    case MICROS:
        return value < INT64_MIN + EPOCH_MICROS ? UNHANDLED : put_number(rows, value - EPOCH_MICROS, 8);
    case DATE:
        return value < INT32_MIN + EPOCH_DAYS || value > INT32_MAX ? UNHANDLED
                                                                  : put_number(rows, value - EPOCH_DAYS, 4);
    case ENUM:
        if (value < 0 || value >= column->symbols)
            return MALFORMED;
        PyObject *name = PyTuple_GET_ITEM(column->names, value); /* a tuple of bytes, held by the caller */
        size = (size_t)PyBytes_GET_SIZE(name);
        return put(rows, size, 4) == DONE ? put_raw(rows, PyBytes_AS_STRING(name), size) : NO_MEMORY;
    default:
        return UNHANDLED;
    }
}

static int put_row(Rows *rows, Body body, const Field *columns, int count, size_t *starts)
{
    if (put(rows, (uint64_t)count, 2) != DONE)
        return NO_MEMORY;
    for (int at = 0; at < count; at++) {
        starts[at] = rows->used;
        int failed = put_column(rows, &body, columns + at);
        if (failed != DONE)
            return failed;
    }
    return body.at == body.end ? DONE : MALFORMED;
}

/* A row among others: where it is, and where its columns are that it is sorted by. */
typedef struct {
    const char *bytes;
    size_t at, size, keys[MOST_KEYS];
} Row;

/* The length of a column with its own four bytes of length. */
static size_t column_size(const char *column)
{
    uint32_t size = 0;
    for (int byte = 0; byte < 4; byte++)
        size = size << 8 | (uint8_t)column[byte];
    return size == UINT32_MAX ? 4 : (size_t)size + 4;
}

/* By the bytes of the key's columns; rows without any difference stay as they came. */
static int compare(const void *one, const void *other)
{
    const Row *left = one, *right = other;
    for (int key = 0; key < MOST_KEYS && left->keys[key]; key++) {
        const char *a = left->bytes + left->keys[key], *b = right->bytes + right->keys[key];
        size_t a_size = column_size(a), b_size = column_size(b);
        int found = memcmp(a, b, a_size < b_size ? a_size : b_size); /* lengths differ within their first four bytes */
        if (found)
            return found;
    }
    return (left->at > right->at) - (left->at < right->at);
}

/* The rows of some bodies, sorted where there are keys. */
static int make(Rows *made, const Field *columns, int count, PyObject *bodies, const int *keys, int key_count)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    Py_ssize_t many = PyTuple_GET_SIZE(bodies);
    Rows found = {NULL, 0, 0};
    size_t starts[MOST_FIELDS];
    Row *rows = key_count ? PyMem_RawCalloc((size_t)many + 1, sizeof *rows) : NULL;
    int failed = key_count && rows == NULL ? NO_MEMORY : put_raw(&found, head, sizeof head);
    for (Py_ssize_t at = 0; at < many && failed == DONE; at++) {
        size_t start = found.used;
        failed = put_row(&found, body_of(PyTuple_GET_ITEM(bodies, at)), columns, count, starts);
        if (rows == NULL)
            continue;
        rows[at].at = start;
        rows[at].size = found.used - start;
        for (int key = 0; key < key_count; key++)
            rows[at].keys[key] = starts[keys[key]];
    }
    if (failed == DONE)
        failed = put(&found, UINT16_MAX, 2);
    if (failed == DONE && rows != NULL && (failed = room(made, found.used)) == DONE) {
        for (Py_ssize_t at = 0; at < many; at++)
            rows[at].bytes = found.bytes;
        qsort(rows, (size_t)many, sizeof *rows, compare);
        put_raw(made, head, sizeof head);
        for (Py_ssize_t at = 0; at < many; at++)
            put_raw(made, found.bytes + rows[at].at, rows[at].size);
        put(made, UINT16_MAX, 2);
        let_go(&found);
    } else {
        *made = found;
    }
    PyMem_RawFree(rows);
    return failed;
}

/* How many keys there are, or -1 with an exception set. */
static int read_keys(PyObject *given, int columns, int *keys)
{
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    for (Py_ssize_t at = 0; at < count && count <= MOST_KEYS; at++) {
        long key = PyLong_AsLong(PyTuple_GET_ITEM(given, at));
        if (key == -1 && PyErr_Occurred())
            return -1;
        if (key < 0 || key >= columns)
            count = MOST_KEYS + 1;
        else
            keys[at] = (int)key;
    }
    if (count > MOST_KEYS) {
        PyErr_SetString(PyExc_ValueError, "keys are the places of a few columns");
        return -1;
    }
    return (int)count;
}

static PyObject *rows(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 3 || !PyTuple_CheckExact(arguments[0]) || !PyTuple_CheckExact(arguments[1])
        || !PyTuple_CheckExact(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "rows(tuple of columns, tuple of bytes, tuple of keys)");
        return NULL;
    }
    Field columns[MOST_FIELDS];
    int keys[MOST_KEYS], key_count, count = read_fields(arguments[0], columns);
    if (count < 0 || only_bytes(arguments[1]) < 0 || (key_count = read_keys(arguments[2], count, keys)) < 0)
        return NULL;
    Rows made = {NULL, 0, 0};
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = make(&made, columns, count, arguments[1], keys, key_count);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (failed == DONE)
        result = PyBytes_FromStringAndSize(made.bytes, (Py_ssize_t)made.used);
    else if (failed == NO_MEMORY)
        PyErr_NoMemory();
    else
        result = Py_NewRef(Py_None);
    let_go(&made);
    return result;
}

static PyMethodDef methods[] = {
    {"rows", (PyCFunction)(void (*)(void))rows, METH_FASTCALL,
     "rows(columns, bodies, keys): the bodies of Avro records as PostgreSQL's binary COPY has them, header and trailer too,"
     " in the order of the columns whose places are keys; None where one of them is malformed or not handled here."},
    {NULL, NULL, 0, NULL},
};

static int prepare(PyObject *module)
{
    (void)module;
    fill_powers();
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, prepare}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.copy_rows", .m_doc = "Avro records as rows of a database.", .m_size = 0,
    .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_copy_rows(void)
{
    return PyModuleDef_Init(&module);
}

/* Avro records as rows of PostgreSQL's binary COPY: see `k2conn.sinks.postgres.rows`, which does the same in Python.

   Every read is checked against the end of the body. Bodies that this file does not handle (decimals beyond 128 bits)
   make `rows` return None, and the Python beside it decides. The work is done without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "avro_body.h"
#include "numbers.h"

enum { MOST_FIELDS = 256, MOST_SCALE = MOST_DIGITS - 4, MOST_SYMBOLS = 1 << 16 };
enum { TEXT, UUID, BYTES, BOOLEAN, INT, LONG, MICROS, MILLIS, DATE, DECIMAL, ENUM, TEXTS, MAP, KINDS };

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 wide_bits;
#else
typedef uint64_t wide_bits;
#endif

#define EPOCH_MICROS INT64_C(946684800000000) /* PostgreSQL counts from 2000 */
#define EPOCH_DAYS 10957

typedef struct {
    int kind, nullable, null_index, precision, scale;
    Py_ssize_t symbols;
    PyObject *names; /* a tuple of bytes, of an enum */
} Column;

typedef struct {
    char *bytes;
    size_t used, size;
} Rows;

static int room(Rows *rows, size_t more)
{
    if (rows->size - rows->used >= more)
        return DONE;
    if (more > SIZE_MAX / 4 || rows->used > SIZE_MAX / 4)
        return NO_MEMORY;
    size_t size = 2 * (rows->used + more);
    char *bytes = PyMem_RawRealloc(rows->bytes, size);
    if (bytes == NULL)
        return NO_MEMORY;
    rows->bytes = bytes;
    rows->size = size;
    return DONE;
}

/* The last `size` bytes of a number, highest first. */
static int put(Rows *rows, uint64_t value, int size)
{
    if (room(rows, 8) != DONE)
        return NO_MEMORY;
    for (int byte = size - 1; byte >= 0; byte--)
        rows->bytes[rows->used++] = (char)(value >> (8 * byte));
    return DONE;
}

static int put_raw(Rows *rows, const void *bytes, size_t size)
{
    if (room(rows, size) != DONE)
        return NO_MEMORY;
    if (size)
        memcpy(rows->bytes + rows->used, bytes, size);
    rows->used += size;
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

static int put_decimal(Rows *rows, const uint8_t *bytes, size_t size, int precision, int scale)
{
    if (!size || size > sizeof(wide_int) || scale > MOST_SCALE || precision > MOST_DIGITS)
        return UNHANDLED;
    int negative = bytes[0] >> 7;
    wide_bits bits = negative ? ~(wide_bits)0 : 0;
    for (size_t byte = 0; byte < size; byte++)
        bits = bits << 8 | bytes[byte];
    wide_int value = (wide_int)bits;
    wide_int limit = ten_to[precision];
    if (value <= -limit || value >= limit)
        return UNHANDLED;
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
    int first = 1, failed;
    if (put(rows, 0, 4) != DONE || put_raw(rows, "\1{", 2) != DONE)
        return NO_MEMORY;
    do {
        if ((failed = block(body, &count)) != DONE)
            return failed;
        for (int64_t at = 0; at < count; at++, first = 0) {
            if ((!first && put_raw(rows, ",", 1) != DONE))
                return NO_MEMORY;
            if ((failed = get_text(body, &text, &size)) != DONE || (failed = put_json(rows, text, size)) != DONE)
                return failed;
            if (put_raw(rows, ":", 1) != DONE)
                return NO_MEMORY;
            if ((failed = get_text(body, &text, &size)) != DONE || (failed = put_json(rows, text, size)) != DONE)
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
            if ((failed = get_text(body, &text, &size)) != DONE)
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

static int put_column(Rows *rows, Body *body, const Column *column)
{
    int64_t value = 0;
    const uint8_t *text = NULL;
    size_t size = 0;
    int failed;
    if (column->nullable) {
        if ((failed = get_long(body, &value)) != DONE)
            return failed;
        if (value < 0 || value > 1)
            return MALFORMED;
        if (value == column->null_index)
            return put(rows, UINT32_MAX, 4);
    }
    switch (column->kind) {
    case TEXT: case UUID: case BYTES: case DECIMAL:
        if ((failed = get_text(body, &text, &size)) != DONE)
            return failed;
        if (column->kind == UUID)
            return put_uuid(rows, text, size);
        if (column->kind == DECIMAL)
            return put_decimal(rows, text, size, column->precision, column->scale);
        return put(rows, size, 4) == DONE ? put_raw(rows, text, size) : NO_MEMORY;
    case BOOLEAN:
        if (body->at == body->end || *body->at > 1)
            return MALFORMED;
        return put_number(rows, *body->at++, 1);
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

static int put_row(Rows *rows, PyObject *bytes, const Column *columns, int count)
{
    Body body;
    body.at = (const uint8_t *)PyBytes_AS_STRING(bytes);
    body.end = body.at + PyBytes_GET_SIZE(bytes);
    if (put(rows, (uint64_t)count, 2) != DONE)
        return NO_MEMORY;
    for (int at = 0; at < count; at++) {
        int failed = put_column(rows, &body, columns + at);
        if (failed != DONE)
            return failed;
    }
    return body.at == body.end ? DONE : MALFORMED;
}

static int read_columns(PyObject *described, Column *columns)
{
    Py_ssize_t count = PyTuple_GET_SIZE(described);
    if (count > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many columns");
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Column *one = columns + at;
        PyObject *words = PyTuple_GET_ITEM(described, at);
        if (!PyTuple_CheckExact(words)) {
            PyErr_SetString(PyExc_TypeError, "a column is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(words, "iiiiiO!", &one->kind, &one->nullable, &one->null_index, &one->precision, &one->scale,
                              &PyTuple_Type, &one->names))
            return -1;
        one->symbols = PyTuple_GET_SIZE(one->names);
        int wrong = one->kind < 0 || one->kind >= KINDS || one->scale < 0 || one->precision < one->scale
                    || one->symbols > MOST_SYMBOLS;
        for (Py_ssize_t name = 0; name < one->symbols && !wrong; name++)
            wrong = !PyBytes_CheckExact(PyTuple_GET_ITEM(one->names, name));
        if (wrong) {
            PyErr_SetString(PyExc_ValueError, "a column is (kind, nullable, null_index, precision, scale, (bytes, ...))");
            return -1;
        }
    }
    return (int)count;
}

static PyObject *rows(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 2 || !PyTuple_CheckExact(arguments[0]) || !PyTuple_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "rows(tuple of columns, tuple of bytes)");
        return NULL;
    }
    Column columns[MOST_FIELDS];
    int count = read_columns(arguments[0], columns);
    if (count < 0)
        return NULL;
    PyObject *bodies = arguments[1]; /* tuples do not change, so they may be read without the lock */
    Py_ssize_t many = PyTuple_GET_SIZE(bodies);
    for (Py_ssize_t at = 0; at < many; at++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(bodies, at))) {
            PyErr_SetString(PyExc_TypeError, "a body is bytes");
            return NULL;
        }
    Rows made = {NULL, 0, 0};
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = put_raw(&made, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
    for (Py_ssize_t at = 0; at < many && failed == DONE; at++)
        failed = put_row(&made, PyTuple_GET_ITEM(bodies, at), columns, count);
    if (failed == DONE)
        failed = put(&made, UINT16_MAX, 2);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (failed == DONE)
        result = PyBytes_FromStringAndSize(made.bytes, (Py_ssize_t)made.used);
    else if (failed == NO_MEMORY)
        PyErr_NoMemory();
    else
        result = Py_NewRef(Py_None);
    PyMem_RawFree(made.bytes);
    return result;
}

static PyMethodDef methods[] = {
    {"rows", (PyCFunction)(void (*)(void))rows, METH_FASTCALL,
     "rows(columns, bodies): the bodies of Avro records as PostgreSQL's binary COPY has them, header and trailer too;"
     " None where one of them is malformed or not handled here."},
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

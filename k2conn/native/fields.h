/* The fields of a record schema as Python describes them (`k2conn.avro.described`), the bodies of its records, and the
   values that need more than one read. */
#ifndef K2CONN_FIELDS_H
#define K2CONN_FIELDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "avro_body.h"
#include "numbers.h"

enum { MOST_FIELDS = 256, MOST_SYMBOLS = 1 << 16 };
enum { TEXT, UUID, BYTES, BOOLEAN, INT, LONG, MICROS, MILLIS, DATE, DECIMAL, ENUM, TEXTS, MAP, KINDS };

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 wide_bits;
#else
typedef uint64_t wide_bits;
#endif

typedef struct {
    int kind, nullable, null_index, precision, scale;
    Py_ssize_t symbols;
    PyObject *names; /* a tuple of bytes, of an enum; it is the caller's */
} Field;

/* How many fields a tuple describes, or -1 with an exception set. */
static int read_fields(PyObject *described, Field *fields)
{
    Py_ssize_t count = PyTuple_GET_SIZE(described);
    if (count > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Field *one = fields + at;
        PyObject *words = PyTuple_GET_ITEM(described, at);
        if (!PyTuple_CheckExact(words)) {
            PyErr_SetString(PyExc_TypeError, "a field is a tuple");
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
            PyErr_SetString(PyExc_ValueError, "a field is (kind, nullable, null_index, precision, scale, (bytes, ...))");
            return -1;
        }
    }
    return (int)count;
}

/* Whether all of a tuple's members are bytes, which may then be read without the interpreter's lock: tuples do not
   change. 0, or -1 with an exception set. */
static int only_bytes(PyObject *bodies)
{
    Py_ssize_t many = PyTuple_GET_SIZE(bodies);
    for (Py_ssize_t at = 0; at < many; at++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(bodies, at))) {
            PyErr_SetString(PyExc_TypeError, "a body is bytes");
            return -1;
        }
    return 0;
}

static inline Body body_of(PyObject *bytes)
{
    Body body = {(const uint8_t *)PyBytes_AS_STRING(bytes), NULL};
    body.end = body.at + PyBytes_GET_SIZE(bytes);
    return body;
}

/* Whether a field has a value; where a union says that it has none, nothing else follows. */
static inline int get_present(Body *body, const Field *field, int *present)
{
    int64_t branch;
    *present = 1;
    if (!field->nullable)
        return DONE;
    if (get_long(body, &branch) != DONE || branch < 0 || branch > 1)
        return MALFORMED;
    *present = branch != field->null_index;
    return DONE;
}

/* The unscaled number of a decimal: MALFORMED with too many digits, UNHANDLED where it has more than a wide_int holds. */
static inline int get_decimal(Body *body, int precision, wide_int *found)
{
    const uint8_t *bytes;
    size_t size;
    if (get_text(body, &bytes, &size) != DONE || !size)
        return MALFORMED;
    if (size > sizeof(wide_int) || precision > MOST_DIGITS)
        return UNHANDLED;
    wide_bits bits = bytes[0] >> 7 ? ~(wide_bits)0 : 0;
    for (size_t byte = 0; byte < size; byte++)
        bits = bits << 8 | bytes[byte];
    wide_int limit = ten_to[precision];
    *found = (wide_int)bits;
    return *found <= -limit || *found >= limit ? MALFORMED : DONE;
}

static inline int get_boolean(Body *body, int *found)
{
    if (body->at == body->end || *body->at > 1)
        return MALFORMED;
    *found = *body->at++;
    return DONE;
}

#endif

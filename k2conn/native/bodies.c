/* Whether bytes are Avro records of a schema: see `k2conn.avro.bodies`. A body that this file says no to is judged by
   the Python beside it. The work is done without the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "avro_body.h"
#include "numbers.h"

enum { MOST_FIELDS = 256 };
enum { TEXT, BYTES, BOOLEAN, INT, LONG, DECIMAL, ENUM, TEXTS, MAP, KINDS };

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 wide_bits;
#else
typedef uint64_t wide_bits;
#endif

typedef struct {
    int kind, nullable, null_index, precision, symbols;
} Field;

/* UTF-8 as RFC 3629 has it: no surrogates, nothing longer than it needs to be. */
static int is_utf8(const uint8_t *at, size_t size)
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

static int text(Body *body)
{
    const uint8_t *found;
    size_t size;
    int failed = get_text(body, &found, &size);
    return failed == DONE && !is_utf8(found, size) ? MALFORMED : failed;
}

static int entries(Body *body, int texts)
{
    int64_t count;
    int failed;
    do {
        if ((failed = block(body, &count)) != DONE)
            return failed;
        for (int64_t left = count * texts; left; left--)
            if ((failed = text(body)) != DONE)
                return failed;
    } while (count);
    return DONE;
}

static int decimal(Body *body, int precision)
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
    wide_int value = (wide_int)bits, limit = ten_to[precision];
    return value <= -limit || value >= limit ? MALFORMED : DONE;
}

static int check(Body *body, const Field *field)
{
    int64_t value = 0;
    const uint8_t *bytes;
    size_t size;
    if (field->nullable) {
        if (get_long(body, &value) != DONE || value < 0 || value > 1)
            return MALFORMED;
        if (value == field->null_index)
            return DONE;
    }
    switch (field->kind) {
    case TEXT:
        return text(body);
    case BYTES:
        return get_text(body, &bytes, &size);
    case BOOLEAN:
        return body->at == body->end || *body->at++ > 1 ? MALFORMED : DONE;
    case DECIMAL:
        return decimal(body, field->precision);
    case TEXTS:
        return entries(body, 1);
    case MAP:
        return entries(body, 2);
    default:
        break;
    }
    if (get_long(body, &value) != DONE)
        return MALFORMED;
    switch (field->kind) {
    case INT:
        return value < INT32_MIN || value > INT32_MAX ? MALFORMED : DONE;
    case ENUM:
        return value < 0 || value >= field->symbols ? MALFORMED : DONE;
    default:
        return DONE;
    }
}

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
        if (!PyArg_ParseTuple(words, "iiiii", &one->kind, &one->nullable, &one->null_index, &one->precision, &one->symbols))
            return -1;
        if (one->kind < 0 || one->kind >= KINDS || one->precision < 0) {
            PyErr_SetString(PyExc_ValueError, "a field is (kind, nullable, null_index, precision, symbols)");
            return -1;
        }
    }
    return (int)count;
}

static PyObject *well_formed(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 2 || !PyTuple_CheckExact(arguments[0]) || !PyTuple_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "well_formed(tuple of fields, tuple of bytes)");
        return NULL;
    }
    Field fields[MOST_FIELDS];
    int count = read_fields(arguments[0], fields);
    if (count < 0)
        return NULL;
    PyObject *bodies = arguments[1]; /* tuples do not change, so they may be read without the lock */
    Py_ssize_t many = PyTuple_GET_SIZE(bodies), good = 0;
    for (Py_ssize_t at = 0; at < many; at++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(bodies, at))) {
            PyErr_SetString(PyExc_TypeError, "a body is bytes");
            return NULL;
        }
    Py_BEGIN_ALLOW_THREADS
    for (int failed = DONE; good < many; good++) {
        PyObject *bytes = PyTuple_GET_ITEM(bodies, good);
        Body body = {(const uint8_t *)PyBytes_AS_STRING(bytes), NULL};
        body.end = body.at + PyBytes_GET_SIZE(bytes);
        for (int at = 0; at < count && failed == DONE; at++)
            failed = check(&body, fields + at);
        if (failed != DONE || body.at != body.end)
            break;
    }
    Py_END_ALLOW_THREADS
    return PyLong_FromSsize_t(good);
}

static PyMethodDef methods[] = {
    {"well_formed", (PyCFunction)(void (*)(void))well_formed, METH_FASTCALL,
     "well_formed(fields, bodies): how many of the first bodies are records of these fields, whole and nothing more."},
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
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.bodies", .m_doc = "Avro records, looked through.", .m_size = 0,
    .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_bodies(void)
{
    return PyModuleDef_Init(&module);
}

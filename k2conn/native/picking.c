/* Some fields of Avro records as tuples, the others passed over: see `k2conn.avro.picking`. A body that this file says
   no to is read by the Python beside it, which also says what is wrong. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "avro_body.h"

enum { MOST_FIELDS = 256, LONGEST_INTEGER = 8 };
enum { TEXT, BYTES, BOOLEAN, INT, LONG, DECIMAL, ENUM, TEXTS, MAP, KINDS };

typedef struct {
    int kind, nullable, null_index, place;
    PyObject *symbols;            /* borrowed: a tuple, what each symbol of an enumeration becomes */
    PyObject *text;               /* borrowed from the last tuple: texts repeat */
    const uint8_t *bytes;
    size_t size;
} Field;

static int passed(Body *body, int texts)
{
    const uint8_t *bytes;
    size_t size;
    int64_t count;
    do {
        if (block(body, &count) != DONE)
            return MALFORMED;
        for (int64_t left = count * texts; left; left--)
            if (get_text(body, &bytes, &size) != DONE)
                return MALFORMED;
    } while (count);
    return DONE;
}

static PyObject *text_of(Field *field, const uint8_t *bytes, size_t size)
{
    if (field->text != NULL && size == field->size && !memcmp(bytes, field->bytes, size))
        return Py_NewRef(field->text);
    PyObject *made = PyUnicode_DecodeUTF8((const char *)bytes, (Py_ssize_t)size, NULL);
    field->text = made;
    field->bytes = bytes;
    field->size = size;
    return made;
}

static PyObject *integer(const uint8_t *bytes, size_t size)
{
    if (size > LONGEST_INTEGER)
        return _PyLong_FromByteArray(bytes, size, 0, 1);
    uint64_t bits = bytes[0] >> 7 ? ~(uint64_t)0 : 0;
    for (size_t at = 0; at < size; at++)
        bits = bits << 8 | bytes[at];
    return PyLong_FromLongLong((int64_t)bits);
}

/* One field: DONE with a new reference (NULL where the field is passed over), or why not. */
static int field_value(Body *body, Field *field, PyObject **value)
{
    int64_t number = 0;
    const uint8_t *bytes;
    size_t size;
    int wanted = field->place >= 0;
    *value = NULL;
    if (field->nullable) {
        if (get_long(body, &number) != DONE || number < 0 || number > 1)
            return MALFORMED;
        if (number == field->null_index) {
            if (wanted)
                *value = Py_NewRef(Py_None);
            return DONE;
        }
    }
    switch (field->kind) {
    case TEXT:
        if (get_text(body, &bytes, &size) != DONE)
            return MALFORMED;
        if (wanted)
            *value = text_of(field, bytes, size);
        break;
    case DECIMAL:
        if (get_text(body, &bytes, &size) != DONE || !size)
            return MALFORMED;
        if (wanted)
            *value = integer(bytes, size);
        break;
    case BYTES:
        if (get_text(body, &bytes, &size) != DONE || wanted)
            return MALFORMED;
        return DONE;
    case BOOLEAN:
        if (body->at == body->end || *body->at > 1)
            return MALFORMED;
        if (wanted)
            *value = PyBool_FromLong(*body->at);
        body->at++;
        break;
    case TEXTS:
    case MAP:
        return wanted ? UNHANDLED : passed(body, field->kind == MAP ? 2 : 1);
    case ENUM:
        if (get_long(body, &number) != DONE || number < 0 || number >= PyTuple_GET_SIZE(field->symbols))
            return MALFORMED;
        if (wanted)
            *value = Py_NewRef(PyTuple_GET_ITEM(field->symbols, (Py_ssize_t)number));
        break;
    default:
        if (get_long(body, &number) != DONE)
            return MALFORMED;
        if (wanted)
            *value = PyLong_FromLongLong(number);
    }
    return wanted && *value == NULL ? NO_MEMORY : DONE;
}

static int read_fields(PyObject *described, Field *fields, int *width)
{
    Py_ssize_t count = PyTuple_GET_SIZE(described);
    int found = 0;
    if (count > MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return -1;
    }
    for (Py_ssize_t at = 0; at < count; at++) {
        Field *one = fields + at;
        PyObject *words = PyTuple_GET_ITEM(described, at);
        memset(one, 0, sizeof *one);
        if (!PyTuple_CheckExact(words)) {
            PyErr_SetString(PyExc_TypeError, "a field is a tuple");
            return -1;
        }
        if (!PyArg_ParseTuple(words, "iiiiO!", &one->kind, &one->nullable, &one->null_index, &one->place, &PyTuple_Type,
                              &one->symbols))
            return -1;
        if (one->kind < 0 || one->kind >= KINDS || one->place < -1 || one->place >= count) {
            PyErr_SetString(PyExc_ValueError, "a field is (kind, nullable, null_index, place, symbols)");
            return -1;
        }
        found += one->place >= 0;
    }
    for (int place = 0; place < found; place++) { /* each place is filled once, so that no tuple has a hole */
        int times = 0;
        for (Py_ssize_t at = 0; at < count; at++)
            times += fields[at].place == place;
        if (times != 1) {
            PyErr_SetString(PyExc_ValueError, "places are the numbers from 0 on, each once");
            return -1;
        }
    }
    *width = found;
    return (int)count;
}

/* The tuple of one record; NULL without an exception where Python is to read it. */
static PyObject *tuple_of(PyTypeObject *kind, Field *fields, int count, int width, PyObject *bytes)
{
    Body body = {(const uint8_t *)PyBytes_AS_STRING(bytes), NULL};
    body.end = body.at + PyBytes_GET_SIZE(bytes);
    PyObject *made = kind->tp_alloc(kind, width);
    if (made == NULL)
        return NULL;
    for (int at = 0; at < count; at++) {
        PyObject *value;
        int failed = field_value(&body, fields + at, &value);
        if (failed != DONE) {
            if (failed == NO_MEMORY && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                PyErr_Clear();
            Py_DECREF(made);
            return NULL;
        }
        if (value != NULL)
            PyTuple_SET_ITEM(made, fields[at].place, value);
    }
    if (body.at != body.end)
        Py_CLEAR(made);
    return made;
}

static PyObject *picked(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 3 || !PyType_Check(arguments[0]) || !PyTuple_CheckExact(arguments[1]) ||
        !PyTuple_CheckExact(arguments[2]) || !PyType_IsSubtype((PyTypeObject *)arguments[0], &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "picked(subclass of tuple, tuple of fields, tuple of bytes)");
        return NULL;
    }
    Field fields[MOST_FIELDS];
    int width, count = read_fields(arguments[1], fields, &width);
    if (count < 0)
        return NULL;
    PyObject *bodies = arguments[2] /* it does not change, and keeps the bytes that `Field` points at */, *found = PyList_New(0);
    if (found == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(bodies); at++) {
        PyObject *bytes = PyTuple_GET_ITEM(bodies, at);
        if (!PyBytes_CheckExact(bytes)) {
            PyErr_SetString(PyExc_TypeError, "a body is bytes");
            Py_DECREF(found);
            return NULL;
        }
        PyObject *one = tuple_of((PyTypeObject *)arguments[0], fields, count, width, bytes);
        if (one == NULL) {
            if (!PyErr_Occurred())
                break;
            Py_DECREF(found);
            return NULL;
        }
        int failed = PyList_Append(found, one);
        Py_DECREF(one); /* `found` has it, and `text` is borrowed from there */
        if (failed) {
            Py_DECREF(found);
            return NULL;
        }
    }
    return found;
}

static PyMethodDef methods[] = {
    {"picked", (PyCFunction)(void (*)(void))picked, METH_FASTCALL,
     "picked(kind, fields, bodies): the first bodies as tuples of that kind, up to one that is not plain."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.picking", .m_doc = "Some fields of Avro records.", .m_size = 0,
    .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_picking(void)
{
    return PyModuleDef_Init(&module);
}

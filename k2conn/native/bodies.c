/* Whether bytes are Avro records of a schema: see `k2conn.avro.bodies`. A body that this file says no to is judged by
   the Python beside it. The work is done without the interpreter's lock. */
#include "fields.h"

static int text(Body *body)
{
    const uint8_t *found;
    size_t size;
    return get_utf8(body, &found, &size);
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

static int check(Body *body, const Field *field)
{
    int64_t value = 0;
    const uint8_t *bytes;
    size_t size;
    wide_int number;
    int present;
    if (get_present(body, field, &present) != DONE)
        return MALFORMED;
    if (!present)
        return DONE;
    switch (field->kind) {
    case TEXT: case UUID:
        return text(body);
    case BYTES:
        return get_text(body, &bytes, &size);
    case BOOLEAN:
        return get_boolean(body, &present);
    case DECIMAL:
        return get_decimal(body, field->precision, &number);
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
    case INT: case DATE:
        return value < INT32_MIN || value > INT32_MAX ? MALFORMED : DONE;
    case ENUM:
        return value < 0 || value >= field->symbols ? MALFORMED : DONE;
    default:
        return DONE;
    }
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
    PyObject *bodies = arguments[1];
    Py_ssize_t many = PyTuple_GET_SIZE(bodies), good = 0;
    if (only_bytes(bodies) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    for (int failed = DONE; good < many; good++) {
        Body body = body_of(PyTuple_GET_ITEM(bodies, good));
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

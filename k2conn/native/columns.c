/* Avro records as the buffers of Arrow's columns: see `k2conn.lake.columns`.

   Every read is checked against the end of the body. Bodies that this file does not handle (decimals beyond 128 bits, maps
   that name a key twice) make `columns` return None, and the Python beside it decides. The work is done without the
   interpreter's lock. */
#include "fields.h"
#include "growing.h"

enum { VALID, FIXED, OFFSETS, TEXTS_OF, MORE_OFFSETS, MORE_TEXTS, BUFFERS };

typedef struct {
    Growing buffers[BUFFERS]; /* by the names above; which of them there are follows from the kind */
    int64_t nulls, entries;
} Column;

static const char nothing[16];

/* The bit of a row in a bitmap, the lowest first. */
static int put_bit(Growing *bits, Py_ssize_t row, int value)
{
    if (row % 8 == 0 && put_raw(bits, nothing, 1) != DONE)
        return NO_MEMORY;
    if (value)
        bits->bytes[row / 8] |= (char)(1 << row % 8);
    return DONE;
}

static int put_offset(Growing *offsets, int64_t value)
{
    return put_raw(offsets, &value, sizeof value);
}

/* Where the entries of a row end: Arrow counts those of maps in 32 bits. */
static int put_end(Growing *fixed, const Field *field, int64_t entries)
{
    int32_t end = (int32_t)entries;
    if (field->kind != MAP)
        return put_offset(fixed, entries);
    return entries > INT32_MAX ? UNHANDLED : put_raw(fixed, &end, sizeof end);
}

/* One text, and where it ends. */
static int put_bytes(Column *column, int offsets, const void *text, size_t size)
{
    Growing *texts = column->buffers + offsets + 1;
    if (put_raw(texts, text, size) != DONE)
        return NO_MEMORY;
    return put_offset(column->buffers + offsets, (int64_t)texts->used);
}

static int put_text(Column *column, int offsets, Body *body, const uint8_t **text, size_t *size)
{
    int failed = get_utf8(body, text, size);
    return failed != DONE ? failed : put_bytes(column, offsets, *text, *size);
}

static int put_entries(Column *column, const Field *field, Body *body)
{
    const uint8_t *text;
    size_t size;
    int64_t count, all = 0;
    Keys keys = {.count = 0};
    int failed;
    do {
        if ((failed = block(body, &count)) != DONE)
            return failed;
        for (int64_t at = 0; at < count; at++, all++) {
            if ((failed = put_text(column, OFFSETS, body, &text, &size)) != DONE)
                return failed;
            if (field->kind != MAP)
                continue;
            if ((failed = put_key(&keys, text, size)) != DONE)
                return failed;
            if ((failed = put_text(column, MORE_OFFSETS, body, &text, &size)) != DONE)
                return failed;
        }
    } while (count);
    column->entries += all;
    return put_end(column->buffers + FIXED, field, column->entries);
}

/* What stands for a value that is not there. */
static int put_null(Column *column, const Field *field, Py_ssize_t row)
{
    Growing *fixed = column->buffers + FIXED;
    column->nulls++;
    switch (field->kind) {
    case TEXT: case BYTES: case ENUM: case UUID:
        return put_bytes(column, OFFSETS, NULL, 0);
    case TEXTS: case MAP:
        return put_end(fixed, field, column->entries);
    case BOOLEAN:
        return put_bit(fixed, row, 0);
    case DECIMAL:
        return put_raw(fixed, nothing, 16);
    case INT: case DATE:
        return put_raw(fixed, nothing, 4);
    default:
        return put_raw(fixed, nothing, 8);
    }
}

/* 128 bits, the lowest byte first. */
static int put_decimal(Growing *fixed, wide_int value)
{
    char bytes[16];
    for (int at = 0; at < 16; at++)
        bytes[at] = at < (int)sizeof value ? (char)(value >> (8 * at)) : (char)(value < 0 ? 0xff : 0);
    return put_raw(fixed, bytes, sizeof bytes);
}

static int put_number(Growing *fixed, const Field *field, int64_t value)
{
    int32_t small = (int32_t)value;
    switch (field->kind) {
    case INT: case DATE:
        return small != value ? MALFORMED : put_raw(fixed, &small, sizeof small);
    case MILLIS:
        if (value > INT64_MAX / 1000 || value < INT64_MIN / 1000)
            return UNHANDLED;
        value *= 1000;
        /* fall through */
    default:
        return put_raw(fixed, &value, sizeof value);
    }
}

static int put_value(Column *column, const Field *field, Body *body, Py_ssize_t row)
{
    Growing *fixed = column->buffers + FIXED;
    int64_t value;
    const uint8_t *text;
    size_t size;
    wide_int number;
    int present, failed;
    if ((failed = get_present(body, field, &present)) != DONE)
        return failed;
    if (field->nullable && (failed = put_bit(column->buffers + VALID, row, present)) != DONE)
        return failed;
    if (!present)
        return put_null(column, field, row);
    switch (field->kind) {
    case TEXT: case UUID:
        return put_text(column, OFFSETS, body, &text, &size);
    case BYTES:
        return (failed = get_text(body, &text, &size)) != DONE ? failed : put_bytes(column, OFFSETS, text, size);
    case TEXTS: case MAP:
        return put_entries(column, field, body);
    case BOOLEAN:
        return (failed = get_boolean(body, &present)) != DONE ? failed : put_bit(fixed, row, present);
    case DECIMAL:
        return (failed = get_decimal(body, field->precision, &number)) != DONE ? failed : put_decimal(fixed, number);
    default:
        break;
    }
    if ((failed = get_long(body, &value)) != DONE)
        return failed;
    if (field->kind != ENUM)
        return put_number(fixed, field, value);
    if (value < 0 || value >= field->symbols)
        return MALFORMED;
    PyObject *name = PyTuple_GET_ITEM(field->names, value); /* held by the caller, who holds the fields */
    return put_bytes(column, OFFSETS, PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
}

/* Offsets begin with the first one's place. */
static int begin(Column *column, const Field *field)
{
    int failed = DONE;
    int texts = field->kind == TEXT || field->kind == UUID || field->kind == BYTES || field->kind == ENUM;
    int many = field->kind == TEXTS || field->kind == MAP;
    if (many)
        failed = put_end(column->buffers + FIXED, field, 0);
    if (failed == DONE && (texts || many))
        failed = put_offset(column->buffers + OFFSETS, 0);
    if (failed == DONE && field->kind == MAP)
        failed = put_offset(column->buffers + MORE_OFFSETS, 0);
    return failed;
}

static int fill(Column *columns, const Field *fields, int count, PyObject *bodies)
{
    Py_ssize_t many = PyTuple_GET_SIZE(bodies);
    int failed = DONE;
    for (int at = 0; at < count && failed == DONE; at++)
        failed = begin(columns + at, fields + at);
    for (Py_ssize_t row = 0; row < many && failed == DONE; row++) {
        Body body = body_of(PyTuple_GET_ITEM(bodies, row));
        for (int at = 0; at < count && failed == DONE; at++)
            failed = put_value(columns + at, fields + at, &body, row);
        if (failed == DONE && body.at != body.end)
            failed = MALFORMED;
    }
    return failed;
}

/* (nulls, entries, a bytes for each buffer); NULL with an exception set. */
static PyObject *buffers_of(const Column *column)
{
    PyObject *found = PyTuple_New(BUFFERS + 2);
    if (found == NULL)
        return NULL;
    for (int at = 0; at < BUFFERS + 2; at++) {
        const Growing *one = column->buffers + (at < 2 ? 0 : at - 2);
        PyObject *made = at == 0   ? PyLong_FromLongLong(column->nulls)
                         : at == 1 ? PyLong_FromLongLong(column->entries)
                                   : PyBytes_FromStringAndSize(one->bytes, (Py_ssize_t)one->used);
        if (made == NULL) {
            Py_DECREF(found);
            return NULL;
        }
        PyTuple_SET_ITEM(found, at, made);
    }
    return found;
}

static PyObject *all_buffers(const Column *columns, int count)
{
    PyObject *found = PyTuple_New(count);
    for (int at = 0; at < count && found != NULL; at++) {
        PyObject *one = buffers_of(columns + at);
        if (one == NULL)
            Py_CLEAR(found);
        else
            PyTuple_SET_ITEM(found, at, one);
    }
    return found;
}

static PyObject *columns(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    (void)module;
    if (given != 2 || !PyTuple_CheckExact(arguments[0]) || !PyTuple_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "columns(tuple of fields, tuple of bytes)");
        return NULL;
    }
    Field fields[MOST_FIELDS];
    int count = read_fields(arguments[0], fields);
    if (count < 0 || only_bytes(arguments[1]) < 0)
        return NULL;
    Column *made = PyMem_Calloc((size_t)count + 1, sizeof *made);
    if (made == NULL)
        return PyErr_NoMemory();
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = fill(made, fields, count, arguments[1]);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (failed == DONE)
        result = all_buffers(made, count);
    else if (failed == NO_MEMORY)
        PyErr_NoMemory();
    else
        result = Py_NewRef(Py_None);
    for (int at = 0; at < count; at++)
        for (int one = 0; one < BUFFERS; one++)
            let_go(made[at].buffers + one);
    PyMem_Free(made);
    return result;
}

static PyMethodDef methods[] = {
    {"columns", (PyCFunction)(void (*)(void))columns, METH_FASTCALL,
     "columns(fields, bodies): for each field (nulls, entries, validity, values or list offsets, text offsets, texts, offsets"
     " of a map's values, those values); None where a body is malformed or not handled here."},
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
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.columns", .m_doc = "Avro records as columns.", .m_size = 0,
    .m_methods = methods, .m_slots = slots,
};

PyMODINIT_FUNC PyInit_columns(void)
{
    return PyModuleDef_Init(&module);
}

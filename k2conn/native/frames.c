/* Splits received bytes into WebSocket frames (RFC 6455).

   It handles only whole, unmasked, uncompressed text and binary messages, and stops before any other frame and before
   an incomplete one: `k2conn.transports.websocket.reader` handles those. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

enum { TEXT = 0x81, BINARY = 0x82, SHORT = 125 };

/* Where a frame's payload begins, and its size; 0 where the frame is of another kind or incomplete. */
static Py_ssize_t payload(const uint8_t *bytes, Py_ssize_t at, Py_ssize_t end, Py_ssize_t limit, Py_ssize_t *size)
{
    uint8_t first = bytes[at], length = bytes[at + 1];
    Py_ssize_t start = at + 2;
    uint64_t found = length;
    if ((first != TEXT && first != BINARY) || length > 127)
        return 0;
    if (length > SHORT) {
        int more = length == 126 ? 2 : 8;
        if (end - start < more)
            return 0;
        found = 0;
        for (int byte = 0; byte < more; byte++)
            found = found << 8 | bytes[start + byte];
        start += more;
        if (found > (uint64_t)limit)
            return 0;
    }
    if (found > (uint64_t)(end - start))
        return 0;
    *size = (Py_ssize_t)found;
    return start;
}

static PyObject *cut(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 4 || !PyBytes_CheckExact(arguments[0]) || !PyList_CheckExact(arguments[3])) {
        PyErr_SetString(PyExc_TypeError, "cut(bytes, until, limit, list)");
        return NULL;
    }
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(arguments[0]);
    Py_ssize_t end = PyBytes_GET_SIZE(arguments[0]), at = 0, size = 0;
    Py_ssize_t until = PyLong_AsSsize_t(arguments[1]), limit = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "limit must not be negative");
        return NULL;
    }
    while (end - at >= 2 && at < until) {
        Py_ssize_t start = payload(bytes, at, end, limit, &size);
        if (!start)
            break;
        const char *body = (const char *)bytes + start;
        PyObject *frame = bytes[at] == TEXT ? PyUnicode_DecodeUTF8(body, size, "strict")
                                            : PyBytes_FromStringAndSize(body, size);
        if (frame == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                return NULL;
            PyErr_Clear(); /* the reader in Python reports what is wrong */
            break;
        }
        int failed = PyList_Append(arguments[3], frame);
        Py_DECREF(frame);
        if (failed)
            return NULL;
        at = start + size;
    }
    return PyLong_FromSsize_t(at);
}

static PyMethodDef methods[] = {
    {"cut", (PyCFunction)(void (*)(void))cut, METH_FASTCALL,
     "cut(bytes, until, limit, list): appends the messages of the frames that begin before `until`, at most `limit` bytes"
     " each where the length is an extended one, up to the first frame of another kind; returns where that begins."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.frames", .m_doc = "WebSocket frames in C.", .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_frames(void)
{
    return PyModuleDef_Init(&module);
}

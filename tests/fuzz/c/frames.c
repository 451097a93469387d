/* WebSocket frame cutting, against a second reading of RFC 6455 that shares no line with it.
   Input: two bytes of limit, one of `until`; then what came from the wire. */
#include "harness.h"

#include "../../../k2conn/native/frames.c"

typedef struct {
    size_t start, size;
    int text;
} Frame;

/* One whole plain frame at `at`: 1, or 0 where it is of another kind, too large or incomplete. */
static int judged(const uint8_t *wire, size_t end, size_t at, size_t limit, Frame *frame)
{
    uint64_t size;
    size_t head = 2;
    if (end - at < 2 || (wire[at + 1] & 0x80))
        return 0;
    if (wire[at] != 0x81 && wire[at] != 0x82)
        return 0;
    switch (wire[at + 1]) {
    case 126:
        head = 4;
        if (end - at < head)
            return 0;
        size = (uint64_t)wire[at + 2] * 256 + wire[at + 3];
        break;
    case 127:
        head = 10;
        if (end - at < head)
            return 0;
        size = 0;
        for (size_t byte = 0; byte < 8; byte++)
            size = size * 256 + wire[at + 2 + byte];
        break;
    default:
        size = wire[at + 1];
    }
    if (head > 2 && size > limit)
        return 0;
    if (size > end - at - head)
        return 0;
    *frame = (Frame){at + head, (size_t)size, wire[at] == 0x81};
    return 1;
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    start_python();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t limit = (size_t)data[0] * 256 + data[1], until = (size_t)data[2] * 8;
    PyObject *wire = PyBytes_FromStringAndSize((const char *)data + 3, (Py_ssize_t)size - 3), *found = PyList_New(0);
    PyObject *given[4] = {wire, PyLong_FromSize_t(until), PyLong_FromSize_t(limit), found};
    PyObject *end = cut(NULL, given, 4);
    CHECK(end != NULL && !PyErr_Occurred());
    data += 3, size -= 3;
    size_t at = 0;
    Py_ssize_t count = 0;
    Frame frame;
    while (at < until && judged(data, size, at, limit, &frame)) {
        if (count == PyList_GET_SIZE(found)) { /* only text that is no UTF-8 is left to the other reader */
            PyObject *text = PyUnicode_DecodeUTF8((const char *)data + frame.start, (Py_ssize_t)frame.size, "strict");
            CHECK(frame.text && text == NULL);
            PyErr_Clear();
            break;
        }
        PyObject *one = PyList_GET_ITEM(found, count++);
        const char *bytes;
        Py_ssize_t length;
        if (frame.text)
            bytes = PyUnicode_AsUTF8AndSize(one, &length);
        else
            CHECK(PyBytes_AsStringAndSize(one, (char **)&bytes, &length) == 0);
        CHECK(bytes != NULL && (size_t)length == frame.size && memcmp(bytes, data + frame.start, frame.size) == 0);
        at = frame.start + frame.size;
    }
    CHECK(count == PyList_GET_SIZE(found) && PyLong_AsSize_t(end) == at);
    Py_DECREF(end);
    for (int one = 0; one < 4; one++)
        Py_DECREF(given[one]);
    return 0;
}

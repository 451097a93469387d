/* Runs a target in Python beside the instrumented C modules: FUZZ_TARGET names its module, FUZZ_ROOT the source tree. */
#include "harness.h"

PyMODINIT_FUNC PyInit_mapper(void);
PyMODINIT_FUNC PyInit_frames(void);
PyMODINIT_FUNC PyInit_getters(void);

static PyObject *target;

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    CHECK(PyImport_AppendInittab("instrumented_mapper", PyInit_mapper) == 0);
    CHECK(PyImport_AppendInittab("instrumented_frames", PyInit_frames) == 0);
    CHECK(PyImport_AppendInittab("instrumented_getters", PyInit_getters) == 0);
    start_python();
    CHECK(PyRun_SimpleString("import os, sys\n"
                             "import instrumented_mapper, instrumented_frames, instrumented_getters\n"
                             "sys.modules['k2conn.native.mapper'] = instrumented_mapper\n"
                             "sys.modules['k2conn.native.frames'] = instrumented_frames\n"
                             "sys.modules['k2conn.native.getters'] = instrumented_getters\n"
                             "sys.path.insert(0, os.environ['FUZZ_ROOT'])\n") == 0);
    PyObject *module = PyImport_ImportModule(getenv("FUZZ_TARGET"));
    CHECK(module != NULL);
    target = PyObject_GetAttrString(module, "target");
    CHECK(target != NULL);
    PyObject *done = PyObject_CallFunction(target, "y", ""); /* what is made once is not counted as an input's time */
    CHECK(done != NULL);
    Py_DECREF(done);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PyObject *given = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *done = PyObject_CallOneArg(target, given);
    CHECK(done != NULL);
    Py_DECREF(done);
    Py_DECREF(given);
    return 0;
}

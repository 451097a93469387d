/* Runs a target in Python beside the instrumented C modules that it tries: FUZZ_TARGET names its module, FUZZ_ROOT the
   source tree; MODULES is MODULE(name) for each of them. */
#include "harness.h"

#define MODULE(name) PyMODINIT_FUNC PyInit_##name(void);
MODULES
#undef MODULE

static PyObject *target;

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
#define MODULE(name) CHECK(PyImport_AppendInittab("instrumented_" #name, PyInit_##name) == 0);
    MODULES
#undef MODULE
    start_python();
    CHECK(PyRun_SimpleString("import os, sys\nsys.path.insert(0, os.environ['FUZZ_ROOT'])\n") == 0);
#define MODULE(name)                                                                                                   \
    CHECK(PyRun_SimpleString("import instrumented_" #name "\n"                                                         \
                             "sys.modules['k2conn.native." #name "'] = instrumented_" #name "\n") == 0);
    MODULES
#undef MODULE
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

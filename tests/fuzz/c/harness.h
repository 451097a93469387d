/* What all targets share: CHECK, and a Python whose memory is malloc's, so that the address sanitizer sees its bounds. */
#ifndef K2CONN_HARNESS_H
#define K2CONN_HARNESS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(right)                                                                                                   \
    do {                                                                                                               \
        if (!(right)) {                                                                                                \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #right);                                      \
            if (PyErr_Occurred())                                                                                      \
                PyErr_Print();                                                                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void start_python(void)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.allocator = PYMEM_ALLOCATOR_MALLOC;
    before.utf8_mode = 1;
    CHECK(!PyStatus_Exception(Py_PreInitialize(&before)));
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    const char *program = getenv("FUZZ_PYTHON"); /* the virtual environment's: it says where packages are */
    if (program != NULL)
        CHECK(!PyStatus_Exception(PyConfig_SetBytesString(&config, &config.program_name, program)));
    config.install_signal_handlers = 0;
    config.site_import = program != NULL;
    CHECK(!PyStatus_Exception(Py_InitializeFromConfig(&config)));
    PyConfig_Clear(&config);
}

#endif

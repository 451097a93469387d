/* Rows of CSV without quotes as objects of their columns: see `k2conn.codecs.csv`. A text that this file says no to is
   read by the Python beside it, which also says what is wrong. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Where a character is next, or `end` where it is not; -1 with an exception. */
static Py_ssize_t next_place(PyObject *text, Py_UCS4 character, Py_ssize_t from, Py_ssize_t end)
{
    Py_ssize_t place = PyUnicode_FindChar(text, character, from, end, 1);
    if (place == -2)
        return -1;
    return place < 0 ? end : place;
}

/* The cells from `from` to `end` into an object that has all columns: 1, 0 where there are more or fewer cells than
   columns, -1 with an exception. */
static int fill(PyObject *object, PyObject *columns, PyObject *text, Py_UCS4 delimiter, Py_ssize_t from, Py_ssize_t end)
{
    Py_ssize_t last = PyTuple_GET_SIZE(columns) - 1;
    for (Py_ssize_t at = 0; at <= last; at++) {
        Py_ssize_t stop = next_place(text, delimiter, from, end);
        if (stop < 0)
            return -1;
        if ((stop == end) != (at == last))
            return 0;
        if (stop > from) {        /* an empty cell is the None that is there */
            PyObject *cell = PyUnicode_Substring(text, from, stop);
            if (cell == NULL)
                return -1;
            int failed = PyDict_SetItem(object, PyTuple_GET_ITEM(columns, at), cell);
            Py_DECREF(cell);
            if (failed)
                return -1;
        }
        from = stop + 1;
    }
    return last >= 0;
}

/* One row: its number, its line, its object. NULL without an exception where the line is no such row. */
static PyObject *row_of(
    PyObject *empty, PyObject *columns, PyObject *text, Py_UCS4 delimiter, Py_ssize_t from, Py_ssize_t end, Py_ssize_t line
)
{
    PyObject *row = NULL, *object = PyDict_Copy(empty);
    if (object == NULL)
        return NULL;
    if (fill(object, columns, text, delimiter, from, end) == 1)
        row = Py_BuildValue("nNO", line, PyUnicode_Substring(text, from, end), object);
    Py_DECREF(object);
    return row;
}

static PyObject *emptied(PyObject *columns)
{
    PyObject *found = PyDict_New();
    for (Py_ssize_t at = 0; found != NULL && at < PyTuple_GET_SIZE(columns); at++)
        if (PyDict_SetItem(found, PyTuple_GET_ITEM(columns, at), Py_None))
            Py_CLEAR(found);
    return found;
}

static PyObject *table(PyObject *self, PyObject *arguments)
{
    PyObject *text, *columns;
    int delimiter;
    Py_ssize_t line, at = 0;
    if (!PyArg_ParseTuple(arguments, "UO!Cn", &text, &PyTuple_Type, &columns, &delimiter, &line))
        return NULL;
    PyObject *empty = emptied(columns), *rows = PyList_New(0);
    if (empty == NULL || rows == NULL)
        goto failed;
    for (Py_ssize_t size = PyUnicode_GET_LENGTH(text), end; at < size; at = end + 1) {
        end = next_place(text, '\n', at, size);
        PyObject *row = end < 0 || end == at ? NULL : row_of(empty, columns, text, (Py_UCS4)delimiter, at, end, ++line);
        if (row == NULL) {
            if (PyErr_Occurred())
                goto failed;
            Py_SETREF(rows, Py_NewRef(Py_None));
            break;
        }
        int full = PyList_Append(rows, row);
        Py_DECREF(row);
        if (full)
            goto failed;
    }
    Py_DECREF(empty);
    return rows;
failed:
    Py_XDECREF(empty);
    Py_XDECREF(rows);
    return NULL;
}

static PyMethodDef methods[] = {
    {"table", table, METH_VARARGS, "Lines as rows, numbered from the one behind a number; None where one is no such row."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "cells", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_cells(void)
{
    return PyModule_Create(&module);
}

/* Plain paths into decoded JSON, as `k2conn.plan.ValuePath` describes them: keys and indexes, one after the other.

   A path begins at the item, or at something that the scope has. Of a dict a key gives the member, of a list an index
   the element (from its end where it is negative), and a step may be to the first row of a list whose element at an index
   is not some text (levels of a book that are empty are left out so); all else gives nothing. Of several paths the first
   counts that leads to something which JMESPath calls true (`a || b`), or else the last. Nothing here converts a value. */
#ifndef K2CONN_PATHS_H
#define K2CONN_PATHS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum { ITEM, MESSAGE, STATE, KEY, RECEIVED_AT, ROOTS }; /* where a path begins */

#define STEPS 8 /* of a path; one with more is Python's */
#define PATHS 4 /* to a value */

typedef struct {
    PyObject *key;    /* owned; NULL where the step is an index */
    PyObject *other;  /* owned: to the first row whose element there is not this text; NULL: to the element itself */
    Py_ssize_t index;
} Step;

typedef struct {
    int root, count;
    Step *steps;
} Path;

typedef struct {
    int count; /* 0: no path leads to the value */
    Path *paths;
} Place;

/* What the sources of one record are read from. */
typedef struct {
    PyObject *item, *scope;  /* the caller's (but see `json`), as are: */
    PyObject *values;        /* pairs of which the second is a value (of text, a list of values); or NULL */
    PyObject *odd;           /* the exceptions of a quick converter for which its reader is asked */
    int asked;               /* whether a Python reader was called, which may have left notes in the scope */
    PyObject *roots[ROOTS];  /* owned; NULL until a path begins there */
    const struct JsonText *json; /* where item and message are text that nobody has read yet (json_paths.h); or NULL */
    int node, top;           /* ... these nodes of it; the item is owned, and NULL until somebody needs it as an object */
    int at, count;           /* ... which of how many items that is */
    int64_t moment;          /* ... and when it was received */
    PyObject *decode;        /* ... and what reads a list or an object of it */
    PyObject *unfold;        /* ... and what makes a list of all items of a message's text */
    PyObject *items;         /* ... owned: that list, once somebody needed one of them; or NULL */
    PyObject *symbol;        /* ... and what the item's symbol is in the scope */
} Given;

static PyObject *root_names[ROOTS]; /* attributes of the scope */

/* A text that is made once, and where it is kept. */
typedef struct {
    PyObject **to;
    const char *text;
} Word;

static int make_words(const Word *words, size_t count)
{
    for (const Word *word = words; word < words + count; word++)
        if ((*word->to = PyUnicode_InternFromString(word->text)) == NULL)
            return -1;
    return 0;
}

static int name_roots(void)
{
    static const Word words[] = {{root_names + MESSAGE, "message"}, {root_names + STATE, "state"}, {root_names + KEY, "key"},
                                 {root_names + RECEIVED_AT, "received_at"}};
    return make_words(words, sizeof words / sizeof *words);
}

static void forget_given(Given *given)
{
    for (int root = 0; root < ROOTS; root++)
        Py_CLEAR(given->roots[root]);
}

/* The first row that is not null, and whose element at the step's index is another than its text; NULL where there is
   none. */
static PyObject *other_row(const Step *step, PyObject *rows)
{
    for (Py_ssize_t at = 0; PyList_CheckExact(rows) && at < PyList_GET_SIZE(rows); at++) {
        PyObject *row = PyList_GET_ITEM(rows, at);
        PyObject *one = PyList_CheckExact(row) && step->index < PyList_GET_SIZE(row) ? PyList_GET_ITEM(row, step->index)
                                                                                     : NULL;
        int same = one != NULL && PyUnicode_CheckExact(one) && PyUnicode_Compare(one, step->other) == 0;
        if (row != Py_None && !same)
            return row;
    }
    return NULL;
}

/* The value at the end of a path, borrowed for as long as `given` lives; NULL where there is none, or with an exception
   set. */
static PyObject *at_end(const Path *path, Given *given)
{
    PyObject *found = given->item;
    if (path->root != ITEM) {
        found = given->roots[path->root];
        if (found == NULL)
            found = given->roots[path->root] = PyObject_GetAttr(given->scope, root_names[path->root]);
    }
    for (const Step *step = path->steps; found != NULL && step < path->steps + path->count; step++) {
        if (step->key != NULL) {
            found = PyDict_CheckExact(found) ? PyDict_GetItemWithError(found, step->key) : NULL;
        } else if (step->other != NULL) {
            found = other_row(step, found);
        } else if (PyList_CheckExact(found)) {
            Py_ssize_t size = PyList_GET_SIZE(found), at = step->index < 0 ? size + step->index : step->index;
            found = at >= 0 && at < size ? PyList_GET_ITEM(found, at) : NULL;
        } else {
            found = NULL;
        }
    }
    return found;
}

/* What JMESPath calls true: all but null, false and what is empty. */
static int is_true(PyObject *value)
{
    if (value == NULL || value == Py_None || value == Py_False)
        return 0;
    return !(PyUnicode_CheckExact(value) && PyUnicode_GET_LENGTH(value) == 0)
           && !(PyList_CheckExact(value) && PyList_GET_SIZE(value) == 0)
           && !(PyDict_CheckExact(value) && PyDict_GET_SIZE(value) == 0);
}

/* The value at a place, as `at_end` gives it. */
static PyObject *at_place(const Place *place, Given *given)
{
    PyObject *found = NULL;
    for (int at = 0; at < place->count; at++) {
        found = at_end(place->paths + at, given);
        if (at + 1 == place->count || is_true(found) || (found == NULL && PyErr_Occurred()))
            break;
    }
    return found;
}

static void forget_path(Path *path)
{
    for (int at = 0; at < path->count; at++) {
        Py_CLEAR(path->steps[at].key);
        Py_CLEAR(path->steps[at].other);
    }
    PyMem_Free(path->steps);
    *path = (Path){0};
}

static void forget_place(Place *place)
{
    for (int at = 0; at < place->count; at++)
        forget_path(place->paths + at);
    PyMem_Free(place->paths);
    *place = (Place){0};
}

/* A path of (root, (step, ...)); 0, or -1 with an exception set and nothing owned. */
static int read_path(PyObject *described, Path *path)
{
    PyObject *steps;
    *path = (Path){0};
    if (!PyTuple_CheckExact(described)) {
        PyErr_SetString(PyExc_TypeError, "a path is (root, (step, ...))");
        return -1;
    }
    if (!PyArg_ParseTuple(described, "iO!", &path->root, &PyTuple_Type, &steps))
        return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(steps);
    int wrong = path->root < ITEM || path->root >= ROOTS || count > STEPS;
    path->steps = wrong ? NULL : PyMem_Calloc((size_t)count + 1, sizeof(Step));
    if (!wrong && path->steps == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t at = 0; at < count && !wrong; at++) {
        PyObject *step = PyTuple_GET_ITEM(steps, at);
        Step *to = path->steps + at;
        if (PyUnicode_CheckExact(step))
            to->key = Py_NewRef(step);
        else if (PyLong_CheckExact(step))
            to->index = PyLong_AsSsize_t(step);
        else if (PyTuple_Check(step) && PyTuple_GET_SIZE(step) == 2 && PyLong_CheckExact(PyTuple_GET_ITEM(step, 0))
                 && PyUnicode_CheckExact(PyTuple_GET_ITEM(step, 1))
                 && PyUnicode_IS_COMPACT_ASCII(PyTuple_GET_ITEM(step, 1))) {
            to->index = PyLong_AsSsize_t(PyTuple_GET_ITEM(step, 0));
            to->other = Py_NewRef(PyTuple_GET_ITEM(step, 1));
            wrong = to->index < 0;
        }
        else
            wrong = 1;
        path->count = (int)at + 1;
        if (to->index == -1 && PyErr_Occurred() != NULL) {
            PyErr_Clear(); /* it does not fit */
            wrong = 1;
        }
    }
    if (!wrong)
        return 0;
    forget_path(path);
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "no such path");
    return -1;
}

/* A place of (path, ...), or None for one that no path leads to; 0, or -1 with an exception set and nothing owned. */
static int read_place(PyObject *described, Place *place)
{
    *place = (Place){0};
    if (described == Py_None)
        return 0;
    if (!PyTuple_CheckExact(described) || PyTuple_GET_SIZE(described) < 1 || PyTuple_GET_SIZE(described) > PATHS) {
        PyErr_SetString(PyExc_ValueError, "a place is some paths, or None");
        return -1;
    }
    place->paths = PyMem_Calloc((size_t)PyTuple_GET_SIZE(described), sizeof(Path));
    if (place->paths == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (; place->count < PyTuple_GET_SIZE(described); place->count++)
        if (read_path(PyTuple_GET_ITEM(described, place->count), place->paths + place->count) < 0) {
            forget_place(place);
            return -1;
        }
    return 0;
}

#endif

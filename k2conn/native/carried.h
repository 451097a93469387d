/* The fields that keep their last value (`k2conn.engine.mapping.carried_fields`), moved by what an item says.

   `move` takes the list of the values as they are, an item and its scope. A number at the end of a plain path, or of an
   expression, that has an everyday form (sources.h) replaces the value in the list; where the item says nothing, the value
   stays if there is one. All else is Python's: the answer has a bit for each of those fields. It raises nothing of what an
   item says. Of an item that is text (frame_mapper.h) `moved` makes a new list, if all is C's. */
#ifndef K2CONN_CARRIED_H
#define K2CONN_CARRIED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "sources.h"

#define CARRIED 32 /* fields of a stream */

typedef struct {
    PyObject_HEAD
    int count;
    Source sources[CARRIED]; /* without a place: Python's */
} Carried;

static int replace_one(PyObject *values, Py_ssize_t at, wide_int number)
{
    PyObject *value = int_of(number);
    return value == NULL || PyList_SetItem(values, at, value) < 0 ? -1 : 1;
}

/* `move_one` of an item that is text. */
static int move_of_text(const Source *source, const Given *given, PyObject *values, Py_ssize_t at)
{
    int found = node_at(&source->place, given);
    const JsonNode *node = found != NOWHERE ? given->json->nodes + found : NULL;
    wide_int number;
    if (node == NULL || node->kind == JSON_NULL || (node->kind == JSON_STRING && node->size == 0))
        return PyList_GET_ITEM(values, at) != Py_None;
    return number_in_text(source, given->json, node, &number) ? replace_one(values, at, number) : 0;
}

/* Moves one value of a list. 1 done, 0 where Python is to do it (what an expression raises, it raises there again), -1 with
   an exception set. */
static int move_one(const Source *source, Given *given, PyObject *values, Py_ssize_t at)
{
    PyObject *value;
    if (!source->place.count && source->get == NULL)
        return 0;
    if (given->json != NULL && source->in_text)
        return move_of_text(source, given, values, at);
    if (open_item(given) < 0)
        return PyErr_Occurred() ? -1 : 0;
    if (find_value(source, given, &value) < 0) {
        if (source->get == NULL || !PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        return 0;
    }
    int done = PyList_GET_SIZE(values) > at ? 0 : -1; /* an expression could have it */
    if (done < 0)
        PyErr_SetString(PyExc_SystemError, "the list has become shorter");
    else if (is_missing(value))
        done = PyList_GET_ITEM(values, at) != Py_None;
    else {
        wide_int number;
        done = unscaled(source, value, &number) ? replace_one(values, at, number) : PyErr_Occurred() ? -1 : 0;
    }
    if (source->get != NULL)
        Py_XDECREF(value);
    return done;
}

static PyObject *carried_move(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    const Carried *self = (const Carried *)object;
    if (count != 3 || !PyList_CheckExact(arguments[0]) || PyList_GET_SIZE(arguments[0]) != self->count) {
        PyErr_SetString(PyExc_TypeError, "move(the list of the values, item, scope)");
        return NULL;
    }
    Given given = {.item = arguments[1], .scope = arguments[2]};
    unsigned long left = 0;
    int done = 0;
    for (int at = 0; at < self->count && done >= 0; at++) {
        done = move_one(self->sources + at, &given, arguments[0], at);
        left |= (unsigned long)(done == 0) << at;
    }
    forget_given(&given);
    return done < 0 ? NULL : PyLong_FromUnsignedLong(left);
}

/* The values as an item leaves them, a new list; NULL where it is not plain, or with an exception set. */
static PyObject *moved(const Carried *self, Given *given, PyObject *before)
{
    if (!PyList_CheckExact(before) || PyList_GET_SIZE(before) != self->count) {
        PyErr_SetString(PyExc_TypeError, "the values of carried fields are a list");
        return NULL;
    }
    PyObject *values = PyList_GetSlice(before, 0, self->count);
    int done = values != NULL;
    for (int at = 0; done == 1 && at < self->count; at++)
        done = move_one(self->sources + at, given, values, at);
    if (done != 1)
        Py_CLEAR(values);
    return values;
}

static int carried_visit(PyObject *object, visitproc visit, void *arg)
{
    const Carried *self = (const Carried *)object;
    Py_VISIT(Py_TYPE(object));
    for (int at = 0; at < self->count; at++) {
        int stop = visit_source(self->sources + at, visit, arg);
        if (stop)
            return stop;
    }
    return 0;
}

static void carried_end(PyObject *object)
{
    Carried *self = (Carried *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    for (int at = 0; at < self->count; at++)
        forget_source(self->sources + at);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *carried_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"sources", NULL};
    PyObject *sources;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!", names, &PyTuple_Type, &sources))
        return NULL;
    if (PyTuple_GET_SIZE(sources) > CARRIED) {
        PyErr_SetString(PyExc_ValueError, "too many fields");
        return NULL;
    }
    Carried *self = (Carried *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    for (; self->count < PyTuple_GET_SIZE(sources); self->count++) { /* each is counted when it is whole */
        PyObject *one = PyTuple_GET_ITEM(sources, self->count);
        Source *source = self->sources + self->count;
        int done = one == Py_None ? 0 : read_source(one, source);
        if (done == 0 && one != Py_None && source->how != DECIMAL && source->how != MAGNITUDE && source->how != SIGNED) {
            PyErr_SetString(PyExc_ValueError, "only numbers are moved");
            forget_source(source);
            done = -1;
        }
        if (done < 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static PyMethodDef carried_methods[] = {
    {"move", (PyCFunction)(void (*)(void))carried_move, METH_FASTCALL,
     "(values, item, scope) -> a bit for each value that Python is to move; the others are as the item says."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot carried_slots[] = {
    {Py_tp_doc, "The fields of one stream that keep their last value."},
    {Py_tp_new, carried_new},
    {Py_tp_methods, carried_methods},
    {Py_tp_traverse, carried_visit},
    {Py_tp_clear, clear_later},
    {Py_tp_dealloc, carried_end},
    {0, NULL},
};

static PyType_Spec carried_spec = {
    .name = "k2conn.native.mapper.Carried",
    .basicsize = sizeof(Carried),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = carried_slots,
};

#endif

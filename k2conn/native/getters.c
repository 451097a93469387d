/* What compiled expressions ask most: a plain path of a message (`k2conn.compiler.expressions.closures` has the same as
   closures), and what a message's route is known by (`k2conn.engine.conversation.routing`).

   A Getter is called with a value and the scope that it is seen with, like any compiled expression; it gives what stands at
   its place (paths.h), or None. A Signature has several getters, C's or Python's, each with what counts of its value; it
   gives one tuple of that, by which a route can be remembered, or None where a value decides that is neither text nor a
   truth value. It knows nothing of routes.

   Both are immutable once made, hold no state while they run, and may be entered again from what they call. What a Python
   getter raises propagates, as does what a value of a message raises that cannot be hashed (none that JSON becomes). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "paths.h"

#define LEAVES 64 /* of a signature; with more, Python makes it */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Place place;
    PyObject *described; /* owned: what it was made of */
} Getter;

static PyTypeObject *getter_type;

/* What stands at a getter's place, a new reference; NULL with an exception set. */
static PyObject *got(const Getter *self, PyObject *value, PyObject *scope)
{
    Given given = {.item = value, .scope = scope};
    PyObject *found = at_place(&self->place, &given);
    found = found != NULL ? Py_NewRef(found) : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    forget_given(&given);
    return found;
}

/* Whether a call has two arguments, by their places. */
static int is_of_two(size_t flags, PyObject *names)
{
    return PyVectorcall_NARGS(flags) == 2 && (names == NULL || PyTuple_GET_SIZE(names) == 0);
}

static PyObject *getter_call(PyObject *self, PyObject *const *arguments, size_t flags, PyObject *names)
{
    if (is_of_two(flags, names))
        return got((const Getter *)self, arguments[0], arguments[1]);
    PyErr_SetString(PyExc_TypeError, "a getter takes a value and a scope");
    return NULL;
}

static PyObject *getter_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"place", NULL};
    PyObject *place;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!", names, &PyTuple_Type, &place))
        return NULL;
    Getter *self = (Getter *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = getter_call;
    self->described = Py_NewRef(place);
    if (read_place(place, &self->place) == 0)
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void getter_end(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    forget_place(&((Getter *)object)->place);
    Py_CLEAR(((Getter *)object)->described);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef getter_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Getter, call), READONLY, NULL},
    {"place", T_OBJECT_EX, offsetof(Getter, described), READONLY, "the paths, as they were given"},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot getter_slots[] = {
    {Py_tp_doc, "(value, scope) -> what stands at the first of some plain paths that leads to something true, or the last."},
    {Py_tp_new, getter_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, getter_members},
    {Py_tp_dealloc, getter_end},
    {0, NULL},
};

static PyType_Spec getter_spec = {
    .name = "k2conn.native.getters.Getter",
    .basicsize = sizeof(Getter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = getter_slots,
};

/* -- signatures */

typedef struct {
    PyObject *get;    /* owned */
    PyObject *wanted; /* owned: a frozenset of the values that count, all others only as true or not; NULL where all count */
    int presence;     /* whether it only counts that there is something */
} Leaf;

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    int count;
    Leaf leaves[LEAVES];
} Signature;

/* What counts of a value, a new reference; NULL where nothing can be remembered by it, or with an exception set. */
static PyObject *part_of(const Leaf *leaf, PyObject *value)
{
    if (value == Py_None)
        return Py_NewRef(Py_None);
    if (leaf->presence)
        return Py_NewRef(Py_True);
    if (leaf->wanted != NULL) {
        int among = PyDict_CheckExact(value) || PyList_CheckExact(value) ? 0 : PySet_Contains(leaf->wanted, value);
        if (among < 0)
            return NULL;
        if (!among)
            return PyBool_FromLong(is_true(value));
        return PyUnicode_CheckExact(value) ? Py_NewRef(value) : PyTuple_Pack(2, (PyObject *)Py_TYPE(value), value);
    }
    if (PyUnicode_CheckExact(value))
        return Py_NewRef(value);
    return PyBool_Check(value) ? PyTuple_Pack(1, value) : NULL;
}

static PyObject *signature_call(PyObject *object, PyObject *const *arguments, size_t flags, PyObject *names)
{
    const Signature *self = (const Signature *)object;
    if (!is_of_two(flags, names)) {
        PyErr_SetString(PyExc_TypeError, "a signature takes a message and a scope");
        return NULL;
    }
    PyObject *found = PyTuple_New(self->count);
    for (int at = 0; found != NULL && at < self->count; at++) {
        const Leaf *leaf = self->leaves + at;
        PyObject *value = Py_TYPE(leaf->get) == getter_type ? got((const Getter *)leaf->get, arguments[0], arguments[1])
                                                            : PyObject_Vectorcall(leaf->get, arguments, 2, NULL);
        PyObject *part = value != NULL ? part_of(leaf, value) : NULL;
        Py_XDECREF(value);
        if (part != NULL)
            PyTuple_SET_ITEM(found, at, part);
        else
            Py_CLEAR(found);
    }
    return found != NULL || PyErr_Occurred() ? found : Py_NewRef(Py_None);
}

static int signature_visit(PyObject *object, visitproc visit, void *arg)
{
    const Signature *self = (const Signature *)object;
    Py_VISIT(Py_TYPE(object));
    for (int at = 0; at < self->count; at++)
        Py_VISIT(self->leaves[at].get);
    return 0;
}

static int signature_clear(PyObject *object)
{
    (void)object; /* it may be at work: what it holds goes when nobody has it any more */
    return 0;
}

static void signature_end(PyObject *object)
{
    Signature *self = (Signature *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    for (int at = 0; at < self->count; at++) {
        Py_CLEAR(self->leaves[at].get);
        Py_CLEAR(self->leaves[at].wanted);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

/* A leaf of (getter, presence, frozenset or None); 0, or -1 with an exception set and nothing owned. */
static int read_leaf(PyObject *described, Leaf *leaf)
{
    PyObject *get, *wanted;
    if (!PyTuple_CheckExact(described)) {
        PyErr_SetString(PyExc_TypeError, "a leaf is (getter, presence, wanted)");
        return -1;
    }
    if (!PyArg_ParseTuple(described, "OpO", &get, &leaf->presence, &wanted))
        return -1;
    if (!PyCallable_Check(get) || (wanted != Py_None && !PyFrozenSet_CheckExact(wanted))) {
        PyErr_SetString(PyExc_TypeError, "a leaf has a getter, and a frozenset or None");
        return -1;
    }
    leaf->get = Py_NewRef(get);
    leaf->wanted = wanted != Py_None ? Py_NewRef(wanted) : NULL;
    return 0;
}

static PyObject *signature_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"leaves", NULL};
    PyObject *leaves;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!", names, &PyTuple_Type, &leaves))
        return NULL;
    if (PyTuple_GET_SIZE(leaves) > LEAVES) {
        PyErr_SetString(PyExc_ValueError, "too many leaves");
        return NULL;
    }
    Signature *self = (Signature *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = signature_call;
    for (; self->count < PyTuple_GET_SIZE(leaves); self->count++) /* each is counted when it is whole */
        if (read_leaf(PyTuple_GET_ITEM(leaves, self->count), self->leaves + self->count) < 0) {
            Py_DECREF(self);
            return NULL;
        }
    return (PyObject *)self;
}

static PyMemberDef signature_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Signature, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot signature_slots[] = {
    {Py_tp_doc, "(message, scope) -> what counts of some values, or None where that cannot be remembered."},
    {Py_tp_new, signature_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, signature_members},
    {Py_tp_traverse, signature_visit},
    {Py_tp_clear, signature_clear},
    {Py_tp_dealloc, signature_end},
    {0, NULL},
};

static PyType_Spec signature_spec = {
    .name = "k2conn.native.getters.Signature",
    .basicsize = sizeof(Signature),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = signature_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "k2conn.native.getters", .m_doc = "Plain paths, and what routes are known by.",
    .m_size = -1,
};

/* Makes a type and adds it to the module; borrowed. NULL with an exception set. */
static PyTypeObject *add_type(PyObject *to, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int done = type != NULL ? PyModule_AddObjectRef(to, name, type) : -1;
    Py_XDECREF(type); /* the module has it */
    return done == 0 ? (PyTypeObject *)type : NULL;
}

PyMODINIT_FUNC PyInit_getters(void)
{
    if (name_roots() < 0)
        return NULL;
    PyObject *found = PyModule_Create(&module);
    if (found == NULL)
        return NULL;
    getter_type = add_type(found, "Getter", &getter_spec);
    if (getter_type != NULL && add_type(found, "Signature", &signature_spec) != NULL
        && PyModule_AddIntConstant(found, "STEPS", STEPS) == 0 && PyModule_AddIntConstant(found, "PATHS", PATHS) == 0
        && PyModule_AddIntConstant(found, "LEAVES", LEAVES) == 0) {
        Py_INCREF(getter_type); /* it is looked at for as long as the process lives */
        return found;
    }
    Py_DECREF(found);
    return NULL;
}

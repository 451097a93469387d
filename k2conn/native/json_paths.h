/* Plain paths (paths.h) into JSON that is text (json_text.h), and the values at their ends.

   Paths begin at the item or the message. A value is made only where somebody wants it: what the decoder would have made of
   its text. */
#ifndef K2CONN_JSON_PATHS_H
#define K2CONN_JSON_PATHS_H

#include "json_text.h"
#include "paths.h"

static PyObject *decimal_type, *scope_symbol; /* the latter is an attribute of the scope */

/* Whether paths lead into the message or item alone, by keys that are ASCII. */
static int is_of_text(const Place *place)
{
    for (int at = 0; at < place->count; at++) {
        const Path *path = place->paths + at;
        if (path->root != ITEM && path->root != MESSAGE)
            return 0;
        for (const Step *step = path->steps; step < path->steps + path->count; step++)
            if (step->key != NULL && !PyUnicode_IS_COMPACT_ASCII(step->key))
                return 0;
    }
    return place->count > 0;
}

/* `other_row` of a list that is text. */
static int other_node(const Step *step, const JsonText *json, int rows)
{
    const char *text = (const char *)PyUnicode_1BYTE_DATA(step->other);
    Py_ssize_t size = PyUnicode_GET_LENGTH(step->other);
    for (int row = rows + 1; row < json->nodes[rows].next; row = json->nodes[row].next) {
        int one = json->nodes[row].kind == JSON_LIST ? json_element(json, row, step->index) : NOWHERE;
        const JsonNode *node = one != NOWHERE ? json->nodes + one : NULL;
        int same = node != NULL && node->kind == JSON_STRING && node->size == size
                   && memcmp(json->text + node->start, text, (size_t)size) == 0;
        if (json->nodes[row].kind != JSON_NULL && !same)
            return row;
    }
    return NOWHERE;
}

static int node_at_end(const Path *path, const Given *given)
{
    int node = path->root == ITEM ? given->node : given->top;
    for (const Step *step = path->steps; node != NOWHERE && step < path->steps + path->count; step++) {
        int kind = given->json->nodes[node].kind;
        if (step->key != NULL)
            node = kind != JSON_DICT ? NOWHERE
                   : json_member(given->json, node, (const char *)PyUnicode_1BYTE_DATA(step->key),
                                 PyUnicode_GET_LENGTH(step->key));
        else if (step->other != NULL)
            node = kind == JSON_LIST ? other_node(step, given->json, node) : NOWHERE;
        else
            node = kind == JSON_LIST ? json_element(given->json, node, step->index) : NOWHERE;
    }
    return node;
}

/* The node at a place, as `at_place` has the value. */
static int node_at(const Place *place, const Given *given)
{
    int node = NOWHERE;
    for (int at = 0; at < place->count; at++) {
        node = node_at_end(place->paths + at, given);
        if (node != NOWHERE && json_is_true(given->json, node))
            break;
    }
    return node;
}

static PyObject *text_of_node(const Given *given, int at)
{
    const JsonNode *node = given->json->nodes + at;
    int quoted = node->kind == JSON_STRING; /* its quotation marks belong to what is read */
    return PyUnicode_DecodeUTF8(given->json->text + node->start - quoted, node->size + 2 * quoted, NULL);
}

/* Makes an object of an item that is text, for a reader of Python's, and has the scope ready for that. 0, or -1 with an
   exception set, or without one where the message has other items than it seemed. */
static int open_item(Given *given)
{
    if (given->json == NULL || given->item != NULL)
        return 0;
    if (given->items == NULL) {
        PyObject *message = text_of_node(given, given->top);
        given->items = message != NULL ? PyObject_CallOneArg(given->unfold, message) : NULL;
        Py_XDECREF(message);
        if (given->items == NULL)
            return -1;
    }
    if (!PyList_CheckExact(given->items) || PyList_GET_SIZE(given->items) != given->count
        || PyObject_SetAttr(given->scope, scope_symbol, given->symbol) < 0)
        return -1;
    given->item = Py_NewRef(PyList_GET_ITEM(given->items, given->at));
    return 0;
}

/* The value of a node, a new reference; NULL with an exception set. */
static PyObject *object_of(const Given *given, int at)
{
    const JsonNode *node = given->json->nodes + at;
    const char *text = given->json->text + node->start;
    switch (node->kind) {
    case JSON_NULL:
        return Py_NewRef(Py_None);
    case JSON_FALSE:
    case JSON_TRUE:
        return PyBool_FromLong(node->kind == JSON_TRUE);
    case JSON_INT:
        return PyLong_FromLongLong(json_int(given->json, node));
    case JSON_FRACTION:
        return PyObject_CallFunction(decimal_type, "s#", text, (Py_ssize_t)node->size);
    case JSON_STRING:
        return node->wide ? PyUnicode_DecodeUTF8(text, node->size, NULL) : PyUnicode_DecodeASCII(text, node->size, NULL);
    default:
        return PyObject_CallFunction(given->decode, "y#", text, (Py_ssize_t)node->size);
    }
}

#endif

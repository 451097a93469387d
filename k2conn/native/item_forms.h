/* Where the items of a message are, in its text: the forms that Python has made of `each` (`k2conn.plan.ItemForm`, compiled
   by `k2conn.compiler.expressions.item_forms`).

   At a path are the elements of a list, or the one object that is there. In rows they are the elements of lists within
   elements of lists (`events[].trades[]`), one path leading from each level to the next. One by one each path leads to an
   item (`[@]`). Which form a message has is decided with its route (decisions.h), so nothing is chosen here.

   What JMESPath would leave out (null) or take apart (a list where objects are expected) ends the search with 0: the
   general way has the list as it is. So items have the numbers here that they have there, up to the first that is not
   plain. There are never more items than nodes. */
#ifndef K2CONN_ITEM_FORMS_H
#define K2CONN_ITEM_FORMS_H

#include "decisions.h"

#define FORMS 4 /* of the items of a flow */

enum { AT_PATH, IN_ROWS, ONE_BY_ONE, FORM_KINDS };

typedef struct {
    int kind;    /* AT_PATH, IN_ROWS, ONE_BY_ONE */
    Place place; /* AT_PATH nowhere: the message is the item */
} Items;

/* The items at the end of a path: the elements of a list, or what is there. 0 where there are none. */
static int find_at_path(const Place *place, const Given *given, int *items, int *count)
{
    const JsonNode *nodes = given->json->nodes;
    int found = place->count ? node_at(place, given) : given->top;
    if (found == NOWHERE || (place->count && nodes[found].kind < JSON_LIST))
        return 0;
    if (place->count && nodes[found].kind == JSON_LIST)
        for (int node = found + 1; node < nodes[found].next; node = nodes[node].next)
            items[(*count)++] = node;
    else
        items[(*count)++] = found;
    return 1;
}

/* The elements of lists in elements of lists, from the one at `node` on; 0 where anything is in them that JMESPath would
   leave out, or take apart. */
static int find_in_rows(const Place *place, int level, const Given *given, int node, int *items, int *count)
{
    const JsonNode *nodes = given->json->nodes;
    int last = level + 1 == place->count;
    if (nodes[node].kind != JSON_LIST)
        return 0;
    for (int one = node + 1; one < nodes[node].next; one = nodes[one].next) {
        if (nodes[one].kind == JSON_NULL || (nodes[one].kind == JSON_LIST && (!last || level == 0)))
            return 0;
        if (last) {
            items[(*count)++] = one;
            continue;
        }
        Given within = *given;
        within.node = one;
        int inner = node_at_end(place->paths + level + 1, &within);
        if (inner == NOWHERE || !find_in_rows(place, level + 1, given, inner, items, count))
            return 0;
    }
    return 1;
}

/* The items of a message in one of the forms that they may have. 1 found, 0 where it is not plain. */
static int find_items(const Items *form, const Given *given, int *items, int *count)
{
    if (form->kind == AT_PATH)
        return find_at_path(&form->place, given, items, count);
    if (form->kind == IN_ROWS) {
        int outer = node_at_end(form->place.paths, given);
        return outer != NOWHERE && find_in_rows(&form->place, 0, given, outer, items, count);
    }
    for (int at = 0; at < form->place.count; at++) {
        int node = node_at_end(form->place.paths + at, given);
        if (node == NOWHERE || given->json->nodes[node].kind == JSON_NULL)
            return 0;
        items[(*count)++] = node;
    }
    return 1;
}

/* -- making them */

/* The forms of the items, ((kind, (path, ...)), ...). 0, or -1 with an exception set. */
static int read_forms(PyObject *given, Items *forms, int *count)
{
    if (!PyTuple_CheckExact(given) || PyTuple_GET_SIZE(given) < 1 || PyTuple_GET_SIZE(given) > FORMS) {
        PyErr_SetString(PyExc_ValueError, "items have some forms");
        return -1;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(given); at++, ++*count) {
        PyObject *paths;
        Items *form = forms + at;
        if (!PyTuple_CheckExact(PyTuple_GET_ITEM(given, at))) {
            PyErr_SetString(PyExc_TypeError, "a form is (kind, (path, ...))");
            return -1;
        }
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(given, at), "iO!", &form->kind, &PyTuple_Type, &paths))
            return -1;
        if (form->kind < 0 || form->kind >= FORM_KINDS || (form->kind == IN_ROWS && PyTuple_GET_SIZE(paths) < 1)) {
            PyErr_SetString(PyExc_ValueError, "no such form");
            return -1;
        }
        if (read_text_place(PyTuple_GET_SIZE(paths) ? paths : Py_None, 0, &form->place) < 0)
            return -1;
    }
    return 0;
}

#endif

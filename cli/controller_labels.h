/*
 * controller_labels: the labels that controllers add to the pods they make of a template. Rules of
 * a configuration may match them. Pure.
 *
 * A label whose value only the cluster knows (a uid, a hash, a generated name) has the value "": it
 * exists, no more.
 */
#ifndef LASTWORD_CLI_CONTROLLER_LABELS_H
#define LASTWORD_CLI_CONTROLLER_LABELS_H

#include <stdbool.h>

#include "lib/document/json.h"

/* Adds to labels what the controller of object adds to a pod of the template at path, a JSON
 * Pointer within object; labels that are there stay. False: no memory. */
bool controller_labels_add(struct arena *arena, const json *object, const char *path, json *labels);

#endif

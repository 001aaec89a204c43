/*
 * kube_version: parses the version of an API server, as people and the server write it. Pure;
 * thread-safe.
 */
#ifndef LASTWORD_LIB_KUBE_VERSION_H
#define LASTWORD_LIB_KUBE_VERSION_H

#include <stdbool.h>

#include "lib/base/error.h"

/* "1.36", "v1.36.2", "v1.33.4-gke.100": the minor number, 1 or more. */
bool kube_version_parse(const char *text, unsigned *ret_minor, struct error *error);

#endif

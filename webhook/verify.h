/*
 * verify: the last look at the patched pod before the patch is sent. Pure.
 *
 * It knows nothing of how the patch was made; it checks what the API server would refuse a pod
 * for, as far as a patch of ours could cause it: names unique, no two mounts or devices in one
 * place, our volume there, limits of the resources that we fill not below requests, one preStop
 * handler, commands of strings, annotations within their size. It looks at each list a fixed number
 * of times. If anything is not so the pod goes in as it came.
 */
#ifndef LASTWORD_WEBHOOK_VERIFY_H
#define LASTWORD_WEBHOOK_VERIFY_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

/* The arena is for scratch. error names what is wrong and where. */
bool verify_pod(struct arena *arena, const json *pod, struct error *error);

#endif

/*
 * sidecar: the operations of a patch that add the watchdog container to a pod, with its volume, the
 * container that installs the shim in classic mode, and the pull secrets of its image. Pure.
 */
#ifndef LASTWORD_WEBHOOK_SIDECAR_H
#define LASTWORD_WEBHOOK_SIDECAR_H

#include "webhook/maker.h"

/* Adds what the plan says is not there yet. */
void sidecar_add(struct maker *maker);

#endif

/*
 * installation: what an installation of lastword consists of, read through kubectl.
 */
#ifndef LASTWORD_CLI_INSTALLATION_H
#define LASTWORD_CLI_INSTALLATION_H

#include "cli/kubectl.h"
#include "lib/base/error.h"
#include "lib/document/json.h"

#define INSTALLATION_NAMESPACE "lastword-system" /* where the manifests put it */
#define INSTALLATION_WEBHOOK   "lastword-webhook"
#define INSTALLATION_OBSERVER  "lastword-observer"

/* A Deployment, which lives as long as the arena; NULL with error. */
const json *installation_deployment(const struct kubectl *kubectl, const char *namespace,
                                    const char *name, struct arena *arena, struct error *error);

/* The image of a Deployment's first container, "" when there is none. */
const char *installation_image(const json *deployment);

/* The value of the flag of a Deployment's program, such as "--secret="; NULL: it does not have it.
 * Of several the last one counts, as for the program. */
const char *installation_flag(const json *deployment, const char *flag);

/* The watchdog's image, as the webhook's Deployment sets it; "" when it does not. */
const char *installation_watchdog_image(const json *webhook);

/* The version that an image's tag says: "0.1.0" of registry:5000/lastword:v0.1.0@sha256:…; "" where
 * it has no tag. NULL: no memory. */
const char *installation_version(struct arena *arena, const char *image);

#endif

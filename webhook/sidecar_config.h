/*
 * sidecar_config: what the configuration says of the watchdog container, and the quantities of its
 * and of a rule's resources. Read with decode.h; all of it lives as long as the configuration.
 */
#ifndef LASTWORD_WEBHOOK_SIDECAR_CONFIG_H
#define LASTWORD_WEBHOOK_SIDECAR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "lib/document/decode.h"
#include "lib/document/strings.h"

/* The watchdog's image where neither the configuration nor a flag names one: that of this release.
 */
#define WATCHDOG_IMAGE_DEFAULT "ghcr.io/lastword/lastword-watchdog:" LASTWORD_VERSION

/* The resources that a rule may fill in and the sidecar may have. */
enum resource_name { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_EPHEMERAL_STORAGE, RESOURCE_COUNT };
extern const char *const resource_names[RESOURCE_COUNT];

/* Quantities as written; NULL: not given. */
struct resources {
	const char *requests[RESOURCE_COUNT];
	const char *limits[RESOURCE_COUNT];
};

enum sidecar_mode { SIDECAR_AUTO, SIDECAR_NATIVE, SIDECAR_CLASSIC };
enum shim_source { SHIM_EMPTY_DIR, SHIM_IMAGE };

struct sidecar_config {
	const char *image;
	bool image_is_default;         /* the configuration names none */
	const char *image_pull_policy; /* NULL: Kubernetes' default */
	enum sidecar_mode mode;
	enum shim_source shim;
	struct resources resources;
	struct strings image_pull_secrets;
	const json *extra;               /* members to add to the watchdog container; NULL: none */
	struct strings skip_annotations; /* of those who would mount tokens into our containers */
	bool user_auto;        /* the cluster chooses where OpenShift has admitted the pod */
	int64_t user;          /* uid and gid; -1: the cluster chooses */
	int64_t ring_size;     /* bytes */
	int64_t tail_size;     /* bytes */
	int64_t start_timeout; /* nanoseconds; 0: the watchdog's own default */
};

decode_function decode_resources; /* struct resources */
decode_function decode_sidecar;   /* struct sidecar_config */

#endif

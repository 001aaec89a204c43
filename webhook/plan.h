/*
 * plan: what is to be done to a pod, and why. policy.h makes it; mutate.h makes the patch from it,
 * and record.h the decision record. Everything in a plan lives in the arena, or in the pod and the
 * configuration that it was made from.
 */
#ifndef LASTWORD_WEBHOOK_PLAN_H
#define LASTWORD_WEBHOOK_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/document/json.h"
#include "webhook/config.h"
#include "webhook/reason.h"

#define PLAN_WARNINGS_MAX 16

struct breaker_table;
struct image_cache;

/* What a plan is made from. */
struct policy_input {
	const struct config *config;
	unsigned server_minor;         /* Kubernetes 1.x of the API server; 0: unknown */
	const char *namespace;         /* the request's; "" when unknown */
	const json *pod;               /* metadata and spec: a Pod or a pod template */
	struct image_cache *images;    /* what registries say of images; NULL: nobody asks them */
	struct breaker_table *breaker; /* NULL: there is none, it counts as closed */
	bool dry_run;                  /* the request creates no pod */
};

/* The parts of a container that may be changed. */
enum part {
	PART_TERMINATION_MESSAGE_POLICY,
	PART_RESOURCES,
	PART_COMMAND,
	PART_PRE_STOP,
	PART_COUNT,
};
/* terminationMessagePolicy, resources, command, preStop: the names in the record. */
extern const char *const part_names[PART_COUNT];

struct container_plan {
	const json *container;
	size_t index; /* in spec.containers */
	const char *name;
	enum reason parts[PART_COUNT];
	struct resources fill;  /* PART_RESOURCES applied: what to add */
	struct strings command; /* PART_COMMAND applied: the command to run, $ escaped as needed */
	bool add_mount;         /* wrapped, now or before, and the shim is not mounted */
	const char *restart_policy; /* its own; NULL: the pod's */
};

struct context_value {
	const char *name;
	const char *value;
};

struct plan {
	enum reason reason;
	const struct rule *rule; /* NULL: none matches */
	struct container_plan *containers;
	size_t container_count;

	/* The pod as a whole; meaningful when watchdog is true. */
	bool watchdog;     /* the pod has or gets our sidecar */
	bool native;       /* the sidecar is an init container with restartPolicy Always */
	bool image_volume; /* the shim comes in an image volume */
	bool add_watchdog; /* false: the pod has it already */
	bool add_install;  /* classic mode with an emptyDir, and the pod has it not yet */
	bool add_volume;
	struct resources sidecar_resources;
	struct resources sidecar_wishes; /* of the annotations: quantities, "none", or NULL */
	int64_t user;     /* uid and gid that no container of the pod has; -1: none set */
	bool user_of_scc; /* none set, since OpenShift gives one of the namespace's range */
	int64_t grace_seconds;
	const char *restart_policy;
	const char *owner_kind; /* the controlling owner, or NULL */
	const char *owner_name;
	struct shim_options shim;
	struct context_value *context;
	size_t context_count;

	int64_t trial; /* the pod is let through a half-open breaker: its breaker_entry.since; 0: no
	                */

	struct strings warnings;
};

/* The container runs inside the shim: wrapped now, or before. */
bool container_plan_is_wrapped(const struct container_plan *container);

/* A warning for the person who created the pod; kept up to PLAN_WARNINGS_MAX. */
void plan_warn(struct arena *arena, struct plan *plan, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif

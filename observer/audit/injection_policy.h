/*
 * injection_policy: which pods without lastword.dev/injected should have been injected, and which
 * of their containers are the agents: the webhook's own decision about rules, made with its
 * configuration and its code. The one place of the observer that uses the webhook's pure modules.
 *
 * Not everything of a pod is there to decide with (pod_filter.h): all labels, the annotations
 * lastword.dev/… and Istio's, the containers' names. So it is not known whether the webhook would
 * have left the pod alone for another reason (a name that is taken, too many containers): such a
 * pod counts as not injected, too.
 *
 * Threads: the observer's one.
 */
#ifndef LASTWORD_OBSERVER_AUDIT_INJECTION_POLICY_H
#define LASTWORD_OBSERVER_AUDIT_INJECTION_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/files.h"
#include "observer/pod/pod.h"

struct config;

/* Why a pod that a rule matches was not injected, as far as it shows; in metrics and Events. */
enum uninjected_reason {
	UNINJECTED_NOT,            /* it was, or need not be */
	UNINJECTED_UNKNOWN,        /* the webhook was not asked, did not answer, or left it alone */
	UNINJECTED_CREATED_BEFORE, /* older than the namespace's label */
	UNINJECTED_LABEL_REMOVED,  /* it was injected, and has lost its label */
	UNINJECTED_MIRROR_POD,     /* of a static pod, which nobody may change */
	UNINJECTED_REASON_COUNT
};

/* "not-injected", "created-before", "label-removed", "mirror-pod". Static. */
const char *uninjected_reason_name(enum uninjected_reason reason);

struct injection_policy {
	struct watched_file file; /* path NULL: there is no policy */
	struct config *config;
};

/* False: the configuration cannot be had; until it can, by
 * injection_policy_reload(), only pods that have lost their label should be observed. */
bool injection_policy_load(struct injection_policy *policy, const char *path, struct error *error);
void injection_policy_free(struct injection_policy *policy);

/* Reads the file again where it has changed; *ret_error is set where the new one is refused, and
 * the old one stays. True: another configuration is in force. */
bool injection_policy_reload(struct injection_policy *policy, bool *ret_refused,
                             struct error *error);

/* What our container has of a resource, in the words of the configuration. */
struct sidecar_amount {
	const char *resource; /* "cpu" … */
	const char *request;  /* NULL: none, as limit */
	const char *limit;
};

#define SIDECAR_AMOUNTS_MAX 64

/* The amounts that the configuration gives to sidecars: its own and those of its rules; at most
 * SIDECAR_AMOUNTS_MAX. They live until the next reload. Returns how many. */
size_t injection_policy_sidecar_amounts(const struct injection_policy *policy,
                                        struct sidecar_amount ret_amounts[SIDECAR_AMOUNTS_MAX]);

/* Whether the webhook is asked about new pods of a namespace. */
struct opt_in {
	bool opted_in;
	int64_t since; /* nanoseconds since 1970; 0: unknown */
};

/*
 * The reason for which the pod should be observed though it is not injected; UNINJECTED_NOT: it
 * should not. Where nobody injected it, its agents, its context and the patterns for redaction
 * become those of the configuration; they belong to the arena, the pod and the configuration.
 */
enum uninjected_reason injection_policy_apply(const struct injection_policy *policy,
                                              struct arena *arena, struct pod *pod,
                                              struct opt_in namespace);

#endif

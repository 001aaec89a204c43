/*
 * pod: what the observer reads in a pod object. Pure; nothing is copied, texts belong to the
 * object's arena and live as long as it.
 *
 * Which containers are the agent: what the webhook's decision record (annotation
 * lastword.dev/status) names, then the watchdog's --container flags, then, for pods that nobody
 * injected, the label cli-container, the annotation kubectl.kubernetes.io/default-container, a
 * container named main, all that are not ours. Context, owner and redaction patterns are the
 * watchdog's flags; without a watchdog the labels of the shipped configuration stand in.
 */
#ifndef LASTWORD_OBSERVER_POD_POD_H
#define LASTWORD_OBSERVER_POD_POD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

#define POD_AGENTS_MAX   16
#define POD_CONTEXT_MAX  32
#define POD_PATTERNS_MAX 16

struct pod_agent {
	const char *name;
	bool watched;       /* the watchdog knows of it */
	const json *spec;   /* the container */
	const json *status; /* NULL: the kubelet has said nothing yet */
};

struct pod_context {
	const char *key;
	const char *value;
};

struct pod {
	const json *object;
	const char *namespace; /* these three are never NULL */
	const char *name;
	const char *uid;
	const char *node;             /* NULL: not scheduled */
	const char *resource_version; /* never NULL */
	const char *phase;            /* never NULL */
	const char *reason;           /* of the pod; NULL: none */
	const char *disruption;       /* reason of a true DisruptionTarget; NULL: none */
	const char *restart_policy;
	struct {
		const char *api_version; /* NULL: the pod has no controller */
		const char *kind;
		const char *name;
		const char *uid;
	} owner;
	int64_t started_at; /* the kubelet took it; nanoseconds since 1970, as all times; 0: not yet
	                     */
	int64_t deleted_at; /* when its deletion was asked for; 0: it was not */
	int64_t grace;      /* nanoseconds, of the deletion */
	int64_t troubled_at; /* when what reason or disruption say began; 0: unknown */
	bool watchdog;       /* it has one */
	bool terminal;       /* phase Succeeded or Failed */
	struct pod_agent agents[POD_AGENTS_MAX];
	size_t agent_count;
	struct pod_context context[POD_CONTEXT_MAX];
	size_t context_count;
	const char *patterns[POD_PATTERNS_MAX];
	size_t pattern_count;
};

/* False when it is no pod with namespace, name and uid. The arena takes what has to be made. */
bool pod_read(struct arena *arena, const json *object, struct pod *ret_pod, struct error *error);

/* The agent's label in metrics: the context field agent, else the owner's name, else "". */
const char *pod_agent_label(const struct pod *pod);

/* The time of a status or metadata field; 0 when it is absent, no time, or 1970. */
int64_t pod_time(const json *object, const char *key);

/* A reason, of a pod or a container, NULL for none, is that word. */
bool reason_is(const char *reason, const char *word);

/* A regular container that is neither ours nor named but is running. */
bool pod_other_runs(const struct pod *pod, const char *but);

/*
 * A run of the agent that ended with this code, not by the pod's own end, is the last: as
 * restartPolicy and restartPolicyRules of the container, else of the pod, say (Kubernetes:
 * ShouldContainerBeRestarted; the first rule that matches decides).
 */
bool pod_run_is_final(const struct pod *pod, const struct pod_agent *agent, int exit_code);

#endif

/*
 * pod: the facts that the observer reads from a pod object. Pure; nothing is copied, texts belong
 * to the object's arena and live as long as it.
 *
 * Which containers are agents: those in the webhook's decision record (annotation
 * lastword.dev/status), else those of the watchdog's --container flags, else, for pods that were
 * not injected, the label cli-container, the annotation kubectl.kubernetes.io/default-container, a
 * container named main, or all containers that are not lastword's own. Context and redaction
 * patterns are the watchdog's flags; without a watchdog the context comes from the labels that the
 * shipped configuration names.
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
#define POD_RULES_MAX    16

struct pod_agent {
	const char *name;
	bool watched;       /* the watchdog has a --container flag for it */
	const json *spec;   /* the container */
	const json *status; /* NULL: the kubelet has not reported it yet */
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
	int64_t started_at; /* status.startTime: the kubelet accepted it; nanoseconds since 1970, as
	                       all times; 0: not yet */
	int64_t deleted_at; /* when its deletion was requested; 0: it was not */
	int64_t grace;      /* the grace period of the deletion, in nanoseconds */
	int64_t disrupted_at; /* when what reason or disruption say began; 0: unknown */
	bool injected;        /* label lastword.dev/injected is "true" */
	bool watchdog;        /* it has a watchdog container */
	bool terminal;        /* phase Succeeded or Failed */
	/* What the watchdog reports of an agent that runs on; nanoseconds; 0: it does not. */
	int64_t report_deadline;
	int64_t report_silence;
	bool fail_when_silent; /* its rule has onSilentExit: fail-pod */
	int64_t breaker_trial; /* it was let through a half-open breaker: breaker_entry.since; 0: no
	                        */
	struct pod_agent agents[POD_AGENTS_MAX];
	size_t agent_count;
	struct pod_context context[POD_CONTEXT_MAX];
	size_t context_count;
	const char *patterns[POD_PATTERNS_MAX];
	size_t pattern_count;
	const char *rules[POD_RULES_MAX]; /* of diagnosis */
	size_t rule_count;
};

/* False when the object has no namespace, name and uid. The arena holds the texts that are not in
 * the object as they are. */
bool pod_read(struct arena *arena, const json *object, struct pod *ret_pod, struct error *error);

/* The container of that name becomes an agent, unless it is lastword's own, or one already. */
void pod_add_agent(struct pod *pod, const char *name);

/* The agent's label in metrics: the context field agent, else the owner's name, else "". */
const char *pod_agent_label(const struct pod *pod);

/* The time in a field of an object's status or metadata, or of an Event; 0 when it is absent, not a
 * time, or 1970. */
int64_t pod_time(const json *object, const char *key);

/* The reason (NULL: there is none) of a pod or a container is that word. */
bool reason_is(const char *reason, const char *word);

/* The status of the first regular container that is neither lastword's own nor the named one, then
 * the one after that; NULL: there is none. */
const json *pod_first_other(const struct pod *pod, const char *name);
const json *pod_next_other(const json *status, const char *name);

/* A run of a container, as its status has it. */
struct container_run {
	int64_t started_at; /* never 0 */
	int64_t ended_at;   /* INT64_MAX: it is running */
};

/* The runs in state and lastState whose times are known, the older one first; how many (0 to 2). */
size_t container_runs(const json *status, struct container_run ret_runs[2]);

/*
 * Whether a run of the agent that ended with this exit code, and not because of what happened to
 * the pod, is its last: as restartPolicy and restartPolicyRules of the container, or else
 * restartPolicy of the pod, say (Kubernetes: ShouldContainerBeRestarted; the first rule that
 * matches decides).
 */
bool pod_run_is_final(const struct pod *pod, const struct pod_agent *agent, int exit_code);

#endif

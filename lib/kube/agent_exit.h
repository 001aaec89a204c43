/*
 * agent_exit: the record of a container's termination, the API object agentexits.lastword.dev
 * (manifests/base/crd.yaml). The observer writes it, the CLI reads it. Pure.
 *
 * One table (agent_exit.c) has every field of the spec with both of its names: in the API
 * (camelCase, as the Kubernetes API conventions ask) and in the watchdog's report (snake_case). It
 * drives writing and reading. tests/unit/test_agent_exit.c compares it with the CRD, so the API
 * server never refuses what is written here; tests/cli/test_crd.py compares it with the
 * documentation, with what the watchdog prints and with what the observer reads of that.
 *
 * Texts are cut to the limits (bytes here, characters in the CRD) between characters: logTail loses
 * its beginning, every other text its end. The caller has redacted everything that an agent or the
 * kubelet wrote.
 *
 * Ownership: the struct owns nothing; texts are the caller's, or the arena's after reading.
 */
#ifndef LASTWORD_LIB_KUBE_AGENT_EXIT_H
#define LASTWORD_LIB_KUBE_AGENT_EXIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/document/json.h"

struct buffer;

#define AGENT_EXIT_GROUP       "lastword.dev"
#define AGENT_EXIT_VERSION     "v1alpha1"
#define AGENT_EXIT_API_VERSION "lastword.dev/v1alpha1"
#define AGENT_EXIT_KIND        "AgentExit"
#define AGENT_EXIT_PLURAL      "agentexits"

/* Labels, for selecting. A value is cut to the rules of labels (agent_exit_label_value); a label
 * without a value is left out. The whole texts are in the spec. */
#define AGENT_EXIT_LABEL_AGENT       "lastword.dev/agent"
#define AGENT_EXIT_LABEL_IDENTITY    "lastword.dev/identity" /* agent_exit_identity() */
#define AGENT_EXIT_LABEL_CAUSE       "lastword.dev/cause"
#define AGENT_EXIT_LABEL_CONTAINER   "lastword.dev/container"
#define AGENT_EXIT_LABEL_FINGERPRINT "lastword.dev/fingerprint"
#define AGENT_EXIT_LABEL_POD         "lastword.dev/pod"
#define AGENT_EXIT_LABEL_TASK        "lastword.dev/task"
#define AGENT_EXIT_LABEL_WORKFLOW    "lastword.dev/workflow"

#define AGENT_EXIT_SOURCE_WATCHDOG "watchdog" /* the watchdog's report */
#define AGENT_EXIT_SOURCE_LOG      "log"      /* no report: the container's own log */
#define AGENT_EXIT_SOURCE_KUBELET  "kubelet"  /* no log either: the pod's status alone */

#define AGENT_EXIT_NOTIFICATION_DELIVERED "Delivered"
#define AGENT_EXIT_NOTIFICATION_PENDING   "Pending"
#define AGENT_EXIT_NOTIFICATION_FAILED    "Failed"
#define AGENT_EXIT_NOTIFICATION_GROUPED   "Grouped"  /* one notification for many alike */
#define AGENT_EXIT_NOTIFICATION_RESOLVED  "Resolved" /* delivered, and that it is over was, too */

/* The types of conditions. */
#define AGENT_EXIT_SILENT "Silent" /* another container ran on, so that the pod looked healthy */

#define AGENT_EXIT_UNKNOWN           INT64_MIN /* a number that is not known */
#define AGENT_EXIT_CONTEXT_MAX       32
#define AGENT_EXIT_CONTAINERS_MAX    16
#define AGENT_EXIT_CONDITIONS_MAX    8
#define AGENT_EXIT_NOTIFICATIONS_MAX 16

struct agent_exit_context {
	const char *key; /* at most 63 bytes, else left out */
	const char *value;
};

/* One entry of status.conditions, as metav1.Condition. */
struct agent_exit_condition {
	const char *type;             /* unique in the list */
	const char *status;           /* "True", "False", "Unknown" */
	int64_t last_transition_time; /* nanoseconds since 1970 */
	const char *reason;           /* one CamelCase word */
	const char *message;
};

/* One entry of status.notifications. */
struct agent_exit_notification {
	const char
	        *receiver; /* "event-pod", "event-owner", a configured name; unique in the list */
	const char *state;
	const char *id;
	int64_t time; /* nanoseconds since 1970 */
	int64_t attempts;
	const char *message;
};

/*
 * Texts may be NULL. Numbers may be AGENT_EXIT_UNKNOWN; times are nanoseconds since 1970, lengths
 * of time nanoseconds. What a field means: docs/agent-exit.md. pod, uid, container, restart_count,
 * error_type and source must be there.
 */
struct agent_exit {
	/* metadata; when writing, the name follows from the spec */
	const char *name;
	const char *resource_version; /* read; of a status: the version that it is based on */
	int64_t created_at;           /* read only */
	/* spec */
	const char *pod;
	const char *namespace;
	const char *uid;
	const char *node;
	const char *owner;
	const char *container;
	int64_t restart_count;
	const char *task_id;
	const char *workflow_id;
	const char *agent;
	struct agent_exit_context context[AGENT_EXIT_CONTEXT_MAX];
	size_t context_count;
	const char *error_type;
	const char *detail;
	const char *evidence;
	int64_t exit_code;
	const char *signal;
	const char *summary;
	const char *payload_snippet;
	const char *fingerprint;
	const char *running_containers[AGENT_EXIT_CONTAINERS_MAX];
	size_t running_container_count;
	bool final;
	const char *source;
	int64_t started_at;
	int64_t finished_at;
	int64_t duration;
	int64_t cpu;
	int64_t max_rss_bytes;
	int64_t oom_kills;
	int64_t silences;
	int64_t deadline_exceeded_at;
	const char *reason;
	const char *message;
	const char *pod_reason;
	const char *disruption;
	int64_t shim_instance;
	int64_t shim_uid;
	int64_t reports_lost;
	const char *version;
	int64_t log_bytes_total;
	const char *log_tail;
	/* status */
	int64_t resolved_at;
	struct agent_exit_condition conditions[AGENT_EXIT_CONDITIONS_MAX];
	size_t condition_count;
	struct agent_exit_notification notifications[AGENT_EXIT_NOTIFICATIONS_MAX];
	size_t notification_count;
};

/* Nothing is known. Begin with this: zero is a value. */
void agent_exit_init(struct agent_exit *exit);

/* A field that the configuration's context names: one of the record's own (task_id, workflow_id,
 * agent) or an entry of the map context. What does not fit into the map is left out. */
void agent_exit_add_context(struct agent_exit *exit, const char *key, const char *value);

/*
 * The object's name, POD.UID8.CONTAINER.N: the pod's name (cut where all would be longer than 253
 * bytes), the first 8 of its uid, the container, the restart count as the kubelet counts it. A run
 * that never was (started false: error_type NeverStarted) is POD.UID8.CONTAINER.never-N, since the
 * kubelet counts on from the same N when it starts after all. Only the pod's name may contain dots,
 * so that two different terminations have different names. Always a DNS subdomain (RFC 1123).
 */
#define AGENT_EXIT_NAME_SIZE 254
void agent_exit_name(const char *pod, const char *uid, const char *container, int64_t restart_count,
                     bool started, char ret_name[AGENT_EXIT_NAME_SIZE]);

/* The text as a label's value: what is not allowed becomes _, the end is cut at 63 bytes, first and
 * last are letters or digits; "" when nothing is left. NULL counts as "". */
#define AGENT_EXIT_LABEL_SIZE 64
void agent_exit_label_value(const char *text, char ret_value[AGENT_EXIT_LABEL_SIZE]);

/*
 * Sixteen hex digits that are the same for runs of the same agent: the namespace aside, the same
 * owner family (the owner's name without its generated end; without an owner the pod's name),
 * container, agent, and task, or where no task is known workflow.
 */
#define AGENT_EXIT_IDENTITY_SIZE 17
void agent_exit_identity(const struct agent_exit *exit,
                         char ret_identity[AGENT_EXIT_IDENTITY_SIZE]);

/* Appends the object for a POST: apiVersion, kind, metadata (name, namespace, labels), spec. No
 * status: the API server drops it there. At most AGENT_EXIT_SIZE_MAX bytes. Ask buffer_ok(). */
#define AGENT_EXIT_SIZE_MAX ((size_t)320 * 1024) /* every limit reached, every byte escaped */
void agent_exit_write(const struct agent_exit *exit, struct buffer *out);

/* Appends {"status":…}, a merge patch for the status subresource: resolvedAt, where it is known;
 * all conditions and all notifications, where there are any. A list takes the place of the one that
 * is stored; entries beyond its maximum are left out. With a resource_version the API server
 * refuses the patch (409) when the record has changed since. */
void agent_exit_write_status(const struct agent_exit *exit, struct buffer *out);

/*
 * Reads an object as the API server gives it. Tolerant: a field of another type than expected is
 * not known, what is not in the table is not looked at. False, with error, when it is no AgentExit
 * with a name and a spec. Texts belong to the object's arena.
 */
bool agent_exit_read(const json *object, struct agent_exit *ret_exit, struct error *error);

/* The entry of that receiver; NULL: there is none. */
const struct agent_exit_notification *agent_exit_find_notification(const struct agent_exit *exit,
                                                                   const char *receiver);

/* The condition of that type; NULL: there is none. */
const struct agent_exit_condition *agent_exit_find_condition(const struct agent_exit *exit,
                                                             const char *type);

/* --- The table of the spec's fields --- */

/* Where a field's value comes from. */
enum agent_exit_origin {
	AGENT_EXIT_FROM_REPORT,   /* the watchdog's report; without one, the observer */
	AGENT_EXIT_FROM_CONTEXT,  /* the configuration's context, in the report a member like others
	                           */
	AGENT_EXIT_FROM_OBSERVER, /* the observer alone */
};

enum agent_exit_type {
	AGENT_EXIT_TEXT,
	AGENT_EXIT_TEXT_END, /* a text that is cut at its beginning */
	AGENT_EXIT_INTEGER,
	AGENT_EXIT_COUNT, /* an integer that is not negative */
	AGENT_EXIT_BOOL,
	AGENT_EXIT_TIME,
	AGENT_EXIT_SECONDS,
	AGENT_EXIT_CONTEXT,
	AGENT_EXIT_CONTAINERS, /* a list of names */
};

struct agent_exit_field {
	const char *name; /* in the API: camelCase */
	const char *key;  /* in the watchdog's report and the configuration: snake_case */
	enum agent_exit_origin origin;
	enum agent_exit_type type;
	size_t limit;  /* of a text, in bytes */
	bool required; /* the API server refuses a record without it */
	size_t offset; /* in struct agent_exit */
};

const struct agent_exit_field *agent_exit_fields(size_t *ret_count);

/* No context field may have this name: it is a key of the watchdog's report, or the snake_case name
 * of a field that the observer fills. */
bool agent_exit_key_reserved(const char *key);

#endif

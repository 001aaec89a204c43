#include "observer/pod/pod_filter.h"

#include "lib/kube/names.h"

#define END                 \
	{                   \
		.key = NULL \
	}
#define TIME_MAX       40
#define LABEL_MAX      64    /* a label's value, a container's name, a namespace's */
#define NAME_MAX_BYTES 253   /* DNS subdomain */
#define MESSAGE_MAX    32768 /* 4096 characters, each written as an escape */
#define FLAG_MAX       8192
#define FLAGS_MAX      512
#define DECISION_MAX   16384 /* the webhook's record: 16 agents of some 400 bytes */
#define IMAGE_MAX      1024
#define RULES_MAX      20 /* as validated by the API server, like the codes of a rule */
#define CODES_MAX      255
#define OWNERS_MAX     20
#define CONDITIONS_MAX 40
#define CONTINUE_MAX   8192

/* ---- metadata ---- */

static const struct json_filter owner[] = {
        {.key = "apiVersion", .text_max = NAME_MAX_BYTES},
        {.key = "kind"},
        {.key = "name", .text_max = NAME_MAX_BYTES},
        {.key = "uid"},
        {.key = "controller"},
        END,
};
static const struct json_filter labels[] = {
        {.key = KEY_INJECTED, .text_max = LABEL_MAX},
        {.key = KEY_CLI_CONTAINER, .text_max = LABEL_MAX},
        {.key = "task-id", .text_max = LABEL_MAX},
        {.key = "workflows.argoproj.io/workflow", .text_max = LABEL_MAX},
        {.key = "agent", .text_max = LABEL_MAX},
        {.key = "service", .text_max = LABEL_MAX},
        {.key = "job-type", .text_max = LABEL_MAX},
        {.key = "*", .text_max = LABEL_MAX, .extra = true}, /* the rules' */
        END,
};
static const struct json_filter annotations[] = {
        {.key = KEY_STATUS, .text_max = DECISION_MAX},
        {.key = KEY_DEFAULT_CONTAINER, .text_max = LABEL_MAX},
        {.key = KEY_MIRROR, .text_max = LABEL_MAX},
        /* Whoever has it got his default container from a program (automaticDefaultContainers of
         * the shipped configuration). */
        {.key = "sidecar.istio.io/status", .text_max = FLAG_MAX, .extra = true},
        {.key = KEY_PREFIX "*", .text_max = FLAG_MAX, .extra = true},
        END,
};
static const struct json_filter metadata[] = {
        {.key = "namespace", .text_max = LABEL_MAX},
        {.key = "name", .text_max = NAME_MAX_BYTES},
        {.key = "uid"},
        {.key = "resourceVersion"},
        {.key = "creationTimestamp", .text_max = TIME_MAX},
        {.key = "deletionTimestamp", .text_max = TIME_MAX},
        {.key = "deletionGracePeriodSeconds"},
        {.key = "ownerReferences", .members = owner, .elements_max = OWNERS_MAX},
        {.key = "labels", .members = labels},
        {.key = "annotations", .members = annotations},
        END,
};

/* ---- spec ---- */

static const struct json_filter exit_codes[] = {
        {.key = "operator"}, {.key = "values", .elements_max = CODES_MAX}, END};
static const struct json_filter rule[] = {
        {.key = "action"}, {.key = "exitCodes", .members = exit_codes}, END};
static const struct json_filter container[] = {
        {.key = "name", .text_max = LABEL_MAX},
        {.key = "image", .only_in = NAME_WATCHDOG, .text_max = IMAGE_MAX, .extra = true},
        {.key = "restartPolicy", .text_max = LABEL_MAX},
        {.key = "restartPolicyRules", .members = rule, .elements_max = RULES_MAX, .extra = true},
        {.key = "command",
         .only_in = NAME_WATCHDOG,
         .text_max = FLAG_MAX,
         .elements_max = FLAGS_MAX,
         .extra = true},
        END,
};
/* They are only counted. */
static const struct json_filter ephemeral_container[] = {END};
static const struct json_filter spec[] = {
        {.key = "nodeName", .text_max = NAME_MAX_BYTES},
        {.key = "restartPolicy", .text_max = LABEL_MAX},
        {.key = "activeDeadlineSeconds"},
        {.key = "initContainers", .members = container, .elements_max = POD_FILTER_CONTAINERS},
        {.key = "containers", .members = container, .elements_max = POD_FILTER_CONTAINERS},
        {.key = "ephemeralContainers",
         .members = ephemeral_container,
         .elements_max = POD_FILTER_CONTAINERS},
        END,
};

/* ---- status ---- */

static const struct json_filter running[] = {{.key = "startedAt", .text_max = TIME_MAX}, END};
static const struct json_filter waiting[] = {
        {.key = "reason"}, {.key = "message", .text_max = MESSAGE_MAX, .extra = true}, END};
static const struct json_filter terminated[] = {
        {.key = "exitCode"},
        {.key = "reason"},
        {.key = "startedAt", .text_max = TIME_MAX},
        {.key = "finishedAt", .text_max = TIME_MAX},
        {.key = "message", .text_max = MESSAGE_MAX, .extra = true},
        END,
};
static const struct json_filter state[] = {
        {.key = "running", .members = running},
        {.key = "waiting", .members = waiting},
        {.key = "terminated", .members = terminated},
        END,
};
static const struct json_filter last_state[] = {{.key = "terminated", .members = terminated}, END};
static const struct json_filter container_status[] = {
        {.key = "name", .text_max = LABEL_MAX},
        {.key = "restartCount"},
        {.key = "state", .members = state},
        {.key = "lastState", .members = last_state},
        END,
};
/* Of the watchdog, for the breaker. */
static const struct json_filter init_last_terminated[] = {
        {.key = "reason", .text_max = LABEL_MAX},
        {.key = "startedAt", .text_max = TIME_MAX},
        {.key = "message", .text_max = MESSAGE_MAX, .extra = true},
        END,
};
static const struct json_filter init_last_state[] = {
        {.key = "terminated", .members = init_last_terminated}, END};
static const struct json_filter init_container_status[] = {
        {.key = "name", .text_max = LABEL_MAX},
        {.key = "state", .members = state},
        {.key = "lastState", .members = init_last_state, .only_in = NAME_WATCHDOG},
        END,
};
static const struct json_filter condition[] = {
        {.key = "type"},
        {.key = "status"},
        {.key = "reason"},
        {.key = "lastTransitionTime", .text_max = TIME_MAX},
        END,
};
static const struct json_filter status[] = {
        {.key = "phase"},
        {.key = "reason"},
        {.key = "startTime", .text_max = TIME_MAX},
        {.key = "conditions", .members = condition, .elements_max = CONDITIONS_MAX},
        {.key = "initContainerStatuses",
         .members = init_container_status,
         .elements_max = POD_FILTER_CONTAINERS},
        {.key = "containerStatuses",
         .members = container_status,
         .elements_max = POD_FILTER_CONTAINERS},
        {.key = "message", .text_max = MESSAGE_MAX, .extra = true},
        END,
};

/* ---- Lists and events ---- */

static const struct json_filter pod[] = {
        {.key = "metadata", .members = metadata},
        {.key = "spec", .members = spec},
        {.key = "status", .members = status},
        {.key = "code"}, /* these two are of the Status in an ERROR event */
        {.key = "reason"},
        END,
};
static const struct json_filter list_metadata[] = {
        {.key = "resourceVersion"}, {.key = "continue", .text_max = CONTINUE_MAX}, END};

const struct json_filter pod_list_filter[] = {
        {.key = "metadata", .members = list_metadata},
        {.key = "items", .members = pod, .each = true},
        END,
};
const struct json_filter pod_watch_filter[] = {
        {.key = "type"}, {.key = "object", .members = pod}, END};

#include "observer/pod/pod.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/kube/names.h"
#include "lib/base/timestamp.h"

int64_t pod_time(const json *object, const char *key)
{
	int64_t time;
	const char *text = json_get_string(object, key);
	return text != NULL && timestamp_parse(text, &time) && time > 0 ? time : 0;
}

bool reason_is(const char *reason, const char *word)
{
	return reason != NULL && strcmp(reason, word) == 0;
}

static bool is_ours(const char *name)
{
	return strcmp(name, NAME_WATCHDOG) == 0 || strcmp(name, NAME_INSTALL) == 0;
}

static const json *find_named(const json *list, const char *name)
{
	for (const json *n = json_first(list); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), name))
			return n;
	return NULL;
}

/* ---- The agent's containers ---- */

static void add_agent(struct pod *pod, const char *name, size_t length)
{
	char text[64];
	if (length == 0 || length >= sizeof text || pod->agent_count == POD_AGENTS_MAX)
		return;
	memcpy(text, name, length);
	text[length] = '\0';
	const json *spec = find_named(json_find(pod->object, "spec", "containers", NULL), text);
	for (size_t i = 0; i < pod->agent_count; i++)
		if (pod->agents[i].spec == spec)
			return;
	if (spec == NULL || is_ours(text))
		return;
	const json *statuses = json_find(pod->object, "status", "containerStatuses", NULL);
	pod->agents[pod->agent_count++] = (struct pod_agent){
	        .name = json_get_string(spec, "name"),
	        .spec = spec,
	        .status = find_named(statuses, text),
	};
}

void pod_add_agent(struct pod *pod, const char *name)
{
	if (name != NULL)
		add_agent(pod, name, strlen(name));
}

static int64_t read_duration(const json *object, const char *key)
{
	int64_t value;
	const char *text = json_get_string(object, key);
	return text != NULL && duration_parse(text, &value, NULL) && value > 0 ? value : 0;
}

static void add_recorded_agents(struct arena *arena, struct pod *pod, const char *status)
{
	json *record;
	if (status == NULL ||
	    json_parse(arena, status, strlen(status), 0, &record, NULL) == JSON_INVALID)
		return;
	for (const json *c = json_first(json_get(record, "containers")); c != NULL;
	     c = json_next(c))
		pod_add_agent(pod, json_get_string(c, "name"));
	const json *reports = json_get(record, "reports");
	pod->report_deadline = read_duration(reports, "deadline");
	pod->report_silence = read_duration(reports, "silenceAfter");
	pod->fail_when_silent = json_string_is(json_get(record, "onSilentExit"), "fail-pod");
	pod->breaker_trial = pod_time(record, "trial");
}

static void find_agents(struct arena *arena, struct pod *pod)
{
	const json *metadata = json_get(pod->object, "metadata");
	const json *annotations = json_get(metadata, "annotations");
	add_recorded_agents(arena, pod, json_get_string(annotations, KEY_STATUS));
	if (pod->agent_count > 0 || pod->watchdog)
		return;
	pod_add_agent(pod,
	              json_find(metadata, "labels", KEY_CLI_CONTAINER, NULL) == NULL
	                      ? NULL
	                      : json_get_string(json_get(metadata, "labels"), KEY_CLI_CONTAINER));
	if (pod->agent_count == 0)
		pod_add_agent(pod, json_get_string(annotations, KEY_DEFAULT_CONTAINER));
	if (pod->agent_count == 0)
		pod_add_agent(pod, "main");
	if (pod->agent_count > 0)
		return;
	const json *containers = json_find(pod->object, "spec", "containers", NULL);
	for (const json *c = json_first(containers); c != NULL; c = json_next(c))
		pod_add_agent(pod, json_get_string(c, "name"));
}

/* ---- The watchdog's flags ---- */

/* The kubelet turns $$(X) into $(X). */
static const char *expand(struct arena *arena, const char *text)
{
	char *copy = arena_copy(arena, text, strlen(text));
	char *out = copy;
	for (const char *in = copy; in != NULL && *in != '\0'; in++) {
		if (in[0] == '$' && in[1] == '$' && in[2] == '(')
			in++;
		*out++ = *in;
	}
	if (copy != NULL)
		*out = '\0';
	return copy;
}

static void add_context(struct pod *pod, const char *key, const char *value)
{
	if (key == NULL || value == NULL || pod->context_count == POD_CONTEXT_MAX)
		return;
	pod->context[pod->context_count++] = (struct pod_context){key, value};
}

static void take_context_flag(struct arena *arena, struct pod *pod, const char *text)
{
	const char *equals = strchr(text, '=');
	if (equals != NULL)
		add_context(pod, arena_copy(arena, text, (size_t)(equals - text)), equals + 1);
}

static void take_flag(struct arena *arena, struct pod *pod, const char *flag, const char *value)
{
	if (strcmp(flag, "--container") == 0) {
		size_t length = strcspn(value, "=");
		add_agent(pod, value, length);
		for (size_t i = 0; i < pod->agent_count; i++)
			if (strlen(pod->agents[i].name) == length &&
			    memcmp(pod->agents[i].name, value, length) == 0)
				pod->agents[i].watched = true;
		return;
	}
	value = expand(arena, value);
	if (value == NULL)
		return;
	if (strcmp(flag, "--context") == 0)
		take_context_flag(arena, pod, value);
	else if (strcmp(flag, "--redact") == 0 && pod->pattern_count < POD_PATTERNS_MAX)
		pod->patterns[pod->pattern_count++] = value;
	else if (strcmp(flag, "--rule") == 0 && pod->rule_count < POD_RULES_MAX)
		pod->rules[pod->rule_count++] = value;
}

static void read_watchdog(struct arena *arena, struct pod *pod, const json *watchdog)
{
	const json *command = json_get(watchdog, "command");
	for (const json *n = json_first(command); n != NULL; n = json_next(n)) {
		const char *flag = json_string(n);
		const char *value = json_string(json_next(n));
		if (flag == NULL || value == NULL || strncmp(flag, "--", 2) != 0)
			continue;
		take_flag(arena, pod, flag, value);
		n = json_next(n);
	}
}

/* For pods without a watchdog: the context of manifests/base/config.yaml, as far as it is in
 * labels. */
static void read_labels(struct pod *pod)
{
	static const char *const fields[][2] = {
	        {"task_id", "task-id"},   {"workflow_id", "workflows.argoproj.io/workflow"},
	        {"agent", "agent"},       {"service", "service"},
	        {"job_type", "job-type"},
	};
	const json *metadata = json_get(pod->object, "metadata");
	const json *labels = json_get(metadata, "labels");
	const json *annotations = json_get(metadata, "annotations");
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		add_context(pod, fields[i][0], json_get_string(labels, fields[i][1]));
	for (const json *n = json_first(annotations); n != NULL; n = json_next(n)) {
		const char *key = json_key(n);
		if (key != NULL && strncmp(key, KEY_CONTEXT, strlen(KEY_CONTEXT)) == 0)
			add_context(pod, key + strlen(KEY_CONTEXT), json_string(n));
	}
}

/* ---- The pod ---- */

static void read_owner(struct pod *pod)
{
	const json *owners = json_find(pod->object, "metadata", "ownerReferences", NULL);
	for (const json *n = json_first(owners); n != NULL; n = json_next(n)) {
		if (!json_is_true(json_get(n, "controller")))
			continue;
		pod->owner.api_version = json_get_string_or(n, "apiVersion", "");
		pod->owner.kind = json_get_string_or(n, "kind", "");
		pod->owner.name = json_get_string_or(n, "name", "");
		pod->owner.uid = json_get_string_or(n, "uid", "");
		return;
	}
}

/* metadata.deletionTimestamp is when the grace period ends. */
static void read_deletion(struct pod *pod)
{
	const json *metadata = json_get(pod->object, "metadata");
	int64_t seconds = 0;
	int64_t end = pod_time(metadata, "deletionTimestamp");
	if (end == 0)
		return;
	if (!json_integer(json_get(metadata, "deletionGracePeriodSeconds"), &seconds) ||
	    seconds < 0 || seconds > end / SECOND)
		seconds = 0;
	pod->grace = seconds * SECOND;
	pod->deleted_at = end - pod->grace;
}

/* activeDeadlineSeconds count from status.startTime. */
static void read_deadline(struct pod *pod)
{
	int64_t seconds;
	const json *spec = json_get(pod->object, "spec");
	if (reason_is(pod->reason, "DeadlineExceeded") && pod->started_at != 0 &&
	    json_integer(json_get(spec, "activeDeadlineSeconds"), &seconds) && seconds > 0 &&
	    seconds <= INT32_MAX)
		pod->disrupted_at = pod->started_at + seconds * SECOND;
}

static void read_status(struct pod *pod)
{
	const json *status = json_get(pod->object, "status");
	pod->phase = json_get_string_or(status, "phase", "");
	pod->reason = json_get_string(status, "reason");
	pod->started_at = pod_time(status, "startTime");
	pod->terminal = strcmp(pod->phase, "Failed") == 0 || strcmp(pod->phase, "Succeeded") == 0;
	read_deadline(pod);
	const json *conditions = json_get(status, "conditions");
	for (const json *n = json_first(conditions); n != NULL; n = json_next(n)) {
		if (!json_string_is(json_get(n, "type"), "DisruptionTarget") ||
		    !json_string_is(json_get(n, "status"), "True"))
			continue;
		pod->disruption = json_get_string(n, "reason");
		pod->disrupted_at = pod_time(n, "lastTransitionTime");
	}
}

bool pod_read(struct arena *arena, const json *object, struct pod *ret_pod, struct error *error)
{
	const json *metadata = json_get(object, "metadata");
	const json *spec = json_get(object, "spec");
	struct pod pod = {
	        .object = object,
	        .namespace = json_get_string(metadata, "namespace"),
	        .name = json_get_string(metadata, "name"),
	        .uid = json_get_string(metadata, "uid"),
	        .node = json_get_string(spec, "nodeName"),
	        .resource_version = json_get_string_or(metadata, "resourceVersion", ""),
	        .restart_policy = json_get_string_or(spec, "restartPolicy", "Always"),
	};
	if (pod.namespace == NULL || pod.name == NULL || pod.uid == NULL)
		return error_set(error, "expected a pod with namespace, name and uid");
	const json *watchdog = find_named(json_get(spec, "initContainers"), NAME_WATCHDOG);
	if (watchdog == NULL)
		watchdog = find_named(json_get(spec, "containers"), NAME_WATCHDOG);
	pod.watchdog = watchdog != NULL;
	pod.injected = json_string_is(json_find(metadata, "labels", KEY_INJECTED, NULL), "true");
	read_owner(&pod);
	read_deletion(&pod);
	read_status(&pod);
	find_agents(arena, &pod);
	if (watchdog != NULL)
		read_watchdog(arena, &pod, watchdog);
	else
		read_labels(&pod);
	*ret_pod = pod;
	return true;
}

const char *pod_agent_label(const struct pod *pod)
{
	for (size_t i = 0; i < pod->context_count; i++)
		if (strcmp(pod->context[i].key, "agent") == 0)
			return pod->context[i].value;
	return pod->owner.name == NULL ? "" : pod->owner.name;
}

/* That status, or the next one, that is of a container other than lastword's own and the named. */
static const json *find_other(const json *status, const char *name)
{
	while (status != NULL) {
		const char *own = json_get_string_or(status, "name", NAME_WATCHDOG);
		if (!is_ours(own) && strcmp(own, name) != 0)
			return status;
		status = json_next(status);
	}
	return NULL;
}

const json *pod_first_other(const struct pod *pod, const char *name)
{
	return find_other(json_first(json_find(pod->object, "status", "containerStatuses", NULL)),
	                  name);
}

const json *pod_next_other(const json *status, const char *name)
{
	return find_other(json_next(status), name);
}

size_t container_runs(const json *status, struct container_run ret_runs[2])
{
	const json *last = json_find(status, "lastState", "terminated", NULL);
	const json *ended = json_find(status, "state", "terminated", NULL);
	const json *running = json_find(status, "state", "running", NULL);
	const struct container_run runs[] = {
	        {pod_time(last, "startedAt"), pod_time(last, "finishedAt")},
	        {pod_time(ended, "startedAt"), pod_time(ended, "finishedAt")},
	        {pod_time(running, "startedAt"), INT64_MAX},
	};
	size_t count = 0;
	for (size_t i = 0; i < sizeof runs / sizeof runs[0] && count < 2; i++)
		if (runs[i].started_at != 0 && runs[i].ended_at != 0)
			ret_runs[count++] = runs[i];
	return count;
}

static bool rule_matches(const json *rule, int exit_code)
{
	const json *codes = json_get(rule, "exitCodes");
	bool found = false;
	for (const json *n = json_first(json_get(codes, "values")); n != NULL; n = json_next(n)) {
		int64_t value;
		found = found || (json_integer(n, &value) && value == exit_code);
	}
	return json_string_is(json_get(codes, "operator"), "In")      ? found
	       : json_string_is(json_get(codes, "operator"), "NotIn") ? !found
	                                                              : false;
}

bool pod_run_is_final(const struct pod *pod, const struct pod_agent *agent, int exit_code)
{
	const json *rules = json_get(agent->spec, "restartPolicyRules");
	for (const json *n = json_first(rules); n != NULL; n = json_next(n)) {
		const char *action = json_get_string_or(n, "action", "");
		if (rule_matches(n, exit_code))
			return strcmp(action, "Restart") != 0 &&
			       strcmp(action, "RestartAllContainers") != 0;
	}
	const char *policy = json_get_string_or(agent->spec, "restartPolicy", pod->restart_policy);
	return strcmp(policy, "Never") == 0 || (strcmp(policy, "OnFailure") == 0 && exit_code == 0);
}

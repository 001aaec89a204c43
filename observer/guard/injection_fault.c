#include "observer/guard/injection_fault.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/names.h"

/* ---- Statuses ---- */

static bool is_ours(const json *status)
{
	const json *name = json_get(status, "name");
	return json_string_is(name, NAME_WATCHDOG) || json_string_is(name, NAME_INSTALL);
}

static const json *first_status(const struct pod *pod, const char *list)
{
	return json_first(json_find(pod->object, "status", list, NULL));
}

static bool is_start_error(const json *terminated)
{
	const json *reason = json_get(terminated, "reason");
	return json_string_is(reason, "StartError") ||
	       json_string_is(reason, "ContainerCannotRun"); /* dockershim */
}

/* Its last run, the present one included, that could not even be started; NULL: none. */
static const json *start_error(const json *status)
{
	const json *now = json_find(status, "state", "terminated", NULL);
	const json *last = json_find(status, "lastState", "terminated", NULL);
	if (is_start_error(now))
		return now;
	return now == NULL && is_start_error(last) ? last : NULL;
}

/* It is running, or was. */
static bool has_run(const json *status)
{
	const json *now = json_find(status, "state", "terminated", NULL);
	const json *last = json_find(status, "lastState", "terminated", NULL);
	return json_find(status, "state", "running", NULL) != NULL ||
	       (now != NULL && !is_start_error(now) && pod_time(now, "startedAt") != 0) ||
	       (last != NULL && !is_start_error(last) && pod_time(last, "startedAt") != 0);
}

static bool any_agent_has_run(const struct pod *pod)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		if (has_run(pod->agents[i].status))
			return true;
	return false;
}

static const char *message_of(const json *state)
{
	return json_get_string(state, "message");
}

/* ---- Our containers ---- */

static const struct {
	const char *waiting;
	const char *reason;
} waiting_rows[] = {
        {"ImagePullBackOff", "image"},
        {"ErrImageNeverPull", "image"},
        {"InvalidImageName", "image"},
        {"ImageInspectError", "image"},
        {"RegistryUnavailable", "image"},
        {"SignatureValidationFailed", "image"},
        {"CreateContainerConfigError", "create"},
        {"CreateContainerError", "create"},
        {"PostStartHookError", "hook"},
};
#define WAITING_ROWS (sizeof waiting_rows / sizeof waiting_rows[0])

static const char *waiting_reason(const json *waiting)
{
	for (size_t i = 0; i < WAITING_ROWS; i++)
		if (json_string_is(json_get(waiting, "reason"), waiting_rows[i].waiting))
			return waiting_rows[i].reason;
	return NULL;
}

/* The runtime was too slow, or is still making it: that is nobody's fault, and passes. */
static bool is_passing(const char *message)
{
	return message != NULL && (strstr(message, "context deadline exceeded") != NULL ||
	                           strstr(message, "is reserved for") != NULL);
}

static bool waits_because_of_us(const json *status, struct injection_fault *fault)
{
	const json *waiting = json_find(status, "state", "waiting", NULL);
	const char *reason = waiting_reason(waiting);
	if (reason == NULL || is_passing(message_of(waiting)))
		return false;
	*fault = (struct injection_fault){.reason = reason, .message = message_of(waiting)};
	return true;
}

static bool cannot_be_started(const json *status, struct injection_fault *fault)
{
	const json *error = start_error(status);
	if (error == NULL)
		return false;
	*fault = (struct injection_fault){.reason = "start", .message = message_of(error)};
	return true;
}

/* Only before an agent has started: later it is in nobody's way. */
static bool crashes(const struct pod *pod, const json *status, struct injection_fault *fault)
{
	const json *waiting = json_find(status, "state", "waiting", NULL);
	const json *terminated = json_find(status, "state", "terminated", NULL);
	int64_t code = 0;
	bool loops = json_string_is(json_get(waiting, "reason"), "CrashLoopBackOff");
	bool install_failed = json_string_is(json_get(status, "name"), NAME_INSTALL) &&
	                      json_integer(json_get(terminated, "exitCode"), &code) && code != 0;
	if ((!loops && !install_failed) || any_agent_has_run(pod))
		return false;
	*fault = (struct injection_fault){.reason = "crash",
	                                  .message = message_of(loops ? waiting : terminated)};
	return true;
}

static bool find_in_ours(const struct pod *pod, const char *list, struct injection_fault *fault)
{
	for (const json *n = first_status(pod, list); n != NULL; n = json_next(n))
		if (is_ours(n) && (waits_because_of_us(n, fault) || cannot_be_started(n, fault) ||
		                   crashes(pod, n, fault))) {
			fault->container = json_get_string(n, "name");
			return true;
		}
	return false;
}

/* ---- Agents in the shim ---- */

/* The command that the runtime could not execute is the shim, or its mount is what failed. */
static bool names_shim(const char *message)
{
	return message != NULL && strstr(message, PATH_MOUNT) != NULL;
}

static const char *watchdog_image(const struct pod *pod)
{
	static const char *const lists[] = {"initContainers", "containers"};
	for (size_t i = 0; i < 2; i++) {
		const json *list = json_find(pod->object, "spec", lists[i], NULL);
		for (const json *n = json_first(list); n != NULL; n = json_next(n))
			if (json_string_is(json_get(n, "name"), NAME_WATCHDOG))
				return json_get_string(n, "image");
	}
	return NULL;
}

/* A shim in an image volume: the kubelet pulls that image for the agent's container. */
static bool waits_for_our_image(const struct pod *pod, const json *waiting)
{
	const char *reason = waiting_reason(waiting);
	const char *image = watchdog_image(pod);
	return reason != NULL && strcmp(reason, "image") == 0 && image != NULL &&
	       image[0] != '\0' && message_of(waiting) != NULL &&
	       strstr(message_of(waiting), image) != NULL;
}

static bool agent_is_stopped(const struct pod *pod, const struct pod_agent *agent,
                             struct injection_fault *fault)
{
	const json *waiting = json_find(agent->status, "state", "waiting", NULL);
	const json *error = start_error(agent->status);
	const char *message = message_of(error != NULL ? error : waiting);
	bool refused = error != NULL ||
	               json_string_is(json_get(waiting, "reason"), "RunContainerError") ||
	               json_string_is(json_get(waiting, "reason"), "CreateContainerError");
	if (refused && names_shim(message) && !is_passing(message))
		*fault = (struct injection_fault){.reason = "shim", .message = message};
	else if (waits_for_our_image(pod, waiting))
		*fault = (struct injection_fault){.reason = "image", .message = message};
	else
		return false;
	fault->container = agent->name;
	return true;
}

/* ---- The pod ---- */

static bool is_injected(const struct pod *pod)
{
	return pod->injected && pod->watchdog;
}

static bool counts(const struct pod *pod, int64_t now)
{
	return is_injected(pod) && pod->deleted_at == 0 && pod->reason == NULL &&
	       pod->disruption == NULL && pod->started_at != 0 &&
	       now - pod->started_at < INJECTION_FAULT_AGE_MAX;
}

bool injection_fault_read(const struct pod *pod, int64_t now, struct injection_fault *ret_fault)
{
	struct injection_fault fault;
	if (!counts(pod, now))
		return false;
	bool found = find_in_ours(pod, "initContainerStatuses", &fault) ||
	             find_in_ours(pod, "containerStatuses", &fault);
	for (size_t i = 0; i < pod->agent_count && !found; i++)
		found = pod->agents[i].watched && agent_is_stopped(pod, &pod->agents[i], &fault);
	if (found)
		*ret_fault = fault;
	return found;
}

static bool watchdog_has_run(const struct pod *pod)
{
	static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
	for (size_t i = 0; i < 2; i++)
		for (const json *n = first_status(pod, lists[i]); n != NULL; n = json_next(n))
			if (json_string_is(json_get(n, "name"), NAME_WATCHDOG))
				return has_run(n);
	return false;
}

bool injection_succeeded(const struct pod *pod)
{
	if (!is_injected(pod) || !watchdog_has_run(pod))
		return false;
	for (size_t i = 0; i < pod->agent_count; i++)
		if (pod->agents[i].watched && has_run(pod->agents[i].status))
			return true;
	return false;
}

/* Native sidecars come in order: the one before need only have started. */
static bool is_done(const struct pod *pod, const json *status)
{
	const json *spec = json_find(pod->object, "spec", "initContainers", NULL);
	const json *terminated = json_find(status, "state", "terminated", NULL);
	int64_t code = 1;
	if (terminated != NULL)
		return json_integer(json_get(terminated, "exitCode"), &code) && code == 0;
	if (json_find(status, "state", "running", NULL) == NULL)
		return false;
	for (const json *n = json_first(spec); n != NULL; n = json_next(n))
		if (json_string_is(json_get(n, "name"), json_get_string_or(status, "name", "")))
			return json_string_is(json_get(n, "restartPolicy"), "Always");
	return false;
}

bool injection_may_hang(const struct pod *pod)
{
	if (!is_injected(pod) || pod->deleted_at != 0 || pod->terminal || pod->started_at == 0)
		return false;
	for (const json *n = first_status(pod, "initContainerStatuses"); n != NULL;
	     n = json_next(n)) {
		if (json_string_is(json_get(n, "name"), NAME_WATCHDOG))
			return json_string_is(json_find(n, "state", "waiting", "reason", NULL),
			                      "PodInitializing");
		if (!is_done(pod, n))
			return false;
	}
	return false;
}

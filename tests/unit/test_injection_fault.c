/* Which pods cannot start because of lastword (observer/guard/injection_fault): each row of its
 * table, native and classic, and what looks like it and is not. The pods pass the observer's
 * filter, as those of a watch do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/document/json_stream.h"
#include "observer/guard/injection_fault.h"
#include "observer/pod/pod_filter.h"

#define NOW (INT64_C(1795459080) * SECOND) /* 2026-11-23T18:38:00Z */

enum form { NATIVE, CLASSIC, UNWRAPPED, NOT_INJECTED };

#define WAITING(reason) "{\"waiting\":{\"reason\":\"" reason "\"}}"
#define WAITS(reason, message) \
	"{\"waiting\":{\"reason\":\"" reason "\",\"message\":\"" message "\"}}"
#define RUNNING "{\"running\":{\"startedAt\":\"2026-11-23T18:37:00Z\"}}"
#define ENDED(code, reason)                                           \
	"{\"terminated\":{\"exitCode\":" code ",\"reason\":\"" reason \
	"\",\"startedAt\":\"2026-11-23T18:37:00Z\",\"finishedAt\":\"2026-11-23T18:37:05Z\"}}"
#define START_ERROR(message)                                                                 \
	"{\"terminated\":{\"exitCode\":128,\"reason\":\"StartError\",\"message\":\"" message \
	"\",\"startedAt\":\"1970-01-01T00:00:00Z\",\"finishedAt\":\"2026-11-23T18:37:05Z\"}}"
#define INITIALIZING WAITING("PodInitializing")
#define RUNC         "runc create failed: unable to start container process: "
#define NO_SHIM      RUNC "exec: \\\"/lastword/shim\\\": stat /lastword/shim: no such file or directory"
#define NO_COMMAND   RUNC "exec: \\\"/bin/nothing\\\": stat /bin/nothing: no such file or directory"
#define IMAGE        "example.com/watchdog:1"

/* last: lastState of the container that `ours` or `main` is about; install: of classic mode. */
static const struct pod_case {
	const char *name;
	const char *expect; /* NULL: no fault */
	enum form form;
	const char *watchdog;
	const char *watchdog_last;
	const char *install;
	const char *main;
	const char *main_last;
	const char *metadata; /* further members */
	const char *status;
} cases[] = {
        /* The rows of the table. */
        {"no image, native", "image", NATIVE, WAITS("ImagePullBackOff", "Back-off"),
         .main = INITIALIZING},
        {"no image, never pulled", "image", NATIVE, WAITING("ErrImageNeverPull"),
         .main = INITIALIZING},
        {"a bad name of an image", "image", NATIVE, WAITING("InvalidImageName"),
         .main = INITIALIZING},
        {"no image, classic: install waits", "image", CLASSIC, INITIALIZING,
         .install = WAITING("ImagePullBackOff"), .main = INITIALIZING},
        {"no image, classic: the watchdog waits, the agent runs", "image", CLASSIC,
         WAITING("ImagePullBackOff"), .install = ENDED("0", "Completed"), .main = RUNNING},
        {"no image for an image volume", "image", NATIVE, RUNNING,
         .main = WAITS("ImagePullBackOff", "Back-off pulling image \\\"" IMAGE "\\\"")},
        {"the hook fails", "hook", NATIVE, WAITING("PostStartHookError"), .main = INITIALIZING},
        {"the hook has failed", "crash", NATIVE, WAITING("CrashLoopBackOff"), ENDED("137", "Error"),
         .main = INITIALIZING},
        {"it dies at its start", "crash", NATIVE, WAITING("CrashLoopBackOff"), ENDED("1", "Error"),
         .main = INITIALIZING},
        {"bad binary, native", "start", NATIVE, WAITING("RunContainerError"),
         START_ERROR("exec format error"), .main = INITIALIZING},
        {"bad binary, backing off", "start", NATIVE, WAITING("CrashLoopBackOff"),
         START_ERROR("exec format error"), .main = INITIALIZING},
        {"bad binary, classic: install cannot be started", "start", CLASSIC, INITIALIZING,
         .install = START_ERROR("exec format error"), .main = INITIALIZING,
         .status = "\"phase\":\"Failed\""},
        {"bad binary, classic: the watchdog cannot be started", "start", CLASSIC,
         START_ERROR("exec format error"), .install = ENDED("0", "Completed"), .main = RUNNING},
        {"install fails", "crash", CLASSIC, INITIALIZING, .install = ENDED("1", "Error"),
         .main = INITIALIZING, .status = "\"phase\":\"Failed\""},
        {"install is killed", "crash", CLASSIC, INITIALIZING, .install = ENDED("137", "OOMKilled"),
         .main = INITIALIZING},
        {"no shim, Never", "shim", NATIVE, RUNNING, .main = START_ERROR(NO_SHIM)},
        {"no shim, backing off", "shim", NATIVE, RUNNING, .main = WAITING("CrashLoopBackOff"),
         .main_last = START_ERROR(NO_SHIM)},
        {"no shim, dockershim", "shim", CLASSIC, RUNNING,
         .main = "{\"terminated\":{\"exitCode\":127,\"reason\":\"ContainerCannotRun\","
                 "\"message\":\"" NO_SHIM "\"}}"},
        {"the mount fails", "shim", NATIVE, RUNNING,
         .main = WAITS("CreateContainerError",
                       "error mounting to rootfs at \\\"/lastword\\\": read-only file system")},
        {"CRI-O's words", "shim", NATIVE, RUNNING,
         .main = WAITS("CreateContainerError", "executable file `/lastword/shim` not found")},
        {"our configuration is refused", "create", NATIVE,
         WAITS("CreateContainerConfigError", "runAsNonRoot"), .main = INITIALIZING},
        {"the runtime refuses it", "create", NATIVE, WAITING("CreateContainerError"),
         .main = INITIALIZING},

        /* What is not lastword's fault. */
        {"all is well", NULL, NATIVE, RUNNING, .main = RUNNING},
        {"it is being made", NULL, NATIVE, INITIALIZING, .main = INITIALIZING},
        {"the first attempt to pull", NULL, NATIVE, WAITING("ErrImagePull"), .main = INITIALIZING},
        {"the agent's own image", NULL, NATIVE, RUNNING,
         .main = WAITS("ImagePullBackOff", "Back-off pulling image \\\"example.com/coder\\\"")},
        {"the agent's own image, never pulled", NULL, CLASSIC, RUNNING,
         .main = WAITING("ErrImageNeverPull")},
        {"the agent's command is bad", NULL, NATIVE, RUNNING, .main = ENDED("127", "Error")},
        {"the agent is not wrapped, and its command is bad", NULL, UNWRAPPED,
         .main = START_ERROR(NO_COMMAND)},
        {"the agent is not wrapped, and names our path", NULL, UNWRAPPED,
         .main = START_ERROR(NO_SHIM)},
        {"the agent's folder does not exist", NULL, NATIVE, RUNNING,
         .main = START_ERROR(RUNC "chdir to cwd (\\\"/nowhere\\\"): no such file")},
        {"the agent's configuration", NULL, NATIVE, RUNNING,
         .main = WAITS("CreateContainerConfigError", "secret \\\"x\\\" not found")},
        {"the agent crashes", NULL, NATIVE, RUNNING, .main = WAITING("CrashLoopBackOff"),
         .main_last = ENDED("101", "Error")},
        {"the watchdog crashes later", NULL, NATIVE, WAITING("CrashLoopBackOff"),
         ENDED("137", "OOMKilled"), .main = RUNNING},
        {"the node is too slow", NULL, NATIVE,
         WAITS("CreateContainerError", "context deadline exceeded"), .main = INITIALIZING},
        {"the name is reserved", NULL, NATIVE,
         WAITS("CreateContainerError", "name \\\"x\\\" is reserved for \\\"y\\\""),
         .main = INITIALIZING},
        {"it is being deleted", NULL, CLASSIC, INITIALIZING, .install = ENDED("137", "Error"),
         .main = INITIALIZING,
         .metadata = "\"deletionTimestamp\":\"2026-11-23T18:39:00Z\","
                     "\"deletionGracePeriodSeconds\":30"},
        {"it was evicted", NULL, CLASSIC, INITIALIZING, .install = ENDED("137", "Error"),
         .main = INITIALIZING, .status = "\"phase\":\"Failed\",\"reason\":\"Evicted\""},
        {"it was preempted", NULL, NATIVE, WAITING("ImagePullBackOff"), .main = INITIALIZING,
         .status = "\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\","
                   "\"reason\":\"PreemptionByScheduler\"}]"},
        {"that was long ago", NULL, NATIVE, WAITING("ImagePullBackOff"), .main = INITIALIZING,
         .status = "\"startTime\":\"2026-11-23T17:30:00Z\""},
        {"not injected", NULL, NOT_INJECTED, WAITING("ImagePullBackOff"), .main = INITIALIZING},
};
#define CASES (sizeof cases / sizeof cases[0])

/* ---- Pods ---- */

static void append_status(struct buffer *out, const char *name, const char *state, const char *last)
{
	if (state == NULL)
		return;
	char end = buffer_text(out)[out->length - 1];
	buffer_printf(out, "%s{\"name\":\"%s\",\"restartCount\":0,\"state\":%s",
	              end == '[' ? "" : ",", name, state);
	if (last != NULL)
		buffer_printf(out, ",\"lastState\":%s", last);
	buffer_append_text(out, "}");
}

static void append_spec(struct buffer *out, enum form form)
{
	static const char watchdog[] =
	        "{\"name\":\"lastword-watchdog\",\"image\":\"" IMAGE "\",%s"
	        "\"command\":[\"/shim\",\"watch\",\"--container\",\"main\"]}";
	buffer_append_text(out, "\"spec\":{\"nodeName\":\"n\",\"restartPolicy\":\"Never\","
	                        "\"initContainers\":[{\"name\":\"clone\"}");
	if (form == NATIVE || form == NOT_INJECTED) {
		buffer_append_text(out, ",");
		buffer_printf(out, watchdog, "\"restartPolicy\":\"Always\",");
	} else if (form == CLASSIC) {
		buffer_append_text(out, ",{\"name\":\"lastword-install\"}");
	}
	buffer_append_text(out, "],\"containers\":[{\"name\":\"main\",\"image\":\"x\"}");
	if (form == CLASSIC) {
		buffer_append_text(out, ",");
		buffer_printf(out, watchdog, "");
	}
	buffer_append_text(out, "]}");
}

static void append_pod(struct buffer *out, const struct pod_case *c)
{
	bool native = c->form != CLASSIC;
	buffer_printf(out,
	              "{\"metadata\":{\"namespace\":\"agents\",\"name\":\"p\",\"uid\":\"u\"%s%s,"
	              "\"labels\":{\"lastword.dev/injected\":\"%s\"}},",
	              c->metadata == NULL ? "" : ",", c->metadata == NULL ? "" : c->metadata,
	              c->form == NOT_INJECTED ? "false" : "true");
	append_spec(out, c->form);
	buffer_append_text(out, ",\"status\":{");
	if (c->status == NULL || strstr(c->status, "startTime") == NULL)
		buffer_append_text(out, "\"startTime\":\"2026-11-23T18:36:50Z\",");
	if (c->status != NULL)
		buffer_printf(out, "%s,", c->status);
	buffer_append_text(out, "\"initContainerStatuses\":[");
	append_status(out, "clone", ENDED("0", "Completed"), NULL);
	append_status(out, "lastword-install", c->install, NULL);
	if (native)
		append_status(out, "lastword-watchdog", c->watchdog, c->watchdog_last);
	buffer_append_text(out, "],\"containerStatuses\":[");
	append_status(out, "main", c->main, c->main_last);
	if (!native)
		append_status(out, "lastword-watchdog", c->watchdog, c->watchdog_last);
	buffer_append_text(out, "]}}");
}

static bool take(void *context, const struct json_piece *piece)
{
	buffer_append(context, piece->text, piece->length);
	return true;
}

static struct arena *arena;

/* As the watcher has it: what the filter keeps of an event. */
static void read_pod(const struct pod_case *c, struct pod *ret_pod)
{
	static char storage[POD_FILTER_STORAGE];
	struct buffer _cleanup_buffer_ text;
	struct buffer _cleanup_buffer_ kept;
	struct json_stream stream;
	struct error error = {""};
	json *event;
	buffer_init(&text, 1 << 20);
	buffer_init(&kept, 1 << 20);
	arena_reset(arena);
	buffer_append_text(&text, "{\"type\":\"MODIFIED\",\"object\":");
	append_pod(&text, c);
	buffer_append_text(&text, "}");
	assert_true(json_stream_init(&stream, pod_watch_filter, POD_FILTER_EXTRA_MAX, storage,
	                             sizeof storage, &error));
	assert_true(
	        json_stream_feed(&stream, buffer_text(&text), text.length, take, &kept, &error));
	if (json_parse(arena, buffer_text(&kept), kept.length, 0, &event, &error) != JSON_FAITHFUL)
		fail_msg("%s: %s", c->name, error.message);
	assert_true(pod_read(arena, json_get(event, "object"), ret_pod, &error));
}

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(1 << 22);
	return arena == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++) {
		struct pod pod;
		struct injection_fault fault = {.reason = NULL};
		read_pod(&cases[i], &pod);
		bool found = injection_fault_read(&pod, NOW, &fault);
		if (found != (cases[i].expect != NULL))
			fail_msg("%s: %s", cases[i].name, found ? fault.reason : "no fault");
		if (found && strcmp(fault.reason, cases[i].expect) != 0)
			fail_msg("%s: %s", cases[i].name, fault.reason);
		if (found)
			assert_non_null(fault.container);
	}
}

static void test_success(void **state)
{
	(void)state;
	static const struct {
		struct pod_case pod;
		bool succeeded;
	} rows[] = {
	        {{"runs", .form = NATIVE, .watchdog = RUNNING, .main = RUNNING}, true},
	        {{"ran", .form = CLASSIC, .watchdog = ENDED("0", "Completed"),
	          .main = ENDED("101", "Error")},
	         true},
	        {{"crashes", .form = NATIVE, .watchdog = RUNNING,
	          .main = WAITING("CrashLoopBackOff"), .main_last = ENDED("1", "Error")},
	         true},
	        {{"waits", .form = NATIVE, .watchdog = RUNNING, .main = INITIALIZING}, false},
	        {{"no watchdog", .form = CLASSIC, .watchdog = WAITING("ImagePullBackOff"),
	          .main = RUNNING},
	         false},
	        {{"no shim", .form = NATIVE, .watchdog = RUNNING, .main = START_ERROR(NO_SHIM)},
	         false},
	        {{"not wrapped", .form = UNWRAPPED, .main = RUNNING}, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod pod;
		read_pod(&rows[i].pod, &pod);
		if (injection_succeeded(&pod) != rows[i].succeeded)
			fail_msg("%s", rows[i].pod.name);
	}
}

static void test_may_hang(void **state)
{
	(void)state;
	static const struct {
		struct pod_case pod;
		bool may_hang;
	} rows[] = {
	        {{"its turn", .form = NATIVE, .watchdog = INITIALIZING, .main = INITIALIZING},
	         true},
	        {{"runs", .form = NATIVE, .watchdog = RUNNING, .main = INITIALIZING}, false},
	        {{"another reason", .form = NATIVE, .watchdog = WAITING("ErrImagePull"),
	          .main = INITIALIZING},
	         false},
	        {{"classic", .form = CLASSIC, .watchdog = INITIALIZING, .main = INITIALIZING},
	         false},
	        {{"deleted", .form = NATIVE, .watchdog = INITIALIZING, .main = INITIALIZING,
	          .metadata = "\"deletionTimestamp\":\"2026-11-23T18:39:00Z\""},
	         false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pod pod;
		read_pod(&rows[i].pod, &pod);
		if (injection_may_hang(&pod) != rows[i].may_hang)
			fail_msg("%s", rows[i].pod.name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cases),
	        cmocka_unit_test(test_success),
	        cmocka_unit_test(test_may_hang),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

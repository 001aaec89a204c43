/* Pods that should have been injected and were not: which they are, why, whom it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "observer/audit/injection_policy.h"
#include "observer/audit/uninjected_pods.h"
#include "observer/watch/opted_in_namespaces.h"

#define SHIPPED "manifests/base/config.yaml"

static json *parse(struct arena *arena, const char *text)
{
	json *object;
	assert_int_equal(json_parse(arena, text, strlen(text), 0, &object, NULL), JSON_FAITHFUL);
	return object;
}

/* ---- Which pods ---- */

struct pod_case {
	const char *metadata;
	const char *containers; /* names, comma-separated */
	bool opted_in;
	enum uninjected_reason reason;
	const char *agents;
};

/* With the shipped configuration; the namespace was opted in at 12:00. */
static const struct pod_case cases[] = {
        /* The webhook was down, or left it alone. */
        {"\"labels\":{\"cli-container\":\"coder\"}", "coder,docker-daemon", true,
         UNINJECTED_UNKNOWN, "coder"},
        {"\"labels\":{\"app.kubernetes.io/component\":\"agent\"},"
         "\"creationTimestamp\":\"2026-11-28T12:00:00Z\"",
         "main,helper", true, UNINJECTED_UNKNOWN, "main"},
        {"\"labels\":{\"batch.kubernetes.io/job-name\":\"j\"}", "job,istio-proxy", true,
         UNINJECTED_UNKNOWN, "job"},
        {"\"labels\":{\"tekton.dev/taskRun\":\"t\"}", "step-a,step-b,sidecar-x", true,
         UNINJECTED_UNKNOWN, "step-a,step-b"},
        {"\"labels\":{\"cli-container\":\"coder\"},"
         "\"annotations\":{\"lastword.dev/containers\":\"helper\"}",
         "coder,helper", true, UNINJECTED_UNKNOWN, "helper"},
        /* Older than the label. */
        {"\"labels\":{\"cli-container\":\"coder\"},"
         "\"creationTimestamp\":\"2026-11-28T11:59:59Z\"",
         "coder", true, UNINJECTED_CREATED_BEFORE, "coder"},
        {"\"labels\":{\"cli-container\":\"coder\"},"
         "\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"}",
         "coder", true, UNINJECTED_MIRROR_POD, "coder"},
        /* Somebody has taken the label away; wherever that is. */
        {"\"labels\":{\"a\":\"b\"}", "main,lastword-watchdog", false, UNINJECTED_LABEL_REMOVED, ""},
        /* Not ours. */
        {"\"labels\":{\"cli-container\":\"coder\"}", "coder", false, UNINJECTED_NOT, NULL},
        {"\"labels\":{\"app\":\"nginx\"}", "main", true, UNINJECTED_NOT, NULL},
        {"\"generateName\":\"p-\"", "main", true, UNINJECTED_NOT, NULL},
        {"\"labels\":{\"cli-container\":\"coder\"},"
         "\"annotations\":{\"lastword.dev/inject\":\"false\"}",
         "coder", true, UNINJECTED_NOT, NULL},
        {"\"labels\":{\"batch.kubernetes.io/job-name\":\"j\"}", "istio-proxy,envoy", true,
         UNINJECTED_NOT, NULL},
        {"\"labels\":{\"workflows.argoproj.io/workflow\":\"w\"},"
         "\"annotations\":{\"kubectl.kubernetes.io/default-container\":\"main\"}",
         "wait,a,main,istio-proxy", true, UNINJECTED_UNKNOWN, "a,main"},
};

static void read_case(struct arena *arena, const struct pod_case *c, struct pod *ret_pod)
{
	struct buffer text;
	buffer_init(&text, 4096);
	buffer_printf(&text,
	              "{\"metadata\":{\"namespace\":\"n\",\"name\":\"pod\",\"uid\":\"u\",%s},"
	              "\"spec\":{\"containers\":[",
	              c->metadata);
	for (const char *at = c->containers; *at != '\0';) {
		size_t length = strcspn(at, ",");
		buffer_printf(&text, "%s{\"name\":\"%.*s\"}", at == c->containers ? "" : ",",
		              (int)length, at);
		at += length + (at[length] == ',');
	}
	buffer_append_text(&text, "]},\"status\":{\"phase\":\"Running\"}}");
	assert_true(pod_read(arena, parse(arena, buffer_text(&text)), ret_pod, NULL));
	buffer_free(&text);
}

static void assert_agents(const struct pod *pod, const char *expected)
{
	struct buffer got;
	buffer_init(&got, 4096);
	buffer_append_text(&got, "");
	for (size_t i = 0; i < pod->agent_count; i++)
		buffer_printf(&got, "%s%s", i == 0 ? "" : ",", pod->agents[i].name);
	assert_string_equal(buffer_text(&got), expected);
	buffer_free(&got);
}

static void test_pods_that_a_rule_matches(void **state)
{
	struct injection_policy policy;
	struct error error;
	const int64_t noon = INT64_C(1795867200) * SECOND; /* 2026-11-28T12:00:00Z */
	(void)state;
	assert_true(injection_policy_load(&policy, SHIPPED, &error));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct arena *arena = arena_new(0);
		struct pod pod;
		read_case(arena, &cases[i], &pod);
		assert_false(pod.injected);
		enum uninjected_reason reason = injection_policy_apply(
		        &policy, arena, &pod,
		        (struct opt_in){cases[i].opted_in, noon + SECOND / 2});
		if (reason != cases[i].reason)
			fail_msg("%s: %s, not %s", cases[i].metadata,
			         uninjected_reason_name(reason),
			         uninjected_reason_name(cases[i].reason));
		if (cases[i].agents != NULL)
			assert_agents(&pod, cases[i].agents);
		arena_free(arena);
	}
	injection_policy_free(&policy);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static const char config_text[] = "apiVersion: lastword.dev/v1alpha1\n"
                                  "kind: Config\n"
                                  "sidecar: {image: x, resources: {requests: {cpu: 5m, memory: "
                                  "16Mi}, limits: {cpu: 50m, memory: 16Mi}}}\n"
                                  "context: {team: 'label:team'}\n"
                                  "redact: [corp_secret]\n"
                                  "rules:\n"
                                  "- name: tried\n"
                                  "  mode: shadow\n"
                                  "  match: {matchLabels: {kind: tried}}\n"
                                  "- name: all\n"
                                  "  match: {namespaces: ['n']}\n";

static void test_a_configuration_of_ones_own(void **state)
{
	const struct opt_in in = {.opted_in = true};
	struct injection_policy policy;
	struct error error;
	struct pod pod;
	bool refused;
	char path[] = "/tmp/lastword-audit-XXXXXX";
	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *file = fdopen(fd, "w");
	assert_non_null(file);
	fclose(file);
	/* What cannot be read selects nothing, until it can. */
	assert_false(injection_policy_load(&policy, path, &error));
	struct arena *arena = arena_new(0);
	const struct pod_case plain = {"\"labels\":{\"team\":\"red\"}", "a,b", true, 0, NULL};
	read_case(arena, &plain, &pod);
	assert_int_equal(injection_policy_apply(&policy, arena, &pod, in), UNINJECTED_NOT);
	assert_false(injection_policy_reload(&policy, &refused, &error));
	assert_false(refused);
	write_file(path, config_text);
	assert_true(injection_policy_reload(&policy, &refused, &error));
	read_case(arena, &plain, &pod);
	assert_int_equal(injection_policy_apply(&policy, arena, &pod, in), UNINJECTED_UNKNOWN);
	assert_agents(&pod, "a,b");
	assert_int_equal(pod.context_count, 1);
	assert_string_equal(pod.context[0].key, "team");
	assert_string_equal(pod.context[0].value, "red");
	assert_int_equal(pod.pattern_count, 1);
	assert_string_equal(pod.patterns[0], "corp_secret");
	/* A rule that is tried out changes nothing, here either. */
	const struct pod_case tried = {"\"labels\":{\"kind\":\"tried\"}", "a", true, 0, NULL};
	read_case(arena, &tried, &pod);
	assert_int_equal(injection_policy_apply(&policy, arena, &pod, in), UNINJECTED_NOT);
	/* A bad file leaves the last good one in force. */
	write_file(path, "kind: Nonsense\n");
	assert_false(injection_policy_reload(&policy, &refused, &error));
	assert_true(refused);
	read_case(arena, &plain, &pod);
	assert_int_equal(injection_policy_apply(&policy, arena, &pod, in), UNINJECTED_UNKNOWN);
	arena_free(arena);
	injection_policy_free(&policy);
	remove(path);
}

/* ---- Namespaces ---- */

static void count_call(void *context)
{
	++*(unsigned *)context;
}

static void take_namespace(struct opted_in_namespaces *namespaces, enum watch_event event,
                           const char *name, const char *managed)
{
	char text[2048];
	struct arena *arena = arena_new(0);
	snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\",\"managedFields\":[%s]}}", name,
	         managed);
	const struct watch_handler *handler = &namespaces->watcher.handler;
	handler->take(handler->context, event, arena, parse(arena, text));
	arena_free(arena);
}

static void test_namespaces_come_and_go(void **state)
{
	static const char labelled[] =
	        "{\"manager\":\"kubectl\",\"time\":\"2026-11-28T10:00:00Z\",\"fieldsV1\":"
	        "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:team\":{}}}}},"
	        "{\"manager\":\"kubectl-label\",\"time\":\"2026-11-28T12:00:00Z\",\"fieldsV1\":"
	        "{\"f:metadata\":{\"f:labels\":{\"f:lastword.dev/inject\":{}}}}},"
	        "{\"manager\":\"other\",\"time\":\"2026-11-28T13:00:00Z\",\"fieldsV1\":"
	        "{\"f:metadata\":{\"f:labels\":{\"f:lastword.dev/inject\":{}}}}}";
	struct event_loop loop;
	struct opted_in_namespaces namespaces;
	unsigned changes = 0;
	(void)state;
	event_loop_init(&loop, 1, 8);
	assert_true(opted_in_namespaces_init(&namespaces, &loop, "lastword-system", SECOND,
	                                     count_call, &changes));
	const struct watch_handler *handler = &namespaces.watcher.handler;
	assert_false(opted_in_namespaces_find(&namespaces, "a").opted_in);
	handler->begin(handler->context);
	take_namespace(&namespaces, WATCH_LISTED, "b", "");
	take_namespace(&namespaces, WATCH_LISTED, "a", labelled);
	take_namespace(&namespaces, WATCH_LISTED, "c", "");
	take_namespace(&namespaces, WATCH_LISTED, "kube-system", "");
	take_namespace(&namespaces, WATCH_LISTED, "lastword-system", "");
	handler->complete(handler->context);
	assert_int_equal(namespaces.count, 3);
	assert_false(opted_in_namespaces_find(&namespaces, "kube-system").opted_in);
	assert_false(opted_in_namespaces_find(&namespaces, "lastword-system").opted_in);
	assert_true(opted_in_namespaces_find(&namespaces, "b").opted_in);
	assert_int_equal(opted_in_namespaces_find(&namespaces, "b").since, 0);
	assert_int_equal(opted_in_namespaces_find(&namespaces, "a").since,
	                 INT64_C(1795867200) * SECOND);
	assert_int_equal(changes, 0); /* not while an event is taken */
	loop.now += SECOND;
	event_loop_fire_timers(&loop);
	assert_int_equal(changes, 1);

	/* Changed again, without a change for us; then one lost its label, one is not listed. */
	take_namespace(&namespaces, WATCH_MODIFIED, "a", labelled);
	loop.now += SECOND;
	event_loop_fire_timers(&loop);
	assert_int_equal(changes, 1);
	take_namespace(&namespaces, WATCH_DELETED, "b", "");
	take_namespace(&namespaces, WATCH_DELETED, "unknown", "");
	assert_false(opted_in_namespaces_find(&namespaces, "b").opted_in);
	handler->begin(handler->context);
	take_namespace(&namespaces, WATCH_LISTED, "c", "");
	assert_true(opted_in_namespaces_find(&namespaces, "a").opted_in);
	handler->complete(handler->context);
	assert_false(opted_in_namespaces_find(&namespaces, "a").opted_in);
	assert_true(opted_in_namespaces_find(&namespaces, "c").opted_in);
	loop.now += SECOND;
	event_loop_fire_timers(&loop);
	assert_int_equal(changes, 2);
	opted_in_namespaces_free(&namespaces);
	event_loop_free(&loop);
}

/* Whoever may label a namespace has all pods listed anew. */
static void test_changes_are_announced_now_and_then(void **state)
{
	struct event_loop loop;
	struct opted_in_namespaces namespaces;
	unsigned changes = 0;
	(void)state;
	event_loop_init(&loop, 1, 8);
	loop.now = 1000 * SECOND;
	assert_true(
	        opted_in_namespaces_init(&namespaces, &loop, "own", SECOND, count_call, &changes));
	for (unsigned i = 0; i < 3600; i++) {
		take_namespace(&namespaces, i % 2 == 0 ? WATCH_ADDED : WATCH_DELETED, "n", "");
		loop.now += SECOND;
		event_loop_fire_timers(&loop);
	}
	unsigned most = OPTED_IN_BURST + (unsigned)(3600 * SECOND / OPTED_IN_APART);
	assert_in_range(changes, most - 1, most);
	loop.now += OPTED_IN_APART; /* the last one is not forgotten */
	event_loop_fire_timers(&loop);
	assert_int_equal(namespaces.announcement.index, 0);
	opted_in_namespaces_free(&namespaces);
	event_loop_free(&loop);
}

static void test_many_namespaces(void **state)
{
	struct event_loop loop;
	struct opted_in_namespaces namespaces;
	unsigned changes = 0;
	char name[16];
	(void)state;
	event_loop_init(&loop, 1, 8);
	assert_true(
	        opted_in_namespaces_init(&namespaces, &loop, "own", SECOND, count_call, &changes));
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "n%u", i * 7919 % 1000);
		take_namespace(&namespaces, WATCH_ADDED, name, "");
	}
	assert_int_equal(namespaces.count, 1000);
	for (unsigned i = 0; i < 1000; i += 2) {
		snprintf(name, sizeof name, "n%u", i);
		take_namespace(&namespaces, WATCH_DELETED, name, "");
	}
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "n%u", i);
		assert_int_equal(opted_in_namespaces_find(&namespaces, name).opted_in, i % 2);
	}
	opted_in_namespaces_free(&namespaces);
	event_loop_free(&loop);
}

/* ---- Whom it is told ---- */

static struct termination facts_of(const char *uid, const char *owner_uid)
{
	return (struct termination){.namespace = "n",
	                            .pod = "pod",
	                            .uid = uid,
	                            .container = "main",
	                            .owner_api_version = owner_uid == NULL ? NULL : "batch/v1",
	                            .owner_kind = owner_uid == NULL ? NULL : "Job",
	                            .owner_name = owner_uid == NULL ? NULL : "job",
	                            .owner_uid = owner_uid};
}

/* How many Events are to be sent; the last one's body contains that. */
static unsigned take_events(struct event_loop *loop, const char *contains)
{
	unsigned count = 0;
	struct kube_response _cleanup_kube_response_ response;
	kube_response_init(&response);
	for (struct request *r; (r = event_loop_next_request(loop)) != NULL; count++) {
		assert_string_equal(r->kube.path, "/api/v1/namespaces/n/events");
		assert_string_equal(r->kube.method, "POST");
		char *body = strndup(r->kube.body, r->kube.body_length);
		assert_non_null(strstr(body, contains));
		free(body);
		event_loop_finish_request(loop, r, &response, NULL);
	}
	return count;
}

static void test_one_event_for_an_owner(void **state)
{
	static struct uninjected_pods pods;
	struct event_loop loop;
	char uid[16];
	(void)state;
	struct observer_metrics *metrics = observer_metrics_new();
	event_loop_init(&loop, 1, 100);
	loop.now = 1000 * SECOND;
	uninjected_pods_init(&pods, &loop, metrics);
	struct termination facts = facts_of("pod-1", "job-1");
	assert_true(uninjected_pods_send_event(&pods, &facts, UNINJECTED_UNKNOWN));
	facts.uid = "pod-2";
	assert_true(uninjected_pods_send_event(&pods, &facts, UNINJECTED_UNKNOWN));
	assert_int_equal(take_events(&loop, "\"name\":\"lastword.job-1.not-injected\""), 1);
	facts = facts_of("pod-3", NULL);
	assert_true(uninjected_pods_send_event(&pods, &facts, UNINJECTED_MIRROR_POD));
	assert_int_equal(take_events(&loop, "static pod"), 1);

	/* A storm is bounded, and goes on later. */
	unsigned sent = 0;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(uid, sizeof uid, "storm-%u", i);
		facts = facts_of(uid, NULL);
		sent += uninjected_pods_send_event(&pods, &facts, UNINJECTED_UNKNOWN);
	}
	assert_int_equal(sent, UNINJECTED_EVENTS_BURST - 2);
	assert_int_equal(take_events(&loop, "AgentPodNotInjected"), sent);
	loop.now += 2 * SECOND;
	facts = facts_of("storm-99", NULL);
	assert_true(uninjected_pods_send_event(&pods, &facts, UNINJECTED_UNKNOWN));
	assert_int_equal(take_events(&loop, "storm-99"), 1);
	event_loop_free(&loop);
	observer_metrics_free(metrics);
}

static void assert_shown(struct observer_metrics *metrics, const char *line)
{
	struct buffer text;
	buffer_init(&text, (size_t)1 << 20);
	observer_metrics_write(metrics, &text);
	if (strstr(buffer_text(&text), line) == NULL)
		fail_msg("no %s in:\n%s", line, buffer_text(&text));
	buffer_free(&text);
}

static void test_pods_are_counted(void **state)
{
	static struct uninjected_pods pods;
	struct event_loop loop;
	(void)state;
	struct observer_metrics *metrics = observer_metrics_new();
	event_loop_init(&loop, 1, 8);
	uninjected_pods_init(&pods, &loop, metrics);
	uninjected_pods_count(&pods, "n", UNINJECTED_NOT, UNINJECTED_UNKNOWN);
	uninjected_pods_count(&pods, "n", UNINJECTED_NOT, UNINJECTED_UNKNOWN);
	uninjected_pods_count(&pods, "n", UNINJECTED_UNKNOWN, UNINJECTED_UNKNOWN);
	assert_shown(metrics,
	             "lastword_uninjected_pods{namespace=\"n\",reason=\"not-injected\"} 2\n");
	uninjected_pods_count(&pods, "n", UNINJECTED_UNKNOWN, UNINJECTED_CREATED_BEFORE);
	uninjected_pods_count(&pods, "n", UNINJECTED_UNKNOWN, UNINJECTED_NOT);
	assert_shown(metrics,
	             "lastword_uninjected_pods{namespace=\"n\",reason=\"not-injected\"} 0\n");
	assert_shown(metrics,
	             "lastword_uninjected_pods{namespace=\"n\",reason=\"created-before\"} 1\n");
	event_loop_free(&loop);
	observer_metrics_free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pods_that_a_rule_matches),
	        cmocka_unit_test(test_a_configuration_of_ones_own),
	        cmocka_unit_test(test_namespaces_come_and_go),
	        cmocka_unit_test(test_changes_are_announced_now_and_then),
	        cmocka_unit_test(test_many_namespaces),
	        cmocka_unit_test(test_one_event_for_an_owner),
	        cmocka_unit_test(test_pods_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The observer's metrics: series of agents are bounded, and shared by the namespaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/classify.h"
#include "observer/base/agent_series.h"
#include "observer/base/metrics.h"

static struct observer_metrics *metrics;

static int set_up(void **state)
{
	(void)state;
	metrics = observer_metrics_new();
	return metrics == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	observer_metrics_free(metrics);
	return 0;
}

static void run(const char *namespace, const char *agent)
{
	observer_metrics_count_run(metrics, namespace, agent, true, 1000000000, 1, 1);
}

static void record(const char *namespace, const char *agent, enum cause cause, const char *source)
{
	const struct agent_exit exit = {
	        .namespace = namespace, .error_type = cause_name(cause), .source = source};
	observer_metrics_count_record(metrics, &exit, agent);
}

static char *written(void)
{
	struct buffer out;
	buffer_init(&out, (size_t)64 << 20);
	observer_metrics_write(metrics, &out);
	return buffer_steal(&out);
}

static size_t count_of(const char *text)
{
	size_t count = 0;
	char *all = written();
	for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
		count++;
	free(all);
	return count;
}

#define TEAM "lastword_agent_runs_total{namespace=\"team\",agent=\"coder\",result=\"failed\"} 2\n"

/* A tenant counts under ever new names: what goes is his own. */
static void test_names_of_one_tenant_evict_his_own(void **state)
{
	char agent[32];
	(void)state;
	run("team", "coder");
	for (int i = 0; i < 1000; i++) {
		snprintf(agent, sizeof agent, "agent-%d", i);
		run("evil", agent);
		for (int cause = 0; cause < CAUSE_COUNT; cause++)
			record("evil", agent, (enum cause)cause, AGENT_EXIT_SOURCE_LOG);
	}
	run("team", "coder");
	assert_int_equal(count_of(TEAM), 1);
	assert_int_equal(count_of("\"other\""), 0);
	/* His last ones are there, the first ones are not. */
	assert_int_equal(count_of("total{namespace=\"evil\",agent=\"agent-999\",result"), 1);
	assert_int_equal(count_of("total{namespace=\"evil\",agent=\"agent-0\""), 0);
	size_t series = count_of("lastword_agent_runs_total{") +
	                count_of("lastword_agent_exits_total{") +
	                count_of("lastword_agent_run_duration_seconds_count{") +
	                count_of("lastword_agent_max_rss_bytes_count{") +
	                count_of("lastword_agent_cpu_seconds_count{");
	assert_in_range(series, AGENT_SERIES_MAX - 200, AGENT_SERIES_MAX);
}

/* 200 names used to be all that there were, for everybody. */
static void test_200_names_leave_room_for_others(void **state)
{
	char name[32];
	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "agent-%d", i);
		run("evil", name);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "team-%d", i);
		run(name, "coder");
	}
	assert_int_equal(count_of("\"other\""), 0);
	assert_int_equal(count_of("lastword_agent_runs_total{namespace=\"team-"), 100);
	assert_int_equal(count_of("lastword_agent_runs_total{namespace=\"evil"), 200);
}

/* More namespaces than there is room for: the longest unused go. */
static void test_many_namespaces(void **state)
{
	char name[32];
	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "team-%d", i);
		run(name, "coder");
	}
	assert_int_equal(count_of("lastword_agent_runs_total{namespace=\"team-2999\""), 1);
	assert_int_equal(count_of("lastword_agent_runs_total{namespace=\"team-0\""), 0);
	assert_int_equal(count_of("lastword_agent_runs_total{"), AGENT_SERIES_MAX / 4);
}

static void test_long_names_are_cut(void **state)
{
	char name[9000];
	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	run("team", name);
	run("team", name);
	name[AGENT_SERIES_NAME_MAX] = '\0';
	run("team", name);
	assert_int_equal(count_of("lastword_agent_runs_total{"), 1);
	assert_int_equal(count_of("result=\"failed\"} 3\n"), 1);
	/* not within a character */
	memcpy(name + AGENT_SERIES_NAME_MAX - 1, "\xc3\xa9", 3);
	run("team", name);
	name[AGENT_SERIES_NAME_MAX - 1] = '\0';
	run("team", name);
	assert_int_equal(count_of("result=\"failed\"} 2\n"), 1);
}

#define SECONDS(n) ((n)*INT64_C(1000000000))

static void assert_value(const char *name, const char *agent, const char *value)
{
	char sample[200];
	snprintf(sample, sizeof sample, "\n%s{namespace=\"team\",agent=\"%s\"} %s\n", name, agent,
	         value);
	assert_int_equal(count_of(sample), 1);
}

static void assert_last(const char *success, const char *failure, const char *repeated)
{
	assert_value("lastword_agent_last_success_timestamp_seconds", "coder", success);
	assert_value("lastword_agent_last_failure_timestamp_seconds", "coder", failure);
	assert_value("lastword_agent_repeated_failures", "coder", repeated);
}

static void succeeds(int64_t at)
{
	observer_metrics_see_success(metrics, "team", "coder", SECONDS(at));
}

static void fails(int64_t at, const char *fingerprint)
{
	observer_metrics_see_failure(metrics, "team", "coder", SECONDS(at), fingerprint);
}

static void test_the_last_runs(void **state)
{
	(void)state;
	fails(100, "aa");
	assert_int_equal(count_of("lastword_agent_last_success_timestamp_seconds{"), 0);
	assert_value("lastword_agent_repeated_failures", "coder", "1");
	fails(110, "aa");
	succeeds(90); /* of an earlier run that is seen later */
	assert_last("90", "110", "2");
	fails(105, "aa");
	assert_last("90", "110", "3");
	fails(120, "bb");
	assert_last("90", "120", "1");
	succeeds(130);
	assert_last("130", "120", "0");
	fails(125, "bb"); /* it had failed before the success */
	assert_last("130", "125", "0");
	fails(140, "bb");
	assert_last("130", "140", "1");
	fails(150, NULL);
	fails(151, NULL);
	assert_last("130", "151", "2");
	observer_metrics_see_failure(metrics, "team", "coder", 0, "cc"); /* nobody knows when */
	observer_metrics_see_success(metrics, "team", "coder", AGENT_EXIT_UNKNOWN);
	assert_last("130", "151", "2");
}

/* They count against the same bound as the other series of agents. */
static void test_the_last_runs_are_bounded(void **state)
{
	char agent[32];
	(void)state;
	fails(100, "aa");
	for (int i = 0; i < 3000; i++) {
		snprintf(agent, sizeof agent, "agent-%d", i);
		observer_metrics_see_failure(metrics, "evil", agent, SECONDS(100), "aa");
		observer_metrics_see_success(metrics, "evil", agent, SECONDS(99));
	}
	assert_value("lastword_agent_repeated_failures", "coder", "1");
	size_t series = count_of("lastword_agent_last_success_timestamp_seconds{") +
	                count_of("lastword_agent_last_failure_timestamp_seconds{") +
	                count_of("lastword_agent_repeated_failures{");
	assert_in_range(series, AGENT_SERIES_MAX - 4, AGENT_SERIES_MAX);
	assert_int_equal(count_of("repeated_failures{namespace=\"evil\",agent=\"agent-2999\"} 1"),
	                 1);
	assert_int_equal(count_of("repeated_failures{namespace=\"evil\",agent=\"agent-0\"}"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        TEST(test_names_of_one_tenant_evict_his_own),
	        TEST(test_200_names_leave_room_for_others),
	        TEST(test_many_namespaces),
	        TEST(test_long_names_are_cut),
	        TEST(test_the_last_runs),
	        TEST(test_the_last_runs_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

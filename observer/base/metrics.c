#include "observer/base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/utf8.h"
#include "lib/diagnosis/classify.h"
#include "lib/http/metrics.h"
#include "lib/http/process_metrics.h"
#include "observer/base/agent_series.h"

/* Never reached: agent_series keeps all of them together below it. */
#define SERIES_MAX AGENT_SERIES_MAX

static const double duration_buckets[] = {1,    5,    15,   60,    300,   900,
                                          1800, 3600, 7200, 14400, 43200, 86400};
static const double memory_buckets[] = {16e6, 64e6, 128e6, 256e6, 512e6, 1e9,
                                        2e9,  4e9,  8e9,   16e9,  32e9,  64e9};
static const double cpu_buckets[] = {0.1, 1, 10, 60, 300, 1800, 7200, 36000};
static const double lag_buckets[] = {0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300};
#define BUCKETS(array) .buckets = (array), .bucket_count = sizeof(array) / sizeof *(array)

enum family {
	FAMILY_RUNS,
	FAMILY_EXITS,
	FAMILY_DURATION,
	FAMILY_RSS,
	FAMILY_CPU,
	FAMILY_LAST_SUCCESS,
	FAMILY_LAST_FAILURE,
	FAMILY_REPEATED,
	FAMILY_SILENT_EXITS,
	FAMILY_SILENT_DURATION,
	FAMILY_SILENT_PODS,
	FAMILY_LAG,
	FAMILY_NOTIFICATIONS,
	FAMILY_RECEIVER_BYTES,
	FAMILY_RECEIVER_DROPPED,
	FAMILY_RECEIVER_SUCCESS,
	FAMILY_RELOADS,
	FAMILY_UNINJECTED,
	FAMILY_BREAKER,
	FAMILY_REPORTS,
	FAMILY_LOST_REPORTS,
	FAMILY_MISSED_LOGS,
	FAMILY_COUNT
};

static const struct metric_definition definitions[FAMILY_COUNT] = {
        [FAMILY_RUNS] = {.type = METRIC_COUNTER,
                         .name = "lastword_agent_runs_total",
                         .help = "Agent runs that ended.",
                         .labels = {"namespace", "agent", "result"},
                         .limit = SERIES_MAX},
        [FAMILY_EXITS] = {.type = METRIC_COUNTER,
                          .name = "lastword_agent_exits_total",
                          .help = "AgentExit records written.",
                          .labels = {"namespace", "agent", "cause", "source"},
                          .limit = SERIES_MAX},
        [FAMILY_DURATION] = {.type = METRIC_HISTOGRAM,
                             .name = "lastword_agent_run_duration_seconds",
                             .help = "Duration of agent runs.",
                             .labels = {"namespace", "agent"},
                             .limit = SERIES_MAX,
                             BUCKETS(duration_buckets)},
        [FAMILY_RSS] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_agent_max_rss_bytes",
                        .help = "Peak memory of a process of the run.",
                        .labels = {"namespace", "agent"},
                        .limit = SERIES_MAX,
                        BUCKETS(memory_buckets)},
        [FAMILY_CPU] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_agent_cpu_seconds",
                        .help = "CPU time of agent runs.",
                        .labels = {"namespace", "agent"},
                        .limit = SERIES_MAX,
                        BUCKETS(cpu_buckets)},
        [FAMILY_LAST_SUCCESS] = {.type = METRIC_GAUGE,
                                 .name = "lastword_agent_last_success_timestamp_seconds",
                                 .help = "When the agent's last successful run ended.",
                                 .labels = {"namespace", "agent"},
                                 .limit = SERIES_MAX},
        [FAMILY_LAST_FAILURE] = {.type = METRIC_GAUGE,
                                 .name = "lastword_agent_last_failure_timestamp_seconds",
                                 .help = "When the agent's last failed run ended.",
                                 .labels = {"namespace", "agent"},
                                 .limit = SERIES_MAX},
        [FAMILY_REPEATED] = {.type = METRIC_GAUGE,
                             .name = "lastword_agent_repeated_failures",
                             .help = "The agent's last runs that failed in a row with the same "
                                     "fingerprint.",
                             .labels = {"namespace", "agent"},
                             .limit = SERIES_MAX},
        [FAMILY_SILENT_EXITS] =
                {.type = METRIC_COUNTER,
                 .name = "lastword_agent_silent_exits_total",
                 .help = "Failures that another container of the pod outlived, so that "
                         "the pod looked healthy.",
                 .labels = {"namespace", "agent"},
                 .limit = SERIES_MAX},
        [FAMILY_SILENT_DURATION] = {.type = METRIC_HISTOGRAM,
                                    .name = "lastword_agent_silent_duration_seconds",
                                    .help = "From such a failure until its pod ended.",
                                    .labels = {"namespace", "agent"},
                                    .limit = SERIES_MAX,
                                    BUCKETS(duration_buckets)},
        [FAMILY_SILENT_PODS] =
                {.type = METRIC_GAUGE,
                 .name = "lastword_silent_pods",
                 .help = "Pods that look healthy now though an agent of theirs has failed.",
                 .labels = {"namespace", "agent"},
                 .limit = SERIES_MAX},
        [FAMILY_LAG] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_watch_lag_seconds",
                        .help = "From a termination until it was seen.",
                        BUCKETS(lag_buckets)},
        [FAMILY_NOTIFICATIONS] = {.type = METRIC_COUNTER,
                                  .name = "lastword_notifications_total",
                                  .help = "Notifications about terminations, by receiver.",
                                  .labels = {"receiver", "result"}},
        [FAMILY_RECEIVER_BYTES] = {.type = METRIC_GAUGE,
                                   .name = "lastword_receiver_queue_bytes",
                                   .help = "Memory of the notifications that wait for a receiver.",
                                   .labels = {"receiver"}},
        [FAMILY_RECEIVER_DROPPED] =
                {.type = METRIC_COUNTER,
                 .name = "lastword_receiver_dropped_total",
                 .help = "Notifications given up: refused by the receiver, or too old.",
                 .labels = {"receiver"}},
        [FAMILY_RECEIVER_SUCCESS] = {.type = METRIC_GAUGE,
                                     .name = "lastword_receiver_last_success_timestamp_seconds",
                                     .help = "When a receiver last accepted a notification.",
                                     .labels = {"receiver"}},
        [FAMILY_RELOADS] = {.type = METRIC_COUNTER,
                            .name = "lastword_observer_config_reloads_total",
                            .help = "Reads of the observer's own configuration.",
                            .labels = {"result"}},
        [FAMILY_REPORTS] = {.type = METRIC_COUNTER,
                            .name = "lastword_agent_reports_total",
                            .help = "Reports of watchdogs about agents that run on.",
                            .labels = {"namespace", "event"},
                            .limit = SERIES_MAX},
        [FAMILY_MISSED_LOGS] = {.type = METRIC_COUNTER,
                                .name = "lastword_observer_missed_logs_total",
                                .help = "Records of the kubelet's status alone, though the "
                                        "agent's log was to be followed.",
                                .labels = {"reason"}},
        [FAMILY_LOST_REPORTS] = {.type = METRIC_COUNTER,
                                 .name = "lastword_watchdog_lost_reports_total",
                                 .help = "Reports that watchdogs could not print.",
                                 .labels = {"namespace"}},
        [FAMILY_BREAKER] = {.type = METRIC_GAUGE,
                            .name = "lastword_breaker_open",
                            .help = "1 while no pods of the namespace are wrapped, since they "
                                    "could not start.",
                            .labels = {"namespace"}},
        [FAMILY_UNINJECTED] = {.type = METRIC_GAUGE,
                               .name = "lastword_uninjected_pods",
                               .help = "Live pods that a rule matches and that have no watchdog.",
                               .labels = {"namespace", "reason"},
                               .limit = SERIES_MAX},
};

static const struct metric_definition gauges[GAUGE_COUNT] = {
        [GAUGE_PODS] = {.type = METRIC_GAUGE,
                        .name = "lastword_observer_pods",
                        .help = "Injected pods that are watched."},
        [GAUGE_OPEN_TERMINATIONS] = {.type = METRIC_GAUGE,
                                     .name = "lastword_observer_open_terminations",
                                     .help = "Terminations whose evidence is being gathered."},
        [GAUGE_PENDING_RECORDS] =
                {.type = METRIC_GAUGE,
                 .name = "lastword_observer_pending_records",
                 .help = "Records whose writing or notifications are not complete."},
        [GAUGE_LEADER] = {.type = METRIC_GAUGE,
                          .name = "lastword_observer_leader",
                          .help = "1 for the replica that holds the Lease."},
        [GAUGE_SECONDS_WITHOUT_PROGRESS] =
                {.type = METRIC_GAUGE,
                 .name = "lastword_observer_seconds_without_progress",
                 .help = "Since the list or watch of pods last made progress."},
};

static const struct metric_definition counters[COUNTER_COUNT] = {
        [COUNTER_REQUESTS] = {.type = METRIC_COUNTER,
                              .name = "lastword_observer_requests_total",
                              .help = "Requests to the API server."},
        [COUNTER_LISTS] = {.type = METRIC_COUNTER,
                           .name = "lastword_observer_lists_total",
                           .help = "Lists of pods started."},
        [COUNTER_WATCHES] = {.type = METRIC_COUNTER,
                             .name = "lastword_observer_watches_total",
                             .help = "Watches of pods started."},
        [COUNTER_LOST_RECORDS] = {.type = METRIC_COUNTER,
                                  .name = "lastword_observer_lost_records_total",
                                  .help = "Records that could not be written; the log has them."},
        [COUNTER_CUT_PODS] = {.type = METRIC_COUNTER,
                              .name = "lastword_observer_cut_pods_total",
                              .help = "Pods read in part, being too large."},
        [COUNTER_RESOLVED_RECORDS] = {.type = METRIC_COUNTER,
                                      .name = "lastword_observer_resolved_records_total",
                                      .help = "Records whose agent succeeded later."},
        [COUNTER_DELETED_RECORDS] = {.type = METRIC_COUNTER,
                                     .name = "lastword_observer_deleted_records_total",
                                     .help = "Records deleted for their age or number."},
        [COUNTER_FAILED_PODS] = {.type = METRIC_COUNTER,
                                 .name = "lastword_observer_failed_pods_total",
                                 .help = "Silent pods that were failed (onSilentExit)."},
        [COUNTER_DROPPED_FOLLOWS] = {.type = METRIC_COUNTER,
                                     .name = "lastword_observer_dropped_log_follows_total",
                                     .help = "Logs of pods being deleted that were not followed "
                                             "to their end, since too many were."},
};

static const struct metric_definition build_info = {.type = METRIC_GAUGE,
                                                    .name = "lastword_build_info",
                                                    .help = "Always 1.",
                                                    .labels = {"version"}};

struct observer_metrics {
	struct metrics *registry;
	struct metric_family *families[FAMILY_COUNT];
	struct metric *gauges[GAUGE_COUNT];
	struct metric *counters[COUNTER_COUNT];
	struct process_metrics process;
	struct agent_series agents;
};

/* What agent_pair.seen says of a pair: one byte for its runs, one for the last of them, and one for
 * each cause. */
enum {
	SEEN_FAILED = 1,
	SEEN_SUCCEEDED = 2,
	SEEN_DURATION = 4,
	SEEN_RSS = 8,
	SEEN_CPU = 16,
	SEEN_SILENT = 32,
	SEEN_SILENT_DURATION = 64
};
enum { SEEN_LAST_SUCCESS = 1, SEEN_LAST_FAILURE = 2, SEEN_REPEATED = 4 };
#define SEEN_RUNS  0
#define SEEN_LAST  1
#define SEEN_CAUSE 2
#define SEEN_KINDS (SEEN_CAUSE + CAUSE_COUNT)

static void delete_series(void *context, const struct agent_pair *pair)
{
	static const enum family families[] = {
	        FAMILY_RUNS,         FAMILY_EXITS,          FAMILY_DURATION,     FAMILY_RSS,
	        FAMILY_CPU,          FAMILY_LAST_SUCCESS,   FAMILY_LAST_FAILURE, FAMILY_REPEATED,
	        FAMILY_SILENT_EXITS, FAMILY_SILENT_DURATION};
	struct observer_metrics *metrics = context;
	const char *const labels[] = {pair->holder->name, pair->agent};
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		metric_forget(metrics->families[families[i]], labels, 2);
}

struct observer_metrics *observer_metrics_new(void)
{
	static const char *const none[] = {NULL};
	static const char *const version[] = {LASTWORD_VERSION};
	struct observer_metrics *metrics = calloc(1, sizeof *metrics);
	if (metrics == NULL || (metrics->registry = metrics_new()) == NULL) {
		free(metrics);
		return NULL;
	}
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		metrics->families[i] = metrics_add(metrics->registry, &definitions[i]);
	for (size_t i = 0; i < GAUGE_COUNT; i++)
		metrics->gauges[i] = metric_get(metrics_add(metrics->registry, &gauges[i]), none);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		metrics->counters[i] =
		        metric_get(metrics_add(metrics->registry, &counters[i]), none);
	metric_set(metric_get(metrics_add(metrics->registry, &build_info), version), 1);
	process_metrics_add(&metrics->process, metrics->registry);
	agent_series_init(&metrics->agents, SEEN_KINDS, delete_series, metrics);
	return metrics;
}

void observer_metrics_free(struct observer_metrics *metrics)
{
	if (metrics == NULL)
		return;
	agent_series_free(&metrics->agents);
	metrics_free(metrics->registry);
	free(metrics);
}

/* The pair has the series of that bit from now on. */
static void have_series(struct observer_metrics *metrics, struct agent_pair *pair, size_t kind,
                        unsigned bit)
{
	if ((pair->seen[kind] & bit) != 0)
		return;
	pair->seen[kind] = (unsigned char)(pair->seen[kind] | bit);
	agent_series_add(&metrics->agents, pair, 1);
}

static struct agent_pair *use_pair(struct observer_metrics *metrics, const char *namespace,
                                   const char *agent)
{
	return agent_series_use(&metrics->agents, namespace, agent == NULL ? "" : agent);
}

static void observe_run(struct observer_metrics *metrics, struct agent_pair *pair,
                        enum family family, unsigned bit, int64_t value, double unit)
{
	const char *const labels[] = {pair->holder->name, pair->agent};
	if (value < 0)
		return;
	have_series(metrics, pair, SEEN_RUNS, bit);
	metric_observe(metric_get(metrics->families[family], labels), (double)value / unit);
}

void observer_metrics_count_run(struct observer_metrics *metrics, const char *namespace,
                                const char *agent, bool failed, int64_t duration,
                                int64_t max_rss_bytes, int64_t cpu)
{
	struct agent_pair *pair = use_pair(metrics, namespace, agent);
	if (pair == NULL)
		return;
	const char *const labels[] = {namespace, pair->agent, failed ? "failed" : "succeeded"};
	have_series(metrics, pair, SEEN_RUNS, failed ? SEEN_FAILED : SEEN_SUCCEEDED);
	metric_add(metric_get(metrics->families[FAMILY_RUNS], labels), 1);
	observe_run(metrics, pair, FAMILY_DURATION, SEEN_DURATION, duration, 1e9);
	observe_run(metrics, pair, FAMILY_RSS, SEEN_RSS, max_rss_bytes, 1);
	observe_run(metrics, pair, FAMILY_CPU, SEEN_CPU, cpu, 1e9);
}

/* The series with the pair's labels alone; made when new. */
static struct metric *last_runs_metric(struct observer_metrics *metrics, struct agent_pair *pair,
                                       enum family family, unsigned bit)
{
	const char *const labels[] = {pair->holder->name, pair->agent};
	have_series(metrics, pair, SEEN_LAST, bit);
	return metric_get(metrics->families[family], labels);
}

static void raise_to(struct metric *metric, double value)
{
	if (value > metric_value(metric))
		metric_set(metric, value);
}

/* What the pair's series of that family says; 0: it has none. */
static double last_runs_value(struct observer_metrics *metrics, struct agent_pair *pair,
                              enum family family, unsigned bit)
{
	if ((pair->seen[SEEN_LAST] & bit) == 0)
		return 0;
	return metric_value(last_runs_metric(metrics, pair, family, bit));
}

void observer_metrics_see_success(struct observer_metrics *metrics, const char *namespace,
                                  const char *agent, int64_t finished_at)
{
	double seconds = (double)finished_at / 1e9;
	struct agent_pair *pair = finished_at <= 0 ? NULL : use_pair(metrics, namespace, agent);
	if (pair == NULL)
		return;
	raise_to(last_runs_metric(metrics, pair, FAMILY_LAST_SUCCESS, SEEN_LAST_SUCCESS), seconds);
	if (seconds < last_runs_value(metrics, pair, FAMILY_LAST_FAILURE, SEEN_LAST_FAILURE))
		return;
	pair->fingerprint = 0;
	metric_set(last_runs_metric(metrics, pair, FAMILY_REPEATED, SEEN_REPEATED), 0);
}

void observer_metrics_see_failure(struct observer_metrics *metrics, const char *namespace,
                                  const char *agent, int64_t finished_at, const char *fingerprint)
{
	double seconds = (double)finished_at / 1e9;
	uint64_t hash = hash_text(fingerprint == NULL ? "" : fingerprint);
	struct agent_pair *pair = finished_at <= 0 ? NULL : use_pair(metrics, namespace, agent);
	if (pair == NULL)
		return;
	raise_to(last_runs_metric(metrics, pair, FAMILY_LAST_FAILURE, SEEN_LAST_FAILURE), seconds);
	if (seconds < last_runs_value(metrics, pair, FAMILY_LAST_SUCCESS, SEEN_LAST_SUCCESS))
		return;
	struct metric *repeated = last_runs_metric(metrics, pair, FAMILY_REPEATED, SEEN_REPEATED);
	if (hash == pair->fingerprint)
		metric_add(repeated, 1);
	else
		metric_set(repeated, 1);
	pair->fingerprint = hash;
}

/* One bit for each series of a cause: the source. */
static unsigned record_bit(const struct agent_exit *exit)
{
	unsigned source = strcmp(exit->source, AGENT_EXIT_SOURCE_WATCHDOG) == 0 ? 0
	                  : strcmp(exit->source, AGENT_EXIT_SOURCE_LOG) == 0    ? 1
	                                                                        : 2;
	return 1U << source;
}

void observer_metrics_count_record(struct observer_metrics *metrics, const struct agent_exit *exit,
                                   const char *agent)
{
	enum cause cause = CAUSE_UNKNOWN;
	struct agent_pair *pair = use_pair(metrics, exit->namespace, agent);
	if (pair == NULL)
		return;
	cause_from_name(exit->error_type, &cause);
	const char *const labels[] = {exit->namespace, pair->agent, cause_name(cause),
	                              exit->source};
	have_series(metrics, pair, SEEN_CAUSE + (size_t)cause, record_bit(exit));
	metric_add(metric_get(metrics->families[FAMILY_EXITS], labels), 1);
}

void observer_metrics_count_silence(struct observer_metrics *metrics, const char *namespace,
                                    const char *agent)
{
	struct agent_pair *pair = use_pair(metrics, namespace, agent);
	if (pair == NULL)
		return;
	const char *const labels[] = {namespace, pair->agent};
	have_series(metrics, pair, SEEN_RUNS, SEEN_SILENT);
	metric_add(metric_get(metrics->families[FAMILY_SILENT_EXITS], labels), 1);
}

void observer_metrics_observe_silence(struct observer_metrics *metrics, const char *namespace,
                                      const char *agent, int64_t nanoseconds)
{
	struct agent_pair *pair = use_pair(metrics, namespace, agent);
	if (pair != NULL)
		observe_run(metrics, pair, FAMILY_SILENT_DURATION, SEEN_SILENT_DURATION,
		            nanoseconds, 1e9);
}

void observer_metrics_add_silent_pods(struct observer_metrics *metrics, const char *namespace,
                                      const char *agent, int by)
{
	char name[AGENT_SERIES_NAME_MAX + 1];
	const char *const labels[] = {namespace, name};
	snprintf(name, sizeof name, "%s", agent == NULL ? "" : agent);
	name[utf8_valid_prefix(name, strlen(name))] = '\0';
	struct metric *metric = metric_get(metrics->families[FAMILY_SILENT_PODS], labels);
	metric_add(metric, by);
	/* So there are never more series than silent pods. */
	if (metric_value(metric) == 0)
		metric_forget(metrics->families[FAMILY_SILENT_PODS], labels, 2);
}

void observer_metrics_observe_lag(struct observer_metrics *metrics, int64_t nanoseconds)
{
	static const char *const none[] = {NULL};
	double seconds = nanoseconds < 0 ? 0 : (double)nanoseconds / 1e9;
	metric_observe(metric_get(metrics->families[FAMILY_LAG], none), seconds);
}

void observer_metrics_count_notification(struct observer_metrics *metrics, const char *receiver,
                                         const char *result)
{
	const char *const labels[] = {receiver, result};
	metric_add(metric_get(metrics->families[FAMILY_NOTIFICATIONS], labels), 1);
}

void observer_metrics_set_receiver_bytes(struct observer_metrics *metrics, const char *receiver,
                                         size_t bytes)
{
	const char *const labels[] = {receiver};
	metric_set(metric_get(metrics->families[FAMILY_RECEIVER_BYTES], labels), (double)bytes);
}

void observer_metrics_count_dropped(struct observer_metrics *metrics, const char *receiver,
                                    size_t count)
{
	const char *const labels[] = {receiver};
	metric_add(metric_get(metrics->families[FAMILY_RECEIVER_DROPPED], labels), (double)count);
}

void observer_metrics_set_receiver_success(struct observer_metrics *metrics, const char *receiver,
                                           int64_t wall)
{
	const char *const labels[] = {receiver};
	metric_set(metric_get(metrics->families[FAMILY_RECEIVER_SUCCESS], labels),
	           (double)wall / 1e9);
}

void observer_metrics_forget_receiver(struct observer_metrics *metrics, const char *receiver)
{
	const char *const labels[] = {receiver};
	metric_forget(metrics->families[FAMILY_RECEIVER_BYTES], labels, 1);
	metric_forget(metrics->families[FAMILY_RECEIVER_DROPPED], labels, 1);
	metric_forget(metrics->families[FAMILY_RECEIVER_SUCCESS], labels, 1);
}

void observer_metrics_count_reload(struct observer_metrics *metrics, bool good)
{
	const char *const labels[] = {good ? "success" : "failure"};
	metric_add(metric_get(metrics->families[FAMILY_RELOADS], labels), 1);
}

void observer_metrics_count_report(struct observer_metrics *metrics, const char *namespace,
                                   const char *event)
{
	const char *const labels[] = {namespace, event};
	metric_add(metric_get(metrics->families[FAMILY_REPORTS], labels), 1);
}

void observer_metrics_count_lost_reports(struct observer_metrics *metrics, const char *namespace,
                                         uint64_t count)
{
	const char *const labels[] = {namespace};
	metric_add(metric_get(metrics->families[FAMILY_LOST_REPORTS], labels), (double)count);
}

void observer_metrics_count_missed_log(struct observer_metrics *metrics, const char *reason)
{
	const char *const labels[] = {reason};
	metric_add(metric_get(metrics->families[FAMILY_MISSED_LOGS], labels), 1);
}

void observer_metrics_add_uninjected(struct observer_metrics *metrics, const char *namespace,
                                     const char *reason, int change)
{
	const char *const labels[] = {namespace, reason};
	metric_add(metric_get(metrics->families[FAMILY_UNINJECTED], labels), change);
}

void observer_metrics_set_breaker(struct observer_metrics *metrics, const char *namespace,
                                  bool open)
{
	const char *const labels[] = {namespace};
	struct metric_family *family = metrics->families[FAMILY_BREAKER];
	if (open)
		metric_set(metric_get(family, labels), 1);
	else
		metric_forget(family, labels, 1);
}

void observer_metrics_set(struct observer_metrics *metrics, enum gauge gauge, size_t value)
{
	metric_set(metrics->gauges[gauge], (double)value);
}

void observer_metrics_raise(struct observer_metrics *metrics, enum counter counter, uint64_t value)
{
	metric_add(metrics->counters[counter],
	           (double)value - metric_value(metrics->counters[counter]));
}

void observer_metrics_count(struct observer_metrics *metrics, enum counter counter)
{
	metric_add(metrics->counters[counter], 1);
}

void observer_metrics_write(struct observer_metrics *metrics, struct buffer *out)
{
	process_metrics_update(&metrics->process);
	metrics_write(metrics->registry, out);
}

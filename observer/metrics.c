#include "observer/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "lib/http/metrics.h"

#define SERIES_MAX    4000
#define HISTOGRAM_MAX 1000

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
	FAMILY_LAG,
	FAMILY_TOLD,
	FAMILY_COUNT
};

static const struct metric_definition definitions[FAMILY_COUNT] = {
        [FAMILY_RUNS] = {.type = METRIC_COUNTER,
                         .name = "lastword_agent_runs_total",
                         .help = "Runs of agents that ended.",
                         .labels = {"namespace", "agent", "result"},
                         .limit = SERIES_MAX},
        [FAMILY_EXITS] = {.type = METRIC_COUNTER,
                          .name = "lastword_agent_exits_total",
                          .help = "Records written of ends of agents.",
                          .labels = {"namespace", "agent", "cause", "silent", "source"},
                          .limit = SERIES_MAX},
        [FAMILY_DURATION] = {.type = METRIC_HISTOGRAM,
                             .name = "lastword_agent_run_duration_seconds",
                             .help = "Length of runs.",
                             .labels = {"namespace", "agent"},
                             .limit = HISTOGRAM_MAX,
                             BUCKETS(duration_buckets)},
        [FAMILY_RSS] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_agent_max_rss_bytes",
                        .help = "The most memory of a run's processes.",
                        .labels = {"namespace", "agent"},
                        .limit = HISTOGRAM_MAX,
                        BUCKETS(memory_buckets)},
        [FAMILY_CPU] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_agent_cpu_seconds",
                        .help = "Processor time of runs.",
                        .labels = {"namespace", "agent"},
                        .limit = HISTOGRAM_MAX,
                        BUCKETS(cpu_buckets)},
        [FAMILY_LAG] = {.type = METRIC_HISTOGRAM,
                        .name = "lastword_watch_lag_seconds",
                        .help = "From the end of a run until it was seen.",
                        BUCKETS(lag_buckets)},
        [FAMILY_TOLD] = {.type = METRIC_COUNTER,
                         .name = "lastword_sink_deliveries_total",
                         .help = "Ends told, by receiver.",
                         .labels = {"sink", "result"}},
};

static const struct metric_definition gauges[METER_COUNT] = {
        [METER_PODS] = {.type = METRIC_GAUGE,
                        .name = "lastword_observer_pods",
                        .help = "Injected pods that are watched."},
        [METER_DEATHS] = {.type = METRIC_GAUGE,
                          .name = "lastword_observer_open_ends",
                          .help = "Ends whose evidence is being gathered."},
        [METER_PUBLICATIONS] = {.type = METRIC_GAUGE,
                                .name = "lastword_observer_open_records",
                                .help = "Records not yet written and told."},
        [METER_LEADER] = {.type = METRIC_GAUGE,
                          .name = "lastword_observer_leader",
                          .help = "1 for the replica that holds the Lease."},
        [METER_LINGERING] = {.type = METRIC_GAUGE,
                             .name = "lastword_lingering_pods",
                             .help = "Pods that run on though all their agents have ended."},
};

static const struct metric_definition counters[COUNTER_COUNT] = {
        [COUNTER_REQUESTS] = {.type = METRIC_COUNTER,
                              .name = "lastword_observer_requests_total",
                              .help = "Requests to the API server."},
        [COUNTER_LISTS] = {.type = METRIC_COUNTER,
                           .name = "lastword_observer_lists_total",
                           .help = "Lists of pods begun."},
        [COUNTER_WATCHES] = {.type = METRIC_COUNTER,
                             .name = "lastword_observer_watches_total",
                             .help = "Watches of pods begun."},
        [COUNTER_LOST] = {.type = METRIC_COUNTER,
                          .name = "lastword_observer_lost_records_total",
                          .help = "Records that could not be written; the log has them."},
        [COUNTER_COLLECTED] = {.type = METRIC_COUNTER,
                               .name = "lastword_observer_collected_records_total",
                               .help = "Records deleted for their age or number."},
};

static const struct metric_definition build_info = {.type = METRIC_GAUGE,
                                                    .name = "lastword_build_info",
                                                    .help = "Always 1.",
                                                    .labels = {"version"}};

struct meters {
	struct metrics *registry;
	struct metric_family *families[FAMILY_COUNT];
	struct metric *gauges[METER_COUNT];
	struct metric *counters[COUNTER_COUNT];
	char *agents[METERS_AGENTS];
	size_t agent_count;
};

struct meters *meters_new(void)
{
	static const char *const none[] = {NULL};
	static const char *const version[] = {LASTWORD_VERSION};
	struct meters *meters = calloc(1, sizeof *meters);
	if (meters == NULL || (meters->registry = metrics_new()) == NULL) {
		free(meters);
		return NULL;
	}
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		meters->families[i] = metrics_add(meters->registry, &definitions[i]);
	for (size_t i = 0; i < METER_COUNT; i++)
		meters->gauges[i] = metric_get(metrics_add(meters->registry, &gauges[i]), none);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		meters->counters[i] = metric_get(metrics_add(meters->registry, &counters[i]), none);
	metric_set(metric_get(metrics_add(meters->registry, &build_info), version), 1);
	return meters;
}

void meters_free(struct meters *meters)
{
	if (meters == NULL)
		return;
	for (size_t i = 0; i < meters->agent_count; i++)
		free(meters->agents[i]);
	metrics_free(meters->registry);
	free(meters);
}

static const char *bounded(struct meters *meters, const char *agent)
{
	if (agent == NULL)
		agent = "";
	for (size_t i = 0; i < meters->agent_count; i++)
		if (strcmp(meters->agents[i], agent) == 0)
			return meters->agents[i];
	char *copy = meters->agent_count < METERS_AGENTS ? strdup(agent) : NULL;
	if (copy == NULL)
		return "other";
	meters->agents[meters->agent_count++] = copy;
	return copy;
}

static void observe(struct meters *meters, enum family family, const char *const *labels,
                    int64_t value, double unit)
{
	if (value >= 0)
		metric_observe(metric_get(meters->families[family], labels), (double)value / unit);
}

void meters_run(struct meters *meters, const char *namespace, const char *agent, bool failed,
                int64_t duration, int64_t max_rss_bytes, int64_t cpu)
{
	agent = bounded(meters, agent);
	const char *const run[] = {namespace, agent, failed ? "failed" : "succeeded"};
	metric_add(metric_get(meters->families[FAMILY_RUNS], run), 1);
	observe(meters, FAMILY_DURATION, run, duration, 1e9);
	observe(meters, FAMILY_RSS, run, max_rss_bytes, 1);
	observe(meters, FAMILY_CPU, run, cpu, 1e9);
}

void meters_exit(struct meters *meters, const struct agent_exit *exit, const char *agent)
{
	const char *const labels[] = {exit->namespace, bounded(meters, agent), exit->error_type,
	                              exit->silent ? "true" : "false", exit->source};
	metric_add(metric_get(meters->families[FAMILY_EXITS], labels), 1);
}

void meters_lag(struct meters *meters, int64_t nanoseconds)
{
	static const char *const none[] = {NULL};
	observe(meters, FAMILY_LAG, none, nanoseconds < 0 ? 0 : nanoseconds, 1e9);
}

void meters_told(struct meters *meters, const char *sink, const char *result)
{
	const char *const labels[] = {sink, result};
	metric_add(metric_get(meters->families[FAMILY_TOLD], labels), 1);
}

void meters_set(struct meters *meters, enum meter meter, size_t value)
{
	metric_set(meters->gauges[meter], (double)value);
}

void meters_raise(struct meters *meters, enum counter counter, uint64_t value)
{
	metric_add(meters->counters[counter],
	           (double)value - metric_value(meters->counters[counter]));
}

void meters_count(struct meters *meters, enum counter counter)
{
	metric_add(meters->counters[counter], 1);
}

void meters_write(struct meters *meters, struct buffer *out)
{
	metrics_write(meters->registry, out);
}

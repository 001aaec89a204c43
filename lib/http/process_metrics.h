/*
 * process_metrics: what Prometheus' client libraries say of the process that is scraped, under the
 * names that they all use (process_cpu_seconds_total …): its CPU time, memory, open files and
 * start.
 *
 * Source: proc(5), of /proc/self/stat and /proc/self/fd. What cannot be read has no sample.
 * Thread-safe.
 */
#ifndef LASTWORD_LIB_HTTP_PROCESS_METRICS_H
#define LASTWORD_LIB_HTTP_PROCESS_METRICS_H

#include "lib/http/metrics.h"

enum process_metric {
	PROCESS_CPU_SECONDS,
	PROCESS_RESIDENT_MEMORY,
	PROCESS_OPEN_FDS,
	PROCESS_MAX_FDS,
	PROCESS_START_TIME,
	PROCESS_METRIC_COUNT
};

struct process_metrics {
	struct metric_family *families[PROCESS_METRIC_COUNT];
	double booted_at; /* seconds since 1970; read once, so that the start does not waver */
};

/* Adds the families to the registry, which owns them. */
void process_metrics_add(struct process_metrics *process, struct metrics *registry);

/* Reads them anew: before metrics_write(). */
void process_metrics_update(struct process_metrics *process);

#endif

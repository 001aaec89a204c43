/*
 * metrics: counters, gauges and histograms, written as Prometheus text (format 0.0.4).
 *
 * A registry has families; a family has a series for each combination of its labels' values. A
 * caller looks a series up once (under a lock) and then counts on it without one. A family has at
 * most its limit of series; beyond it every new combination is counted on one series whose labels
 * are all "other", so that what outsiders choose cannot eat memory.
 *
 * Families and series live as long as their registry, but for series that metric_forget() deletes.
 * Thread-safe, but for metrics_free() and metric_forget().
 */
#ifndef LASTWORD_LIB_HTTP_METRICS_H
#define LASTWORD_LIB_HTTP_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct buffer;
struct metrics;
struct metric_family;
struct metric;

#define METRICS_LABELS_MAX  6
#define METRICS_BUCKETS_MAX 24

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_definition {
	enum metric_type type;
	const char *name;
	const char *help;
	const char *labels[METRICS_LABELS_MAX + 1]; /* names, up to a NULL */
	const double *buckets; /* METRIC_HISTOGRAM: rising upper bounds, without +Inf */
	size_t bucket_count;
	size_t limit; /* of series; 0: 1000 */
};

/* NULL when there is no memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* Adds a family; the definition's strings must outlive the registry. NULL without memory. */
struct metric_family *metrics_add(struct metrics *metrics,
                                  const struct metric_definition *definition);

/* The series with these label values, one for each label name, made when new (counters are then
 * shown as 0). NULL only when there is no memory, and for a family of NULL; every function below
 * takes NULL and does nothing. */
struct metric *metric_get(struct metric_family *family, const char *const *values);

/* Deletes the series whose first count label values are these. Nobody counts on them any more: what
 * metric_get() gave is gone. metrics_write() may run meanwhile. */
void metric_forget(struct metric_family *family, const char *const *values, size_t count);

void metric_add(struct metric *metric, double amount); /* counters (amount >= 0) and gauges */
void metric_set(struct metric *metric, double value);  /* gauges */
void metric_observe(struct metric *metric, double value);
double metric_value(struct metric *metric); /* a counter's or gauge's */

/* Writes all families, in the order in which they were added. Ask buffer_ok(). */
void metrics_write(struct metrics *metrics, struct buffer *out);

#endif

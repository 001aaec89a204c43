#include "lib/http/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"

#define SERIES_DEFAULT 1000

struct metric {
	struct metric *next;
	struct metric_family *family;
	_Atomic double value;      /* of a histogram: the sum */
	_Atomic uint64_t *buckets; /* one more than the bounds: above the last */
	char *values[METRICS_LABELS_MAX];
};

struct metric_family {
	struct metric_family *next;
	struct metrics *metrics;
	struct metric_definition definition;
	size_t label_count;
	struct metric *first;
	struct metric *last;
	size_t count;
};

struct metrics {
	pthread_mutex_t lock; /* of the lists; values are atomic */
	struct metric_family *first;
	struct metric_family *last;
};

struct metrics *metrics_new(void)
{
	struct metrics *metrics = calloc(1, sizeof *metrics);
	if (metrics != NULL)
		pthread_mutex_init(&metrics->lock, NULL);
	return metrics;
}

static void metric_free(struct metric *metric)
{
	if (metric == NULL)
		return;
	for (size_t i = 0; i < METRICS_LABELS_MAX; i++)
		free(metric->values[i]);
	free(metric->buckets);
	free(metric);
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	for (struct metric_family *family = metrics->first; family != NULL;) {
		for (struct metric *metric = family->first; metric != NULL;) {
			struct metric *next = metric->next;
			metric_free(metric);
			metric = next;
		}
		struct metric_family *next = family->next;
		free(family);
		family = next;
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

struct metric_family *metrics_add(struct metrics *metrics,
                                  const struct metric_definition *definition)
{
	struct metric_family *family = calloc(1, sizeof *family);
	if (family == NULL)
		return NULL;
	family->metrics = metrics;
	family->definition = *definition;
	if (family->definition.limit == 0)
		family->definition.limit = SERIES_DEFAULT;
	while (definition->labels[family->label_count] != NULL)
		family->label_count++;

	pthread_mutex_lock(&metrics->lock);
	if (metrics->last == NULL)
		metrics->first = family;
	else
		metrics->last->next = family;
	metrics->last = family;
	pthread_mutex_unlock(&metrics->lock);
	return family;
}

static bool has_values(const struct metric *metric, const char *const *values, size_t count)
{
	size_t i = 0;
	while (i < count && strcmp(metric->values[i], values[i]) == 0)
		i++;
	return i == count;
}

static struct metric *find(struct metric_family *family, const char *const *values)
{
	for (struct metric *metric = family->first; metric != NULL; metric = metric->next)
		if (has_values(metric, values, family->label_count))
			return metric;
	return NULL;
}

static struct metric *make(struct metric_family *family, const char *const *values)
{
	struct metric *metric = calloc(1, sizeof *metric);
	if (metric == NULL)
		return NULL;
	metric->family = family;
	bool complete = true;
	for (size_t i = 0; i < family->label_count; i++) {
		metric->values[i] = strdup(values[i]);
		complete = complete && metric->values[i] != NULL;
	}
	if (family->definition.type == METRIC_HISTOGRAM) {
		metric->buckets =
		        calloc(family->definition.bucket_count + 1, sizeof *metric->buckets);
		complete = complete && metric->buckets != NULL;
	}
	if (!complete) {
		metric_free(metric);
		return NULL;
	}
	if (family->last == NULL)
		family->first = metric;
	else
		family->last->next = metric;
	family->last = metric;
	family->count++;
	return metric;
}

struct metric *metric_get(struct metric_family *family, const char *const *values)
{
	static const char *const other[METRICS_LABELS_MAX] = {"other", "other", "other",
	                                                      "other", "other", "other"};
	if (family == NULL)
		return NULL;
	pthread_mutex_lock(&family->metrics->lock);
	struct metric *metric = find(family, values);
	if (metric == NULL && family->count >= family->definition.limit) {
		values = other;
		metric = find(family, other);
	}
	if (metric == NULL)
		metric = make(family, values);
	pthread_mutex_unlock(&family->metrics->lock);
	return metric;
}

void metric_forget(struct metric_family *family, const char *const *values, size_t count)
{
	if (family == NULL)
		return;
	pthread_mutex_lock(&family->metrics->lock);
	struct metric **link = &family->first;
	family->last = NULL;
	while (*link != NULL) {
		struct metric *metric = *link;
		if (has_values(metric, values, count)) {
			*link = metric->next;
			family->count--;
			metric_free(metric);
			continue;
		}
		family->last = metric;
		link = &metric->next;
	}
	pthread_mutex_unlock(&family->metrics->lock);
}

static void add_double(_Atomic double *target, double amount)
{
	double old_value = atomic_load_explicit(target, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(target, &old_value, old_value + amount,
	                                              memory_order_relaxed, memory_order_relaxed))
		continue;
}

void metric_add(struct metric *metric, double amount)
{
	if (metric != NULL)
		add_double(&metric->value, amount);
}

void metric_set(struct metric *metric, double value)
{
	if (metric != NULL)
		atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

double metric_value(struct metric *metric)
{
	return metric == NULL ? 0 : atomic_load_explicit(&metric->value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value)
{
	if (metric == NULL)
		return;
	const struct metric_definition *definition = &metric->family->definition;
	size_t i = 0;
	while (i < definition->bucket_count && value > definition->buckets[i])
		i++;
	atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
	add_double(&metric->value, value);
}

/* ---- Writing ---- */

/* Writes the shortest text that reads back as the same number; integers have no fraction. */
static void write_number(struct buffer *out, double value)
{
	if (isnan(value)) {
		buffer_append_text(out, "NaN");
	} else if (isinf(value)) {
		buffer_append_text(out, value > 0 ? "+Inf" : "-Inf");
	} else {
		char text[40];
		for (int precision = 15; precision <= 17; precision++) {
			snprintf(text, sizeof text, "%.*g", precision, value);
			double back = strtod(text, NULL);
			if (!(back < value) && !(back > value))
				break;
		}
		buffer_append_text(out, text);
	}
}

static void write_escaped(struct buffer *out, const char *text, bool quotes)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buffer_append_text(out, "\\n");
		else if (*text == '\\' || (quotes && *text == '"'))
			buffer_printf(out, "\\%c", *text);
		else
			buffer_append_char(out, *text);
	}
}

/* name{labels} and, for a bucket, its bound. */
static void write_sample_name(struct buffer *out, const struct metric *metric, const char *ending,
                              const double *bound)
{
	const struct metric_definition *definition = &metric->family->definition;
	buffer_printf(out, "%s%s", definition->name, ending);
	size_t count = metric->family->label_count;
	if (count == 0 && bound == NULL) {
		buffer_append_char(out, ' ');
		return;
	}
	buffer_append_char(out, '{');
	for (size_t i = 0; i < count; i++) {
		buffer_printf(out, "%s%s=\"", i == 0 ? "" : ",", definition->labels[i]);
		write_escaped(out, metric->values[i], true);
		buffer_append_char(out, '"');
	}
	if (bound != NULL) {
		buffer_append_text(out, count == 0 ? "le=\"" : ",le=\"");
		write_number(out, *bound);
		buffer_append_char(out, '"');
	}
	buffer_append_text(out, "} ");
}

static void write_histogram(struct buffer *out, const struct metric *metric)
{
	const struct metric_definition *definition = &metric->family->definition;
	uint64_t total = 0;
	for (size_t i = 0; i <= definition->bucket_count; i++) {
		double bound = i < definition->bucket_count ? definition->buckets[i] : INFINITY;
		total += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		write_sample_name(out, metric, "_bucket", &bound);
		buffer_printf(out, "%" PRIu64 "\n", total);
	}
	write_sample_name(out, metric, "_sum", NULL);
	write_number(out, atomic_load_explicit(&metric->value, memory_order_relaxed));
	buffer_append_char(out, '\n');
	write_sample_name(out, metric, "_count", NULL);
	buffer_printf(out, "%" PRIu64 "\n", total);
}

static void write_family(struct buffer *out, const struct metric_family *family)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	const struct metric_definition *definition = &family->definition;
	buffer_printf(out, "# HELP %s ", definition->name);
	write_escaped(out, definition->help, false);
	buffer_printf(out, "\n# TYPE %s %s\n", definition->name, types[definition->type]);
	for (const struct metric *metric = family->first; metric != NULL; metric = metric->next) {
		if (definition->type == METRIC_HISTOGRAM) {
			write_histogram(out, metric);
			continue;
		}
		write_sample_name(out, metric, "", NULL);
		write_number(out, atomic_load_explicit(&metric->value, memory_order_relaxed));
		buffer_append_char(out, '\n');
	}
}

void metrics_write(struct metrics *metrics, struct buffer *out)
{
	pthread_mutex_lock(&metrics->lock);
	for (const struct metric_family *family = metrics->first; family != NULL;
	     family = family->next)
		write_family(out, family);
	pthread_mutex_unlock(&metrics->lock);
}

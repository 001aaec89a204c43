/*
 * meters: the observer's metrics (docs/observer.md lists them). Bounded: at most METERS_AGENTS
 * different values of the label agent, further ones are "other"; no pod names.
 *
 * A run is counted once by whoever wrote its record; successes, which leave no record, by the
 * leader alone. So the sum over the replicas is the number of runs.
 *
 * Functions that count belong to the observer's thread; meters_write() may be called from any.
 */
#ifndef LASTWORD_OBSERVER_METRICS_H
#define LASTWORD_OBSERVER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"

#define METERS_AGENTS 200

struct buffer;
struct meters;

/* Plain numbers of now. */
enum meter {
	METER_PODS,         /* live ones that are watched */
	METER_DEATHS,       /* ends that are being looked into */
	METER_PUBLICATIONS, /* records that are not written or told yet */
	METER_LEADER,       /* 1 or 0 */
	METER_LINGERING,    /* pods that run on without an agent */
	METER_COUNT
};

/* What happened, by now. */
enum counter {
	COUNTER_REQUESTS,  /* to the API server */
	COUNTER_LISTS,     /* begun */
	COUNTER_WATCHES,   /* begun */
	COUNTER_LOST,      /* records that could not be written; they are in the log */
	COUNTER_COLLECTED, /* records deleted: too old, or too many in their namespace */
	COUNTER_COUNT
};

struct meters *meters_new(void);
void meters_free(struct meters *meters);

/* A run that ended. Lengths in nanoseconds; unknown ones are not observed. */
void meters_run(struct meters *meters, const char *namespace, const char *agent, bool failed,
                int64_t duration, int64_t max_rss_bytes, int64_t cpu);
void meters_exit(struct meters *meters, const struct agent_exit *exit, const char *agent);
/* How long after it happened an end was seen. */
void meters_lag(struct meters *meters, int64_t nanoseconds);
/* result: delivered, failed, grouped */
void meters_told(struct meters *meters, const char *sink, const char *result);
void meters_set(struct meters *meters, enum meter meter, size_t value);
/* The counter's value is raised to this. */
void meters_raise(struct meters *meters, enum counter counter, uint64_t value);
void meters_count(struct meters *meters, enum counter counter);

void meters_write(struct meters *meters, struct buffer *out);

#endif

/*
 * metrics: the observer's metrics (docs/observer.md lists them). Bounded: the series with the label
 * agent are at most AGENT_SERIES_MAX (agent_series.h says which go when there are more; one that
 * comes back begins at 0, which Prometheus takes for a restart); no label has a pod's name.
 *
 * A failed run is counted once, by the replica that wrote its record; a successful run, which
 * leaves no record, is counted by the leader alone. So the sum over the replicas is the number of
 * runs.
 *
 * What is seen of an agent's last runs (the times of its last success and failure, and how many
 * failures in a row had the same fingerprint) does not add up: each replica sees all runs, and of
 * those before its own start only what pods and their records still show. A run that ended before
 * another one that was seen already changes no row, so it does not matter which is seen first.
 *
 * The functions that count belong to the observer's thread; observer_metrics_write() may be called
 * from any thread.
 */
#ifndef LASTWORD_OBSERVER_BASE_METRICS_H
#define LASTWORD_OBSERVER_BASE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/kube/agent_exit.h"

struct buffer;
struct observer_metrics;

/* Gauges without labels. */
enum gauge {
	GAUGE_PODS,              /* pods in the pod cache */
	GAUGE_OPEN_TERMINATIONS, /* terminations whose evidence is being gathered */
	GAUGE_PENDING_RECORDS,   /* records whose writing or notifications are not complete */
	GAUGE_LEADER,            /* 1 or 0 */
	GAUGE_SECONDS_WITHOUT_PROGRESS, /* of the list or watch of pods */
	GAUGE_COUNT
};

/* Counters without labels. */
enum counter {
	COUNTER_REQUESTS,         /* to the API server */
	COUNTER_LISTS,            /* begun */
	COUNTER_WATCHES,          /* begun */
	COUNTER_CUT_PODS,         /* pods that were too large to be read whole, each time */
	COUNTER_LOST_RECORDS,     /* records that could not be written; they are in the log */
	COUNTER_DELETED_RECORDS,  /* records deleted: too old, or too many in their namespace */
	COUNTER_DROPPED_FOLLOWS,  /* logs that are not followed (any more), since too many are */
	COUNTER_RESOLVED_RECORDS, /* records whose agent succeeded later */
	COUNTER_FAILED_PODS,      /* silent pods that were failed (remedy) */
	COUNTER_COUNT
};

struct observer_metrics *observer_metrics_new(void);
void observer_metrics_free(struct observer_metrics *metrics);

/* A run that ended. Durations in nanoseconds; values that are not known are not observed. */
void observer_metrics_count_run(struct observer_metrics *metrics, const char *namespace,
                                const char *agent, bool failed, int64_t duration,
                                int64_t max_rss_bytes, int64_t cpu);
void observer_metrics_count_record(struct observer_metrics *metrics, const struct agent_exit *exit,
                                   const char *agent);
/* How a run ended, and when (since 1970; 0: not known), as every replica sees it, also when the run
 * had ended before this replica started. fingerprint: of a failure. */
void observer_metrics_see_success(struct observer_metrics *metrics, const char *namespace,
                                  const char *agent, int64_t finished_at);
void observer_metrics_see_failure(struct observer_metrics *metrics, const char *namespace,
                                  const char *agent, int64_t finished_at, const char *fingerprint);
/* Silence (pod/silence) that was confirmed, and how long silence that is over was. */
void observer_metrics_count_silence(struct observer_metrics *metrics, const char *namespace,
                                    const char *agent);
void observer_metrics_observe_silence(struct observer_metrics *metrics, const char *namespace,
                                      const char *agent, int64_t nanoseconds);
/* One more (by 1) or less (by -1) pod is silent now. */
void observer_metrics_add_silent_pods(struct observer_metrics *metrics, const char *namespace,
                                      const char *agent, int by);
/* How long after a termination it was seen, in nanoseconds. */
void observer_metrics_observe_lag(struct observer_metrics *metrics, int64_t nanoseconds);
/* result: delivered, failed, grouped; of configured receivers also resolved (that it is over was
 * delivered) and retried (a request that failed) */
void observer_metrics_count_notification(struct observer_metrics *metrics, const char *receiver,
                                         const char *result);
/* Of a configured receiver: bytes that wait for it; notifications that were given up; the last one
 * that it accepted (nanoseconds since 1970). */
void observer_metrics_set_receiver_bytes(struct observer_metrics *metrics, const char *receiver,
                                         size_t bytes);
void observer_metrics_count_dropped(struct observer_metrics *metrics, const char *receiver,
                                    size_t count);
void observer_metrics_set_receiver_success(struct observer_metrics *metrics, const char *receiver,
                                           int64_t wall);
/* The receiver is not in the configuration any more. */
void observer_metrics_forget_receiver(struct observer_metrics *metrics, const char *receiver);
/* The observer's own configuration was read. */
void observer_metrics_count_reload(struct observer_metrics *metrics, bool good);
/* A watchdog's report about an agent that runs on: "deadline" or "silent-agent". */
void observer_metrics_count_report(struct observer_metrics *metrics, const char *namespace,
                                   const char *event);
/* Reports that a watchdog could not print. */
void observer_metrics_count_lost_reports(struct observer_metrics *metrics, const char *namespace,
                                         uint64_t count);
/* A log that was to be followed, and of which nothing is there; why. */
void observer_metrics_count_missed_log(struct observer_metrics *metrics, const char *reason);
/* Adds to the number of live pods that were not injected for that reason. */
void observer_metrics_add_uninjected(struct observer_metrics *metrics, const char *namespace,
                                     const char *reason, int change);
/* The breaker of that namespace is open, or half-open. */
void observer_metrics_set_breaker(struct observer_metrics *metrics, const char *namespace,
                                  bool open);
void observer_metrics_set(struct observer_metrics *metrics, enum gauge gauge, size_t value);
/* Raises the counter to that value. */
void observer_metrics_raise(struct observer_metrics *metrics, enum counter counter, uint64_t value);
void observer_metrics_count(struct observer_metrics *metrics, enum counter counter);

void observer_metrics_write(struct observer_metrics *metrics, struct buffer *out);

#endif

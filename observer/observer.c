#include "observer/observer.h"

#include <stdio.h>

#include "lib/base/log.h"
#include "lib/kube/names.h"

#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define NAMESPACES_WAIT (5 * SECOND)

const struct observer_options observer_defaults = {
        .namespace = "lastword-system",
        .lease = "lastword-observer",
        .identity = "lastword-observer",
        .failover_delay = 30 * SECOND,
        .watch_idle = 150 * SECOND,
        .tracker = {.start_timeouts = {.failing = MINUTE, .waiting = 15 * MINUTE},
                    .silent_after = 30 * SECOND},
        .breaker_open_for = 30 * MINUTE,
        .record_ttl = 168 * HOUR,
        .record_cap = 1000,
};

/* ---- What connects the state machines ---- */

static void begin(void *context)
{
	struct observer *observer = context;
	pod_tracker_begin_list(&observer->tracker);
}

static void take(void *context, enum watch_event event, struct arena *arena, const json *object)
{
	struct observer *observer = context;
	pod_tracker_take(&observer->tracker, event, arena, object);
}

static void complete(void *context)
{
	struct observer *observer = context;
	pod_tracker_complete_list(&observer->tracker);
	atomic_store(&observer->ready, true);
}

static bool has_room(const struct observer *observer, unsigned share)
{
	return observer->gatherer.count < OBSERVER_OPEN_MAX / share &&
	       observer->writer.bytes < OBSERVER_BYTES_MAX / share;
}

static bool may_read(void *context)
{
	return has_room(context, 1);
}

/* Not as soon as one is done: a new watch costs more than an event. */
static void decreased(void *context)
{
	struct observer *observer = context;
	if (has_room(observer, 2))
		watcher_resume(&observer->watcher);
}

static void followed(void *context, struct cached_pod *pod)
{
	struct observer *observer = context;
	evidence_log_ended(&observer->gatherer, pod);
}

/* ---- Pods that were not injected ---- */

static void start_watching(void *context)
{
	struct observer *observer = context;
	event_loop_clear_timer(&observer->loop, &observer->watch_start);
	observer->watching = true;
	watcher_start(&observer->watcher);
	failed_creates_start(&observer->failed_creates);
}

static void namespaces_changed(void *context)
{
	struct observer *observer = context;
	if (observer->watching)
		watcher_relist(&observer->watcher);
	else
		start_watching(observer);
}

static bool init_policy(struct observer *observer, const struct observer_options *options)
{
	struct error error;
	observer->watch_start = (struct timer){.fire = start_watching, .context = observer};
	if (options->webhook_config == NULL)
		return true;
	/* What is injected is observed all the same. */
	if (!injection_policy_load(&observer->policy, options->webhook_config, &error))
		log_message(LOG_ERROR, "no configuration yet", "error", error.message, NULL);
	return opted_in_namespaces_init(&observer->namespaces, &observer->loop, options->namespace,
	                                options->watch_idle, namespaces_changed, observer);
}

void observer_reload_config(struct observer *observer)
{
	struct error error;
	bool refused;
	receivers_reload(&observer->receivers);
	if (injection_policy_reload(&observer->policy, &refused, &error)) {
		log_message(LOG_INFO, "the configuration has changed", "file",
		            observer->policy.file.path, NULL);
		namespaces_changed(observer);
	} else if (refused) {
		log_message(LOG_ERROR, "the new configuration is refused, the last good one stays",
		            "error", error.message, NULL);
	}
}

/* ---- Records ---- */

static void recorded(void *context, const char *namespace, const char *identity, int64_t ended_at)
{
	struct observer *observer = context;
	resolver_add_record(&observer->resolver, namespace, identity, ended_at);
}

/* A record as the record GC found it when this replica became the leader. */
static void record_found(void *context, const struct agent_exit *exit)
{
	struct observer *observer = context;
	char identity[AGENT_EXIT_IDENTITY_SIZE];
	agent_exit_identity(exit, identity);
	if (exit->resolved_at == AGENT_EXIT_UNKNOWN)
		resolver_add_record(&observer->resolver, exit->namespace, identity,
		                    exit->finished_at == AGENT_EXIT_UNKNOWN ? exit->created_at
		                                                            : exit->finished_at);
	record_writer_add_found(&observer->writer, exit);
	receivers_offer(&observer->receivers, exit, true);
	if (exit->uid == NULL || exit->container == NULL)
		return;
	struct cached_pod *pod = pod_cache_find(&observer->tracker.cache, exit->uid);
	if (pod == NULL || !silence_tracker_follows(pod, exit->container, exit->restart_count))
		silence_recorder_check(&observer->silence_recorder, exit);
}

/* ---- Receivers ---- */

static void record_changed(void *context, const struct agent_exit *exit)
{
	struct observer *observer = context;
	receivers_offer(&observer->receivers, exit, false);
}

static size_t list_pending(void *context, const char *namespace, const char *cause,
                           struct agent_exit_notification *ret_entries, size_t room)
{
	const struct observer *observer = context;
	return room < RECEIVERS_MAX ? 0
	                            : receivers_list_pending(&observer->receivers, namespace, cause,
	                                                     ret_entries);
}

static void reread_records(void *context)
{
	struct observer *observer = context;
	record_gc_reread(&observer->gc);
}

static bool init_receivers(struct observer *observer, const struct observer_options *options)
{
	observer->listener = (struct record_listener){
	        .list_pending = list_pending, .changed = record_changed, .context = observer};
	observer->writer.listener = &observer->listener;
	observer->resolver.listener = &observer->listener;
	observer->silence_recorder.listener = &observer->listener;
	return receivers_init(&observer->receivers, &observer->loop, observer->metrics,
	                      options->config, reread_records, observer);
}

static void leader_changed(void *context, bool leader)
{
	struct observer *observer = context;
	log_message(LOG_INFO,
	            leader ? "this replica is the leader"
	                   : "this replica is not the leader any more",
	            NULL);
	record_writer_set_leader(&observer->writer, leader);
	resolver_set_leader(&observer->resolver, leader);
	silence_recorder_set_leader(&observer->silence_recorder, leader);
	receivers_set_leader(&observer->receivers, leader);
	record_gc_set_leader(&observer->gc, leader);
	breaker_set_leader(&observer->breaker, leader);
	running_reports_set_leader(&observer->running_reports, leader);
	observer_metrics_set(observer->metrics, GAUGE_LEADER, leader);
}

/* ---- The observer ---- */

/* ---- The guards ---- */

static void confirmed(void *context, const struct termination *termination)
{
	remedy_begin(context, termination);
}

static bool init_breaker(struct observer *observer, const struct observer_options *options,
                         struct error *error)
{
	const struct breaker_options own = {.config_map = options->breaker,
	                                    .open_for = options->breaker_open_for,
	                                    .watch_namespace = options->watch_namespace};
	const struct injection_policy *policy =
	        options->webhook_config == NULL ? NULL : &observer->policy;
	error_set(error, "out of memory");
	return breaker_init(&observer->breaker, &observer->loop, observer->metrics, &own, error) &&
	       (options->breaker == NULL ||
	        failed_creates_init(&observer->failed_creates, &observer->loop, &observer->breaker,
	                            policy, &observer->namespaces, options->watch_namespace,
	                            options->watch_idle));
}

bool observer_init(struct observer *observer, const struct observer_options *options, int64_t now,
                   int64_t wall, struct error *error)
{
	struct event_loop *loop = &observer->loop;
	const struct watch_handler handler = {.begin = begin,
	                                      .take = take,
	                                      .complete = complete,
	                                      .may_read = may_read,
	                                      .context = observer};
	*observer = (struct observer){.metrics = observer_metrics_new()};
	event_loop_init(loop, options->seed, OBSERVER_REQUESTS);
	loop->now = now;
	loop->wall = wall;
	log_followers_init(&observer->followers, loop, followed, observer);
	running_reports_init(&observer->running_reports, loop, observer->metrics);
	record_writer_init(&observer->writer, loop, observer->metrics, options->failover_delay,
	                   recorded, decreased, observer);
	silence_recorder_init(&observer->silence_recorder, loop, observer->metrics,
	                      options->failover_delay, options->tracker.silent_after);
	remedy_init(&observer->remedy, loop, observer->metrics, options->fail_pods);
	observer->silence_recorder.confirmed = confirmed;
	observer->silence_recorder.confirmed_context = &observer->remedy;
	evidence_gatherer_init(&observer->gatherer, loop, observer->metrics, &observer->writer,
	                       decreased, observer);
	lease_init(&observer->lease, loop, options->namespace, options->lease, options->identity,
	           leader_changed, observer);
	record_gc_init(&observer->gc, loop, observer->metrics, options->watch_namespace,
	               options->record_ttl, options->record_cap, record_found, observer);
	struct watch_target pods = watch_pods;
	if (options->watch_namespace != NULL) {
		snprintf(observer->pods_path, sizeof observer->pods_path,
		         "/api/v1/namespaces/%s/pods", options->watch_namespace);
		pods.path = observer->pods_path;
	}
	bool audit = options->webhook_config != NULL;
	const char *selector = options->selector != NULL ? options->selector
	                       : audit                   ? ""
	                                                 : KEY_INJECTED "=true";
	const struct pod_tracker_links links = {
	        .gatherer = &observer->gatherer,
	        .followers = &observer->followers,
	        .running_reports = &observer->running_reports,
	        .recorder = &observer->silence_recorder,
	        .resolver = &observer->resolver,
	        .breaker = &observer->breaker,
	        .policy = audit ? &observer->policy : NULL,
	        .namespaces = &observer->namespaces,
	};
	error_set(error, "out of memory");
	if (observer->metrics != NULL && init_breaker(observer, options, error) &&
	    init_policy(observer, options) &&
	    resolver_init(&observer->resolver, loop, observer->metrics) &&
	    init_receivers(observer, options) &&
	    pod_tracker_init(&observer->tracker, loop, observer->metrics, &links,
	                     &options->tracker) &&
	    watcher_init(&observer->watcher, loop, &pods, selector, options->watch_idle, &handler))
		return true;
	observer_free(observer);
	return false;
}

void observer_start(struct observer *observer)
{
	lease_start(&observer->lease);
	if (observer->tracker.policy == NULL) {
		start_watching(observer);
		return;
	}
	/* What is injected is observed whether the namespaces can be had or not. */
	opted_in_namespaces_start(&observer->namespaces);
	event_loop_set_timer(&observer->loop, &observer->watch_start,
	                     observer->loop.now + NAMESPACES_WAIT);
}

void observer_advance(struct observer *observer, int64_t now, int64_t wall)
{
	observer->loop.now = now;
	observer->loop.wall = wall;
	event_loop_fire_timers(&observer->loop);
	atomic_store(&observer->ready, watcher_is_current(&observer->watcher));
}

bool observer_is_ready(struct observer *observer)
{
	return atomic_load(&observer->ready);
}

void observer_stop(struct observer *observer)
{
	atomic_store(&observer->ready, false);
	watcher_free(&observer->watcher); /* watcher_resume() does nothing from here on */
	failed_creates_free(&observer->failed_creates);
	opted_in_namespaces_free(&observer->namespaces);
	event_loop_clear_timer(&observer->loop, &observer->watch_start);
	receivers_stop(&observer->receivers);
}

bool observer_is_drained(const struct observer *observer)
{
	bool written = observer->gatherer.count == 0 && observer->writer.count == 0;
	return (!observer->writer.leader || written) && receivers_are_drained(&observer->receivers);
}

void observer_measure(struct observer *observer)
{
	receivers_measure(&observer->receivers);
	observer_metrics_set(observer->metrics, GAUGE_PODS, observer->tracker.cache.count);
	observer_metrics_set(observer->metrics, GAUGE_OPEN_TERMINATIONS, observer->gatherer.count);
	observer_metrics_set(observer->metrics, GAUGE_PENDING_RECORDS, observer->writer.count);
	observer_metrics_set(observer->metrics, GAUGE_SECONDS_WITHOUT_PROGRESS,
	                     (size_t)(watcher_silence(&observer->watcher) / SECOND));
	observer_metrics_raise(observer->metrics, COUNTER_REQUESTS, observer->loop.requests);
	observer_metrics_raise(observer->metrics, COUNTER_LISTS, observer->watcher.lists);
	observer_metrics_raise(observer->metrics, COUNTER_WATCHES, observer->watcher.watches);
	observer_metrics_raise(observer->metrics, COUNTER_DROPPED_FOLLOWS,
	                       observer->followers.dropped);
	observer_metrics_raise(observer->metrics, COUNTER_CUT_PODS, observer->watcher.cut_pods);
}

void observer_free(struct observer *observer)
{
	watcher_free(&observer->watcher);
	failed_creates_free(&observer->failed_creates);
	opted_in_namespaces_free(&observer->namespaces);
	event_loop_clear_timer(&observer->loop, &observer->watch_start);
	evidence_gatherer_free(&observer->gatherer);
	log_followers_free(&observer->followers);
	running_reports_free(&observer->running_reports);
	pod_tracker_free(&observer->tracker);
	injection_policy_free(&observer->policy);
	record_writer_free(&observer->writer);
	silence_recorder_free(&observer->silence_recorder);
	breaker_free(&observer->breaker);
	remedy_free(&observer->remedy);
	resolver_free(&observer->resolver);
	receivers_free(&observer->receivers);
	lease_free(&observer->lease);
	record_gc_free(&observer->gc);
	event_loop_free(&observer->loop);
	observer_metrics_free(observer->metrics);
	observer->metrics = NULL;
}

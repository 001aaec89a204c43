#include "observer/observer.h"

#include "lib/base/log.h"
#include "lib/kube/names.h"

#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

const struct observer_options observer_defaults = {
        .namespace = "lastword-system",
        .lease = "lastword-observer",
        .identity = "lastword-observer",
        .selector = KEY_INJECTED "=true",
        .step_in = 30 * SECOND,
        .watch_idle = 150 * SECOND,
        .track = {.patience = {.failing = MINUTE, .waiting = 15 * MINUTE}, .linger = 10 * MINUTE},
        .record_ttl = 168 * HOUR,
        .record_cap = 1000,
};

/* ---- What joins the machines ---- */

static void begin(void *context)
{
	struct observer *observer = context;
	tracker_begin(&observer->tracker);
}

static void take(void *context, enum watch_event event, struct arena *arena, const json *object)
{
	struct observer *observer = context;
	tracker_take(&observer->tracker, event, arena, object);
}

static void complete(void *context)
{
	struct observer *observer = context;
	tracker_complete(&observer->tracker);
	atomic_store(&observer->ready, true);
}

static bool has_room(const struct observer *observer, unsigned share)
{
	return observer->deaths.count < OBSERVER_DEATHS_MAX / share &&
	       observer->publisher.bytes < OBSERVER_BYTES_MAX / share;
}

static bool may_read(void *context)
{
	return has_room(context, 1);
}

/* Not at the first that is done: a watch costs more than an event. */
static void less(void *context)
{
	struct observer *observer = context;
	if (has_room(observer, 2))
		watcher_resume(&observer->watcher);
}

static void followed(void *context, struct live_pod *pod)
{
	struct observer *observer = context;
	deaths_followed(&observer->deaths, pod);
}

static void leader_changed(void *context, bool leader)
{
	struct observer *observer = context;
	log_message(LOG_INFO, leader ? "this replica leads" : "this replica does not lead any more",
	            NULL);
	publisher_set_leader(&observer->publisher, leader);
	collector_set_leader(&observer->collector, leader);
	meters_set(observer->meters, METER_LEADER, leader);
}

/* ---- The observer ---- */

bool observer_init(struct observer *observer, const struct observer_options *options, int64_t now,
                   int64_t wall, struct error *error)
{
	struct engine *engine = &observer->engine;
	const struct watcher_sink sink = {.begin = begin,
	                                  .take = take,
	                                  .complete = complete,
	                                  .may_read = may_read,
	                                  .context = observer};
	*observer = (struct observer){.meters = meters_new()};
	engine_init(engine, options->seed, OBSERVER_REQUESTS);
	engine->now = now;
	engine->wall = wall;
	follows_init(&observer->follows, engine, followed, observer);
	publisher_init(&observer->publisher, engine, observer->meters, options->step_in, less,
	               observer);
	deaths_init(&observer->deaths, engine, observer->meters, &observer->publisher, less,
	            observer);
	lease_init(&observer->lease, engine, options->namespace, options->lease, options->identity,
	           leader_changed, observer);
	collector_init(&observer->collector, engine, observer->meters, options->record_ttl,
	               options->record_cap);
	if (observer->meters != NULL &&
	    tracker_init(&observer->tracker, engine, observer->meters, &observer->deaths,
	                 &observer->follows, &options->track) &&
	    watcher_init(&observer->watcher, engine, "/api/v1/pods", options->selector,
	                 options->watch_idle, &sink))
		return true;
	observer_free(observer);
	return error_set(error, "no memory");
}

void observer_start(struct observer *observer)
{
	lease_start(&observer->lease);
	watcher_start(&observer->watcher);
}

void observer_advance(struct observer *observer, int64_t now, int64_t wall)
{
	observer->engine.now = now;
	observer->engine.wall = wall;
	engine_fire(&observer->engine);
}

bool observer_is_ready(struct observer *observer)
{
	return atomic_load(&observer->ready);
}

bool observer_is_idle(const struct observer *observer)
{
	return observer->deaths.count == 0 && observer->publisher.count == 0;
}

void observer_stop(struct observer *observer)
{
	atomic_store(&observer->ready, false);
	watcher_free(&observer->watcher); /* watcher_resume() does nothing from now on */
}

bool observer_is_drained(const struct observer *observer)
{
	return !observer->publisher.leader || observer_is_idle(observer);
}

void observer_measure(struct observer *observer)
{
	meters_set(observer->meters, METER_PODS, observer->tracker.live.count);
	meters_set(observer->meters, METER_DEATHS, observer->deaths.count);
	meters_set(observer->meters, METER_PUBLICATIONS, observer->publisher.count);
	meters_set(observer->meters, METER_LINGERING, observer->tracker.lingering);
	meters_raise(observer->meters, COUNTER_REQUESTS, observer->engine.requests);
	meters_raise(observer->meters, COUNTER_LISTS, observer->watcher.lists);
	meters_raise(observer->meters, COUNTER_WATCHES, observer->watcher.watches);
}

void observer_free(struct observer *observer)
{
	watcher_free(&observer->watcher);
	deaths_free(&observer->deaths);
	follows_free(&observer->follows);
	tracker_free(&observer->tracker);
	publisher_free(&observer->publisher);
	lease_free(&observer->lease);
	collector_free(&observer->collector);
	engine_free(&observer->engine);
	meters_free(observer->meters);
	observer->meters = NULL;
}

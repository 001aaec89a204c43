#include "watchdog/watch_report.h"

#include <sys/mman.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"

#define REPORTS_BURST   300
#define REPORT_INTERVAL SECOND
#define ENDS_SPARE      (QUEUE_SHARED / 2)

/* What is known of the connected shim, or of the last one. */
static struct report report_about(const struct agent *agent, enum report_event event)
{
	return (struct report){
	        .event = event,
	        .container = agent->name,
	        .shim_instance = agent->shim_instance,
	        .observation = {.termination_requested = agent->termination_requested},
	        .time = clock_wall(),
	        .started_at = agent->hello.started_at,
	        .duration = agent->socket < 0 ? -1
	                                      : clock_after(clock_now() - agent->connected_at,
	                                                    agent->hello.duration),
	        .silence = -1,
	        .max_rss = -1,
	        .cpu = -1,
	        .oom_kills = -1,
	        .shim_uid = agent->uid,
	        .silences = event == EVENT_END ? agent->silences : 0,
	        .deadline_exceeded_at = event == EVENT_END ? agent->deadline_exceeded_at : 0,
	        .reports_lost = agent->reports_lost,
	};
}

/* Restarts of a container are slower than this limit; forged messages are not. */
static bool rate_allows(struct agent *agent, enum report_event event)
{
	static const struct rate_limit limit = {REPORTS_BURST, REPORT_INTERVAL};
	enum rate rate = event == EVENT_END ? RATE_ENDS : RATE_EVENTS;
	return rate_limit_take(&limit, &agent->rates[rate], clock_now());
}

/* Room in the queue that the report must leave: for one end of each container that has none there.
 */
static size_t room_for_others(const struct watch *watch, const struct agent *agent,
                              enum report_event event)
{
	size_t room = event == EVENT_END ? 0 : ENDS_SPARE;
	for (size_t i = 0; i < watch->lifecycle.count; i++) {
		const struct agent *other = &watch->agents[i];
		bool queued = other->end_queued > watch->queue.written;
		if (!queued && !(other == agent && event == EVENT_END))
			room += REPORT_LINE_MAX;
	}
	return room;
}

static void print(struct watch *watch, struct agent *agent, struct report *report)
{
	struct buffer line;
	if (!rate_allows(agent, report->event)) {
		agent->reports_lost++;
		return;
	}
	report->output = watch->output;
	if (agent->ring.map != NULL)
		report->output_length =
		        ring_read(&agent->ring.ring, watch->output, watch->output_size,
		                  &report->total, &report->output_cut);
	buffer_init_fixed(&line, watch->line, sizeof watch->line);
	report_write(&watch->pod, report, &line);
	size_t spare = room_for_others(watch, agent, report->event);
	if (!buffer_ok(&line) || !stdout_queue_add(&watch->queue, line.data, line.length, spare))
		agent->reports_lost++;
	else if (report->event == EVENT_END)
		agent->end_queued = stdout_queue_end(&watch->queue);
	stdout_queue_write(&watch->queue);
	/* The copy's pages are given back. */
	madvise(watch->output, watch->output_size, MADV_DONTNEED);
}

void watch_report_connection_lost(struct watch *watch, struct agent *agent)
{
	struct report report = report_about(agent, EVENT_END);
	report.observation.ended = ENDED_VANISHED;
	report.finished_at = report.time;
	print(watch, agent, &report);
}

static int64_t known(int64_t value)
{
	return value < 0 ? -1 : value;
}

static enum ended ended_of(int32_t value)
{
	return value == ENDED_SIGNALED || value == ENDED_NOT_EXECUTED ? (enum ended)value
	                                                              : ENDED_EXITED;
}

static enum killed_by_us killed_by_us_of(int32_t value)
{
	return value == KILLED_BY_US_DEADLINE || value == KILLED_BY_US_SILENCE
	               ? (enum killed_by_us)value
	               : KILLED_BY_US_NOT;
}

bool watch_report_exit(struct watch *watch, struct agent *agent, const struct message *exit)
{
	struct report report = report_about(agent, EVENT_END);
	struct observation *o = &report.observation;
	o->ended = ended_of(exit->ended);
	o->exit_code = exit->exit_code & 0xff;
	if (o->ended == ENDED_SIGNALED && exit->signal > 0 && exit->signal <= 64)
		o->signal = exit->signal;
	o->killed_by_us = killed_by_us_of(exit->killed_by_us);
	o->oom_kills = exit->oom_kills > 0 ? (uint64_t)exit->oom_kills : 0;
	report.finished_at = exit->finished_at;
	report.duration = known(exit->duration);
	report.max_rss = known(exit->max_rss);
	report.cpu = known(exit->cpu);
	report.oom_kills = known(exit->oom_kills);
	report.total = exit->total;
	print(watch, agent, &report);
	return o->exit_code != 0;
}

void watch_report_event(struct watch *watch, struct agent *agent, const struct message *message)
{
	bool silent = message->type == MESSAGE_SILENT;
	struct report report = report_about(agent, silent ? EVENT_SILENT_AGENT : EVENT_DEADLINE);
	if (silent) {
		report.silence = known(message->duration);
		agent->silences++;
	} else {
		report.duration = known(message->duration);
		agent->deadline_exceeded_at = report.time;
	}
	print(watch, agent, &report);
}

void watch_report_flush(struct watch *watch, struct agent *agent)
{
	struct report report = report_about(agent, EVENT_FLUSH);
	print(watch, agent, &report);
}

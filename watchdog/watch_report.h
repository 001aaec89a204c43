/*
 * watch_report: which reports the sidecar prints, from what it knows of a shim and what the shim
 * sent. What came from the shim is untrusted: each value becomes one that exists.
 *
 * Every report is subject to the container's rate limits: ends for themselves, other events for
 * themselves. While stdout is not read, room in the queue is kept for one end of each container,
 * and events leave half of the rest to the ends: so neither a flood of events nor the ends of one
 * container can keep the end of another one from being reported. What could not be printed is
 * counted in reports_lost.
 */
#ifndef LASTWORD_WATCHDOG_WATCH_REPORT_H
#define LASTWORD_WATCHDOG_WATCH_REPORT_H

#include <stdbool.h>

#include "watchdog/watch_state.h"

/* The end of the container's command, from the shim's EXIT. Returns whether it failed. */
bool watch_report_exit(struct watch *watch, struct agent *agent, const struct message *exit);

/* The end of a shim whose connection closed, or broke, without an EXIT: it was killed. */
void watch_report_connection_lost(struct watch *watch, struct agent *agent);

/* MESSAGE_SILENT or MESSAGE_DEADLINE. */
void watch_report_event(struct watch *watch, struct agent *agent, const struct message *message);

/* The container's output so far: for the preStop hook, and when the sidecar itself ends. */
void watch_report_flush(struct watch *watch, struct agent *agent);

#endif

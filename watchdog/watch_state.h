/*
 * watch_state: what the parts of the sidecar share: the loop and the command line (watch.c), the
 * socket and its connections (watch_socket), the reports (watch_report). One thread. PROTOCOL.md
 * has the states of a container, sidecar_lifecycle.h says when the sidecar ends.
 *
 * Invariants:
 *  - Whatever a client sends or does not send, no other client waits for it: nothing blocks, and
 *    each connection gets a few messages per turn of the loop.
 *  - A container has at most one connected shim, whose end is reported exactly once: by its EXIT,
 *    or by its closed connection.
 *  - Memory is bounded by the containers named on the command line.
 */
#ifndef LASTWORD_WATCHDOG_WATCH_STATE_H
#define LASTWORD_WATCHDOG_WATCH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watchdog/mapped_ring.h"
#include "watchdog/protocol.h"
#include "watchdog/rate_limit.h"
#include "watchdog/report.h"
#include "watchdog/sidecar_lifecycle.h"
#include "watchdog/stdout_queue.h"

#define RING_SIZE_DEFAULT INT64_C(65536)
#define RING_SIZE_MIN     4096

/* Bytes of the queue to stdout for reports of all kinds; each container's end has room besides. */
#define QUEUE_SHARED ((size_t)128 * 1024)

/* How many connections that have not identified themselves yet there may be at a time. */
#define PENDING_MAX 8

/* What is limited for each container by itself. */
enum rate { RATE_ENDS, RATE_EVENTS, RATE_RINGS, RATE_COUNT };

/* The container of an agent, in the order of the command line. */
struct agent {
	const char *name;
	int socket;             /* of the connected shim; -1: none */
	uint64_t shim_instance; /* how many shims have connected */
	struct message hello;   /* of the last shim */
	int64_t connected_at;
	int64_t uid;                /* of the shim; -1: unknown */
	bool termination_requested; /* the shim, or the whole pod, was asked to end */
	/* Of the last shim: what it was reported for while it ran. */
	uint64_t silences;
	int64_t deadline_exceeded_at; /* nanoseconds since 1970; 0: it was not */
	struct mapped_ring ring;      /* the connected shim's */
	rate_bucket rates[RATE_COUNT];
	uint64_t end_queued; /* stdout_queue_end() behind its last end report */
	uint64_t reports_lost;
};

struct pending_connection {
	int socket; /* -1: this place is free */
	int64_t close_at;
};

struct watch {
	const char *socket_name;
	int64_t ring_size;
	int64_t tail_size;
	struct report_pod pod;
	struct sidecar_lifecycle lifecycle;  /* containers[i] belongs to agents[i] */
	struct agent agents[CONTAINERS_MAX]; /* lifecycle.count of them */

	int listener;       /* -1: the address is in use; tried again at bind_at */
	int64_t bind_at;    /* not bound before */
	bool bind_reported; /* that the address is in use */
	int64_t accept_at;  /* not accepted before, after accept(2) failed */
	int signals;        /* signalfd of SIGTERM; -1: there is none, only the handler */
	struct pending_connection pending[PENDING_MAX];
	struct stdout_queue queue;

	char *output; /* where a ring's content is copied to and redacted */
	size_t output_size;
	char received[TAIL_MAX];
	char line[REPORT_LINE_MAX + 1];
};

#endif

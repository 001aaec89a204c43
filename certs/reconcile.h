/*
 * round: one look at Secret and configuration, and the one step that follows: read the bundles,
 * read the Secret, decide, serve, write. The thin edge around rotate and publish; the network, the
 * clock and the server are functions of the caller.
 */
#ifndef LASTWORD_CERTS_RECONCILE_H
#define LASTWORD_CERTS_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/publish.h"
#include "certs/rotate.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/kube/client.h"

/* Further off than this from the API server's clock, a replica writes nothing: it would make
 * certificates that are not valid yet, or throw away those that are. */
#define ROUND_CLOCK_TOLERANCE (60 * SECOND)

struct round {
	const struct publish_names *names;
	const struct rotate_policy *policy;
	struct rotate_serving serving; /* zeroed at the start */
	void *context;                 /* of the functions: */
	/* kube_call() */
	bool (*call)(void *context, const struct kube_request *request,
	             struct kube_response *response, struct error *error);
	/* Nanoseconds: since 1970, and of a clock that nobody sets. */
	void (*clock)(void *context, int64_t *ret_now, int64_t *ret_monotonic);
	/* Serves this leaf from now on; PEM, wiped afterwards. */
	bool (*use)(void *context, const char *chain, const char *key, struct error *error);
};

enum round_end {
	ROUND_REST,   /* nothing to do, or time or somebody else to wait for */
	ROUND_AGAIN,  /* something was written, or somebody else was faster: look again */
	ROUND_FAILED, /* error says what; what is served is served on */
};

struct round_report {
	struct rotate_plan plan; /* step ROTATE_NOTHING when it was not decided */
	bool wrote;              /* plan was carried out */
	bool serves;             /* another leaf than before is served */
};

enum round_end round_run(struct round *round, struct round_report *ret_report, struct error *error);

#endif

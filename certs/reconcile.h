/*
 * reconcile: one reading of the Secret and the webhook configuration, and the one step that
 * follows: read the caBundles, read the Secret, decide, serve, write. A thin layer around rotate
 * and the JSON of the two objects; the network, the clock and the server are functions of the
 * caller.
 */
#ifndef LASTWORD_CERTS_RECONCILE_H
#define LASTWORD_CERTS_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "certs/names.h"
#include "certs/rotate.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/kube/client.h"

/* If its clock differs by more than this from the API server's, a replica writes nothing: it would
 * make certificates that are not valid yet, or discard valid ones. */
#define RECONCILE_CLOCK_TOLERANCE (60 * SECOND)

struct reconciler {
	const struct certificate_names *names;
	const struct rotate_policy *policy;
	struct rotate_serving serving; /* zeroed when the replica starts */
	void *context;                 /* of the functions: */
	/* kube_call() */
	bool (*call)(void *context, const struct kube_request *request,
	             struct kube_response *response, struct error *error);
	/* Nanoseconds: since 1970, and of a clock that nobody sets. */
	void (*clock)(void *context, int64_t *ret_now, int64_t *ret_monotonic);
	/* Serves this leaf certificate from now on; both texts are PEM and wiped afterwards. */
	bool (*use_certificate)(void *context, const char *chain, const char *key,
	                        struct error *error);
};

enum reconcile_result {
	RECONCILE_DONE,   /* nothing to do, or something to wait for */
	RECONCILE_AGAIN,  /* an object was written, or another replica was faster: read again */
	RECONCILE_FAILED, /* error says why; the certificate in use stays in use */
};

struct reconcile_report {
	struct rotate_plan plan; /* step ROTATE_NOTHING when nothing was decided */
	bool wrote;              /* the plan was carried out */
	bool serves;             /* another leaf than before is served */
};

enum reconcile_result reconcile(struct reconciler *reconciler, struct reconcile_report *ret_report,
                                struct error *error);

#endif

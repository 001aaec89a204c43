/*
 * keeper: the thread that keeps a replica's certificates: a round every few seconds, again at once
 * while there is something to do, at longer intervals while the API fails.
 *
 * The thread owns its API client; nothing else waits for it. The hooks are called on the thread.
 * keeper_stop() breaks off a call under way, so it returns at once.
 */
#ifndef LASTWORD_CERTS_MANAGER_H
#define LASTWORD_CERTS_MANAGER_H

#include <stdbool.h>

#include "certs/publish.h"
#include "certs/rotate.h"
#include "lib/base/error.h"

struct keeper;

enum keeper_event {
	KEEPER_SECRET_WRITTEN,  /* reason */
	KEEPER_AUTHORITY_MADE,  /* the same, with a new authority */
	KEEPER_BUNDLES_WRITTEN, /* reason */
	KEEPER_CERTIFICATE_IN_USE,
	KEEPER_WAITS,     /* reason; once for each */
	KEEPER_FAILED,    /* error; once for each, and again every hour */
	KEEPER_RECOVERED, /* after a failure */
	KEEPER_RUNS_OUT,  /* a fifth of the certificate's life is left; every hour. error:
	                     why it is not renewed */
};

struct keeper_news {
	enum keeper_event event;
	bool healing;       /* of damage */
	const char *reason; /* NULL: none */
	const char *error;  /* NULL: none */
};

struct keeper_options {
	struct publish_names names; /* initialised */
	struct rotate_policy policy;
	const char *account; /* folder of the service account; the caller's */
	void *context;       /* of the hooks: */
	bool (*use)(void *context, const char *chain, const char *key, struct error *error);
	/* Why nobody should come here yet; NULL: they may. At the end of every round. */
	void (*obstacle)(void *context, const char *text);
	void (*tell)(void *context, const struct keeper_news *news);
	void (*failed)(void *context); /* one more attempt has */
};

/* Signals should be blocked: the thread inherits that. */
bool keeper_start(const struct keeper_options *options, struct keeper **ret_keeper,
                  struct error *error);
/* NULL is fine. */
void keeper_stop(struct keeper *keeper);

#endif

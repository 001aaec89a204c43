/*
 * certificate_manager: the thread that keeps the certificates of one replica up to date. It
 * reconciles the Secret and the caBundles every few seconds, again at once while there is something
 * to do, and at longer intervals while the API fails.
 *
 * The thread owns its API client, and nothing else waits for it. It calls the hooks.
 * certificate_manager_stop() cancels a request under way, so it returns at once.
 */
#ifndef LASTWORD_CERTS_MANAGER_H
#define LASTWORD_CERTS_MANAGER_H

#include <stdbool.h>

#include "certs/names.h"
#include "certs/rotate.h"
#include "lib/base/error.h"

struct certificate_manager;

enum certificate_event_type {
	CERTIFICATE_SECRET_WRITTEN,  /* reason */
	CERTIFICATE_CA_CREATED,      /* reason; the Secret was written with a new CA */
	CERTIFICATE_BUNDLES_WRITTEN, /* reason */
	CERTIFICATE_IN_USE,
	CERTIFICATE_WAITING,             /* reason; once for each reason */
	CERTIFICATE_RECONCILE_FAILED,    /* error; once for each error, and again every hour */
	CERTIFICATE_RECONCILE_RECOVERED, /* after a failure */
	CERTIFICATE_EXPIRING, /* a fifth of the certificate's validity is left; again every hour.
	                         error: why it is not renewed */
};

struct certificate_event {
	enum certificate_event_type type;
	bool repair;        /* of damage that a person or a tool did */
	const char *reason; /* NULL: none */
	const char *error;  /* NULL: none */
};

struct certificate_manager_options {
	struct certificate_names names; /* initialised */
	struct rotate_policy policy;
	const char *service_account_dir; /* the caller's */
	void *context;                   /* of the hooks: */
	bool (*use_certificate)(void *context, const char *chain, const char *key,
	                        struct error *error);
	/* Called after each reconcile. Why clients should not connect yet; NULL: they may. */
	void (*set_not_ready_reason)(void *context, const char *reason);
	void (*report_event)(void *context, const struct certificate_event *event);
	void (*count_failure)(void *context); /* one more reconcile has failed */
};

/* Signals should be blocked: the thread inherits that. */
bool certificate_manager_start(const struct certificate_manager_options *options,
                               struct certificate_manager **ret_manager, struct error *error);
/* NULL is fine. */
void certificate_manager_stop(struct certificate_manager *manager);

#endif

/*
 * certificate_names: the Service that the certificate is for, and the two objects of the API that
 * the certificate manager keeps up to date. Pure; thread-safe.
 */
#ifndef LASTWORD_CERTS_NAMES_H
#define LASTWORD_CERTS_NAMES_H

#include <stdbool.h>

#include "lib/base/error.h"

#define CERTIFICATE_NAMES 4 /* DNS names in a leaf certificate */

struct certificate_names {
	const char *service;       /* a DNS label, as is the namespace */
	const char *namespace;     /* of the Service and of the Secret */
	const char *configuration; /* the MutatingWebhookConfiguration */
	const char *secret;
	char dns[CERTIFICATE_NAMES][160]; /* of the leaf; filled by certificate_names_init() */
};

/* Checks the four names and fills dns: SERVICE, SERVICE.NS, SERVICE.NS.svc and
 * SERVICE.NS.svc.cluster.local. The texts stay the caller's. */
bool certificate_names_init(struct certificate_names *names, struct error *error);

/* The DNS names as an array of pointers into names. */
void certificate_names_list(const struct certificate_names *names,
                            const char *ret_list[CERTIFICATE_NAMES]);

#endif

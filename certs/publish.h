/*
 * publish: Secret and webhook configuration, as JSON, to and from what rotate decides on.
 *
 * Pure: texts of the API in, texts for the API out; time and randomness are arguments.
 *
 *   Secret            kubernetes.io/tls: tls.crt, tls.key, ca.crt, ca.key, and the annotations
 *                     lastword.dev/settled ("ID", the authority whose leaves may be served) and
 *                     lastword.dev/published ("ID TIME"). Made with POST, changed with a merge
 *                     patch (RFC 7386) that names the resourceVersion: a 409 when it has changed.
 *                     Other keys, labels and annotations stay.
 *   configuration     a JSON patch (RFC 6902) that tests the resourceVersion and sets
 *                     /webhooks/N/clientConfig/caBundle where it is not right: it cannot touch
 *                     anything else. The API server refuses it with 422 when the version differs.
 *
 * What is in these objects is untrusted: anything that cannot be read counts as not there, and
 * rotate heals it. Only what is not the API's JSON at all is an error.
 */
#ifndef LASTWORD_CERTS_PUBLISH_H
#define LASTWORD_CERTS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "certs/rotate.h"
#include "certs/x509.h"
#include "lib/base/error.h"

struct buffer;

#define PUBLISH_WEBHOOKS_MAX 64
#define PUBLISH_NAMES        4
#define PUBLISH_VERSION_SIZE 64

struct publish_names {
	const char *service;       /* a DNS label, as is the namespace */
	const char *namespace;     /* of Service and Secret */
	const char *configuration; /* the MutatingWebhookConfiguration */
	const char *secret;
	char dns[PUBLISH_NAMES][160]; /* of the leaf: publish_names_init() */
};

/* Checks the four names and fills dns: SERVICE, SERVICE.NS, SERVICE.NS.svc and
 * SERVICE.NS.svc.cluster.local. The texts stay the caller's. */
bool publish_names_init(struct publish_names *names, struct error *error);

/* Secret and configuration as they were read. Holds keys: publish_state_free() wipes them. */
struct publish_state {
	struct rotate_view view;
	struct certificate *authorities[ROTATE_AUTHORITIES_MAX]; /* as in view */
	struct private_key *signer_key;
	struct certificate *leaf;
	struct private_key *leaf_key;
	char secret_version[PUBLISH_VERSION_SIZE];
	char configuration_version[PUBLISH_VERSION_SIZE];
	size_t webhook_count;
	bool right[PUBLISH_WEBHOOKS_MAX]; /* that caBundle is ca.crt, and nothing else */
};

/* Empty, so that it may be freed. */
void publish_state_init(struct publish_state *state);
void publish_state_free(struct publish_state *state);
#define _cleanup_publish_state_ __attribute__((cleanup(publish_state_free)))

/* An object of the API, JSON. */
struct publish_object {
	enum { PUBLISH_UNREAD, PUBLISH_ABSENT, PUBLISH_READ } presence;
	const char *text;
	size_t length;
};

/* The Secret must not be PUBLISH_UNREAD. now and serial (random) are for a leaf on trial: can the
 * signer sign what clients take? False when an object is not JSON of its kind, or without memory;
 * then state is empty. */
bool publish_read(const struct publish_object *secret, const struct publish_object *configuration,
                  const struct publish_names *names, int64_t now,
                  const unsigned char serial[X509_SERIAL_SIZE], struct publish_state *ret_state,
                  struct error *error);

/* The leaf that the Secret has, and its key, PEM, as they are to be served. */
bool publish_leaf(const struct publish_state *state, struct buffer *chain, struct buffer *key,
                  struct error *error);

/* The body that carries out plan.step ROTATE_WRITE_SECRET: of a POST when the Secret is not there,
 * else of a merge patch. serials: random, for an authority and a leaf. body: for secrets. */
bool publish_write_secret(const struct publish_state *state, const struct rotate_plan *plan,
                          const struct publish_names *names, const struct rotate_policy *policy,
                          int64_t now, unsigned char serials[2][X509_SERIAL_SIZE],
                          struct buffer *body, struct error *error);

/* The same for ROTATE_WRITE_BUNDLES: a JSON patch. */
bool publish_write_bundles(const struct publish_state *state, struct buffer *body,
                           struct error *error);

#endif

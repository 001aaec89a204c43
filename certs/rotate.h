/*
 * rotate: decides the next step of the certificate rotation. Pure: no clock, no network, no keys.
 *
 * The Secret holds the CA certificates that are trusted (ca.crt), the key of one of them, the
 * signer (ca.key), and the leaf certificate that the replicas serve (tls.crt, tls.key). Two
 * annotations are the memory that the replicas share:
 *   serving-ca  the CA whose leaf certificates may be served: every API server trusts it
 *   next-ca     the CA that follows, and the time at which a replica saw it in every caBundle
 * Any replica may take any step at any moment, and die after it: everything that the next step
 * needs is in the Secret and in the caBundles. When several replicas take a step at the same time,
 * each write names the resourceVersion that it was decided on: one write wins, and the others read
 * again.
 *
 *      nothing ──► CA + leaf, serving-ca set (nobody trusts anything yet: nothing can break)
 *                        │ two thirds of the leaf's validity    two thirds of the CA's
 *                        ├──► new leaf ──┐                                 │
 *                        ◄───────────────┘                                 ▼
 *                        ▲                         new CA in ca.crt, its key in ca.key;
 *                        │                         leaf and serving-ca stay
 *                        │                                                 ▼
 *            new leaf, serving-ca set ◄── propagation delay ◄── next-ca ◄── in every caBundle
 *
 * Invariants, for every interleaving of replicas, and however late each API server learns of a
 * caBundle (up to the propagation delay, less the difference of the replicas' clocks):
 *   I1  The leaf that a replica serves is verified by the caBundle that any API server knows, as
 *       long as replicas wrote those caBundles.
 *   I2  A CA is in ca.crt before it is in a caBundle. It is removed from ca.crt
 *       before it is removed from the caBundles, and not before all leaves that it may have
 *       signed have expired: a replica that is cut off from the API may serve an old one.
 *   I3  The time in next-ca is not before the moment from which every caBundle had the CA. Hence
 *       next-ca is cleared before a caBundle without the CA is written.
 *   I4  Once serving-ca names a CA, and the leaf is valid, that leaf is served until its successor
 *       is: a replica that starts at any moment has a leaf to serve.
 *   I5  From every state, whatever was deleted, edited or lost, the steps lead to a state in which
 *       nothing is left to do. Progress needs one running replica and a configuration to write to.
 * They rest on this: the caBundles are read before the Secret, and both before the decision; a
 * write fails when its object has changed since it was read; the propagation delay covers how late
 * API servers are and how far clocks differ.
 *
 * The signer's predecessor has no key any more, so a leaf cannot be renewed between the creation of
 * a new CA and the end of its propagation delay. So the CA is changed only while the leaf is fresh,
 * and the leaf is renewed for that; should it expire nevertheless (no replica ran for long),
 * nothing is left to protect and the next leaf is made at once.
 *
 * Damage. What a person or a tool does to the Secret or to the caBundles cannot be undone for API
 * servers that have seen it; the repair adds no damage of its own: what the caBundles trust is
 * adopted into ca.crt unless the signer is among it, a leaf in the Secret that serving-ca does not
 * cover is not served, and a replica that serves a valid leaf changes to the leaf of another CA
 * only after it has itself seen that CA in every caBundle for the propagation delay.
 *
 * Times are nanoseconds since 1970; not_after is the first moment after validity. Thread-safe.
 */
#ifndef LASTWORD_CERTS_ROTATE_H
#define LASTWORD_CERTS_ROTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define ROTATE_CAS_MAX 16

struct rotate_id {
	unsigned char bytes[32]; /* SHA-256 of the certificate */
};

struct rotate_ca {
	struct rotate_id id;
	int64_t not_before;
	int64_t not_after;
	bool in_secret;   /* in ca.crt */
	unsigned bundles; /* how many caBundles have it */
};

enum rotate_bundles {
	ROTATE_BUNDLES_UNKNOWN, /* they could not be read */
	ROTATE_BUNDLES_ABSENT,  /* no configuration, or one without webhooks */
	ROTATE_BUNDLES_READ,
};

/* What the Secret and the caBundles contain. A CA is given by its index in cas; -1: none. */
struct rotate_view {
	struct rotate_ca cas[ROTATE_CAS_MAX]; /* each id once */
	size_t ca_count;

	bool secret_exists;
	bool secret_malformed; /* ca.crt has something that is not a certificate */
	int signer;            /* ca.key is its key, and clients accept what it signs */
	struct {
		bool usable; /* one certificate, for our names, and tls.key is its key */
		int issuer;  /* the CA that signed it */
		struct rotate_id id;
		int64_t not_before;
		int64_t not_after;
	} leaf;
	bool has_serving_ca;
	struct rotate_id serving_ca;
	bool has_next_ca;
	struct rotate_id next_ca;
	int64_t next_ca_published_at; /* every caBundle had it by then */

	enum rotate_bundles bundles;
	unsigned bundle_count;
	bool bundles_malformed; /* one has something that is not a certificate, or too many of them
	                         */
};

struct rotate_policy {
	int64_t leaf_lifetime;
	int64_t ca_lifetime;
	int64_t propagation_delay;
};

/* A leaf is valid for at least six propagation delays (a third of that must cover a change of the
 * CA, twice) and 3 s, a CA for at least twice as long, and nothing for longer than 100 years. */
bool rotate_check_policy(const struct rotate_policy *policy, struct error *error);

enum rotate_step {
	ROTATE_NOTHING,
	ROTATE_WAIT, /* for time to pass or for somebody else to act; reason says which */
	ROTATE_WRITE_SECRET,
	ROTATE_WRITE_BUNDLES, /* each caBundle gets the content of ca.crt */
};

/* The annotation next-ca. SET: the signer, published in every caBundle by now. */
enum rotate_next_ca { ROTATE_NEXT_CA_KEEP, ROTATE_NEXT_CA_CLEAR, ROTATE_NEXT_CA_SET };

struct rotate_plan {
	enum rotate_step step;
	const char *reason; /* static; why this step is taken */
	bool repair;        /* a person or a tool did damage */
	/* Of ROTATE_WRITE_SECRET: */
	bool keep[ROTATE_CAS_MAX]; /* the CAs that ca.crt has afterwards, in this order, … */
	bool new_ca;               /* … after a new one, which becomes the signer */
	bool new_leaf;             /* issued by the signer, which becomes serving-ca */
	enum rotate_next_ca next_ca;
};

void rotate_decide(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                   struct rotate_plan *ret_plan);

/* The validity of a certificate made now: at most lifetime, and not longer than that of its CA
 * (INT64_MAX: it has none). It begins earlier, by an hour or a tenth of the lifetime, for clients
 * whose clocks are behind. Whole seconds; *ret_not_after is the last second of validity, as in
 * X.509, in nanoseconds. */
void rotate_validity(int64_t now, int64_t lifetime, int64_t ca_not_after, int64_t *ret_not_before,
                     int64_t *ret_not_after);

/* A fifth of the validity or less is left. */
bool rotate_nearly_over(int64_t not_before, int64_t not_after, int64_t now);

/* ---- What a replica serves ---- */

/* A replica's own memory; zeroed when it starts. */
struct rotate_serving {
	bool any; /* a leaf is served: */
	struct rotate_id leaf;
	struct rotate_id issuer;
	int64_t not_before;
	int64_t not_after;
	/* The CAs that this replica has seen in every caBundle without a break, and since when. */
	struct {
		struct rotate_id id;
		int64_t since; /* monotonic */
	} seen[ROTATE_CAS_MAX];
	size_t seen_count;
};

/* Should the leaf in the Secret be served from now on? monotonic: a clock that nobody sets. Updates
 * serving->seen; call it after every reading, and rotate_served() once the leaf is in use. */
bool rotate_serve(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                  int64_t monotonic, struct rotate_serving *serving);
void rotate_served(const struct rotate_view *view, struct rotate_serving *serving);

/* The CA of the served leaf was in every caBundle when they were last read. */
bool rotate_is_published(const struct rotate_serving *serving);

bool rotate_id_equal(const struct rotate_id *a, const struct rotate_id *b);

#endif

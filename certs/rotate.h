/*
 * rotate: what is the next step of the certificates' life? Pure: no clock, no network, no keys.
 *
 * The Secret holds the authorities that are trusted (ca.crt), the key of one of them, the signer
 * (ca.key), and the leaf that the replicas serve (tls.crt, tls.key). Two annotations are the
 * memory that replicas share:
 *   settled    the authority whose leaves may be served: every API server trusts it
 *   published  the authority that is to follow, and when a replica saw it in every caBundle
 * Any replica may do any step, at any moment, and die after it: all that the next one needs is in
 * the Secret and in the bundles. Several do it at once: each write names the resource version
 * that it was decided on, so that one of them wins and the others look again.
 *
 *      nothing ──► authority + leaf, settled (nobody trusts anything yet: nobody to disappoint)
 *                        │ two thirds of the leaf's life        two thirds of the authority's
 *                        ├──► new leaf ──┐                                 │
 *                        ◄───────────────┘                                 ▼
 *                        ▲                         new authority in ca.crt, its key in ca.key;
 *                        │                         leaf and settled stay
 *                        │                                                 ▼
 *                 new leaf, settled ◄── settle ◄── published ◄── in every caBundle
 *
 * Invariants, for every interleaving of replicas and however late (up to settle, less the
 * difference of the replicas' clocks) each API server learns of a bundle:
 *   I1  A leaf that a replica serves is verified by the bundle that any API server has in its
 *       hands, so long as those bundles were written by replicas.
 *   I2  An authority is in ca.crt before it is in a bundle, and leaves ca.crt before the bundles,
 *       not before all leaves that it may have signed have expired: some replica may be cut off
 *       and serve an old one.
 *   I3  The time in published is not before the moment from which every bundle has the authority.
 *       Hence published is cleared before a bundle that lacks it is written.
 *   I4  Once an authority is settled, and its leaf valid, that leaf is served until its successor
 *       is: a replica that starts at any moment has a leaf to serve.
 *   I5  From every state, whatever was deleted, edited or lost, the steps lead to a state with
 *       nothing to do. Progress needs one replica that lives on, and a configuration to write to.
 * What they rest on: bundles are read before the Secret, and both before the decision; a write
 * fails when its object has changed since it was read; settle covers the lateness of API servers
 * and the difference of clocks.
 *
 * The signer's predecessor has no key any more: a leaf cannot be renewed between a new authority
 * and its settling. So the authority is only changed while the leaf is fresh, and it is
 * renewed for that; should the leaf expire all the same (nobody ran for long), there is nothing
 * left to protect and the next leaf comes at once.
 *
 * Damage. What a person or a tool does to Secret or bundles cannot be undone for those who have
 * seen it; it is healed so that nothing is added to it: what the bundles trust is taken over into
 * ca.crt unless the signer is there beside it, a leaf in the Secret that settled does not vouch for
 * is not served, and a replica that serves a valid leaf changes to another authority's only after
 * it has itself seen that one in every bundle for settle.
 *
 * Times are nanoseconds since 1970; not_after is the first moment without validity. Thread-safe.
 */
#ifndef LASTWORD_CERTS_ROTATE_H
#define LASTWORD_CERTS_ROTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

#define ROTATE_AUTHORITIES_MAX 16

struct rotate_id {
	unsigned char bytes[32]; /* SHA-256 of the certificate */
};

struct rotate_authority {
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

/* What Secret and bundles say. Indices are those of authorities; -1: none. */
struct rotate_view {
	struct rotate_authority authorities[ROTATE_AUTHORITIES_MAX]; /* each id once */
	size_t authority_count;

	bool secret_exists;
	bool secret_untidy; /* ca.crt has something that is no certificate */
	int signer;         /* ca.key is its key, and it can sign a leaf that clients take */
	struct {
		bool fits;  /* one certificate, for our names, and tls.key is its key */
		int issuer; /* who signed it */
		struct rotate_id id;
		int64_t not_before;
		int64_t not_after;
	} leaf;
	bool has_settled;
	struct rotate_id settled;
	bool has_published;
	struct rotate_id published;
	int64_t published_at;

	enum rotate_bundles bundles;
	unsigned bundle_count;
	bool bundles_untidy; /* one has something that is no certificate, or too many of them */
};

struct rotate_policy {
	int64_t leaf_lifetime;
	int64_t authority_lifetime;
	int64_t settle;
};

/* A leaf lives at least six settles (see above: a third of it must cover the change of authority,
 * twice) and 3 s, an authority twice as long; nothing longer than 100 years. */
bool rotate_check_policy(const struct rotate_policy *policy, struct error *error);

enum rotate_step {
	ROTATE_NOTHING,
	ROTATE_WAIT, /* for time or for somebody else; reason says what */
	ROTATE_WRITE_SECRET,
	ROTATE_WRITE_BUNDLES, /* each caBundle becomes ca.crt */
};

enum rotate_stamp { ROTATE_STAMP_KEEP, ROTATE_STAMP_CLEAR, ROTATE_STAMP_NOW };

struct rotate_plan {
	enum rotate_step step;
	const char *reason; /* static; why this step */
	bool healing;       /* somebody or something did damage */
	/* Of ROTATE_WRITE_SECRET: */
	bool keep[ROTATE_AUTHORITIES_MAX]; /* ca.crt afterwards, in this order, … */
	bool new_authority;                /* … after a new one, which is the signer then */
	bool new_leaf;                     /* by the signer, which is settled then */
	enum rotate_stamp stamp;           /* published: the signer, now */
};

void rotate_decide(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                   struct rotate_plan *ret_plan);

/* A certificate made now, at most so long, and not longer than its authority (INT64_MAX: none).
 * Validity begins earlier, for clocks that are behind: by an hour or a tenth of the lifetime. Whole
 * seconds; not_after as X.509 has it, the last second of validity, in nanoseconds. */
void rotate_validity(int64_t now, int64_t lifetime, int64_t authority_not_after,
                     int64_t *ret_not_before, int64_t *ret_not_after);

/* A fifth of the life or less is left. */
bool rotate_nearly_over(int64_t not_before, int64_t not_after, int64_t now);

/* ---- What a replica serves ---- */

/* A replica's own memory; zeroed at its start. */
struct rotate_serving {
	bool any; /* a leaf is served: */
	struct rotate_id leaf;
	struct rotate_id issuer;
	int64_t not_before;
	int64_t not_after;
	/* Authorities that this replica has seen in every bundle, without a break, since when. */
	struct {
		struct rotate_id id;
		int64_t since; /* monotonic */
	} seen[ROTATE_AUTHORITIES_MAX];
	size_t seen_count;
};

/* Is the leaf in the Secret to be served from now on? monotonic: a clock that nobody sets. Keeps
 * serving->seen up to date; call it after every reading, and rotate_served() once the leaf is in
 * use. */
bool rotate_serve(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                  int64_t monotonic, struct rotate_serving *serving);
void rotate_served(const struct rotate_view *view, struct rotate_serving *serving);

/* The leaf that is served is of an authority in every bundle, as they were last read. */
bool rotate_published(const struct rotate_serving *serving);

bool rotate_id_equal(const struct rotate_id *a, const struct rotate_id *b);

#endif

#include "certs/rotate.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/duration.h"

#define BACKDATE_MAX     (3600 * SECOND)
#define LIFETIME_MAX     (INT64_C(100) * 365 * 24 * 3600 * SECOND)
#define LIFETIME_MIN     (3 * SECOND)
#define SETTLES_OF_LEAF  6
#define LEAVES_AUTHORITY 2 /* an authority lives that many leaves at least */

bool rotate_id_equal(const struct rotate_id *a, const struct rotate_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool rotate_check_policy(const struct rotate_policy *policy, struct error *error)
{
	if (policy->settle < 0 || policy->settle > LIFETIME_MAX / SETTLES_OF_LEAF)
		return error_set(error, "expected a time to settle of 0s or more");
	if (policy->leaf_lifetime < LIFETIME_MIN ||
	    policy->leaf_lifetime < SETTLES_OF_LEAF * policy->settle)
		return error_set(error,
		                 "expected a certificate's lifetime of at least 3s and %d times "
		                 "the time to settle",
		                 SETTLES_OF_LEAF);
	if (policy->authority_lifetime > LIFETIME_MAX ||
	    policy->leaf_lifetime > policy->authority_lifetime / LEAVES_AUTHORITY)
		return error_set(error,
		                 "expected an authority's lifetime of at least %d times a "
		                 "certificate's, and at most 100 years",
		                 LEAVES_AUTHORITY);
	return true;
}

/* ---- Validity ---- */

static int64_t backdate(int64_t lifetime)
{
	int64_t tenth = lifetime / 10;
	return tenth < BACKDATE_MAX ? tenth : BACKDATE_MAX;
}

static int64_t whole_seconds(int64_t time)
{
	return time / SECOND * SECOND;
}

void rotate_validity(int64_t now, int64_t lifetime, int64_t authority_not_after,
                     int64_t *ret_not_before, int64_t *ret_not_after)
{
	/* The last second counts whole: the end in view is one second later. */
	int64_t end = whole_seconds(now + lifetime);
	if (end > authority_not_after)
		end = authority_not_after;
	*ret_not_before = whole_seconds(now - backdate(lifetime));
	*ret_not_after = end - SECOND;
}

/* Two thirds of the life are over; of a life that would be shorter by the present policy, of that.
 */
static bool is_due(int64_t not_before, int64_t not_after, int64_t lifetime, int64_t now)
{
	int64_t life = not_after - not_before;
	int64_t wanted = lifetime + backdate(lifetime);
	if (life > wanted)
		life = wanted;
	return now - not_before >= life - life / 3;
}

bool rotate_nearly_over(int64_t not_before, int64_t not_after, int64_t now)
{
	return not_after - now <= (not_after - not_before) / 5;
}

/* ---- Deciding ---- */

static bool in_every_bundle(const struct rotate_view *view, int index)
{
	return index >= 0 && view->bundles == ROTATE_BUNDLES_READ &&
	       view->authorities[index].bundles == view->bundle_count;
}

static bool is_settled(const struct rotate_view *view, int index)
{
	return index >= 0 && view->has_settled &&
	       rotate_id_equal(&view->settled, &view->authorities[index].id);
}

/* The leaf in the Secret is one that the protocol put there. */
static bool is_vouched(const struct rotate_view *view)
{
	return view->leaf.fits && is_settled(view, view->leaf.issuer);
}

static bool is_leaf_valid(const struct rotate_view *view, int64_t now)
{
	return now >= view->leaf.not_before && now < view->leaf.not_after;
}

/* May a leaf of another authority than the signer be in use somewhere? Then the signer's must wait
 * until everybody trusts it. */
static bool must_protect(const struct rotate_view *view, int signer, int64_t now)
{
	if (is_vouched(view) && view->leaf.issuer != signer && now >= view->leaf.not_after)
		return false; /* the last one of them is over */
	for (size_t i = 0; i < view->authority_count; i++)
		if ((int)i != signer && now < view->authorities[i].not_after)
			return true;
	return false;
}

/* What ca.crt should hold. adopt: what only bundles have, too. */
static void choose_authorities(const struct rotate_view *view, const struct rotate_policy *policy,
                               int64_t now, bool adopt, bool keep[ROTATE_AUTHORITIES_MAX])
{
	for (size_t i = 0; i < view->authority_count; i++) {
		const struct rotate_authority *authority = &view->authorities[i];
		if ((int)i == view->signer && now < authority->not_after)
			keep[i] = true;
		else if (authority->in_secret)
			/* Clocks may be behind ours, and serve its last leaf. */
			keep[i] = now - policy->settle < authority->not_after;
		else
			keep[i] = adopt && now < authority->not_after;
	}
}

/* Every bundle is ca.crt. */
static bool are_bundles_right(const struct rotate_view *view)
{
	if (view->bundles_untidy)
		return false;
	for (size_t i = 0; i < view->authority_count; i++) {
		const struct rotate_authority *authority = &view->authorities[i];
		if (authority->bundles != (authority->in_secret ? view->bundle_count : 0))
			return false;
	}
	return true;
}

static void wait_for(struct rotate_plan *plan, const char *reason)
{
	plan->step = ROTATE_WAIT;
	plan->reason = reason;
}

static void write_secret(struct rotate_plan *plan, const char *reason, bool healing)
{
	plan->step = ROTATE_WRITE_SECRET;
	plan->reason = reason;
	plan->healing = healing;
}

/* False: ca.crt is what plan->keep wants. */
static bool plan_tidying(const struct rotate_view *view, struct rotate_plan *plan)
{
	bool lacks = false;
	bool expired = false;
	for (size_t i = 0; i < view->authority_count; i++) {
		lacks = lacks || (plan->keep[i] && !view->authorities[i].in_secret);
		expired = expired || (!plan->keep[i] && view->authorities[i].in_secret);
	}
	if (view->secret_untidy)
		write_secret(plan, "ca.crt has something that is no certificate", true);
	else if (lacks)
		write_secret(plan, "ca.crt lacks an authority that is trusted", true);
	else if (expired)
		write_secret(plan, "an authority in ca.crt has expired", false);
	return plan->step != ROTATE_NOTHING;
}

static void plan_authority(const struct rotate_view *view, const struct rotate_policy *policy,
                           int64_t now, const char *reason, bool healing, struct rotate_plan *plan)
{
	if (view->bundles == ROTATE_BUNDLES_UNKNOWN) {
		wait_for(plan, "a new authority is needed, but what is trusted now is not known");
		return;
	}
	write_secret(plan, reason, healing);
	choose_authorities(view, policy, now, true, plan->keep);
	if (view->authority_count == ROTATE_AUTHORITIES_MAX)
		plan->keep[ROTATE_AUTHORITIES_MAX - 1] = false; /* room for the new one */
	plan->new_authority = true;
	plan->new_leaf = !must_protect(view, -1, now);
	plan->stamp = ROTATE_STAMP_CLEAR;
}

static void plan_without_signer(const struct rotate_view *view, const struct rotate_policy *policy,
                                int64_t now, struct rotate_plan *plan)
{
	const char *reason = "the Secret is not there";
	bool healing = view->authority_count > 0;
	if (view->signer >= 0) {
		reason = "the authority has expired";
		healing = true;
	} else if (view->secret_exists) {
		reason = "the Secret has no authority with its key";
		healing = view->has_settled || view->authority_count > 0;
	}
	plan_authority(view, policy, now, reason, healing, plan);
}

/* Is there a leaf with a later end to be had than this one? Not of an authority that ends itself.
 */
static bool can_be_renewed(const struct rotate_view *view, const struct rotate_policy *policy,
                           int64_t now)
{
	int64_t longest = whole_seconds(now + policy->leaf_lifetime);
	if (longest > view->authorities[view->signer].not_after)
		longest = view->authorities[view->signer].not_after;
	return longest > view->leaf.not_after;
}

/* NULL: the leaf is as it should be. */
static const char *leaf_problem(const struct rotate_view *view, const struct rotate_policy *policy,
                                int64_t now, bool *ret_healing)
{
	*ret_healing = true;
	if (!view->leaf.fits)
		return "the Secret has no certificate for our names with its key";
	if (view->leaf.issuer != view->signer)
		return "the certificate is not of the authority";
	if (now >= view->leaf.not_after)
		return "the certificate has expired";
	if (now < view->leaf.not_before)
		return "the certificate is not valid yet";
	*ret_healing = false;
	bool shorten = view->leaf.not_after - now > policy->leaf_lifetime + SECOND;
	if (is_due(view->leaf.not_before, view->leaf.not_after, policy->leaf_lifetime, now) &&
	    (can_be_renewed(view, policy, now) || shorten))
		return "two thirds of the certificate's life are over";
	return NULL;
}

static void plan_bundles(const struct rotate_view *view, struct rotate_plan *plan)
{
	if (view->bundles == ROTATE_BUNDLES_UNKNOWN) {
		wait_for(plan, "what is trusted now is not known");
	} else if (view->bundles == ROTATE_BUNDLES_ABSENT) {
		wait_for(plan, "there is no webhook configuration to publish to");
	} else if (!are_bundles_right(view)) {
		plan->step = ROTATE_WRITE_BUNDLES;
		plan->reason = "a caBundle is not what ca.crt is";
		plan->healing = in_every_bundle(view, view->signer);
	}
}

/* The leaf has nearly all of its life before it. */
static bool is_fresh(const struct rotate_view *view, int64_t now)
{
	return now - view->leaf.not_before < (view->leaf.not_after - view->leaf.not_before) / 3;
}

static void plan_settled(const struct rotate_view *view, const struct rotate_policy *policy,
                         int64_t now, struct rotate_plan *plan)
{
	const struct rotate_authority *signer = &view->authorities[view->signer];
	bool healing;
	/* Which of the two is right cannot be told when they have nothing in common, or when ca.crt
	 * has lost something. */
	bool adopt = view->bundles == ROTATE_BUNDLES_READ &&
	             (view->secret_untidy || !in_every_bundle(view, view->signer));
	choose_authorities(view, policy, now, adopt, plan->keep);
	const char *problem = leaf_problem(view, policy, now, &healing);
	if (problem != NULL) {
		write_secret(plan, problem, healing);
		plan->new_leaf = true;
		return;
	}
	if (plan_tidying(view, plan))
		return;
	plan_bundles(view, plan);
	if (plan->step != ROTATE_NOTHING ||
	    !is_due(signer->not_before, signer->not_after, policy->authority_lifetime, now))
		return;
	if (!is_fresh(view, now) && can_be_renewed(view, policy, now)) {
		write_secret(plan, "the authority is about to change", false);
		plan->new_leaf = true;
		return;
	}
	plan_authority(view, policy, now, "two thirds of the authority's life are over", false,
	               plan);
}

static void plan_settling(const struct rotate_view *view, const struct rotate_policy *policy,
                          int64_t now, struct rotate_plan *plan)
{
	const struct rotate_authority *signer = &view->authorities[view->signer];
	bool stamped = view->has_published && rotate_id_equal(&view->published, &signer->id);
	choose_authorities(view, policy, now, view->bundles == ROTATE_BUNDLES_READ, plan->keep);
	if (plan_tidying(view, plan))
		return;
	if (view->bundles != ROTATE_BUNDLES_UNKNOWN && !must_protect(view, view->signer, now)) {
		write_secret(plan, "no other authority is in use", false);
		plan->new_leaf = true;
		return;
	}
	plan_bundles(view, plan);
	if (plan->step == ROTATE_WRITE_BUNDLES && stamped) {
		write_secret(plan, "a caBundle has lost the new authority", true);
		plan->stamp = ROTATE_STAMP_CLEAR;
	}
	if (plan->step != ROTATE_NOTHING)
		return;
	/* Clocks differ by less than settle: a later time than that is none. */
	if (!stamped || view->published_at > now + policy->settle) {
		write_secret(plan, "the new authority is in every caBundle", false);
		plan->stamp = ROTATE_STAMP_NOW;
	} else if (now - view->published_at < policy->settle) {
		wait_for(plan, "the new authority is settling");
	} else {
		write_secret(plan, "the new authority has settled", false);
		plan->new_leaf = true;
	}
}

void rotate_decide(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                   struct rotate_plan *ret_plan)
{
	struct rotate_plan plan = {.step = ROTATE_NOTHING};
	if (view->signer < 0 || now >= view->authorities[view->signer].not_after)
		plan_without_signer(view, policy, now, &plan);
	else if (now < view->authorities[view->signer].not_before)
		wait_for(&plan, "the authority is not valid yet: is a clock wrong?");
	else if (is_settled(view, view->signer))
		plan_settled(view, policy, now, &plan);
	else
		plan_settling(view, policy, now, &plan);
	*ret_plan = plan;
}

/* ---- What a replica serves ---- */

static bool see(struct rotate_serving *serving, const struct rotate_serving *before,
                const struct rotate_id *id, int64_t monotonic)
{
	if (serving->seen_count == ROTATE_AUTHORITIES_MAX)
		return false;
	int64_t since = monotonic;
	for (size_t i = 0; i < before->seen_count; i++)
		if (rotate_id_equal(&before->seen[i].id, id))
			since = before->seen[i].since;
	serving->seen[serving->seen_count].id = *id;
	serving->seen[serving->seen_count].since = since;
	serving->seen_count++;
	return true;
}

static void look_at_bundles(const struct rotate_view *view, int64_t monotonic,
                            struct rotate_serving *serving)
{
	if (view->bundles == ROTATE_BUNDLES_UNKNOWN)
		return;
	struct rotate_serving before = *serving;
	serving->seen_count = 0;
	for (size_t i = 0; i < view->authority_count; i++)
		if (in_every_bundle(view, (int)i))
			see(serving, &before, &view->authorities[i].id, monotonic);
}

static bool has_seen(const struct rotate_serving *serving, const struct rotate_id *id,
                     int64_t since)
{
	for (size_t i = 0; i < serving->seen_count; i++)
		if (rotate_id_equal(&serving->seen[i].id, id))
			return serving->seen[i].since <= since;
	return false;
}

bool rotate_published(const struct rotate_serving *serving)
{
	return serving->any && has_seen(serving, &serving->issuer, INT64_MAX);
}

bool rotate_serve(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                  int64_t monotonic, struct rotate_serving *serving)
{
	look_at_bundles(view, monotonic, serving);
	if (!is_vouched(view) || !is_leaf_valid(view, now))
		return false;
	if (!serving->any || now >= serving->not_after)
		return true;
	const struct rotate_id *issuer = &view->authorities[view->leaf.issuer].id;
	if (rotate_id_equal(&serving->issuer, issuer))
		return !rotate_id_equal(&serving->leaf, &view->leaf.id);
	if (view->bundles == ROTATE_BUNDLES_READ && !rotate_published(serving))
		return has_seen(serving, issuer, monotonic); /* the better of the two */
	return has_seen(serving, issuer, monotonic - policy->settle);
}

void rotate_served(const struct rotate_view *view, struct rotate_serving *serving)
{
	serving->any = true;
	serving->leaf = view->leaf.id;
	serving->issuer = view->authorities[view->leaf.issuer].id;
	serving->not_before = view->leaf.not_before;
	serving->not_after = view->leaf.not_after;
}

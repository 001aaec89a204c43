#include "certs/rotate.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/duration.h"

#define BACKDATE_MAX         (3600 * SECOND)
#define LIFETIME_MAX         (INT64_C(100) * 365 * 24 * 3600 * SECOND)
#define LIFETIME_MIN         (3 * SECOND)
#define DELAYS_OF_LEAF       6
#define LEAF_LIFETIMES_OF_CA 2 /* at least */

bool rotate_id_equal(const struct rotate_id *a, const struct rotate_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool rotate_check_policy(const struct rotate_policy *policy, struct error *error)
{
	if (policy->propagation_delay < 0 ||
	    policy->propagation_delay > LIFETIME_MAX / DELAYS_OF_LEAF)
		return error_set(error, "expected a propagation delay of 0s or more");
	if (policy->leaf_lifetime < LIFETIME_MIN ||
	    policy->leaf_lifetime < DELAYS_OF_LEAF * policy->propagation_delay)
		return error_set(error,
		                 "expected a certificate's lifetime of at least 3s and %d times "
		                 "the propagation delay",
		                 DELAYS_OF_LEAF);
	if (policy->ca_lifetime > LIFETIME_MAX ||
	    policy->leaf_lifetime > policy->ca_lifetime / LEAF_LIFETIMES_OF_CA)
		return error_set(error,
		                 "expected a CA's lifetime of at least %d times a "
		                 "certificate's, and at most 100 years",
		                 LEAF_LIFETIMES_OF_CA);
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

void rotate_validity(int64_t now, int64_t lifetime, int64_t ca_not_after, int64_t *ret_not_before,
                     int64_t *ret_not_after)
{
	/* X.509 counts the whole last second: in the view, not_after is one second later. */
	int64_t end = whole_seconds(now + lifetime);
	if (end > ca_not_after)
		end = ca_not_after;
	*ret_not_before = whole_seconds(now - backdate(lifetime));
	*ret_not_after = end - SECOND;
}

/* Two thirds of the validity are over, or two thirds of what the present policy would make it if
 * that is shorter. */
static bool is_due(int64_t not_before, int64_t not_after, int64_t lifetime, int64_t now)
{
	int64_t validity = not_after - not_before;
	int64_t wanted = lifetime + backdate(lifetime);
	if (validity > wanted)
		validity = wanted;
	return now - not_before >= validity - validity / 3;
}

bool rotate_nearly_over(int64_t not_before, int64_t not_after, int64_t now)
{
	return not_after - now <= (not_after - not_before) / 5;
}

/* ---- Deciding ---- */

static bool in_every_bundle(const struct rotate_view *view, int index)
{
	return index >= 0 && view->bundles == ROTATE_BUNDLES_READ &&
	       view->cas[index].bundles == view->bundle_count;
}

static bool is_serving_ca(const struct rotate_view *view, int index)
{
	return index >= 0 && view->has_serving_ca &&
	       rotate_id_equal(&view->serving_ca, &view->cas[index].id);
}

/* A replica put the leaf into the Secret, by the rules above. */
static bool is_leaf_of_serving_ca(const struct rotate_view *view)
{
	return view->leaf.usable && is_serving_ca(view, view->leaf.issuer);
}

static bool is_leaf_valid(const struct rotate_view *view, int64_t now)
{
	return now >= view->leaf.not_before && now < view->leaf.not_after;
}

/* May a leaf of another CA than the signer be in use somewhere? Then the signer's leaf must wait
 * until every API server trusts the signer. */
static bool must_protect(const struct rotate_view *view, int signer, int64_t now)
{
	if (is_leaf_of_serving_ca(view) && view->leaf.issuer != signer &&
	    now >= view->leaf.not_after)
		return false; /* the last of them has expired */
	for (size_t i = 0; i < view->ca_count; i++)
		if ((int)i != signer && now < view->cas[i].not_after)
			return true;
	return false;
}

/* What ca.crt should hold; with adopt also CAs that only caBundles have. */
static void choose_cas(const struct rotate_view *view, const struct rotate_policy *policy,
                       int64_t now, bool adopt, bool keep[ROTATE_CAS_MAX])
{
	for (size_t i = 0; i < view->ca_count; i++) {
		const struct rotate_ca *ca = &view->cas[i];
		if ((int)i == view->signer && now < ca->not_after)
			keep[i] = true;
		else if (ca->in_secret)
			/* A replica whose clock is behind may still serve its last leaf. */
			keep[i] = now - policy->propagation_delay < ca->not_after;
		else
			keep[i] = adopt && now < ca->not_after;
	}
}

/* Every caBundle has exactly the CAs of ca.crt. */
static bool are_bundles_right(const struct rotate_view *view)
{
	if (view->bundles_malformed)
		return false;
	for (size_t i = 0; i < view->ca_count; i++) {
		const struct rotate_ca *ca = &view->cas[i];
		if (ca->bundles != (ca->in_secret ? view->bundle_count : 0))
			return false;
	}
	return true;
}

static void wait_for(struct rotate_plan *plan, const char *reason)
{
	plan->step = ROTATE_WAIT;
	plan->reason = reason;
}

static void write_secret(struct rotate_plan *plan, const char *reason, bool repair)
{
	plan->step = ROTATE_WRITE_SECRET;
	plan->reason = reason;
	plan->repair = repair;
}

/* Plans a write if ca.crt is not what plan->keep wants. */
static bool plan_ca_crt(const struct rotate_view *view, struct rotate_plan *plan)
{
	bool lacks = false;
	bool expired = false;
	for (size_t i = 0; i < view->ca_count; i++) {
		lacks = lacks || (plan->keep[i] && !view->cas[i].in_secret);
		expired = expired || (!plan->keep[i] && view->cas[i].in_secret);
	}
	if (view->secret_malformed)
		write_secret(plan, "ca.crt has something that is not a certificate", true);
	else if (lacks)
		write_secret(plan, "ca.crt lacks a CA that is trusted", true);
	else if (expired)
		write_secret(plan, "a CA in ca.crt has expired", false);
	return plan->step != ROTATE_NOTHING;
}

static void plan_new_ca(const struct rotate_view *view, const struct rotate_policy *policy,
                        int64_t now, const char *reason, bool repair, struct rotate_plan *plan)
{
	if (view->bundles == ROTATE_BUNDLES_UNKNOWN) {
		wait_for(plan, "a new CA is needed, but the caBundles could not be read");
		return;
	}
	write_secret(plan, reason, repair);
	choose_cas(view, policy, now, true, plan->keep);
	if (view->ca_count == ROTATE_CAS_MAX)
		plan->keep[ROTATE_CAS_MAX - 1] = false; /* room for the new one */
	plan->new_ca = true;
	plan->new_leaf = !must_protect(view, -1, now);
	plan->next_ca = ROTATE_NEXT_CA_CLEAR;
}

static void plan_without_signer(const struct rotate_view *view, const struct rotate_policy *policy,
                                int64_t now, struct rotate_plan *plan)
{
	const char *reason = "the Secret does not exist";
	bool repair = view->ca_count > 0;
	if (view->signer >= 0) {
		reason = "the CA has expired";
		repair = true;
	} else if (view->secret_exists) {
		reason = "the Secret has no CA with its key";
		repair = view->has_serving_ca || view->ca_count > 0;
	}
	plan_new_ca(view, policy, now, reason, repair, plan);
}

/* Would a new leaf be valid for longer than this one? Not if its CA ends with it. */
static bool can_be_renewed(const struct rotate_view *view, const struct rotate_policy *policy,
                           int64_t now)
{
	int64_t longest = whole_seconds(now + policy->leaf_lifetime);
	if (longest > view->cas[view->signer].not_after)
		longest = view->cas[view->signer].not_after;
	return longest > view->leaf.not_after;
}

/* NULL: the leaf is as it should be. */
static const char *leaf_problem(const struct rotate_view *view, const struct rotate_policy *policy,
                                int64_t now, bool *ret_healing)
{
	*ret_healing = true;
	if (!view->leaf.usable)
		return "the Secret has no certificate for the Service's names with its key";
	if (view->leaf.issuer != view->signer)
		return "the certificate was not issued by the CA";
	if (now >= view->leaf.not_after)
		return "the certificate has expired";
	if (now < view->leaf.not_before)
		return "the certificate is not valid yet";
	*ret_healing = false;
	bool shorten = view->leaf.not_after - now > policy->leaf_lifetime + SECOND;
	if (is_due(view->leaf.not_before, view->leaf.not_after, policy->leaf_lifetime, now) &&
	    (can_be_renewed(view, policy, now) || shorten))
		return "two thirds of the certificate's lifetime have passed";
	return NULL;
}

static void plan_bundles(const struct rotate_view *view, struct rotate_plan *plan)
{
	if (view->bundles == ROTATE_BUNDLES_UNKNOWN) {
		wait_for(plan, "the caBundles could not be read");
	} else if (view->bundles == ROTATE_BUNDLES_ABSENT) {
		wait_for(plan, "there is no webhook configuration to publish the CA in");
	} else if (!are_bundles_right(view)) {
		plan->step = ROTATE_WRITE_BUNDLES;
		plan->reason = "a caBundle differs from ca.crt";
		plan->repair = in_every_bundle(view, view->signer);
	}
}

/* Less than a third of the leaf's validity has passed. */
static bool is_fresh(const struct rotate_view *view, int64_t now)
{
	return now - view->leaf.not_before < (view->leaf.not_after - view->leaf.not_before) / 3;
}

static void plan_steady(const struct rotate_view *view, const struct rotate_policy *policy,
                        int64_t now, struct rotate_plan *plan)
{
	const struct rotate_ca *signer = &view->cas[view->signer];
	bool repair;
	/* When ca.crt and the caBundles have nothing in common, or when ca.crt has lost something,
	 * nobody can tell which of the two is right: both are kept. */
	bool adopt = view->bundles == ROTATE_BUNDLES_READ &&
	             (view->secret_malformed || !in_every_bundle(view, view->signer));
	choose_cas(view, policy, now, adopt, plan->keep);
	const char *problem = leaf_problem(view, policy, now, &repair);
	if (problem != NULL) {
		write_secret(plan, problem, repair);
		plan->new_leaf = true;
		return;
	}
	if (plan_ca_crt(view, plan))
		return;
	plan_bundles(view, plan);
	if (plan->step != ROTATE_NOTHING ||
	    !is_due(signer->not_before, signer->not_after, policy->ca_lifetime, now))
		return;
	if (!is_fresh(view, now) && can_be_renewed(view, policy, now)) {
		write_secret(plan, "the CA is about to change", false);
		plan->new_leaf = true;
		return;
	}
	plan_new_ca(view, policy, now, "two thirds of the CA's lifetime have passed", false, plan);
}

static void plan_rollover(const struct rotate_view *view, const struct rotate_policy *policy,
                          int64_t now, struct rotate_plan *plan)
{
	const struct rotate_ca *signer = &view->cas[view->signer];
	bool stamped = view->has_next_ca && rotate_id_equal(&view->next_ca, &signer->id);
	choose_cas(view, policy, now, view->bundles == ROTATE_BUNDLES_READ, plan->keep);
	if (plan_ca_crt(view, plan))
		return;
	if (view->bundles != ROTATE_BUNDLES_UNKNOWN && !must_protect(view, view->signer, now)) {
		write_secret(plan, "no other CA is in use", false);
		plan->new_leaf = true;
		return;
	}
	plan_bundles(view, plan);
	if (plan->step == ROTATE_WRITE_BUNDLES && stamped) {
		write_secret(plan, "a caBundle has lost the new CA", true);
		plan->next_ca = ROTATE_NEXT_CA_CLEAR;
	}
	if (plan->step != ROTATE_NOTHING)
		return;
	/* Clocks differ by less than the propagation delay: a time beyond that is wrong. */
	if (!stamped || view->next_ca_published_at > now + policy->propagation_delay) {
		write_secret(plan, "the new CA is in every caBundle", false);
		plan->next_ca = ROTATE_NEXT_CA_SET;
	} else if (now - view->next_ca_published_at < policy->propagation_delay) {
		wait_for(plan, "API servers are still learning of the new CA");
	} else {
		write_secret(plan, "every API server trusts the new CA", false);
		plan->new_leaf = true;
	}
}

void rotate_decide(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                   struct rotate_plan *ret_plan)
{
	struct rotate_plan plan = {.step = ROTATE_NOTHING};
	if (view->signer < 0 || now >= view->cas[view->signer].not_after)
		plan_without_signer(view, policy, now, &plan);
	else if (now < view->cas[view->signer].not_before)
		wait_for(&plan, "the CA is not valid yet: is a clock wrong?");
	else if (is_serving_ca(view, view->signer))
		plan_steady(view, policy, now, &plan);
	else
		plan_rollover(view, policy, now, &plan);
	*ret_plan = plan;
}

/* ---- What a replica serves ---- */

static bool see(struct rotate_serving *serving, const struct rotate_serving *before,
                const struct rotate_id *id, int64_t monotonic)
{
	if (serving->seen_count == ROTATE_CAS_MAX)
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
	for (size_t i = 0; i < view->ca_count; i++)
		if (in_every_bundle(view, (int)i))
			see(serving, &before, &view->cas[i].id, monotonic);
}

static bool has_seen(const struct rotate_serving *serving, const struct rotate_id *id,
                     int64_t since)
{
	for (size_t i = 0; i < serving->seen_count; i++)
		if (rotate_id_equal(&serving->seen[i].id, id))
			return serving->seen[i].since <= since;
	return false;
}

bool rotate_is_published(const struct rotate_serving *serving)
{
	return serving->any && has_seen(serving, &serving->issuer, INT64_MAX);
}

bool rotate_serve(const struct rotate_view *view, const struct rotate_policy *policy, int64_t now,
                  int64_t monotonic, struct rotate_serving *serving)
{
	look_at_bundles(view, monotonic, serving);
	if (!is_leaf_of_serving_ca(view) || !is_leaf_valid(view, now))
		return false;
	if (!serving->any || now >= serving->not_after)
		return true;
	const struct rotate_id *issuer = &view->cas[view->leaf.issuer].id;
	if (rotate_id_equal(&serving->issuer, issuer))
		return !rotate_id_equal(&serving->leaf, &view->leaf.id);
	if (view->bundles == ROTATE_BUNDLES_READ && !rotate_is_published(serving))
		return has_seen(serving, issuer, monotonic); /* the better of the two */
	return has_seen(serving, issuer, monotonic - policy->propagation_delay);
}

void rotate_served(const struct rotate_view *view, struct rotate_serving *serving)
{
	serving->any = true;
	serving->leaf = view->leaf.id;
	serving->issuer = view->cas[view->leaf.issuer].id;
	serving->not_before = view->leaf.not_before;
	serving->not_after = view->leaf.not_after;
}

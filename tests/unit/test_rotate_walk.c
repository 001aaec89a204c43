/* Walks every state of the certificate rotation that three replicas can reach.
 *
 * The model: one Secret, one webhook configuration, API servers that learn of a caBundle late, and
 * replicas that read the caBundle, read the Secret and decide, and write if nothing has changed:
 * three steps, between which anything else may happen, also the end of the replica. Time passes in
 * ticks of a second; all times are kept relative to now, so that the walk ends. The decisions are
 * rotate's own.
 *
 * Two things keep the walk short without leaving anything out:
 * - What a replica serves has no influence on what it writes. So three replicas write, and a fourth
 *   one serves: what holds for it holds for each. It does not remember caBundles, which would only
 *   make it more careful: like a replica that has just started, it may serve the Secret's leaf.
 * - Where a replica has stopped between two steps matters only once something has changed since. So
 *   a resting replica may, just before any event, be one that had already read or decided (the
 *   prelude); one for which the event changed nothing rests again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certs/rotate.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"

#define REPLICAS 3
#define CAS      8 /* at a time */
#define VERSIONS 6 /* of the bundles that some API server may still have */

#define BASE 100000 /* now, for rotate, in seconds */

/* In ticks. A leaf is valid for six propagation delays, a CA for twelve. */
struct model {
	int replicas; /* that write */
	int propagation_delay;
	int pause;          /* the longest stop between two steps of a replica */
	int late;           /* API servers learn of a bundle in less than so many ticks */
	int skew[REPLICAS]; /* of the clocks */
	int server_skew;
	size_t unsafe; /* states in which I1 does not hold */
	struct rotate_policy policy;
};

static struct model make_model(int replicas, int propagation_delay, int late)
{
	return (struct model){
	        .replicas = replicas,
	        .propagation_delay = propagation_delay,
	        .pause = propagation_delay + 1,
	        .late = late,
	        .policy = {.propagation_delay = propagation_delay * SECOND,
	                   .leaf_lifetime = 6 * propagation_delay * SECOND,
	                   .ca_lifetime = 12 * propagation_delay * SECOND},
	};
}

/* ---- The state: bytes alone, so that equal states have equal bytes ---- */

typedef int8_t tick; /* relative to now */

struct leaf {
	int8_t any;
	int8_t issuer;
	tick not_before;
	tick not_after;
};

struct bundle {
	uint8_t mask; /* of CAs */
	int8_t exists;
	int8_t malformed;
	int8_t foreign; /* not written by a replica */
	tick age;       /* of a former bundle: time since it was replaced */
};

enum phase { IDLE, HAS_BUNDLE, HAS_PLAN };

enum prelude { REST, READ_BUNDLE, DECIDE, PRELUDES };

struct replica {
	int8_t phase;
	tick paused;
	struct bundle bundle; /* HAS_BUNDLE: what was read */
	int8_t fresh;         /* HAS_BUNDLE: the bundle has not changed since */
	int8_t step;          /* HAS_PLAN */
	uint8_t keep;
	int8_t new_ca;
	int8_t new_leaf;
	int8_t next_ca;
};

struct state {
	struct {
		tick not_before;
		tick not_after;
	} ca[CAS];     /* not_after 0 and not_before 0: unused */
	int8_t exists; /* the Secret */
	int8_t malformed;
	uint8_t mask;
	int8_t signer;
	int8_t fits;
	struct leaf leaf;
	int8_t serving_ca;
	int8_t next_ca;
	tick next_ca_published_at;
	struct bundle bundle;
	struct bundle former[VERSIONS];
	struct replica replica[REPLICAS];
	struct leaf served;
	int8_t gap;     /* the last valid leaf ran out; the next one is not published yet */
	int8_t damages; /* that may still be done */
};

/* ---- rotate's view of a state ---- */

static struct rotate_id id_of(int ca, int kind)
{
	struct rotate_id id = {{0}};
	id.bytes[0] = (unsigned char)ca;
	id.bytes[1] = (unsigned char)kind;
	return id;
}

static int64_t time_of(int ticks)
{
	return (BASE + ticks) * SECOND;
}

/* index[i]: the state's number of the view's i-th CA. */
static void make_view(const struct state *state, const struct bundle *bundle,
                      struct rotate_view *view, int index[CAS])
{
	*view = (struct rotate_view){.signer = -1, .leaf = {.issuer = -1}};
	view->secret_exists = state->exists;
	view->secret_malformed = state->malformed;
	view->bundles = bundle->exists ? ROTATE_BUNDLES_READ : ROTATE_BUNDLES_ABSENT;
	view->bundle_count = bundle->exists ? 1 : 0;
	view->bundles_malformed = bundle->exists && bundle->malformed;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < CAS; i++) {
			bool in_secret = state->mask >> i & 1;
			bool in_bundle = bundle->exists && (bundle->mask >> i & 1);
			if (pass == 0 ? !in_secret : in_secret || !in_bundle)
				continue;
			size_t n = view->ca_count++;
			index[n] = i;
			view->cas[n] = (struct rotate_ca){
			        .id = id_of(i, 0),
			        .not_before = time_of(state->ca[i].not_before),
			        .not_after = time_of(state->ca[i].not_after),
			        .in_secret = in_secret,
			        .bundles = in_bundle,
			};
			if (state->signer == i)
				view->signer = (int)n;
			if (state->leaf.any && state->leaf.issuer == i)
				view->leaf.issuer = (int)n;
		}
	view->leaf.usable = state->leaf.any && state->fits;
	view->leaf.id = id_of(state->leaf.issuer, state->leaf.not_after + 100);
	view->leaf.not_before = time_of(state->leaf.not_before);
	view->leaf.not_after = time_of(state->leaf.not_after);
	view->has_serving_ca = state->serving_ca >= 0;
	view->serving_ca = id_of(state->serving_ca, 0);
	view->has_next_ca = state->next_ca >= 0;
	view->next_ca = id_of(state->next_ca, 0);
	view->next_ca_published_at = time_of(state->next_ca_published_at);
}

/* ---- Keeping the state small ---- */

static unsigned references(const struct state *state)
{
	unsigned used = state->mask | (state->bundle.exists ? state->bundle.mask : 0);
	if (state->signer >= 0)
		used |= 1u << state->signer;
	if (state->leaf.any)
		used |= 1u << state->leaf.issuer;
	if (state->serving_ca >= 0)
		used |= 1u << state->serving_ca;
	if (state->next_ca >= 0)
		used |= 1u << state->next_ca;
	for (int i = 0; i < VERSIONS; i++)
		used |= state->former[i].mask;
	for (int i = 0; i < REPLICAS; i++) {
		const struct replica *replica = &state->replica[i];
		used |= replica->bundle.mask | replica->keep;
	}
	if (state->served.any)
		used |= 1u << state->served.issuer;
	return used;
}

static uint8_t move_mask(uint8_t mask, const int8_t to[CAS])
{
	unsigned moved = 0;
	for (int i = 0; i < CAS; i++)
		if (mask >> i & 1)
			moved |= 1u << to[i];
	return (uint8_t)moved;
}

static int8_t move_index(int8_t index, const int8_t to[CAS])
{
	return index < 0 ? -1 : to[index];
}

static void move_leaf(struct leaf *leaf, const int8_t to[CAS])
{
	if (leaf->any)
		leaf->issuer = to[leaf->issuer];
	else
		*leaf = (struct leaf){.issuer = -1};
}

/* Forgets CAs that nothing refers to, and numbers the others anew, in their order. */
static void renumber(struct state *state)
{
	unsigned used = references(state);
	int8_t to[CAS] = {0};
	struct state old = *state;
	int8_t count = 0;
	memset(state->ca, 0, sizeof state->ca);
	for (int i = 0; i < CAS; i++)
		if (used >> i & 1) {
			to[i] = count;
			state->ca[count++] = old.ca[i];
		}
	state->mask = move_mask(state->mask, to);
	state->signer = move_index(state->signer, to);
	state->serving_ca = move_index(state->serving_ca, to);
	state->next_ca = move_index(state->next_ca, to);
	move_leaf(&state->leaf, to);
	state->bundle.mask = move_mask(state->bundle.mask, to);
	for (int i = 0; i < VERSIONS; i++)
		state->former[i].mask = move_mask(state->former[i].mask, to);
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *replica = &state->replica[i];
		replica->bundle.mask = move_mask(replica->bundle.mask, to);
		replica->keep = move_mask(replica->keep, to);
	}
	move_leaf(&state->served, to);
}

static int compare_versions(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct bundle));
}

/* Forgets former bundles that no API server can know any more, and joins equal ones. */
static void prune_versions(struct state *state, const struct model *model)
{
	struct bundle kept[VERSIONS];
	size_t count = 0;
	memset(kept, 0, sizeof kept);
	for (int i = 0; i < VERSIONS; i++) {
		struct bundle version = state->former[i];
		bool matters = version.exists && !version.foreign && version.age < model->late;
		for (size_t j = 0; matters && j < count; j++)
			if (kept[j].mask == version.mask) {
				if (version.age < kept[j].age)
					kept[j].age = version.age;
				matters = false;
			}
		if (matters)
			kept[count++] = version;
	}
	qsort(kept, VERSIONS, sizeof kept[0], compare_versions);
	memcpy(state->former, kept, sizeof kept);
}

/* Replicas whose clocks agree are interchangeable. */
static void sort_replicas(struct state *state, const struct model *model)
{
	for (int i = 1; i < REPLICAS; i++)
		for (int j = i; j > 0; j--) {
			struct replica *a = &state->replica[j - 1];
			struct replica *b = &state->replica[j];
			if (model->skew[j - 1] != model->skew[j] || memcmp(a, b, sizeof *a) <= 0)
				continue;
			struct replica swap = *a;
			*a = *b;
			*b = swap;
		}
}

static void rest(struct replica *replica)
{
	*replica = (struct replica){.phase = IDLE};
}

/* Erases what rotate does not look at, so that states which differ only there are the same. */
static void blur(struct state *state)
{
	if (state->next_ca < 0)
		state->next_ca_published_at = 0;
	if (!state->leaf.any)
		state->fits = 0;
	for (int i = 0; i < CAS; i++)
		if (i != state->signer)
			state->ca[i].not_before = 0;
	state->served.not_before = 0;
}

static void normalise(struct state *state, const struct model *model)
{
	blur(state);
	prune_versions(state, model);
	renumber(state);
	sort_replicas(state, model);
}

/* ---- What can happen ---- */

static void pass_time(struct state *state, const struct model *model)
{
	for (int i = 0; i < CAS; i++) {
		if (state->ca[i].not_after > -model->propagation_delay - 2) {
			state->ca[i].not_after--;
			state->ca[i].not_before--;
		}
	}
	if (state->leaf.any && state->leaf.not_after > -model->propagation_delay - 2) {
		state->leaf.not_after--;
		state->leaf.not_before--;
	}
	if (state->next_ca >= 0 && state->next_ca_published_at > -model->propagation_delay - 2)
		state->next_ca_published_at--;
	for (int i = 0; i < VERSIONS; i++)
		state->former[i].age++;
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *replica = &state->replica[i];
		if (replica->phase != IDLE && ++replica->paused > model->pause)
			rest(replica);
	}
	/* Clients do not accept an expired leaf: serving it counts as serving none. */
	if (--state->served.not_after <= model->server_skew)
		state->served = (struct leaf){.issuer = -1};
}

/* The bundle changes: a replica that has read the old one can no longer write to it. */
static void set_bundle(struct state *state, struct bundle bundle)
{
	int slot = 0;
	while (slot < VERSIONS && state->former[slot].exists)
		slot++;
	assert_true(slot < VERSIONS);
	state->former[slot] = state->bundle;
	state->former[slot].age = 0;
	state->bundle = bundle;
	if (state->serving_ca >= 0 && bundle.mask >> state->serving_ca & 1)
		state->gap = 0;
	else if (state->gap)
		state->bundle.foreign = 1;
	for (int i = 0; i < REPLICAS; i++) {
		state->replica[i].fresh = 0;
		if (state->replica[i].phase == HAS_PLAN &&
		    state->replica[i].step == ROTATE_WRITE_BUNDLES)
			rest(&state->replica[i]);
	}
}

static void secret_changed(struct state *state)
{
	for (int i = 0; i < REPLICAS; i++)
		if (state->replica[i].phase == HAS_PLAN &&
		    state->replica[i].step == ROTATE_WRITE_SECRET)
			rest(&state->replica[i]);
}

static int8_t new_ca(struct state *state, const struct model *model, int now)
{
	int64_t not_before;
	int64_t not_after;
	unsigned used = references(state);
	int8_t index = 0;
	while (used >> index & 1)
		index++;
	assert_true(index < CAS);
	rotate_validity(time_of(now), model->policy.ca_lifetime, INT64_MAX, &not_before,
	                &not_after);
	state->ca[index].not_before = (tick)(not_before / SECOND - BASE);
	state->ca[index].not_after = (tick)(not_after / SECOND + 1 - BASE);
	return index;
}

static void new_leaf(struct state *state, const struct model *model, int now)
{
	int64_t not_before;
	int64_t not_after;
	rotate_validity(time_of(now), model->policy.leaf_lifetime,
	                time_of(state->ca[state->signer].not_after), &not_before, &not_after);
	state->leaf = (struct leaf){
	        .any = 1,
	        .issuer = state->signer,
	        .not_before = (tick)(not_before / SECOND - BASE),
	        .not_after = (tick)(not_after / SECOND + 1 - BASE),
	};
	state->fits = 1;
}

/* A leaf of a new CA is made after the former CA's leaf expired: nothing was left to protect. */
static void forgive_gap(struct state *state, int now)
{
	if (!state->leaf.any || state->leaf.issuer == state->signer || state->leaf.not_after > now)
		return;
	for (int i = 0; i < VERSIONS; i++)
		state->former[i].foreign = 1;
	state->bundle.foreign = 1;
	state->gap = 1;
}

static void write_secret(struct state *state, const struct model *model, struct replica replica,
                         int now)
{
	state->exists = 1;
	state->malformed = 0;
	uint8_t mask = replica.keep;
	if (replica.new_ca || replica.new_leaf || replica.next_ca == ROTATE_NEXT_CA_KEEP)
		state->mask = mask;
	if (replica.new_ca) {
		state->signer = -1;
		int8_t index = new_ca(state, model, now);
		state->signer = index;
		state->mask = (uint8_t)(mask | 1u << index);
	}
	if (replica.new_leaf) {
		forgive_gap(state, now);
		new_leaf(state, model, now);
		state->serving_ca = state->signer;
		state->next_ca = -1;
	}
	if (replica.next_ca == ROTATE_NEXT_CA_CLEAR)
		state->next_ca = -1;
	if (replica.next_ca == ROTATE_NEXT_CA_SET) {
		state->next_ca = state->signer;
		state->next_ca_published_at = (tick)now;
	}
	secret_changed(state);
}

static void read_bundle(const struct state *state, struct replica *replica)
{
	replica->phase = HAS_BUNDLE;
	replica->bundle = state->bundle;
	replica->bundle.foreign = 0;
	replica->fresh = 1;
}

static void read_secret(const struct state *state, const struct model *model, int who,
                        struct replica *replica)
{
	struct rotate_view view;
	struct rotate_plan plan;
	int index[CAS];
	make_view(state, &replica->bundle, &view, index);
	rotate_decide(&view, &model->policy, time_of(model->skew[who]), &plan);
	bool fresh = replica->fresh;
	rest(replica);
	if (plan.step == ROTATE_NOTHING || plan.step == ROTATE_WAIT ||
	    (plan.step == ROTATE_WRITE_BUNDLES && !fresh))
		return; /* nothing to write, or in vain */
	replica->phase = HAS_PLAN;
	replica->step = (int8_t)plan.step;
	replica->new_ca = plan.new_ca;
	replica->new_leaf = plan.new_leaf;
	replica->next_ca = (int8_t)plan.next_ca;
	if (plan.step == ROTATE_WRITE_BUNDLES)
		replica->keep = state->mask;
	else
		for (size_t i = 0; i < view.ca_count; i++)
			if (plan.keep[i])
				replica->keep |= (uint8_t)(1u << index[i]);
}

/* The steps that a replica has taken up to now and that the event may make obsolete. */
static void prepare(struct state *state, const struct model *model, int who, enum prelude prelude)
{
	struct replica *replica = &state->replica[who];
	if (prelude != REST && replica->phase == IDLE)
		read_bundle(state, replica);
	if (prelude == DECIDE && replica->phase == HAS_BUNDLE)
		read_secret(state, model, who, replica);
}

/* A replica that would read and decide now what it read and decided before counts as resting. */
static void rest_replica(struct state *state, const struct model *model, int who)
{
	struct replica *replica = &state->replica[who];
	struct replica again = {.phase = IDLE};
	if (replica->phase == HAS_BUNDLE && replica->fresh)
		rest(replica);
	if (replica->phase != HAS_PLAN)
		return;
	read_bundle(state, &again);
	read_secret(state, model, who, &again);
	bool timeless = !again.new_ca && !again.new_leaf && again.next_ca != ROTATE_NEXT_CA_SET;
	if (timeless)
		again.paused = replica->paused; /* when it was decided makes no difference */
	if (memcmp(&again, replica, sizeof again) == 0)
		rest(replica);
}

/* Takes the remaining steps of a reconcile, from wherever the replica is. */
static void finish_reconcile(struct state *state, const struct model *model, int who)
{
	struct replica *replica = &state->replica[who];
	prepare(state, model, who, DECIDE);
	struct replica planned = *replica;
	if (planned.phase != HAS_PLAN)
		return;
	rest(replica);
	if (planned.step == ROTATE_WRITE_BUNDLES)
		set_bundle(state, (struct bundle){.mask = planned.keep, .exists = 1});
	else
		write_secret(state, model, planned, model->skew[who] - planned.paused);
}

/* ---- The replica that serves ---- */

static void serve(struct state *state, const struct model *model)
{
	struct rotate_view view;
	struct rotate_serving fresh = {.any = false};
	int index[CAS];
	make_view(state, &state->bundle, &view, index);
	if (rotate_serve(&view, &model->policy, time_of(model->server_skew), time_of(0), &fresh))
		state->served = state->leaf;
}

/* ---- What people and tools do ---- */

enum damage {
	SECRET_DELETED,
	CAS_GARBLED,
	KEY_LOST,
	LEAF_BROKEN,
	ANNOTATIONS_LOST,
	CA_BY_HAND,
	ALL_BY_HAND,
	BUNDLE_EMPTIED,
	BUNDLE_FOREIGN,
	BUNDLE_ADDED,
	BUNDLE_REAPPLIED, /* as it was once */
	BUNDLE_GARBLED,
	CONFIGURATION_DELETED,
	DAMAGES,
};

static void replace_ca(struct state *state, const struct model *model, bool with_leaf)
{
	state->mask = 0;
	state->signer = -1;
	int8_t index = new_ca(state, model, 0);
	state->signer = index;
	state->mask = (uint8_t)(1u << index);
	if (with_leaf)
		new_leaf(state, model, 0);
}

static void damage_secret(struct state *state, const struct model *model, enum damage damage)
{
	switch (damage) {
	case SECRET_DELETED:
		state->exists = 0;
		state->malformed = 0;
		state->mask = 0;
		state->signer = -1;
		state->leaf = (struct leaf){.issuer = -1};
		state->serving_ca = -1;
		state->next_ca = -1;
		break;
	case CAS_GARBLED:
		state->malformed = 1;
		state->mask = 0;
		break;
	case KEY_LOST:
		state->signer = -1;
		break;
	case LEAF_BROKEN:
		state->fits = 0;
		break;
	case ANNOTATIONS_LOST:
		state->serving_ca = -1;
		state->next_ca = -1;
		break;
	default:
		replace_ca(state, model, damage == ALL_BY_HAND);
	}
	secret_changed(state);
}

static void damage_bundle(struct state *state, const struct model *model, enum damage damage)
{
	struct bundle bundle = state->bundle;
	bundle.foreign = 1;
	bundle.exists = 1;
	if (damage == BUNDLE_EMPTIED)
		bundle.mask = 0;
	if (damage == BUNDLE_FOREIGN)
		bundle.mask = 0;
	if (damage == BUNDLE_FOREIGN || damage == BUNDLE_ADDED)
		bundle.mask = (uint8_t)(bundle.mask | 1u << new_ca(state, model, 0));
	if (damage == BUNDLE_REAPPLIED && state->serving_ca >= 0)
		bundle.mask = (uint8_t)(1u << state->serving_ca);
	if (damage == BUNDLE_GARBLED) {
		bundle.mask = 0;
		bundle.malformed = 1;
	}
	if (damage == CONFIGURATION_DELETED)
		bundle = (struct bundle){.foreign = 1};
	set_bundle(state, bundle);
}

static void damage(struct state *state, const struct model *model, enum damage damage)
{
	state->damages--;
	if (damage < BUNDLE_EMPTIED)
		damage_secret(state, model, damage);
	else
		damage_bundle(state, model, damage);
}

/* ---- The walk ---- */

struct set {
	struct state *states;
	size_t count;
	size_t capacity;
	uint32_t *slots; /* index + 1 */
	size_t slot_count;
};

static uint64_t hash_of(const struct state *state)
{
	const unsigned char *bytes = (const unsigned char *)state;
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < sizeof *state; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash ^ hash >> 29;
}

static void set_init(struct set *set)
{
	set->capacity = 1 << 12;
	set->slot_count = set->capacity * 2;
	set->count = 0;
	set->states = malloc(set->capacity * sizeof *set->states);
	set->slots = calloc(set->slot_count, sizeof *set->slots);
	assert_true(set->states != NULL && set->slots != NULL);
}

static void set_free(struct set *set)
{
	free(set->states);
	free(set->slots);
}

static void set_grow(struct set *set)
{
	set->capacity *= 2;
	set->slot_count *= 2;
	set->states = realloc(set->states, set->capacity * sizeof *set->states);
	free(set->slots);
	set->slots = calloc(set->slot_count, sizeof *set->slots);
	assert_true(set->states != NULL && set->slots != NULL);
	for (size_t i = 0; i < set->count; i++) {
		size_t slot = hash_of(&set->states[i]) & (set->slot_count - 1);
		while (set->slots[slot] != 0)
			slot = (slot + 1) & (set->slot_count - 1);
		set->slots[slot] = (uint32_t)i + 1;
	}
}

static void set_add(struct set *set, const struct state *state)
{
	size_t slot = hash_of(state) & (set->slot_count - 1);
	while (set->slots[slot] != 0) {
		if (memcmp(&set->states[set->slots[slot] - 1], state, sizeof *state) == 0)
			return;
		slot = (slot + 1) & (set->slot_count - 1);
	}
	set->states[set->count] = *state;
	set->slots[slot] = (uint32_t)++set->count;
	if (set->count == set->capacity)
		set_grow(set);
}

static void print_state(const struct state *state)
{
	print_message("secret exists %d malformed %d mask %02x signer %d fits %d leaf %d by %d "
	              "[%d,%d) serving-ca %d next-ca %d at %d\nbundle exists %d mask %02x foreign "
	              "%d\n",
	              state->exists, state->malformed, state->mask, state->signer, state->fits,
	              state->leaf.any, state->leaf.issuer, state->leaf.not_before,
	              state->leaf.not_after, state->serving_ca, state->next_ca,
	              state->next_ca_published_at, state->bundle.exists, state->bundle.mask,
	              state->bundle.foreign);
	for (int i = 0; i < CAS; i++)
		print_message("CA %d [%d,%d)\n", i, state->ca[i].not_before,
		              state->ca[i].not_after);
	for (int i = 0; i < VERSIONS; i++)
		if (state->former[i].exists)
			print_message("former mask %02x age %d\n", state->former[i].mask,
			              state->former[i].age);
	print_message("serving %d by %d until %d\n", state->served.any, state->served.issuer,
	              state->served.not_after);
}

/* Invariant I1, for one bundle that an API server may have in its hands. */
static bool is_verified(const struct state *state, const struct leaf *leaf,
                        const struct bundle *bundle)
{
	if (!bundle->exists || bundle->foreign || (bundle->mask >> leaf->issuer & 1))
		return true;
	/* Does it trust any CA whose leaf a replica could serve? Clocks differ by a tick. */
	for (int i = 0; i < CAS; i++)
		if ((bundle->mask >> i & 1) && state->ca[i].not_after > 1)
			return false;
	return true;
}

static void check_safety(const struct state *state, struct model *model)
{
	const struct leaf *leaf = &state->served;
	if (!leaf->any)
		return;
	bool safe = is_verified(state, leaf, &state->bundle);
	for (int i = 0; i < VERSIONS; i++)
		safe = safe && is_verified(state, leaf, &state->former[i]);
	if (!safe && model->unsafe++ == 0)
		print_state(state);
}

/* The events, by number. */
enum event {
	TIME_PASSES,
	RECONCILE,
	SERVE = RECONCILE + REPLICAS,
	RESTART,
	CONFIGURATION_APPLIED,
	DAMAGE,
	EVENTS = DAMAGE + DAMAGES,
};

static void play(struct state *state, const struct model *model, int event)
{
	if (event == TIME_PASSES)
		pass_time(state, model);
	else if (event < SERVE)
		finish_reconcile(state, model, event - RECONCILE);
	else if (event == SERVE)
		serve(state, model);
	else if (event == RESTART)
		state->served = (struct leaf){.issuer = -1};
	else if (event == CONFIGURATION_APPLIED && !state->bundle.exists)
		set_bundle(state, (struct bundle){.exists = 1, .foreign = 1});
	else if (event >= DAMAGE && state->damages > 0)
		damage(state, model, (enum damage)(event - DAMAGE));
}

/* Only an event that changes a shared object can make obsolete what a replica has read or decided.
 */
static bool is_shared(const struct state *before, const struct model *model, int event)
{
	struct state after = *before;
	if (event == TIME_PASSES)
		return true;
	play(&after, model, event);
	memcpy(after.replica, before->replica, sizeof after.replica);
	after.served = before->served;
	return memcmp(&after, before, sizeof after) != 0;
}

static void walk_event(struct model *model, struct set *set, size_t from, int event)
{
	bool shared = is_shared(&set->states[from], model, event);
	if (event >= RECONCILE + model->replicas && event < SERVE)
		return;
	int preludes = shared ? PRELUDES * PRELUDES * PRELUDES : 1;
	for (int prelude = 0; prelude < preludes; prelude++) {
		struct state state = set->states[from];
		const enum prelude each[REPLICAS] = {prelude % PRELUDES,
		                                     prelude / PRELUDES % PRELUDES,
		                                     prelude / PRELUDES / PRELUDES};
		bool possible = true;
		for (int i = 0; i < REPLICAS; i++)
			possible = possible &&
			           (each[i] == REST ||
			            (i < model->replicas && state.replica[i].phase != HAS_PLAN &&
			             i != event - RECONCILE &&
			             (each[i] == DECIDE || event != TIME_PASSES)));
		if (!possible)
			continue;
		for (int i = 0; i < REPLICAS; i++)
			prepare(&state, model, i, each[i]);
		play(&state, model, event);
		for (int i = 0; i < REPLICAS; i++)
			rest_replica(&state, model, i);
		normalise(&state, model);
		check_safety(&state, model);
		set_add(set, &state);
	}
}

/* Damage is done while all replicas rest, or are in a reconcile that began just before, and only
 * once the served leaf is published: before that there is nothing to lose. */
static bool may_be_damaged(const struct state *state)
{
	bool idle = state->damages > 0 && state->serving_ca >= 0 && !state->gap &&
	            (state->bundle.mask >> state->serving_ca & 1);
	for (int i = 0; i < REPLICAS; i++)
		idle = idle && state->replica[i].phase == IDLE;
	return idle;
}

static void walk_from(struct model *model, struct set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		int events = may_be_damaged(&set->states[i]) ? EVENTS : DAMAGE;
		for (int event = 0; event < events; event++)
			walk_event(model, set, i, event);
	}
}

static struct state first_state(int damages)
{
	struct state state;
	memset(&state, 0, sizeof state);
	state.signer = -1;
	state.serving_ca = -1;
	state.next_ca = -1;
	state.leaf.issuer = -1;
	state.served.issuer = -1;
	state.damages = (int8_t)damages;
	return state;
}

/* ---- Every state leads to health ---- */

static bool is_healthy(const struct state *state, const struct model *model)
{
	struct rotate_view view;
	struct rotate_plan plan;
	int index[CAS];
	make_view(state, &state->bundle, &view, index);
	rotate_decide(&view, &model->policy, time_of(0), &plan);
	struct rotate_serving serving = {.any = false};
	if (plan.step != ROTATE_NOTHING ||
	    !rotate_serve(&view, &model->policy, time_of(0), time_of(0), &serving))
		return false;
	rotate_served(&view, &serving);
	return rotate_is_published(&serving);
}

/* One running replica and a webhook configuration are enough. */
static bool gets_healthy(struct state state, const struct model *model)
{
	if (!state.bundle.exists)
		state.bundle = (struct bundle){.exists = 1, .foreign = 1};
	for (int i = 0; i < REPLICAS; i++)
		rest(&state.replica[i]);
	/* A CA made by hand may be anything; a bad leaf may have to expire first. */
	for (int i = 0; i < 14 * model->propagation_delay; i++) {
		struct state before;
		unsigned turns = 0;
		do {
			before = state;
			finish_reconcile(&state, model, 0);
			normalise(&state, model);
		} while (memcmp(&before, &state, sizeof state) != 0 && ++turns < 20);
		if (turns == 20)
			return false; /* the steps go in a circle */
		if (is_healthy(&state, model))
			return true;
		pass_time(&state, model);
		normalise(&state, model);
	}
	return false;
}

/* What a resting replica does next depends on nothing but the Secret and the bundle. */
static size_t count_unhealthy(const struct set *set, const struct model *model)
{
	struct set shared;
	size_t count = 0;
	set_init(&shared);
	for (size_t i = 0; i < set->count; i++) {
		struct state state = set->states[i];
		for (int j = 0; j < REPLICAS; j++)
			rest(&state.replica[j]);
		memset(state.former, 0, sizeof state.former);
		state.served = (struct leaf){.issuer = -1};
		state.damages = 0;
		normalise(&state, model);
		set_add(&shared, &state);
	}
	for (size_t i = 0; i < shared.count; i++)
		if (!gets_healthy(shared.states[i], model) && count++ == 0)
			print_state(&shared.states[i]);
	print_message("# health: %zu states of Secret and bundle\n", shared.count);
	set_free(&shared);
	return count;
}

static void walk(struct model *model, int damages, bool health)
{
	struct set set;
	set_init(&set);
	struct state state = first_state(damages);
	set_add(&set, &state);
	walk_from(model, &set);
	print_message("# %zu states\n", set.count);
	if (health)
		assert_int_equal(count_unhealthy(&set, model), 0);
	set_free(&set);
}

static void test_three_replicas(void **context)
{
	(void)context;
	struct model model = make_model(3, 1, 1);
	walk(&model, 0, true);
	assert_int_equal(model.unsafe, 0);
}

static void __attribute__((unused)) test_clocks_that_differ(void **context)
{
	(void)context;
	struct model model = make_model(2, 2, 1);
	model.skew[1] = 1;
	model.pause = 1;
	walk(&model, 0, true);
	assert_int_equal(model.unsafe, 0);
}

static void __attribute__((unused)) test_damage(void **context)
{
	(void)context;
	struct model model = make_model(1, 1, 1);
	walk(&model, 1, true);
	assert_int_equal(model.unsafe, 0);
}

/* The walk finds the states that it is there to find when API servers are later than the
 * propagation delay. */
static void test_propagation_delay_is_needed(void **context)
{
	(void)context;
	struct model model = make_model(1, 1, 2);
	walk(&model, 0, false);
	assert_true(model.unsafe > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_three_replicas),
	        cmocka_unit_test(test_propagation_delay_is_needed),
#ifndef __SANITIZE_ADDRESS__ /* the same code with more states: nothing new to see for sanitizers \
                              */
	        cmocka_unit_test(test_clocks_that_differ),
	        cmocka_unit_test(test_damage),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

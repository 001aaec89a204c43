#include "observer/base/fair_share.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"

/* Namespaces that somebody made to collide cost a walk over them, and nothing more. */
static struct fair_holder **bucket_of(struct fair_share *share, const char *name)
{
	return &share->buckets[hash_place(hash_text(name), FAIR_SHARE_BUCKETS)];
}

void fair_share_free(struct fair_share *share)
{
	for (size_t i = 0; i < FAIR_SHARE_BUCKETS; i++) {
		for (struct fair_holder *holder = share->buckets[i]; holder != NULL;) {
			struct fair_holder *next = holder->next;
			free(holder);
			holder = next;
		}
	}
	*share = (struct fair_share){.total = 0};
}

struct fair_holder *fair_share_acquire(struct fair_share *share, const char *name)
{
	struct fair_holder **bucket = bucket_of(share, name);
	struct fair_holder *holder = *bucket;
	while (holder != NULL && strcmp(holder->name, name) != 0)
		holder = holder->next;
	if (holder == NULL) {
		size_t length = strlen(name);
		holder = calloc(1, sizeof *holder + length + 1);
		if (holder == NULL)
			return NULL;
		memcpy(holder->name, name, length);
		holder->next = *bucket;
		*bucket = holder;
	}
	holder->users++;
	return holder;
}

void fair_share_release(struct fair_share *share, struct fair_holder *holder)
{
	if (holder == NULL || --holder->users > 0)
		return;
	struct fair_holder **link = bucket_of(share, holder->name);
	while (*link != holder)
		link = &(*link)->next;
	*link = holder->next;
	share->total -= holder->amount;
	free(holder);
}

void fair_share_take(struct fair_share *share, struct fair_holder *holder, size_t amount)
{
	holder->amount += amount;
	share->total += amount;
}

void fair_share_give_back(struct fair_share *share, struct fair_holder *holder, size_t amount)
{
	holder->amount -= amount;
	share->total -= amount;
}

const struct fair_holder *fair_share_largest(const struct fair_share *share)
{
	const struct fair_holder *largest = NULL;
	for (size_t i = 0; i < FAIR_SHARE_BUCKETS; i++)
		for (const struct fair_holder *h = share->buckets[i]; h != NULL; h = h->next)
			if (h->amount > (largest == NULL ? 0 : largest->amount))
				largest = h;
	return largest;
}

bool fair_share_may_displace(const struct fair_share *share, const struct fair_holder *holder,
                             size_t amount)
{
	const struct fair_holder *largest = fair_share_largest(share);
	return largest != NULL && largest != holder && largest->amount >= amount &&
	       largest->amount - amount >= holder->amount + amount;
}

bool fair_share_fits(const struct fair_share *share, const struct fair_holder *holder,
                     size_t amount, size_t capacity, unsigned eagerness)
{
	size_t left = capacity > share->total ? capacity - share->total : 0;
	return amount <= left && holder->amount + amount <= eagerness * left;
}

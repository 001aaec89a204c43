#include "observer/base/agent_series.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/utf8.h"

void agent_series_init(struct agent_series *series, size_t kinds,
                       void (*evicted)(void *context, const struct agent_pair *pair), void *context)
{
	*series = (struct agent_series){.kinds = kinds, .evicted = evicted, .context = context};
}

static void take_out(struct agent_series *series, struct agent_pair *pair)
{
	if (pair->previous != NULL)
		pair->previous->next = pair->next;
	else
		series->first = pair->next;
	if (pair->next != NULL)
		pair->next->previous = pair->previous;
	else
		series->last = pair->previous;
}

static void put_first(struct agent_series *series, struct agent_pair *pair)
{
	pair->previous = NULL;
	pair->next = series->first;
	if (series->first != NULL)
		series->first->previous = pair;
	else
		series->last = pair;
	series->first = pair;
}

static void free_pair(struct agent_series *series, struct agent_pair *pair)
{
	take_out(series, pair);
	fair_share_give_back(&series->share, pair->holder, pair->series);
	fair_share_release(&series->share, pair->holder);
	free(pair->seen);
	free(pair);
}

void agent_series_free(struct agent_series *series)
{
	while (series->first != NULL)
		free_pair(series, series->first);
	fair_share_free(&series->share);
}

static struct agent_pair *make_pair(struct agent_series *series, const char *namespace,
                                    const char *agent, size_t length)
{
	struct agent_pair *pair = calloc(1, sizeof *pair);
	if (pair == NULL)
		return NULL;
	pair->seen = calloc(series->kinds, 1);
	pair->holder = fair_share_acquire(&series->share, namespace);
	if (pair->seen == NULL || pair->holder == NULL) {
		fair_share_release(&series->share, pair->holder);
		free(pair->seen);
		free(pair);
		return NULL;
	}
	memcpy(pair->agent, agent, length);
	put_first(series, pair);
	return pair;
}

struct agent_pair *agent_series_use(struct agent_series *series, const char *namespace,
                                    const char *agent)
{
	size_t length = strlen(agent);
	if (length > AGENT_SERIES_NAME_MAX)
		length = utf8_valid_prefix(agent, AGENT_SERIES_NAME_MAX);
	for (struct agent_pair *pair = series->first; pair != NULL; pair = pair->next) {
		if (strncmp(pair->agent, agent, length) != 0 || pair->agent[length] != '\0' ||
		    strcmp(pair->holder->name, namespace) != 0)
			continue;
		take_out(series, pair);
		put_first(series, pair);
		return pair;
	}
	return make_pair(series, namespace, agent, length);
}

/* The pair that is evicted next, but for the one in use; NULL: there is no other. */
static struct agent_pair *find_victim(const struct agent_series *series,
                                      const struct agent_pair *used)
{
	const struct fair_holder *largest = fair_share_largest(&series->share);
	struct agent_pair *any = NULL;
	for (struct agent_pair *pair = series->last; pair != NULL; pair = pair->previous) {
		if (pair == used)
			continue;
		if (pair->holder->amount == largest->amount)
			return pair;
		any = any == NULL ? pair : any;
	}
	return any;
}

void agent_series_add(struct agent_series *series, struct agent_pair *pair, size_t count)
{
	struct agent_pair *victim;
	while (series->share.total + count > AGENT_SERIES_MAX &&
	       (victim = find_victim(series, pair)) != NULL) {
		series->evicted(series->context, victim);
		free_pair(series, victim);
	}
	fair_share_take(&series->share, pair->holder, count);
	pair->series += count;
}

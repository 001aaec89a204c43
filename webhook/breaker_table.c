#include "webhook/breaker_table.h"

#include <pthread.h>
#include <stdlib.h>

struct breaker_table {
	pthread_mutex_t lock; /* of all below */
	struct breaker_state state;
	bool *let_through; /* by the place of an entry */
	int64_t read_at;
};

struct breaker_table *breaker_table_new(void)
{
	struct breaker_table *table = calloc(1, sizeof *table);
	if (table != NULL)
		pthread_mutex_init(&table->lock, NULL);
	return table;
}

void breaker_table_free(struct breaker_table *table)
{
	if (table == NULL)
		return;
	breaker_state_free(&table->state);
	free(table->let_through);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* A pod was let through since this entry became half-open. */
static bool was_let_through(const struct breaker_table *table, const struct breaker_entry *entry)
{
	const struct breaker_entry *old = breaker_state_find(&table->state, entry->namespace);
	return old != NULL && old->since == entry->since &&
	       table->let_through[old - table->state.entries];
}

void breaker_table_set(struct breaker_table *table, struct breaker_state *state, int64_t now)
{
	bool *let_through = calloc(state->count + 1, sizeof *let_through);
	if (let_through == NULL) { /* the state in force stays */
		breaker_state_free(state);
		return;
	}
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < state->count; i++)
		let_through[i] = was_let_through(table, &state->entries[i]);
	struct breaker_state old_state = table->state;
	bool *old_let_through = table->let_through;
	table->state = *state;
	table->let_through = let_through;
	table->read_at = now;
	pthread_mutex_unlock(&table->lock);
	breaker_state_free(&old_state);
	free(old_let_through);
	*state = (struct breaker_state){.entries = NULL};
}

int64_t breaker_table_read_at(struct breaker_table *table)
{
	pthread_mutex_lock(&table->lock);
	int64_t read_at = table->read_at;
	pthread_mutex_unlock(&table->lock);
	return read_at;
}

static enum breaker_decision decide(struct breaker_table *table, const struct breaker_entry *entry,
                                    bool dry_run, int64_t *ret_trial)
{
	if (entry == NULL || entry->position == BREAKER_CLOSED)
		return BREAKER_WRAP;
	bool *let_through = &table->let_through[entry - table->state.entries];
	if (entry->position == BREAKER_OPEN || dry_run || *let_through || entry->trial[0] != '\0')
		return BREAKER_SKIP;
	*let_through = true;
	*ret_trial = entry->since;
	return BREAKER_TRIAL;
}

enum breaker_decision breaker_table_decide(struct breaker_table *table, const char *namespace,
                                           bool dry_run, int64_t *ret_trial)
{
	pthread_mutex_lock(&table->lock);
	enum breaker_decision decision =
	        decide(table, breaker_state_find(&table->state, namespace), dry_run, ret_trial);
	pthread_mutex_unlock(&table->lock);
	return decision;
}

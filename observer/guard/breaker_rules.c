#include "observer/guard/breaker_rules.h"

#include <string.h>

static bool open_breaker(struct breaker_state *state, const struct breaker_report *report,
                         int64_t now, int64_t open_for)
{
	struct breaker_entry *entry = breaker_state_add(state, report->namespace);
	if (entry == NULL)
		return false;
	breaker_entry_open(entry, now, clock_after(now, open_for), &report->cause);
	return true;
}

static bool take_fault(struct breaker_state *state, const struct breaker_entry *entry,
                       const struct breaker_report *report, int64_t now, int64_t open_for)
{
	bool of_trial = entry != NULL && report->trial != 0 && report->trial == entry->since;
	bool later = entry == NULL || report->at > entry->since;
	if (entry != NULL && entry->position == BREAKER_OPEN)
		return false;
	if (entry != NULL && entry->position == BREAKER_HALF_OPEN && report->kind == BREAKER_FAULT)
		later = of_trial;
	return later && open_breaker(state, report, now, open_for);
}

static bool take_trial(struct breaker_entry *entry, const struct breaker_report *report,
                       int64_t now)
{
	if (entry == NULL || entry->position != BREAKER_HALF_OPEN || report->trial == 0 ||
	    report->trial != entry->since)
		return false;
	switch (report->kind) {
	case BREAKER_STARTED:
		breaker_entry_close(entry, now);
		return true;
	case BREAKER_GONE:
		breaker_entry_half_open(entry, now);
		return true;
	default:
		if (entry->trial[0] != '\0')
			return false;
		breaker_entry_set_trial(entry, report->cause.pod);
		return entry->trial[0] != '\0';
	}
}

bool breaker_rules_take(struct breaker_state *state, const struct breaker_report *report,
                        int64_t now, int64_t open_for)
{
	struct breaker_entry *entry = breaker_state_find(state, report->namespace);
	if (report->kind == BREAKER_FAULT || report->kind == BREAKER_REFUSAL)
		return take_fault(state, entry, report, now, open_for);
	return take_trial(entry, report, now);
}

static bool half_open_is_over(const struct breaker_entry *entry, int64_t now)
{
	int64_t wait = entry->trial[0] == '\0' ? BREAKER_TRIAL_UNSEEN : BREAKER_TRIAL_UNDECIDED;
	return now >= clock_after(entry->since, wait);
}

static bool advance(struct breaker_state *state, struct breaker_entry *entry, int64_t now)
{
	bool due = false;
	switch (entry->position) {
	case BREAKER_CLOSED:
		due = now >= clock_after(entry->since, BREAKER_CLOSED_KEPT);
		if (due)
			breaker_state_remove(state, entry);
		return due;
	case BREAKER_OPEN:
		due = entry->until != 0 && now >= entry->until;
		break;
	case BREAKER_HALF_OPEN:
		due = half_open_is_over(entry, now);
		break;
	}
	if (due)
		breaker_entry_half_open(entry, now);
	return due;
}

bool breaker_rules_advance(struct breaker_state *state, const char *namespace, int64_t now)
{
	bool changed = false;
	for (size_t i = state->count; i > 0; i--) {
		struct breaker_entry *entry = &state->entries[i - 1];
		if (namespace == NULL || strcmp(entry->namespace, namespace) == 0)
			changed = advance(state, entry, now) || changed;
	}
	return changed;
}

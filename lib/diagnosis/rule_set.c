#include "lib/diagnosis/rule_set.h"

#include <string.h>

#include "lib/base/ascii.h"

static bool in_place(const struct diagnosis_rule *rule, const struct rule_text *text, size_t at,
                     size_t end)
{
	bool starts = at == 0 || at == text->message;
	switch ((enum rule_place)rule->place) {
	case RULE_WORD:
		return (at == 0 || !ascii_is_alnum(text->bytes[at - 1])) &&
		       (end == text->length || !ascii_is_alnum(text->bytes[end]));
	case RULE_START:
		return starts;
	case RULE_END:
		return end == text->length;
	case RULE_LINE:
		return starts && end == text->length;
	case RULE_ANYWHERE:
		break;
	}
	return true;
}

/* The rule matches at text[at]; *ret_end is where that ends. */
static bool matches_at(const struct diagnosis_rule *rule, const char *pattern,
                       const struct rule_text *text, size_t at, size_t *ret_end)
{
	size_t end = rule_match(rule, pattern, text->bytes, text->length, at);
	*ret_end = end;
	return end != SIZE_MAX && in_place(rule, text, at, end);
}

static void note(struct rule_findings *findings, const struct diagnosis_rule *rule, unsigned number,
                 size_t at, size_t end)
{
	if (rule->kind == RULE_FRAME) {
		findings->frame = true;
		return;
	}
	if (rule->kind == RULE_CEILING) {
		if (rule->weight < findings->ceiling)
			findings->ceiling = rule->weight;
		if (rule->detail != 0) {
			findings->detail = rule->detail;
			findings->detail_rule = number;
			findings->detail_is_final = true;
		}
		return;
	}
	if (rule->insists && rule->weight > findings->insisting)
		findings->insisting = rule->weight;
	if (rule->detail != 0 && !findings->detail_is_final &&
	    (findings->detail == 0 || rule->detail < findings->detail)) {
		findings->detail = rule->detail;
		findings->detail_rule = number;
	}
	if (rule->weight > findings->weight || findings->rule == RULE_NONE) {
		findings->weight = rule->weight;
		findings->rule = number;
		findings->take = (enum rule_take)rule->take;
		findings->at = at;
		findings->end = end;
	}
}

static void find_own(const struct own_rules *own, unsigned first, const struct rule_text *text,
                     struct rule_findings *findings)
{
	for (unsigned i = 0; i < own->count; i++) {
		const struct diagnosis_rule *rule = &own->rules[i];
		for (size_t at = 0; at < text->length; at++) {
			size_t end;
			if (!matches_at(rule, own->patterns[i], text, at, &end))
				continue;
			note(findings, rule, first + i, at, end);
			break;
		}
	}
}

void rules_find(const struct rule_table *table, const struct own_rules *own,
                const struct rule_text *text, struct rule_findings *ret_findings,
                uint64_t *ret_work)
{
	struct rule_findings findings = {
	        .ceiling = RULE_UNLIMITED,
	        .rule = RULE_NONE,
	        .detail_rule = RULE_NONE,
	};
	uint64_t work = text->length;
	for (size_t at = 0; at + RULE_ANCHOR <= text->length; at++) {
		uint32_t hash = rule_hash(text->folded + at);
		unsigned next = table->buckets[rule_bucket(hash)];
		while (next != 0) {
			const struct diagnosis_rule *rule = &table->rules[next - 1];
			size_t end;
			work += rule->tag == rule_tag(hash) ? rule->length : 1;
			if (rule->tag == rule_tag(hash) && at >= rule->anchor &&
			    matches_at(rule, table->patterns + rule->text, text, at - rule->anchor,
			               &end))
				note(&findings, rule, next - 1, at - rule->anchor, end);
			next = rule->next;
		}
	}
	if (own != NULL)
		find_own(own, (unsigned)table->rule_count, text, &findings);
	if (ret_work != NULL)
		*ret_work += work;
	*ret_findings = findings;
}

bool rule_matches(const struct rule_table *table, unsigned number, const struct rule_text *text)
{
	const struct diagnosis_rule *rule = &table->rules[number];
	size_t end;
	for (size_t at = 0; at < text->length; at++)
		if (matches_at(rule, table->patterns + rule->text, text, at, &end))
			return true;
	return false;
}

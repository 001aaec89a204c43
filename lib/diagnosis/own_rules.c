#include "lib/diagnosis/rule_set.h"

#include <string.h>

static bool find_detail(const struct rule_table *table, const char *name, unsigned *ret_detail,
                        struct error *error)
{
	*ret_detail = 0;
	for (size_t i = 1; name[0] != '\0' && i < table->detail_count; i++)
		if (strcmp(table->details[i].name, name) == 0)
			*ret_detail = (unsigned)i;
	if (name[0] != '\0' && *ret_detail == 0)
		return error_set(error, "detail \"%s\" is unknown", name);
	return true;
}

bool own_rules_add(struct own_rules *own, const char *text, struct error *error)
{
	struct rule_source source;
	unsigned detail = 0;
	if (own->count == OWN_RULES_MAX)
		return error_set(error, "more than %d rules", OWN_RULES_MAX);
	if (strnlen(text, RULE_LINE_MAX + 1) > RULE_LINE_MAX)
		return error_set(error, "a rule longer than %zu bytes", RULE_LINE_MAX);
	if (!rule_parse(text, &source, NULL, error) ||
	    !find_detail(&rules_builtin, source.detail, &detail, error))
		return false;
	source.rule.detail = detail & 0x3f;
	own->rules[own->count] = source.rule;
	memcpy(own->patterns[own->count], source.pattern, sizeof source.pattern);
	own->count++;
	return true;
}

bool own_rules_check(const char *text, struct error *error)
{
	struct own_rules ignored = {.count = 0};
	return own_rules_add(&ignored, text, error);
}

#include "webhook/reason.h"

static const struct {
	const char *code;
	const char *meaning;
} reasons[REASON_COUNT] = {
#define REASON_ROW(identifier, code, meaning) {code, meaning},
        REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *reason_code(enum reason reason)
{
	return reasons[reason].code;
}

const char *reason_meaning(enum reason reason)
{
	return reasons[reason].meaning;
}

#include "lib/diagnosis/log_level.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

static const struct {
	char word[12];
	enum log_level level;
} levels[] = {
        {"fatal", LOG_LEVEL_FATAL},     {"critical", LOG_LEVEL_FATAL},
        {"crit", LOG_LEVEL_FATAL},      {"emerg", LOG_LEVEL_FATAL},
        {"emergency", LOG_LEVEL_FATAL}, {"alert", LOG_LEVEL_FATAL},
        {"panic", LOG_LEVEL_FATAL},     {"dpanic", LOG_LEVEL_FATAL},
        {"ftl", LOG_LEVEL_FATAL},       {"severe", LOG_LEVEL_ERROR},
        {"error", LOG_LEVEL_ERROR},     {"err", LOG_LEVEL_ERROR},
        {"erro", LOG_LEVEL_ERROR},      {"eror", LOG_LEVEL_ERROR},
        {"fail", LOG_LEVEL_ERROR},      {"failure", LOG_LEVEL_ERROR},
        {"fehler", LOG_LEVEL_ERROR},    {"erreur", LOG_LEVEL_ERROR},
        {"errore", LOG_LEVEL_ERROR},    {"warn", LOG_LEVEL_WARNING},
        {"warning", LOG_LEVEL_WARNING}, {"wrn", LOG_LEVEL_WARNING},
        {"info", LOG_LEVEL_INFO},       {"information", LOG_LEVEL_INFO},
        {"inf", LOG_LEVEL_INFO},        {"notice", LOG_LEVEL_INFO},
        {"debug", LOG_LEVEL_DEBUG},     {"dbg", LOG_LEVEL_DEBUG},
        {"trace", LOG_LEVEL_DEBUG},     {"trc", LOG_LEVEL_DEBUG},
        {"verbose", LOG_LEVEL_DEBUG},   {"60", LOG_LEVEL_FATAL},
        {"50", LOG_LEVEL_ERROR},        {"40", LOG_LEVEL_WARNING},
        {"30", LOG_LEVEL_INFO},         {"20", LOG_LEVEL_DEBUG},
        {"10", LOG_LEVEL_DEBUG},
};

enum log_level log_level_from_word(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof levels / sizeof *levels && length >= 2 && length < 12; i++)
		if (levels[i].word[0] == ascii_to_lower(word[0]) &&
		    strlen(levels[i].word) == length &&
		    strncasecmp(word, levels[i].word, length) == 0)
			return levels[i].level;
	return LOG_LEVEL_NONE;
}

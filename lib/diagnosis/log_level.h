/* log_level: how serious a line of a log says it is, and the words for it. Pure. */
#ifndef LASTWORD_LIB_DIAGNOSIS_LOG_LEVEL_H
#define LASTWORD_LIB_DIAGNOSIS_LOG_LEVEL_H

#include <stddef.h>

enum log_level {
	LOG_LEVEL_NONE,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL
};

/* The level that a word means ("err", "WARNING", pino's "50", …); LOG_LEVEL_NONE: none. */
enum log_level log_level_from_word(const char *word, size_t length);

#endif

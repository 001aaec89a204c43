#include "watchdog/flags.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/diagnosis/classify.h"
#include "watchdog/stderr_log.h"

#define SIGNAL_MAX 64

bool flag_count(const char *value, void *target, struct error *error)
{
	int64_t count = 0;
	size_t i = 0;
	for (; i < 18 && ascii_is_digit(value[i]); i++)
		count = count * 10 + (value[i] - '0');
	if (i == 0 || value[i] != '\0')
		return error_set(error, "expected a number of at most 18 digits");
	*(int64_t *)target = count;
	return true;
}

bool flag_signal(const char *value, void *target, struct error *error)
{
	char storage[SIGNAL_NAME_SIZE];
	for (int number = 1; number <= SIGNAL_MAX; number++) {
		const char *name = signal_name(number, storage);
		if (name != NULL && strcmp(name, value) == 0) {
			*(int *)target = number;
			return true;
		}
	}
	return error_set(error, "expected a signal's name such as SIGUSR1");
}

bool flag_kill(const char *value, void *target, struct error *error)
{
	bool kill = strcmp(value, "kill") == 0;
	if (!kill && strcmp(value, "report") != 0)
		return error_set(error, "expected kill or report");
	*(bool *)target = kill;
	return true;
}

bool flag_present(const char *value, void *target, struct error *error)
{
	(void)value;
	(void)error;
	*(bool *)target = true;
	return true;
}

/* The flag that an argument names: --name, or --name=value with *ret_value behind the "=". */
static const struct flag *find(const struct flag *flags, size_t count, const char *word,
                               const char **ret_value)
{
	if (strncmp(word, "--", 2) != 0)
		return NULL;
	word += 2;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(flags[i].name);
		if (strncmp(word, flags[i].name, length) != 0)
			continue;
		if (word[length] != '\0' && word[length] != '=')
			continue;
		*ret_value = word[length] == '=' ? word + length + 1 : NULL;
		return &flags[i];
	}
	return NULL;
}

int subcommand_flags_read(const struct flag *flags, size_t count, int argc, char **argv)
{
	int i = 0;
	while (i < argc && strcmp(argv[i], "--") != 0) {
		const char *word = argv[i++];
		const char *value = NULL;
		struct error error = {""};
		const struct flag *flag = find(flags, count, word, &value);
		if (flag == NULL) {
			stderr_log("ignoring %.100s: no such flag", word);
			continue;
		}
		if (value == NULL && flag->take == flag_present)
			value = "";
		if (value == NULL && (i == argc || strcmp(argv[i], "--") == 0)) {
			stderr_log("ignoring --%s: it has no value", flag->name);
			continue;
		}
		if (value == NULL)
			value = argv[i++];
		if (!flag->take(value, flag->target, &error))
			stderr_log("ignoring --%s %.100s: %s", flag->name, value, error.message);
	}
	return i < argc ? i + 1 : argc;
}

#include "lib/diagnosis/quoted_output.h"

#include <string.h>

#include "lib/base/ascii.h"

static bool is_one_of(const char *text, const char *const words[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

/* "… exited 101 in 3.4s:", "… succeeded in 25ms:": Codex goes on with what the command printed. */
static bool is_command_heading(const struct log_line *line)
{
	if (line->length < 8 || line->text[line->length - 1] != ':')
		return false;
	const char *in = strstr(line->text, " succeeded in ");
	if (in != NULL)
		return ascii_is_digit(in[strlen(" succeeded in ")]);
	const char *code = strstr(line->text, " exited ");
	if (code == NULL)
		return strncmp(line->text, "exited ", 7) == 0 && strstr(line->text, " in ") != NULL;
	code += strlen(" exited ");
	size_t digits = ascii_count_digits(code);
	return digits > 0 && strncmp(code + digits, " in ", 4) == 0;
}

/* What the agent writes itself, behind what a command printed. */
static bool is_heading(const struct log_line *line)
{
	static const char *const headings[] = {
	        "codex",       "exec",        "thinking",
	        "user",        "mcp",         "tokens used",
	        "apply patch", "apply_patch", "--END AGENT OBSERVATION--"};
	return is_one_of(line->text, headings, sizeof headings / sizeof *headings) ||
	       strncmp(line->text, "THOUGHT:", 8) == 0 || strncmp(line->text, "ACTION", 6) == 0 ||
	       strncmp(line->text, "ERROR: ", 7) == 0 ||
	       strncmp(line->text, "stream error: ", 14) == 0;
}

bool quoted_output_goes_on(const struct log_line *line, bool quoted)
{
	if (is_command_heading(line) || strncmp(line->text, "OBSERVATION: ", 13) == 0 ||
	    strcmp(line->text, "--BEGIN AGENT OBSERVATION--") == 0)
		return true;
	return quoted && !is_heading(line);
}

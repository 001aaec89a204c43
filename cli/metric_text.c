#include "cli/metric_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_series_of(const char *line, const char *name)
{
	size_t length = strlen(name);
	return strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == '{');
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');
	return end == NULL ? line + strlen(line) : end + 1;
}

bool metric_text_sum(const char *metrics, const char *name, const char *labels, double *ret_value)
{
	bool found = false;
	double sum = 0;
	for (const char *line = metrics; *line != '\0'; line = next_line(line)) {
		size_t size = strcspn(line, "\n");
		const char *value = memrchr(line, ' ', size);
		if (!is_series_of(line, name) || value == NULL ||
		    (labels != NULL && memmem(line, size, labels, strlen(labels)) == NULL))
			continue;
		sum += strtod(value, NULL);
		found = true;
	}
	*ret_value = sum;
	return found;
}

bool metric_text_next_label(const char **position, const char *name, const char *label,
                            char *ret_value, size_t size)
{
	for (const char *line = *position; *line != '\0'; line = next_line(line)) {
		size_t name_length = strlen(name);
		size_t label_length = strlen(label);
		if (!is_series_of(line, name) || line[name_length] != '{' ||
		    strncmp(line + name_length + 1, label, label_length) != 0 ||
		    strncmp(line + name_length + 1 + label_length, "=\"", 2) != 0)
			continue;
		const char *text = line + name_length + 1 + label_length + 2;
		size_t length = strcspn(text, "\"\n");
		if (text[length] != '"' || length >= size)
			continue;
		memcpy(ret_value, text, length);
		ret_value[length] = '\0';
		*position = next_line(line);
		return true;
	}
	*position += strlen(*position);
	return false;
}

/*
 * generate: a program that runs during the build: writes the man pages of lastword into a folder,
 * or the reference of docs/cli.md to standard output.
 *
 *	generate pages FOLDER VERSION DATE
 *	generate reference
 */
#include <stdio.h>
#include <string.h>

#include "cli/manual_page.h"
#include "lib/base/buffer.h"

#define PAGE_MAX ((size_t)256 * 1024)

static bool write_page(const struct manual *manual, char **argv)
{
	struct buffer _cleanup_buffer_ page;
	char path[4096];
	buffer_init(&page, PAGE_MAX);
	manual_write_page(manual, argv[3], argv[4], &page);
	snprintf(path, sizeof path, "%s/lastword%s%s.1", argv[2], manual == NULL ? "" : "-",
	         manual == NULL ? "" : manual->name);
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return false;
	fputs(buffer_text(&page), file);
	return fclose(file) == 0 && buffer_ok(&page);
}

int main(int argc, char **argv)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, PAGE_MAX);
	if (argc == 2 && strcmp(argv[1], "reference") == 0) {
		manual_write_reference(&text);
		return fputs(buffer_text(&text), stdout) < 0 || !buffer_ok(&text);
	}
	bool written = argc == 5 && strcmp(argv[1], "pages") == 0 && write_page(NULL, argv);
	for (size_t i = 0; i < manual_count; i++)
		written = written && write_page(&manuals[i], argv);
	if (!written)
		perror("generate");
	return written ? 0 : 1;
}

/*
 * documents: the Kubernetes objects of a file, as kubectl reads them: JSON, any number of values
 * one after the other, or YAML, several documents. What kubectl takes and is hardly meant (a key
 * given twice) is a warning.
 */
#ifndef LASTWORD_CLI_DOCUMENTS_H
#define LASTWORD_CLI_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/document/json.h"
#include "lib/document/yaml.h"

/* The largest file. */
#define DOCUMENTS_SIZE_MAX ((size_t)32 * 1024 * 1024)

struct document {
	json *root;       /* an object; null where the document is empty */
	const char *text; /* as it stands in the file, without "---" */
	size_t length;
};

struct documents {
	struct arena *arena; /* owns everything */
	char *text;
	struct document *items;
	size_t count;
	bool is_json;
	struct yaml_warning *warnings; /* line 0: the line is not known */
};

/* error has the place for syntax errors. A document that is no object is an error. */
bool documents_parse(const char *text, size_t length, struct documents *ret_documents,
                     struct error *error);

/* documents_parse() of a file; path "-" is standard input. error begins with the path. */
bool documents_load(const char *path, struct documents *ret_documents, struct error *error);
void documents_free(struct documents *documents);

#endif

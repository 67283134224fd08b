/* The compressions that leat reads and writes, and how they are told apart. Pure; any thread. */
#ifndef LEAT_IO_COMPRESSION_H
#define LEAT_IO_COMPRESSION_H

#include "core/option.h"

enum compression { COMPRESSION_NONE, COMPRESSION_ZSTD, COMPRESSION_GZIP, COMPRESSION_AUTO };

/* Bytes that compression_detect wants to see. */
#define COMPRESSION_MAGIC 4
/* By the first bytes, whatever the name says: zstd (skippable frames too), gzip, else NONE. */
enum compression compression_detect(const void *bytes, size_t length);
/* Whether anything that begins with this byte may be compressed: most text is known at once. */
bool compression_possible(unsigned char first);
/* By the extension .zst or .gz, else NONE. */
enum compression compression_for_path(const char *path);
/* The option `compression` of a statement; `otherwise` where it was not given. */
enum compression compression_option(const struct options *options, enum compression otherwise);

#endif

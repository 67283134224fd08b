/* Compression for sinks: content is cut into blocks of ENCODER_BLOCK bytes, each compressed by
 * itself into a frame (zstd, with checksum and content size) or a member (gzip), by a few threads,
 * and handed out in order. Where the blocks are cut depends on nothing but the content, so the
 * bytes depend on nothing else, and the result decodes in parallel. The sink's thread. */
#ifndef LEAT_IO_ENCODER_H
#define LEAT_IO_ENCODER_H

#include "core/error.h"
#include "io/compression.h"
#include "io/engine.h"

#define ENCODER_BLOCK (4u * 1024 * 1024)

struct encoder;

struct encoder_limits {
    unsigned threads; /* 0: compressed within the calls */
    size_t memory;    /* bytes for blocks; two are had in any case */
    int level;        /* 0: the default (zstd 3, gzip 6) */
};

/* `engine` is woken when a block is done; NULL: nobody is. */
struct encoder *encoder_open(enum compression compression, const struct encoder_limits *limits,
                             struct io_engine *engine, struct error *error);
/* Nothing that was handed out may be in use. */
void encoder_close(struct encoder *encoder);
/* Before anything is added: frames are there already, and `tail` (less than a block) is the content
 * of the one that was open. */
void encoder_continue(struct encoder *encoder, struct string tail);
/* The content of the open frame: what was added behind the last whole block. Until the next add. */
struct string encoder_tail(const struct encoder *encoder);
/* Takes content, as much as there is room for; returns how much. */
size_t encoder_add(struct encoder *encoder, const char *data, size_t length);
/* How much encoder_add would take. */
size_t encoder_room(const struct encoder *encoder);
/* The content ends here: the last block is compressed, however short (an empty content gets one
 * empty frame, if no frame is there already). Once; nothing may be added afterwards. False: no
 * block is free yet. */
bool encoder_end(struct encoder *encoder);
/* The next compressed block in order: true, and *data, *length, and a handle for encoder_release,
 * until which the bytes stay. False: none is done yet; *failed: and none will (see the error). */
bool encoder_next(struct encoder *encoder, const char **data, size_t *length, void **handle,
                  bool *failed, struct error *error);
/* In the order handed out. */
void encoder_release(struct encoder *encoder, void *handle);
bool encoder_owns(const struct encoder *encoder, const void *handle);
/* Every whole block was handed out and released (behind encoder_end: everything). */
bool encoder_is_empty(const struct encoder *encoder);

/* One block by itself, without an encoder: appends a frame or member to out[0..capacity).
 * encoder_bound says how large it must be. Returns its length, or 0 where memory is short. */
size_t encoder_compress(enum compression compression, int level, const char *data, size_t length,
                        char *out, size_t capacity);
size_t encoder_bound(enum compression compression, size_t length);

#endif

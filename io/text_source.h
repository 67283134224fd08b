/* What the sources of text share (files, stdin): inputs read one after another, several reads in
 * flight over the batches that were offered, text cut into batches at record boundaries.
 *
 *   text_reader.c  reading: opens inputs, fills slots (a batch and its read) in order
 *   text_cutter.c  cutting: takes filled slots in order, finds boundaries, keeps torn tails
 *   text_source.c  the source's operations on top of both
 *   text_seek.c    going on where an interrupted run stood
 *   text_follow.c  adding to what a finished run has read
 *
 * The common case copies nothing but the torn tail, into the headroom of the next slot's batch.
 * When a tail is longer than the headroom, text goes through `carry` until the tail is short again;
 * a record longer than a batch is put together in a batch with the jumbo permit, and one longer
 * than record_limit streams past. All calls come from the source's thread; LEAT_READ_SIZE=N in the
 * environment is a test's knob: no read is longer than N bytes. */
#ifndef LEAT_IO_TEXT_SOURCE_H
#define LEAT_IO_TEXT_SOURCE_H

#include "core/source.h"
#include "io/decoder.h"
#include "io/engine.h"
#include "io/stream.h"

#define TEXT_SLOTS         4    /* reads in flight */
#define TEXT_OFFERS        16   /* batches held at most */
#define TEXT_OVERLONG_KEEP 4096 /* bytes of an over-long record that are kept */

/* How an input is to be opened. */
struct text_input {
    int fd;         /* open already (stdin, the first file), or -1 */
    bool keep_open; /* fd is not ours to close */
    bool stream;    /* no regular file */
    uint64_t start; /* where its content begins (stdin's position) */
    enum compression compression;
    bool skip;  /* nothing of it is wanted: an earlier run has read it all */
    char *path; /* where it is by now, if not under its name: owned; else NULL */
};

/* A batch being filled. */
struct slot {
    struct batch *batch;
    struct io_request request;
    struct decoder_task task; /* compressed inputs: instead of the request */
    bool decoding;            /* the decoder holds the task */
    uint32_t input;
    int fd;      /* read from */
    bool closes; /* fd, when it is released: nobody reads it any more */
    size_t want;
    size_t filled;
    uint64_t raw_bytes; /* read from the system for it */
    uint64_t frame; /* compressed inputs: where a frame begins at or before its first byte … */
    uint64_t frame_offset; /* … and where in the content */
    bool last;             /* ends its input */
    bool surplus;          /* holds nothing and does not count: asked for behind the end */
    bool done;
    bool failed; /* `error` comes after what was filled */
    struct error error;
};

/* A place where decompression can begin. */
struct frame_place {
    uint64_t frame;
    uint64_t offset;
};
#define TEXT_FRAMES 8

enum cutter_mode { CUTTER_NORMAL, CUTTER_JUMBO, CUTTER_SKIP };

struct text_source {
    struct source base;
    struct source_context *context; /* engine and jumbo permit; lives as long as the source */
    struct format *format;
    struct text_input *text_inputs; /* beside base.inputs */
    struct source_limits limits;
    size_t read_limit; /* of one read */
    size_t slot_limit; /* slots in flight at most */
    bool stopping;
    bool failed;      /* nothing more comes out */
    bool read_failed; /* nothing more is read; what was read still comes out */
    struct error error;
    struct batch *idle; /* offered, not in use */
    unsigned offered;   /* idle, in slots, or held */

    /* reading */
    struct slot slots[TEXT_SLOTS]; /* ring: slot_first, slot_count */
    unsigned slot_first;
    unsigned slot_count;
    uint32_t reading; /* input being read; input_count: all are read */
    bool reading_open;
    int fd;
    uint64_t read_offset;
    uint64_t read_end;
    struct stream stream;
    bool stream_dry;         /* the last read took all there was: poll before the next */
    struct decoder *decoder; /* NULL: the input being read is not compressed */
    enum compression detect; /* AUTO: a stream whose first bytes were not seen yet */
    int64_t progress;        /* when data last came (monotonic) */

    /* cutting */
    uint32_t cutting; /* input being cut */
    bool head_done;
    bool started; /* its first batch went out */
    struct cut_state cut;
    uint64_t offset; /* content offset of the first byte that went into no batch yet */
    uint64_t lines;  /* line ends before it */
    uint64_t state;  /* the format's state there */
    struct frame_place frames[TEXT_FRAMES]; /* the last ones met, oldest first */
    unsigned frame_count;
    uint64_t bytes_unreported; /* read from the system, for the next batch's bytes_read */
    enum cutter_mode mode;
    struct batch *held; /* JUMBO: being put together; SKIP: will stand for the record */
    size_t held_length;
    size_t held_scanned;
    uint64_t skipped; /* SKIP: bytes of the record so far */
    char *carry;      /* text that follows `offset` (or the held text), in no batch */
    size_t carry_capacity;
    size_t carry_length;
    size_t carry_scanned; /* of it, known to hold no boundary */
    bool carry_last;      /* the input ends with it */

    /* Lists that seek has replaced: names in them may be in use. */
    struct input *retired;
    uint32_t retired_count;
};

/* Fills the common part: format from the options, --from or the inputs' names; limits; the header
 * of the first input. inputs and text_inputs are set already, one each. */
bool text_source_open(struct text_source *source, struct source_context *context,
                      struct error *error);
/* The operations that both sources share; they put their own noun, open and close in. */
bool text_source_offer(struct source *source, struct batch *batch);
enum source_result text_source_take(struct source *source, struct batch **batch,
                                    struct error *error);
void text_source_stop(struct source *source);
struct batch *text_source_reclaim(struct source *source);
void text_source_close(struct source *source);

/* Reads the header of input `index`, so that its names are known before the run. */
bool text_header_read(struct text_source *source, uint32_t index, struct error *error);
/* Adds an input to the lists: name is copied. */
bool text_input_add(struct text_source *source, struct input input, struct text_input text_input,
                    struct error *error);

/* text_seek.c: source_ops.seek. */
bool text_source_seek(struct source *source, const struct position *position, struct error *error);
/* Takes the place of the inputs that open found: those of the interrupted run. */
bool text_inputs_take(struct text_source *source, struct error *error);
/* text_follow.c. … those that are new or have grown since the finished run; `position` is where it
 * ended. */
bool text_inputs_follow(struct text_source *source, const struct position *position,
                        struct error *error);
/* Puts the lists of inputs aside, for others to be made. The open descriptors are closed, but for
 * those that are not ours. */
void text_inputs_retire(struct text_source *source);
/* Compares the marks with what the file has. *same false: it is another. False: it cannot be read.
 */
bool text_marks_check(struct text_source *source, int fd, const struct text_input *text_input,
                      const char *name, const struct position *position, bool *same,
                      struct error *error);
/* The file with this inode in the folder of `name`; NULL: none, or no memory. The caller frees it.
 */
char *text_inode_find(const char *name, uint64_t inode);
/* Opens an input that is a file, wherever it is by now: ERROR_STATE where it is not the one that it
 * was. Returns its descriptor, or -1. */
int text_input_open(struct text_source *source, uint32_t index, struct error *error);

/* text_reader.c. Starts what can be started. False: failed (source->error). */
bool text_reader_start(struct text_source *source);
/* Takes completions, and lets streams and decoders fill their slots. */
void text_reader_collect(struct text_source *source);
/* Waits until no request is in flight. */
void text_reader_drain(struct text_source *source);
/* No more is to be read: what waits for a stream ends. */
void text_reader_stop(struct text_source *source);
void text_reader_close(struct text_source *source);
/* By the first bytes of a file. */
bool text_compression_detect(int fd, uint64_t start, enum compression *compression,
                             const char *name, struct error *error);
struct decoder_limits text_decoder_limits(const struct text_source *source);
/* The oldest slot if it is filled, else NULL; release puts its batch among the idle ones or, with
 * NULL as batch, leaves it to the caller. */
struct slot *text_reader_ready(struct text_source *source);
void text_reader_release(struct text_source *source, struct slot *slot, bool idle);
static inline char *slot_text(const struct slot *slot)
{
    return slot->batch->memory + BATCH_HEADROOM;
}

/* text_cutter.c. The input to be cut next is that at source->cutting, or the first behind it that
 * is not skipped. */
void text_cutter_begin(struct text_source *source);
/* The next batch in order; WAIT: more has to be read (or offered); END: everything
 * was cut. */
enum source_result text_cutter_take(struct text_source *source, struct batch **batch);
/* Bytes that one ordinary batch can hold: headroom and text. */
static inline size_t text_span(const struct text_source *source)
{
    return BATCH_HEADROOM + source->limits.batch_text;
}

#endif

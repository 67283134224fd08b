/* What the sources of text share (files, stdin): inputs read one after another, several reads in
 * flight over the batches that were offered, text cut into batches at record boundaries.
 *
 *   text_reader.c  reading: opens inputs, fills slots (a batch and its read) in order
 *   text_cutter.c  cutting: takes filled slots in order, finds boundaries, keeps torn tails
 *   text_source.c  the source's operations on top of both
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
    uint64_t frame;     /* compressed inputs: the frame that holds its first byte */
    bool last;          /* ends its input */
    bool surplus;       /* holds nothing and does not count: asked for behind the end */
    bool done;
    bool failed; /* `error` comes after what was filled */
    struct error error;
};

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
    uint64_t offset;           /* content offset of the first byte that went into no batch yet */
    uint64_t lines;            /* line ends before it */
    uint64_t state;            /* the format's state there */
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

/* text_cutter.c. The next batch in order; WAIT: more has to be read (or offered); END: everything
 * was cut. */
enum source_result text_cutter_take(struct text_source *source, struct batch **batch);
/* Bytes that one ordinary batch can hold: headroom and text. */
static inline size_t text_span(const struct text_source *source)
{
    return BATCH_HEADROOM + source->limits.batch_text;
}

#endif

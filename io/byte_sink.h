/* What sinks of encoded bytes share (stdout, files): the format, the prologue and epilogue, the
 * order in which batches go back, small outputs gathered, compression, the writer. The sink's
 * thread, but for open. */
#ifndef LEAT_IO_BYTE_SINK_H
#define LEAT_IO_BYTE_SINK_H

#include "core/sink.h"
#include "io/compression.h"
#include "io/encoder.h"
#include "io/writer.h"

#define SINK_OFFERS       24           /* batches held at most */
#define SINK_GATHER       (256 * 1024) /* small outputs are gathered up to this */
#define SINK_GATHER_BELOW (64 * 1024)  /* an output shorter than this is small */
#define SINK_EDGE         (64 * 1024)  /* bytes of a prologue or epilogue at most */

struct byte_sink {
    struct sink base;
    struct sink_context *context; /* lives as long as the sink */
    struct format *owned_format;  /* NULL: base.format is the source's */
    struct writer writer;
    bool writer_open;
    bool begun;         /* the prologue went out, if there is one */
    bool ended;         /* the epilogue too: nothing more may be offered */
    bool continues;     /* appended to what has records already: no prologue */
    uint32_t skip;      /* bytes still to be left out of the first record */
    struct buffer edge; /* prologue, epilogue */
    /* batches in the order offered; done ones go back from the front */
    struct {
        struct batch *batch;
        size_t encoded; /* compressed sinks: bytes that the encoder has taken */
        bool done;
    } order[SINK_OFFERS];
    unsigned order_first;
    unsigned order_count;
    /* small outputs, gathered: one is filled while the other is written */
    char *gather[2];
    size_t gather_length;
    unsigned gather_current;
    bool gather_busy[2];
    enum compression compression;
    struct encoder *encoder; /* NULL: plain */
    bool failed;
    struct error error;
};

/* Chooses the format: the option `format`, --to, the extension of `path` (may be NULL), the
 * source's. */
bool byte_sink_format_choose(struct byte_sink *sink, struct sink_context *context, const char *path,
                             struct error *error);
/* Makes room for everything; `writer` is opened by the caller before the first offer. */
bool byte_sink_prepare(struct byte_sink *sink, struct error *error);
/* Starts the encoder of a compressed sink; in start, once the engine is known. */
bool byte_sink_encoder_start(struct byte_sink *sink, struct error *error);
bool byte_sink_offer(struct sink *sink, struct batch *batch);
enum sink_result byte_sink_take(struct sink *sink, struct batch **batch, struct error *error);
struct batch *byte_sink_reclaim(struct sink *sink);
/* Writes what is left (with `final` the epilogue too, before it no open frame). SINK_OK: all of it
 * reached the system. */
enum sink_result byte_sink_finish(struct byte_sink *sink, bool final, struct error *error);
/* Stops writing and forgets what was not written. */
void byte_sink_halt(struct byte_sink *sink);
/* Frees what the shared part holds, and the sink. Every batch must have been reclaimed. */
void byte_sink_free(struct byte_sink *sink);

#endif

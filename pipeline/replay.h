/* `leat replay`: a plan that reads rejected records (io/replay_source.h) in the place of its
 * sources, and adds what becomes of them to its sinks. Its state has a name of its own, so that the
 * pipeline's runs know nothing of it, and no other rejects file does either. What a replay rejects
 * is added to a file, never to the one that is read: nothing that was rejected is ever lost. Main
 * thread. */
#ifndef LEAT_PIPELINE_REPLAY_H
#define LEAT_PIPELINE_REPLAY_H

#include "core/error.h"
#include "core/option.h"

struct plan;
struct plan_source;

struct replay {
    char rejects[4096]; /* path, where none was given */
    struct option_value mode;
    struct options append; /* of the rejects' sink: mode append */
};

/* Opens the source, with the format of the program's own. */
bool replay_open_source(struct plan *plan, struct plan_source *entry, struct error *error);
/* plan->name: NAME/replay-ID, by the inode of the rejects file; and plan->state_folder. */
bool replay_name(struct plan *plan, struct error *error);
/* Refuses sinks that would replace what they have by what is replayed. */
bool replay_check_sinks(struct plan *plan, struct error *error);
/* Sets options.reject_file: --reject, or, where the pipeline `bears` rejects, FILE.again.ndjson. */
bool replay_choose_rejects(struct plan *plan, bool bears, struct error *error);

#endif

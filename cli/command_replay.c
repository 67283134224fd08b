/* `leat replay`: a run over rejected records in the place of the pipeline's sources. Main thread.
 */
#include <unistd.h>

#include "cli/commands.h"
#include "cli/notice.h"

#define PIPELINE_FILE "pipeline.conf"

int command_replay(const struct arguments *arguments)
{
    size_t count = arguments->operand_count;
    if (count == 0 || count > 2) {
        notice(NOTICE_ERROR, "usage",
               count == 0
                   ? "replay needs the file of rejected records: leat replay rejected.ndjson "
                     "pipeline.conf"
                   : "replay takes one file of rejected records and one pipeline, which is "
                     "given no inputs");
        return 2;
    }
    if (count == 1 && access(PIPELINE_FILE, F_OK) != 0) {
        notice(NOTICE_ERROR, "usage",
               "there is no ./" PIPELINE_FILE " here; name a file: leat replay %s FILE.conf",
               arguments->operands[0]);
        return 2;
    }
    struct arguments rest = *arguments;
    rest.run.replay = arguments->operands[0];
    rest.operands++;
    rest.operand_count--;
    return command_program(&rest);
}

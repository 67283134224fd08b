/* See trial.h. */
#include "tests/pipeline/trial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MOST   12
#define VALUE_MOST    2048
#define OVERLONG_MOST 3 /* of them in an input */
/* A record is surely too long where it fits neither a batch nor the room in front of it. */
#define HEADROOM (64 * 1024)

enum { WHERE, PUT, DIVIDE, SWELL, DROP, RENAME, SELECT, SKIP, HEAD, LIMIT, COUNT };

struct field {
    char name[8];
    bool is_text;
    unsigned number;
    char text[VALUE_MOST];
};
struct record {
    struct field fields[FIELDS_MOST];
    unsigned count;
};

unsigned trial_below(struct trial *trial, unsigned limit)
{
    uint64_t z = trial->state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (unsigned)((z ^ (z >> 31)) % limit);
}

void text_append(struct trial_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->data + text->length, TEXT_MOST - text->length, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
    if (text->length >= TEXT_MOST)
        abort();
}

/* ---- records ---- */

static struct field *find(struct record *record, const char *name)
{
    for (unsigned i = 0; i < record->count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

static struct field *set(struct record *record, const char *name)
{
    struct field *field = find(record, name);
    if (!field)
        field = &record->fields[record->count++];
    snprintf(field->name, sizeof(field->name), "%s", name);
    field->is_text = false;
    return field;
}

static void take_out(struct record *record, struct field *field)
{
    unsigned at = (unsigned)(field - record->fields);
    memmove(field, field + 1, (record->count - at - 1) * sizeof(*field));
    record->count--;
}

static void write_json_text(struct trial_text *out, const char *text)
{
    text_append(out, "\"");
    for (; *text; text++)
        if (*text == '\n' || *text == '"')
            text_append(out, "\\%c", *text == '"' ? '"' : 'n');
        else
            text_append(out, "%c", *text);
    text_append(out, "\"");
}

static void write_csv_text(struct trial_text *out, const char *text)
{
    bool quoted = strpbrk(text, ",\"\n") != NULL;
    text_append(out, "%s", quoted ? "\"" : "");
    for (; *text; text++)
        text_append(out, "%s%c", *text == '"' ? "\"" : "", *text);
    text_append(out, "%s", quoted ? "\"" : "");
}

static void write_record(struct trial *trial, const struct record *record)
{
    text_append(&trial->lines, "{");
    for (unsigned i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        text_append(&trial->lines, "%s\"%s\":", i ? "," : "", field->name);
        if (field->is_text)
            write_json_text(&trial->lines, field->text);
        else
            text_append(&trial->lines, "%u", field->number);
    }
    text_append(&trial->lines, "}\n");
    for (unsigned i = 0; trial->written == 0 && i < record->count; i++)
        text_append(&trial->csv, "%s%s%s", i ? "," : "", record->fields[i].name,
                    i + 1 == record->count ? "\n" : "");
    for (unsigned i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        text_append(&trial->csv, "%s", i ? "," : "");
        if (field->is_text)
            write_csv_text(&trial->csv, field->text);
        else
            text_append(&trial->csv, "%u", field->number);
    }
    text_append(&trial->csv, "\n");
    trial->written++;
}

/* ---- steps ---- */

enum fate { PASSED, FILTERED, REJECTED, ABSORBED };

static void swell(struct record *record, const struct trial_step *step)
{
    char text[VALUE_MOST] = "";
    size_t length = 0;
    for (unsigned i = 0; i < step->a; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s",
                                   find(record, step->from)->text);
    struct field *field = set(record, step->name);
    field->is_text = true;
    memcpy(field->text, text, sizeof(text));
}

static void rename_field(struct record *record, const struct trial_step *step)
{
    struct field *onto = find(record, step->name);
    if (onto && strcmp(step->name, step->from) != 0)
        take_out(record, onto);
    snprintf(find(record, step->from)->name, sizeof(onto->name), "%s", step->name);
}

/* The base and the fields behind `from`, then `from`. */
static void select_fields(struct record *record, const struct trial_step *step)
{
    struct record kept = {.count = 0};
    kept.fields[kept.count++] = *find(record, step->from);
    if (strcmp(step->from, step->base) != 0)
        kept.fields[kept.count++] = *find(record, step->base);
    *record = kept;
}

static enum fate step_apply(struct trial_step *step, struct record *record)
{
    unsigned base = find(record, step->base)->number;
    switch (step->kind) {
    case WHERE:
        return base % step->a == step->b ? PASSED : FILTERED;
    case PUT:
        set(record, step->name)->number = base * step->a + step->b;
        return PASSED;
    case DIVIDE:
        if (base % step->a == 0)
            return REJECTED;
        set(record, step->name)->number = 100 / (base % step->a);
        return PASSED;
    case SWELL:
        swell(record, step);
        return PASSED;
    case DROP:
        take_out(record, find(record, step->name));
        return PASSED;
    case RENAME:
        rename_field(record, step);
        return PASSED;
    case SELECT:
        select_fields(record, step);
        return PASSED;
    case SKIP:
        return step->left && step->left-- ? FILTERED : PASSED;
    case HEAD:
        step->left--;
        return PASSED;
    case LIMIT:
        return PASSED;
    default:
        return ABSORBED;
    }
}

static void step_write(const struct trial_step *step, struct trial_text *out)
{
    switch (step->kind) {
    case WHERE:
        text_append(out, "where %s %% %u == %u\n", step->base, step->a, step->b);
        break;
    case PUT:
        text_append(out, "put %s = %s * %u + %u\n", step->name, step->base, step->a, step->b);
        break;
    case DIVIDE:
        text_append(out, "put %s = 100 / (%s %% %u)\n", step->name, step->base, step->a);
        break;
    case SWELL:
        text_append(out, "put %s = ", step->name);
        for (unsigned i = 0; i < step->a; i++)
            text_append(out, "%s%s", i ? " + " : "", step->from);
        text_append(out, "\n");
        break;
    case DROP:
        text_append(out, "drop %s\n", step->name);
        break;
    case RENAME:
        text_append(out, "rename %s = %s\n", step->name, step->from);
        break;
    case SELECT:
        text_append(out, "select %s%s%s\n", step->from, strcmp(step->from, step->base) ? ", " : "",
                    strcmp(step->from, step->base) ? step->base : "");
        break;
    case SKIP:
    case HEAD:
        text_append(out, "%s %u\n", step->kind == SKIP ? "skip" : "head", step->left);
        break;
    case LIMIT:
        text_append(out, "limit %u/s { burst %u }\n", step->a, step->b);
        break;
    case COUNT:
        text_append(out, "count by %s\n", step->from);
        break;
    }
}

/* A step that can stand where records look like `sample`; after a count `created` is set. */
static void step_plan(struct trial *trial, struct trial_step *step, struct record *sample,
                      bool created)
{
    static const char *const fresh[] = {"a", "b", "c", "pad", "k"};
    struct field *field = &sample->fields[trial_below(trial, sample->count)];
    bool is_base = strcmp(field->name, created ? "count" : "n") == 0;
    step->kind = (int)trial_below(trial, COUNT + 1);
    if ((step->kind == DIVIDE && (created || trial_below(trial, 2))) ||
        (step->kind == SWELL && !field->is_text) ||
        ((step->kind == DROP || step->kind == RENAME || step->kind == COUNT) && is_base) ||
        (step->kind == COUNT && created))
        step->kind = PUT;
    step->a = 1 + trial_below(trial, 5);
    step->b = trial_below(trial, step->a);
    step->left = trial_below(trial, 4) ? trial_below(trial, 80) : trial_below(trial, 4);
    snprintf(step->base, sizeof(step->base), "%s", created ? "count" : "n");
    snprintf(step->from, sizeof(step->from), "%s", field->name);
    snprintf(step->name, sizeof(step->name), "%s", fresh[trial_below(trial, 5)]);
    if (step->kind == DROP)
        memcpy(step->name, step->from, sizeof(step->name));
    if (step->kind == SWELL)
        step->a = 2 + trial_below(trial, 20);
    if (step->kind == LIMIT) {
        step->a = 10 + trial_below(trial, 10000);
        step->b = 1 + trial_below(trial, 40);
    }
    if (step->kind == HEAD && created)
        step->left++;
}

static void sample_count(struct record *sample, const char *key)
{
    struct record counted = {.count = 0};
    counted.fields[counted.count++] = *find(sample, key);
    set(&counted, "count")->number = 1;
    *sample = counted;
}

static void steps_plan(struct trial *trial)
{
    static struct record sample;
    struct trial_text program = {.data = trial->program};
    bool created = false;
    sample.count = 0;
    set(&sample, "n")->number = 1;
    set(&sample, "k")->is_text = true;
    set(&sample, "pad")->is_text = true;
    trial->step_count = trial_below(trial, STEPS_MOST + 1);
    unsigned swells = 0;
    for (unsigned i = 0; i < trial->step_count; i++) {
        struct trial_step *step = &trial->steps[i], copy;
        do /* swollen values may not be swollen again without end */
            step_plan(trial, step, &sample, created);
        while (step->kind == SWELL && swells > 0);
        swells += step->kind == SWELL;
        step_write(step, &program);
        copy = *step;
        if (step->kind == COUNT) {
            sample_count(&sample, step->from);
            created = true;
            continue;
        }
        (void)step_apply(&copy, &sample);
    }
}

/* ---- the input ---- */

void trial_plan(struct trial *trial, uint64_t seed)
{
    struct trial_text lines = {.data = trial->lines.data}, csv = {.data = trial->csv.data};
    memset(trial, 0, sizeof(*trial));
    trial->lines = lines;
    trial->csv = csv;
    trial->seed = seed;
    trial->state = seed * 0x2545F4914F6CDD1D + 1;
    trial->records =
        trial_below(trial, 8) == 0 ? trial_below(trial, 3) : trial_below(trial, RECORDS_MOST);
    trial->files = trial_below(trial, 3) ? 1 : 1 + trial_below(trial, FILES_MOST);
    trial->csv_input = trial_below(trial, 3) == 0;
    trial->csv_output = trial_below(trial, 3) == 0;
    trial->glob = trial_below(trial, 2) == 0;
    trial->any_order = trial_below(trial, 4) == 0;
    trial->rejects = trial_below(trial, 2) == 0;
    trial->batch_text =
        trial_below(trial, 3) == 0 ? 1 + trial_below(trial, 60) : 100 + trial_below(trial, 9000);
    bool some_bad = trial_below(trial, 3) == 0;
    unsigned overlong = trial->batch_text < 500 ? OVERLONG_MOST : 0; /* read in too many steps */
    bool wild = trial_below(trial, 2) == 0;
    for (unsigned i = 0; i < trial->records; i++) {
        struct trial_record *record = &trial->input[i];
        unsigned length = 1 + trial_below(trial, 40);
        record->file = i * trial->files / trial->records;
        if (some_bad && trial_below(trial, 12) == 0)
            record->malformed =
                trial_below(trial, 4) || overlong++ >= OVERLONG_MOST ? NOT_JSON : OVERLONG;
        record->pad[0] = 'p';
        for (unsigned j = 1; j < length; j++)
            record->pad[j] = wild && trial_below(trial, 10) == 0 ? "\n\",;"[trial_below(trial, 4)]
                                                                 : (char)('a' + (i + j) % 26);
    }
    steps_plan(trial);
}

static void input_record(struct trial *trial, unsigned index, struct trial_text *text)
{
    const struct trial_record *record = &trial->input[index];
    unsigned most = trial->batch_text + HEADROOM;
    if (record->malformed == NOT_JSON && trial->csv_input) {
        text_append(text, "%u,k,p,more\n", index);
    } else if (record->malformed == NOT_JSON) {
        text_append(text, "{\"n\":%u,oops}\n", index);
    } else if (record->malformed == OVERLONG) {
        text_append(text, trial->csv_input ? "%u,k,%0*u\n" : "{\"n\":%u,\"pad\":\"%0*u\"}\n", index,
                    (int)most + 10, 7u);
    } else if (trial->csv_input) {
        text_append(text, "%u,k%u,", index, index % 4);
        write_csv_text(text, record->pad);
        text_append(text, "\n");
    } else {
        text_append(text, "{\"n\":%u,\"k\":\"k%u\",\"pad\":", index, index % 4);
        write_json_text(text, record->pad);
        text_append(text, "}\n");
    }
}

void trial_input(struct trial *trial, unsigned file, struct trial_text *text)
{
    uint64_t line = 1;
    text->length = 0;
    if (trial->csv_input) {
        text_append(text, "n,k,pad\n");
        line++;
    }
    size_t before = text->length;
    for (unsigned i = 0; i < trial->records; i++) {
        if (trial->input[i].file != file)
            continue;
        trial->input[i].line = line;
        trial->input[i].offset = before = text->length;
        input_record(trial, i, text);
        for (size_t j = before; j < text->length; j++)
            line += text->data[j] == '\n';
    }
    if (text->length > before && before > 0 && trial_below(trial, 4) == 0)
        text->length--; /* no newline at the end */
}

/* ---- the model ---- */

/* The name under which leat speaks of a stage: its verb, numbered from the second on. */
static void stage_name(const struct trial *trial, unsigned step, char *name, size_t size)
{
    unsigned same = 1;
    for (unsigned i = 0; i < step; i++)
        same += trial->steps[i].kind == PUT || trial->steps[i].kind == DIVIDE ||
                trial->steps[i].kind == SWELL;
    snprintf(name, size, same > 1 ? "put#%u" : "put", same);
}

static void reject(struct trial *trial, unsigned index, const char *stage)
{
    const struct trial_record *record = &trial->input[index];
    struct trial_reject *at = &trial->rejected_at[trial->rejected++];
    snprintf(at->stage, sizeof(at->stage), "%s", stage);
    at->file = record->file;
    at->line = record->line;
    at->offset = record->offset;
}

/* Takes a record through steps [first, end); where it stopped. */
static enum fate flow(struct trial *trial, struct record *record, unsigned first, unsigned end,
                      unsigned *stopped)
{
    for (*stopped = first; *stopped < end; (*stopped)++) {
        enum fate fate = step_apply(&trial->steps[*stopped], record);
        if (fate != PASSED)
            return fate;
    }
    return PASSED;
}

static bool head_is_full(const struct trial *trial, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        if (trial->steps[i].kind == HEAD && trial->steps[i].left == 0)
            return true;
    return false;
}

static void record_make(const struct trial *trial, unsigned index, struct record *record)
{
    record->count = 0;
    set(record, "n")->number = index;
    struct field *k = set(record, "k");
    k->is_text = true;
    snprintf(k->text, sizeof(k->text), "k%u", index % 4);
    struct field *pad = set(record, "pad");
    pad->is_text = true;
    snprintf(pad->text, sizeof(pad->text), "%s", trial->input[index].pad);
}

static bool same_key(const struct field *a, const struct field *b)
{
    if (a->is_text != b->is_text)
        return false;
    return a->is_text ? strcmp(a->text, b->text) == 0 : a->number == b->number;
}

struct groups {
    struct field keys[RECORDS_MOST];
    unsigned counts[RECORDS_MOST];
    unsigned count;
};

static void group_count(struct groups *groups, const struct field *key)
{
    unsigned i = 0;
    while (i < groups->count && !same_key(&groups->keys[i], key))
        i++;
    if (i == groups->count) {
        groups->keys[groups->count++] = *key;
        groups->counts[i] = 0;
    }
    groups->counts[i]++;
}

static void finish(struct trial *trial, struct record *record, enum fate fate)
{
    trial->filtered += fate == FILTERED;
    if (fate == PASSED)
        write_record(trial, record);
}

static void model_created(struct trial *trial, const struct groups *groups, unsigned first)
{
    static struct record record;
    for (unsigned i = 0; i < groups->count && !head_is_full(trial, first, trial->step_count); i++) {
        unsigned stopped;
        record.count = 1;
        record.fields[0] = groups->keys[i];
        set(&record, "count")->number = groups->counts[i];
        trial->created++;
        enum fate fate = flow(trial, &record, first, trial->step_count, &stopped);
        finish(trial, &record, fate);
    }
}

void trial_model(struct trial *trial)
{
    static struct groups groups;
    static struct record record;
    unsigned count = 0;
    groups.count = 0;
    while (count < trial->step_count && trial->steps[count].kind != COUNT)
        count++;
    for (unsigned i = 0; i < trial->records && !head_is_full(trial, 0, count); i++) {
        unsigned stopped;
        trial->read++;
        if (trial->input[i].malformed) {
            reject(trial, i, "source");
            continue;
        }
        record_make(trial, i, &record);
        enum fate fate = flow(trial, &record, 0, count, &stopped);
        if (fate == REJECTED) {
            char stage[24];
            stage_name(trial, stopped, stage, sizeof(stage));
            reject(trial, i, stage);
        } else if (fate == PASSED && count < trial->step_count) {
            trial->absorbed++;
            group_count(&groups, find(&record, trial->steps[count].from));
        } else {
            finish(trial, &record, fate);
        }
    }
    if (count < trial->step_count)
        model_created(trial, &groups, count + 1);
    trial->must_fail = trial->rejected > 0 && !trial->rejects;
}

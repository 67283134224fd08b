/* The quick way through a record, written once: see json_locate.h. The including file defines
 * KERNEL(name), TARGET and
 *   classes_differ(a, b, count): reads up to 63 bytes behind both;
 *   chunks_differ(text, positions, chunks, count): whether bytes that count differ in any;
 *   number_quick(text, length): true: text is a number; false: nobody knows. Reads 17 bytes.
 */

/* true, false, null: without branches, as nobody can foresee which. Reads 5 bytes. */
static inline TARGET bool literal_quick(const char *text, uint32_t length)
{
    uint32_t word, word_true, word_null, word_false;
    memcpy(&word, text, sizeof(word));
    memcpy(&word_true, "true", sizeof(word));
    memcpy(&word_null, "null", sizeof(word));
    memcpy(&word_false, "fals", sizeof(word));
    return (((word == word_true) | (word == word_null)) & (length == 4)) |
           ((word == word_false) & (text[4] == 'e') & (length == 5));
}

static inline TARGET bool KERNEL(scalar_matches)(const char *text, uint32_t length)
{
    if (LIKELY(text[0] <= '9')) {
        if (LIKELY(number_quick(text, length)))
            return true;
    } else if (LIKELY(literal_quick(text, length))) {
        return true;
    }
    size_t place;
    while (length > 1 && json_is_white(text[length - 1]))
        length--;
    return json_scalar_check(text, length, &place) == JSON_FAULT_NONE;
}

static inline TARGET bool KERNEL(shape_fits)(const struct json_shape *shape, const char *text,
                                             const uint32_t *positions, const uint8_t *classes,
                                             uint32_t available, bool lines)
{
    uint32_t count = shape->token_count;
    if (count == 0 || count >= available)
        return false;
    if (classes_differ(classes, shape->classes, count + lines))
        return false;
    return !chunks_differ(text, positions, shape->chunks, shape->chunk_count);
}

/* The shape of the record at `next`, or NULL. */
static inline TARGET struct json_shape *KERNEL(shape_find)(struct json_locator *locator, bool lines)
{
    const struct json_scan *scan = &locator->scan;
    const uint32_t *positions = scan->positions + locator->next;
    const uint8_t *classes = scan->classes + locator->next;
    uint32_t available = scan->count - locator->next;
    struct json_shape *guess = locator->last;
    if (guess && guess->successor)
        guess = guess->successor;
    if (LIKELY(guess &&
               KERNEL(shape_fits)(guess, scan->text, positions, classes, available, lines)))
        return guess;
    for (uint32_t i = 0; i < SHAPE_COUNT && locator->shapes[i]; i++)
        if (KERNEL(shape_fits)(locator->shapes[i], scan->text, positions, classes, available,
                               lines)) {
            if (locator->last)
                locator->last->successor = locator->shapes[i];
            return locator->shapes[i];
        }
    return NULL;
}

static inline TARGET struct value KERNEL(span_value)(const char *text, const uint32_t *positions,
                                                     struct shape_span span)
{
    uint32_t start = positions[span.start];
    uint32_t end = positions[span.end];
    if (span.kind == SHAPE_CONTAINER)
        end++;
    else
        while (UNLIKELY(json_is_white(text[end - 1])))
            end--;
    return value_raw(text + start, end - start);
}

static inline TARGET void KERNEL(columns_emit)(struct json_locator *locator,
                                               const struct json_shape *shape,
                                               const uint32_t *positions, uint32_t record)
{
    const char *text = locator->scan.text;
    uint32_t i = 0;
    for (; i < shape->column_count; i++)
        locator->cells[shape->columns[i].column][record] =
            KERNEL(span_value)(text, positions, shape->columns[i]);
    for (; i < locator->projection->base_columns; i++) {
        struct shape_span span = shape->columns[i];
        bool absent = span.kind == SHAPE_ABSENT ||
                      (span.kind == SHAPE_BEHIND && text[positions[span.start]] == 'n');
        locator->cells[span.column][record] =
            absent ? (struct value){0} : value_error(ERROR_NO_OVERLOAD);
    }
}

static inline TARGET bool KERNEL(members_emit)(struct json_locator *locator,
                                               const struct json_shape *shape,
                                               const uint32_t *positions, uint32_t record)
{
    const char *text = locator->scan.text;
    uint32_t count = shape->member_count;
    if (UNLIKELY(locator->member_capacity - locator->member_count < count))
        return false;
    struct member *members = locator->batch->members + locator->member_count;
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct member){
            .name = text + positions[shape->members[i].name] + 1,
            .name_length = shape->members[i].name_length,
            .column = shape->members[i].value.column,
            .value = KERNEL(span_value)(text, positions, shape->members[i].value),
        };
    locator->member_count += count;
    locator->batch->member_first[record + 1] = locator->member_count;
    return true;
}

/* Takes the record at `next` if it matches. */
static inline TARGET bool KERNEL(record_match)(struct json_locator *locator, bool lines,
                                               uint32_t *end_token)
{
    const struct json_scan *scan = &locator->scan;
    struct batch *batch = locator->batch;
    struct json_shape *shape = KERNEL(shape_find)(locator, lines);
    if (UNLIKELY(!shape))
        return false;
    const uint32_t *positions = scan->positions + locator->next;
    uint32_t count = shape->token_count, record = batch->record_count;
    uint32_t start = positions[0], end = positions[count - 1] + 1;
    if (UNLIKELY(scan->suspect_from <= end && scan->suspect_to > start))
        return false;
    for (uint32_t i = 0; i < shape->scalar_count; i++) {
        uint32_t token = shape->scalars[i];
        if (UNLIKELY(!KERNEL(scalar_matches)(scan->text + positions[token],
                                             positions[token + 1] - positions[token])))
            return false;
    }
    if (locator->projection->members && !KERNEL(members_emit)(locator, shape, positions, record))
        return false;
    KERNEL(columns_emit)(locator, shape, positions, record);
    batch->records[record] = (struct batch_record){start, end - start};
    batch->rows[batch->row_count++] = record;
    batch->record_count = record + 1;
    locator->last = shape;
    locator->misses = 0;
    locator->value_start = start;
    locator->value_end = end;
    *end_token = count;
    return true;
}

static TARGET void KERNEL(match_lines)(struct json_locator *locator, uint32_t *line)
{
    uint32_t at = *line, end_token;
    while (locator->batch->record_count < locator->capacity) {
        json_locator_want(locator, SHAPE_TOKENS);
        if (!KERNEL(record_match)(locator, true, &end_token))
            break;
        uint32_t line_end = locator->scan.positions[locator->next + end_token];
        locator->clean &= locator->value_start == at && locator->value_end == line_end;
        locator->next += end_token + 1;
        at = line_end + 1;
        locator->lines++;
    }
    *line = at;
}

static TARGET bool KERNEL(match_value)(struct json_locator *locator)
{
    uint32_t end_token;
    json_locator_want(locator, SHAPE_TOKENS);
    if (locator->batch->record_count == locator->capacity ||
        !KERNEL(record_match)(locator, false, &end_token))
        return false;
    locator->next += end_token;
    return true;
}

const struct json_match_functions KERNEL(json_match) = {KERNEL(match_lines), KERNEL(match_value)};

/*
 * Which commits count, and where a replay begins: see history.h.
 */
#include "store/history.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/hash.h"
#include "store/scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sequence_of(const struct dms_found_commit *commit)
{
    return commit->block.commit.sequence;
}

int dms_commit_each_edit(const struct dms_survey *survey, const struct dms_found_commit *commit,
                         int (*visit)(void *context, const struct dms_edit *edit), void *context)
{
    const struct dms_survey_file *file = &survey->files[commit->file];
    uint8_t *payload;
    int status = dms_survey_read_payload(file, &commit->block, &payload);
    if (status != 0) {
        return status;
    }
    size_t at = 0;
    uint32_t edit_ct = 0;
    struct dms_edit edit;
    while ((status = dms_edit_next(payload, (size_t)commit->block.payload_bytes, &at, &edit)) > 0) {
        edit_ct++;
        status = visit(context, &edit);
        if (status != 0) {
            goto out;
        }
    }
    if (status == 0 && edit_ct != commit->block.commit.edit_ct) {
        status = dms_fail(DMS_ERR_CORRUPT, "commit %" PRIu64 " has %u edits and says %u",
                          sequence_of(commit), (unsigned)edit_ct,
                          (unsigned)commit->block.commit.edit_ct);
    }
out:
    free(payload);
    return status;
}

int dms_commit_check_blocks(const struct dms_survey *survey, const struct dms_found_commit *commit,
                            bool with_payloads)
{
    const struct dms_survey_file *file = &survey->files[commit->file];
    const struct dms_commit_fields *fields = &commit->block.commit;
    struct dms_buffer hashes = {0};
    uint64_t offset = fields->begin;
    int status = 0;
    for (size_t k = dms_survey_position(file, offset);
         status == 0 && k < file->block_ct && file->blocks[k].offset == offset &&
         offset < commit->block.offset;
         k++) {
        uint8_t hash[8];
        struct dms_block block;
        dms_store_u64(hash, file->blocks[k].header_hash);
        status = dms_buffer_append(&hashes, hash, sizeof hash);
        if (status == 0 && with_payloads) {
            status = dms_survey_read_header(file, &file->blocks[k], &block);
            status = status ? status : dms_scan_check_payload(file->descriptor, file->path, &block);
        }
        offset += dms_found_block_extent(&file->blocks[k]);
    }
    if (status == 0 && (offset != commit->block.offset ||
                        dms_hash64(hashes.data, hashes.size) != fields->blocks_hash)) {
        status = dms_fail(DMS_ERR_CORRUPT,
                          "the blocks of commit %" PRIu64 " are not all that it was written with",
                          fields->sequence);
    }
    dms_buffer_free(&hashes);
    return status;
}

/* ---- states ---- */

struct state_search {
    bool is_found;
    uint64_t offset;
    uint64_t header_hash;
};

static int find_state_edit(void *context, const struct dms_edit *edit)
{
    struct state_search *search = context;
    if (edit->type == DMS_EDIT_STATE) {
        *search = (struct state_search){true, edit->state.offset, edit->state.header_hash};
    }
    return 0;
}

/* Reads and decodes a state block. */
static int read_state_block(const struct dms_survey_file *file, const struct dms_found_block *found,
                            struct dms_catalog *catalog)
{
    struct dms_block block;
    uint8_t *payload = NULL;
    int status = dms_survey_read_header(file, found, &block);
    status = status ? status : dms_survey_read_payload(file, &block, &payload);
    status =
        status ? status : dms_catalog_decode(payload, (size_t)block.payload_bytes, catalog, NULL);
    free(payload);
    if (status == 0 && catalog->sequence != found->number) {
        dms_catalog_clear(catalog);
        status = dms_fail(DMS_ERR_CORRUPT, "the state at offset 0x%" PRIx64 " is of another commit",
                          found->offset);
    }
    return status;
}

/* Reads the state that a commit refers to. DMS_END when there is none. */
static int read_state(const struct dms_survey *survey, const struct dms_found_commit *commit,
                      struct dms_catalog *catalog)
{
    const struct dms_survey_file *file = &survey->files[commit->file];
    struct state_search search = {0};
    int status = dms_commit_each_edit(survey, commit, find_state_edit, &search);
    if (status != 0 || !search.is_found) {
        return status ? status : DMS_END;
    }
    const struct dms_found_block *found = dms_survey_block(file, search.offset);
    if (!found || found->type != DMS_BLOCK_STATE || found->header_hash != search.header_hash) {
        return dms_fail(DMS_ERR_CORRUPT, "the state block of commit %" PRIu64 " is not there",
                        sequence_of(commit));
    }
    status = read_state_block(file, found, catalog);
    if (status == 0 && (catalog->sequence != sequence_of(commit) ||
                        catalog->commit_hash != commit->block.commit.previous_hash)) {
        dms_catalog_clear(catalog);
        status = dms_fail(DMS_ERR_CORRUPT, "the state block of commit %" PRIu64 " is of another",
                          sequence_of(commit));
    }
    return status;
}

/* ---- which commits count ---- */

static int compare_commits(const void *a, const void *b)
{
    const struct dms_commit_fields *left = &(*(struct dms_found_commit *const *)a)->block.commit;
    const struct dms_commit_fields *right = &(*(struct dms_found_commit *const *)b)->block.commit;
    if (left->sequence != right->sequence) {
        return left->sequence < right->sequence ? -1 : 1;
    }
    return (left->time_ns > right->time_ns) - (left->time_ns < right->time_ns);
}

static int sort_commits(const struct dms_survey *survey, struct dms_history *history)
{
    history->commits = dms_alloc(survey->commit_ct, sizeof *history->commits);
    if (!history->commits) {
        return DMS_ERR_NO_MEMORY;
    }
    for (size_t k = 0; k < survey->commit_ct; k++) {
        if (!survey->files[survey->commits[k].file].is_foreign) {
            history->commits[history->commit_ct++] = &survey->commits[k];
        }
    }
    if (history->commit_ct > 1) {
        qsort(history->commits, history->commit_ct, sizeof *history->commits, compare_commits);
    }
    return 0;
}

static bool has_state(const struct dms_survey *survey, const struct dms_found_commit *commit)
{
    struct dms_catalog catalog = {0};
    int status = read_state(survey, commit, &catalog);
    dms_catalog_clear(&catalog);
    return status == 0;
}

/* Takes the last commit away if some of its blocks were never written, and nobody was told that it
 * was done. One with a state stays: what was live before it may have been deleted since. */
static int drop_interrupted(const struct dms_survey *survey, uint64_t acknowledged,
                            struct dms_history *history)
{
    if (history->commit_ct == 0) {
        return 0;
    }
    const struct dms_found_commit *last = history->commits[history->commit_ct - 1];
    if (sequence_of(last) <= acknowledged) {
        return 0;
    }
    int status = dms_commit_check_blocks(survey, last, true);
    if (dms_is_damage(status)) {
        status = 0;
        if (!has_state(survey, last)) {
            history->interrupted = last;
            history->commit_ct--;
        }
    }
    return status;
}

/* Leaves one commit of each number: the one that the next commit names, else the latest. */
static void choose_commits(struct dms_history *history)
{
    const struct dms_found_commit **commits = history->commits;
    size_t kept = history->commit_ct; /* chosen ones stand from here on */
    for (size_t end = history->commit_ct; end > 0;) {
        size_t first = end - 1;
        size_t chosen = end - 1;
        while (first > 0 && sequence_of(commits[first - 1]) == sequence_of(commits[end - 1])) {
            first--;
        }
        for (size_t k = first; k < end && kept < history->commit_ct; k++) {
            const struct dms_commit_fields *next = &commits[kept]->block.commit;
            if (next->sequence == sequence_of(commits[k]) + 1 &&
                next->previous_hash == commits[k]->block.header_hash) {
                chosen = k;
            }
        }
        commits[--kept] = commits[chosen];
        end = first;
    }
    history->commit_ct -= kept;
    memmove(commits, commits + kept, history->commit_ct * sizeof *commits);
}

/* ---- where to begin ---- */

int dms_catalog_extend_segment(struct dms_catalog *catalog, const struct dms_survey_file *file,
                               uint64_t end)
{
    struct dms_segment_record *record = dms_catalog_segment(catalog, file->number);
    if (record) {
        record->committed_bytes = record->committed_bytes > end ? record->committed_bytes : end;
        return 0;
    }
    struct dms_segment_record made = file->record;
    made.committed_bytes = end;
    return dms_catalog_add_segment(catalog, &made);
}

int dms_catalog_note_commit(struct dms_catalog *catalog, const struct dms_survey *survey,
                            const struct dms_found_commit *commit)
{
    const struct dms_survey_file *file = &survey->files[commit->file];
    const struct dms_commit_fields *fields = &commit->block.commit;
    uint64_t end = commit->block.offset + dms_block_extent(&commit->block);
    catalog->sequence = fields->sequence;
    catalog->commit_hash = commit->block.header_hash;
    catalog->next_group = fields->next_group;
    catalog->next_batch = fields->next_batch;
    catalog->next_segment = fields->next_segment;
    return dms_catalog_extend_segment(catalog, file, end);
}

/* The first commit with this sequence number or a higher one: a position in history->commits. */
static size_t commit_position(const struct dms_history *history, uint64_t sequence)
{
    size_t at = 0;
    while (at < history->commit_ct && sequence_of(history->commits[at]) < sequence) {
        at++;
    }
    return at;
}

/* The state block with the highest sequence number below `below`; false when there is none. */
static bool find_state_block(const struct dms_survey *survey, uint64_t below,
                             const struct dms_survey_file **file,
                             const struct dms_found_block **found)
{
    *found = NULL;
    for (size_t f = 0; f < survey->file_ct; f++) {
        for (size_t k = 0; k < survey->files[f].block_ct; k++) {
            const struct dms_found_block *block = &survey->files[f].blocks[k];
            if (block->type == DMS_BLOCK_STATE && block->number < below &&
                (!*found || block->number > (*found)->number)) {
                *file = &survey->files[f];
                *found = block;
            }
        }
    }
    return *found != NULL;
}

/* Begins after a commit that was destroyed, whose state block is good. DMS_END when it may never
 * have been done: a later commit, or what is known to be acknowledged, must say so. */
static int begin_without_commit(const struct dms_survey_file *file,
                                const struct dms_found_block *found, uint64_t acknowledged,
                                struct dms_history *history)
{
    uint64_t sequence = found->number;
    size_t next = commit_position(history, sequence);
    if (next == history->commit_ct && acknowledged > 0 && sequence > acknowledged) {
        return DMS_END;
    }
    int status = read_state_block(file, found, &history->state);
    if (status != 0) {
        return status;
    }
    history->begin = next;
    history->state_sequence = sequence;
    history->is_rebuilt = true;
    if (next < history->commit_ct && sequence_of(history->commits[next]) == sequence + 1) {
        history->state.commit_hash = history->commits[next]->block.commit.previous_hash;
    }
    return dms_catalog_extend_segment(&history->state, file,
                                      found->offset + dms_found_block_extent(found));
}

/* Begins after the commit with a state block's number. */
static int begin_with(const struct dms_survey *survey, const struct dms_survey_file *file,
                      const struct dms_found_block *found, uint64_t acknowledged,
                      struct dms_history *history)
{
    size_t at = commit_position(history, found->number);
    if (at == history->commit_ct || sequence_of(history->commits[at]) != found->number) {
        return begin_without_commit(file, found, acknowledged, history);
    }
    int status = read_state(survey, history->commits[at], &history->state);
    if (status == 0) {
        history->begin = at + 1;
        history->state_sequence = found->number;
        status = dms_catalog_note_commit(&history->state, survey, history->commits[at]);
    }
    return status;
}

/* Finds the newest state that can be used, or the beginning of all. */
static int find_beginning(const struct dms_survey *survey, uint64_t acknowledged,
                          struct dms_history *history)
{
    const struct dms_survey_file *file;
    const struct dms_found_block *found;
    uint64_t below = UINT64_MAX;
    while (find_state_block(survey, below, &file, &found)) {
        int status = begin_with(survey, file, found, acknowledged, history);
        if (status != DMS_END && !dms_is_damage(status)) {
            return status;
        }
        below = found->number;
    }
    history->state = (struct dms_catalog){.next_group = 1, .next_batch = 1, .next_segment = 1};
    return 0;
}

/* ---- what is missing ---- */

static int note_missing(struct dms_survey *survey, uint64_t first, uint64_t last)
{
    (void)dms_fail(DMS_ERR_CORRUPT,
                   first == last ? "commit %" PRIu64 " is missing"
                                 : "commits %" PRIu64 " to %" PRIu64 " are missing",
                   first, last);
    return dms_survey_note(survey, DMS_NO_FILE, 0, 0);
}

/* Notes holes after the beginning, and commits that do not name the one before. */
static int check_chain(struct dms_survey *survey, const struct dms_history *history)
{
    uint64_t last = history->state_sequence;
    for (size_t k = 0; k < history->commit_ct; k++) {
        const struct dms_found_commit *commit = history->commits[k];
        const struct dms_commit_fields *fields = &commit->block.commit;
        int status = 0;
        if (k >= history->begin && fields->sequence > last + 1) {
            status = note_missing(survey, last + 1, fields->sequence - 1);
        } else if (k > 0 && sequence_of(history->commits[k - 1]) + 1 == fields->sequence &&
                   history->commits[k - 1]->block.header_hash != fields->previous_hash) {
            (void)dms_fail(DMS_ERR_CORRUPT, "commit %" PRIu64 " does not follow commit %" PRIu64,
                           fields->sequence, fields->sequence - 1);
            status = dms_survey_note(survey, commit->file, commit->block.offset,
                                     dms_block_extent(&commit->block));
        }
        if (status != 0) {
            return status;
        }
        last = k >= history->begin ? fields->sequence : last;
    }
    return history->highest > last ? note_missing(survey, last + 1, history->highest) : 0;
}

int dms_history_make(struct dms_survey *survey, uint64_t acknowledged, struct dms_history *history)
{
    struct dms_history made = {0};
    int status = sort_commits(survey, &made);
    if (status == 0) {
        status = drop_interrupted(survey, acknowledged, &made);
    }
    if (status == 0) {
        choose_commits(&made);
        status = find_beginning(survey, acknowledged, &made);
    }
    if (status == 0) {
        uint64_t last = made.commit_ct > 0 ? sequence_of(made.commits[made.commit_ct - 1]) : 0;
        made.highest = last > acknowledged ? last : acknowledged;
        made.highest = made.highest > made.state_sequence ? made.highest : made.state_sequence;
        status = check_chain(survey, &made);
    }
    if (status != 0) {
        dms_history_end(&made);
        return status;
    }
    *history = made;
    return 0;
}

void dms_history_end(struct dms_history *history)
{
    free(history->commits);
    dms_catalog_clear(&history->state);
    *history = (struct dms_history){0};
}

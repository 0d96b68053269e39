import type { Area } from '../breakage.ts';

const MOVE = ['store/move/move.test.ts'];
const GROUPS = ['store/move/groups.test.ts'];
const INTERRUPTED = ['store/move/interrupted.test.ts'];
const LETTING_GO = ['store/move/letting-go.test.ts'];
const STORY = ['store/move/story.test.ts'];
const TRAIL = ['store/move/trail.test.ts'];
const REFUSED = ['store/move/refused.test.ts'];

/** How a log gets from one store into another. */
export const moving: Area = {
  sources: 'packages/aggregator/src/store',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'move/move.ts',
      breaks: 'A text that is let go of after it was copied lives on in the new store.',
      find: '  await lettingGo.upTo(lastOffset, true);\n',
      replace: '',
      tests: INTERRUPTED,
    },
    {
      file: 'move/let-go.ts',
      breaks: 'An id that is forgotten after its event was copied is known to the new store.',
      find: '    await this.#forget(offset);\n',
      replace: '',
      tests: LETTING_GO,
    },
    {
      file: 'move/let-go.ts',
      breaks: 'What was let go of between two runs of a move lives on in the new store.',
      find: 'if ((await this.#target.content.lastOffset()) === 0) this.#changes',
      replace: 'this.#changes',
      tests: LETTING_GO,
    },
    {
      file: 'sqlite/move/target.ts',
      breaks: 'An id that was forgotten and stored again while a move copied stops the move for good.',
      find: '    if (this.#isAnyKnown(identities.flat())) return false;\n',
      replace: '',
      tests: LETTING_GO,
    },
    {
      file: 'postgres/move/target.ts',
      breaks: 'An id that was forgotten and stored again while a move copied stops the move, on PostgreSQL.',
      find: 'if (error instanceof StoreError && isOfKey(error.cause)) return false;',
      replace: '',
      tests: LETTING_GO,
    },
    {
      file: 'move/open-logs.ts',
      breaks: 'A move whose target cannot be opened says why and then never ends.',
      find: '    await source.close();\n',
      replace: '',
      tests: REFUSED,
      hangs: true,
    },
    {
      file: 'sqlite/move/target.ts',
      breaks: 'A log with more policies than may be put can never be moved into a file.',
      find: 'for (const policy of policies) writePolicy(this.#db, policy);',
      replace: 'for (const policy of policies.slice(0, 1000)) writePolicy(this.#db, policy);',
      tests: MOVE,
    },
    {
      file: 'postgres/move/readable.ts',
      breaks: 'A move that a pooler stands in the way of does not end.',
      find: '      if (client !== undefined) await ended(client);\n',
      replace: '',
      tests: ['../../../tests/faults/postgres-pooler.test.ts'],
    },
    {
      file: 'postgres/move/target.ts',
      breaks:
        'A topic whose insertion was undone is taken for one that is there, and its events are on none.',
      find: 'const newIds = new Map(made.rows.map(({ topic_id: id, name }) => [name, id]));',
      replace:
        'const newIds = this.#topicIds;\n      for (const { topic_id: id, name } of made.rows) newIds.set(name, id);',
      tests: LETTING_GO,
    },
    {
      file: 'sqlite/move/target.ts',
      breaks: 'Ids that were moved without a text are lost when the new file is opened again.',
      find: '    if (bareKeys.words.length > 0) index.keepBare(bareKeys);\n',
      replace: '',
      tests: LETTING_GO,
    },
    {
      file: 'sqlite/move/target.ts',
      breaks: 'An id whose text is let go of after it was copied is lost when the new file is opened again.',
      find: '      keepKeys(this.#file, block, goes);\n',
      replace: '',
      tests: LETTING_GO,
    },
    {
      file: 'postgres/append.ts',
      breaks:
        'An instance that ran on the empty target goes on to hash ids under the secret of before the move.',
      find: 'const keys = given.replaced === this.#hasher.replaced ? given : new GroupKeys(group, this.#hasher);',
      replace: 'const keys = given;',
      tests: REFUSED,
    },
    {
      file: 'postgres/move/target.ts',
      breaks: 'A move goes on in a target whose ids are hashed under another secret.',
      find: '        if (books.received > 0) throw otherSecret(this.place);\n',
      replace: '',
      tests: REFUSED,
    },
    {
      file: 'move/move.ts',
      breaks: 'What was acknowledged between the last copy and the end of the old service is missing.',
      find: 'const lastOffset = await copy(course, true);',
      replace: 'const lastOffset = await target.content.lastOffset();',
      tests: INTERRUPTED,
    },
    {
      file: 'move/move.ts',
      breaks: 'The target is opened before the source is marked, so for a moment both can be served.',
      find: `  await source.leave({ ...mark, role: 'moved', other: target.place });
  await target.complete();`,
      replace: `  await target.complete();
  await source.leave({ ...mark, role: 'moved', other: target.place });`,
      tests: INTERRUPTED,
    },
    {
      file: 'move/move.ts',
      breaks: 'A move that was killed between the two marks leaves a target that nobody opens.',
      find: `  await target.begin(there, await source.secret());
  await target.complete();`,
      replace: '',
      tests: INTERRUPTED,
    },
    {
      file: 'move/move.ts',
      breaks: 'A move is finished while a service is running on the source.',
      find: `if (why === null) break;
    if (!options.wait) return`,
      replace: `if (why === null || !options.fence) break;
    if (!options.wait) return`,
      tests: REFUSED,
    },
    {
      file: 'sqlite/move/stored-keys.ts',
      breaks: 'Ids of a run that is being merged are taken for forgotten by a move.',
      find: ' OR run_id IN (SELECT merged_into FROM key_run)',
      replace: '',
      tests: ['store/sqlite/keys/forget-pass.test.ts'],
    },
    {
      file: 'sqlite/move/stored-keys.ts',
      breaks: 'Ids that no run holds yet are taken for forgotten by a move.',
      find: 'offset > sealedTo ? (unsealed.get(offset) ?? null) :',
      replace: '',
      tests: ['store/sqlite/keys/forget-pass.test.ts'],
    },
    {
      file: 'move/compare.ts',
      breaks: 'Nobody looks whether the ids of moved events lead to them.',
      find: '(await copies.differenceFrom(part)) ?? (await this.#target.keyFault(keyed))',
      replace: 'await copies.differenceFrom(part)',
      tests: REFUSED,
    },
    {
      file: 'move/compare.ts',
      breaks: 'The times of moved events are not compared.',
      find: "  if (own.times[i] !== copy.times[at]) return 'its times differ';\n",
      replace: '',
      tests: REFUSED,
    },
    {
      file: 'move/move-mark.ts',
      breaks: 'A service starts on a store that was moved away.',
      find: 'return `${place} was moved to ${other}: that is the address to serve from now on`;',
      replace: 'return null;',
      tests: MOVE,
    },
    {
      file: 'move/move-mark.ts',
      breaks: 'A service starts on a store that a move is filling.',
      find: 'return `${place} is being filled by a move from ${other}: let chronicleweaver move finish, or run it again`;',
      replace: 'return null;',
      tests: INTERRUPTED,
    },
    {
      file: 'move/move-mark.ts',
      breaks: 'A move goes on in a target that is being filled with another log.',
      find: "found?.role === 'filling' && found.log === wanted.log",
      replace: "found?.role === 'filling'",
      tests: REFUSED,
    },
    {
      file: 'postgres/move/fence.ts',
      breaks: 'An instance that runs on the target writes into it while a move fills it.',
      find: 'for (const table of await tablesOf(client)) await client.query(FENCE(table, move));',
      replace: '',
      tests: REFUSED,
    },
    {
      file: 'postgres/move/fence.ts',
      breaks: 'An instance that runs on a schema that was moved away goes on truncating its tables.',
      find: 'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON',
      replace: 'BEFORE INSERT OR UPDATE OR DELETE ON',
      tests: REFUSED,
    },
    {
      file: 'postgres/move/target.ts',
      breaks: 'Two moves fill one schema.',
      find: 'if (!rows[0]!.is_ours)',
      replace: 'if (rows.length === 0)',
      tests: REFUSED,
    },
    {
      file: 'postgres/move/rows.ts',
      breaks: 'A full part becomes a merged block above events that are not merged.',
      find: 'this.mergedTo === firstOffset - 1 && isFull(part)',
      replace: 'isFull(part)',
      tests: MOVE,
    },
    {
      file: 'postgres/move/groups.ts',
      breaks: 'The id of a group that was deleted is given again.',
      find: 'await client.query(PUT_LAST_GROUP, [lastGroupId]);',
      replace: '',
      tests: GROUPS,
    },
    {
      file: 'postgres/move/groups.ts',
      breaks: 'Groups that an earlier run had put there stay beside those of the last moment.',
      find: '  await client.query(EMPTY);\n',
      replace: '',
      tests: INTERRUPTED,
    },
    {
      file: 'sqlite/move/target.ts',
      breaks: 'Dead letters are left behind.',
      find: "this.#file.appender.transaction(() => this.#insert('dead_letter', LETTER_COLUMNS, some));",
      replace: 'some.at(0);',
      tests: GROUPS,
    },
    {
      file: 'sqlite/move/source.ts',
      breaks:
        'A move from a file on a full disk ends with a stack, and with the exit code of stores that differ.',
      find: 'this.#write(() => putMark(this.#db, mark))',
      replace: 'putMark(this.#db, mark)',
      tests: INTERRUPTED,
    },
    {
      file: 'sqlite/move/source.ts',
      breaks: 'Repeats that a file has noted and not counted yet are lost on the way.',
      find: '    settleRepeats(this.#db);\n',
      replace: '',
      tests: STORY,
    },
    {
      file: 'postgres/move/source.ts',
      breaks: 'Repeats that a schema has noted and not counted yet are lost on the way.',
      find: '        await settleAll(client);\n',
      replace: '',
      tests: STORY,
    },
    {
      file: 'move/move.ts',
      breaks: 'Nobody looks whether what is remembered of repeats has arrived.',
      find: '  for (const part of STORY_PARTS) await comparison.story(part);\n',
      replace: '',
      tests: STORY,
    },
    {
      file: 'postgres/move/conflicts.ts',
      breaks:
        'Conflicts are numbered in a schema as the books count them, and the next one finds its number taken.',
      find: 'SELECT number - ${BEFORE}, first_offset',
      replace: 'SELECT number, first_offset',
      tests: STORY,
    },
    {
      file: 'sqlite/move/conflicts.ts',
      breaks: 'Conflicts that an earlier run of the move has copied stay beside those of the last moment.',
      find: "db.exec('DELETE FROM conflict; DELETE FROM conflict_texts')",
      replace: '{}',
      tests: STORY,
    },
    {
      file: 'postgres/move/histories.ts',
      breaks: 'Where a stretch has long histories, some of what they tell is lost on the way into a schema.',
      find: 'if (stretch !== this.#stretch || this.#text.length + text.length > ROW_BYTES_MAX) {',
      replace:
        'if (this.#text.length + text.length > ROW_BYTES_MAX) this.#text = "";\n    if (stretch !== this.#stretch) {',
      tests: STORY,
    },
    {
      file: 'postgres/move/histories.ts',
      breaks: 'Histories in a schema are taken for newer than what the service settles after the move.',
      find: 'SELECT stretch, 1, step, events FROM',
      replace: 'SELECT stretch, 0, 1000000 + step, events FROM',
      tests: STORY,
    },
    {
      file: 'sqlite/upkeep/verify-repeats.ts',
      breaks: 'A file is called damaged whose histories come from a database that told fewer repeats.',
      find: 'isMoved ? 1 : Math.min',
      replace: 'false ? 1 : Math.min',
      tests: STORY,
    },
    {
      file: 'postgres/move/trail.ts',
      breaks: 'The trail of instances has its gaps in a file, where a search by time goes astray.',
      find: 'record: next++,',
      replace: 'record: Number(row.record),',
      tests: TRAIL,
    },
    {
      file: 'audit/audit-records.ts',
      breaks:
        'Entries of the trail that count from the end of the log lead to other events once they are moved.',
      find: 'value < 0 ? record.base - value : value',
      replace: 'value',
      tests: TRAIL,
    },
    {
      file: 'postgres/move/trail.ts',
      breaks: 'The first entry after a move finds its number taken.',
      find: 'end: async () => void (await client.query(GO_ON)),',
      replace: 'end: async () => void GO_ON,',
      tests: TRAIL,
    },
    {
      file: 'sqlite/threads/thread.ts',
      breaks: 'The service does not look for the mark of a move in its file.',
      find: '      refuseMovedFile(db);\n',
      replace: '',
      tests: MOVE,
    },
  ],
};

import type { Area } from '../breakage.ts';

const SUITE = ['repeat-store.test.ts'];

/** How instances on PostgreSQL remember repeats. */
export const postgresRepeats: Area = {
  sources: 'packages/aggregator/src/store/postgres',
  tests: 'packages/aggregator/test/store',
  breakages: [
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'The text of a conflict outlives the text that it lost to.',
      find: '  await expireAt(client, gone);\n',
      replace: '',
      tests: SUITE,
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'The history of an event outlives its id.',
      find: "  await forgetHistories(client, offsets, 'all');\n",
      replace: '',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'What an append notes while the id of its event is forgotten is told afterwards.',
      find: "  await forgetHistories(client, offsets, 'since');\n",
      replace: '',
      tests: ['postgres/outdated.test.ts'],
    },
    {
      file: 'append.ts',
      breaks: 'While many ids are forgotten a large append is undone again and again.',
      find: 'undisturbed(client, inForce)',
      replace: 'inForce()',
      tests: ['postgres/outdated.test.ts'],
    },
    {
      file: 'forgetting.ts',
      breaks: 'Whoever forgets an id does not wait for an append that it has undone twice.',
      find: "  await giveWay(client);\n  await client.query({ name: 'forget one',",
      replace: "  await client.query({ name: 'forget one',",
      tests: ['postgres/outdated.test.ts'],
    },
    {
      file: 'under-way.ts',
      breaks: 'An id that was forgotten is a duplicate as long as the answer to its append is on the way.',
      find: '      if (attempt.version !== version) continue;\n',
      replace: '',
      tests: ['postgres/in-doubt.test.ts'],
    },
    {
      file: 'append.ts',
      breaks: 'An append in doubt is answered with wrong offsets where ids of others were forgotten, too.',
      find: 'if (judged.fresh.length === events) return',
      replace: 'if (events > 0) return',
      tests: ['postgres/in-doubt.test.ts'],
    },
    {
      file: 'policies.ts',
      breaks:
        'An append that waits for whoever changes policies, or forgets ids, commits by those of before.',
      find: '(head.rules_version = ${parameter}::bigint)::int',
      replace: '(SELECT rules_version = ${parameter}::bigint FROM head)::int',
      tests: ['postgres/outdated.test.ts'],
    },
    {
      file: 'repeats/histories.ts',
      breaks: 'Where histories are merged, older repeats push newer ones out.',
      find: 'ORDER BY stretch, level, step DESC`;',
      replace: 'ORDER BY stretch, level DESC, step`;',
      tests: ['postgres/histories.test.ts'],
    },
    {
      file: 'repeats/histories.ts',
      breaks: 'A merge takes the newer rows of a stretch alone, and counts those that it leaves twice.',
      find: "const DELETE = 'DELETE FROM histories WHERE stretch = ANY ($1::bigint[]) AND level <= $2::int';",
      replace:
        "const DELETE = 'DELETE FROM histories WHERE stretch = ANY ($1::bigint[]) AND level < $2::int';",
      tests: ['postgres/histories.test.ts'],
    },
    {
      file: 'repeats/histories.ts',
      breaks:
        'Whoever repeats the events of a stretch under long names has its row grow until it cannot be merged.',
      find: 'text.length > ROW_BYTES_MAX && kept > 1',
      replace: 'text.length < 0 && kept > 1',
      tests: ['postgres/histories.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks:
        'Repeats that had to wait are settled in one step, however many they are, which may take too long each time.',
      find: 'const REPEAT_BYTES = 128;',
      replace: 'const REPEAT_BYTES = 0;',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'Rows of megabytes are merged only once there are many.',
      find: ' OR old.bytes + told.bytes >= ${ROWS_BYTES_MAX}',
      replace: '',
      tests: ['postgres/histories.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'The history of an event that is repeated without end has ever more rows.',
      find: '  if (stretches !== null) await mergeHistories(',
      replace: '  if (stretches?.length === 0) await mergeHistories(',
      tests: ['postgres/histories.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'Of a topic that keeps only ids the texts of conflicts are kept.',
      find: 'await expireAt(client, await goneOf(client, offsets));',
      replace: '',
      tests: SUITE,
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'A topic counts as one whose texts are kept until its bare events are counted.',
      find: 'coalesce(log.bytes[array_position(log.topics, lost.topic_id)], 1) > 0',
      replace: 'true',
      tests: SUITE,
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'Readers are told of some repeats alone where one step cannot settle all.',
      find: 'isDone: appends === pending',
      replace: 'isDone: pending > 0',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'judged.ts',
      breaks: 'A repeat of an event that another instance has stored counts as one of 1970.',
      find: '      this.#timesMs[i] = Number(row.received_ms);\n',
      replace: '',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'judged.ts',
      breaks: 'A repeat of an event of a group under way counts as one of 1970.',
      find: '      this.#timesMs[event] = attempt.receivedMs;\n',
      replace: '',
      tests: ['postgres/under-way.test.ts'],
    },
    {
      file: 'repeats/noted.ts',
      breaks: 'A commit with many conflicts writes the texts of those that nobody will see.',
      find: 'conflicts.slice(-CONFLICTS_KEPT_MAX)',
      replace: 'conflicts.slice(0, CONFLICTS_KEPT_MAX)',
      tests: SUITE,
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'Conflicts are kept without end.',
      find: 'await client.query(OLD_CONFLICTS,',
      replace: 'await client.query(`SELECT $1::bigint AS "${OLD_CONFLICTS.length}"`,',
      tests: SUITE,
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks: 'Whoever publishes under ever new sources fills the database.',
      find: 'is_known OR pair <= ${PAIRS_MAX} - (SELECT pairs FROM repeats) AS is_named',
      replace: 'true AS is_named',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'repeats/settle-repeats.ts',
      breaks:
        'A source that has counts of its own in a period loses its name when there is no room for others.',
      find: 'CASE WHEN is_known OR pair <= room THEN',
      replace: 'CASE WHEN pair <= room THEN',
      tests: ['postgres/repeats.test.ts'],
    },
    {
      file: 'judged.ts',
      breaks: 'A repeat of an event in the same publish is noted at another event.',
      find: '? -1 - freshPlace',
      replace: '? -2 - freshPlace',
      tests: SUITE,
    },
  ],
};

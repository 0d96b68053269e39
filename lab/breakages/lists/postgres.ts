import type { Area } from '../breakage.ts';

const GROUPS = ['store/postgres/groups-instances.test.ts', 'store/group-store-property.test.ts'];
const GROUPS_IN_DOUBT = ['store/postgres/groups-in-doubt.test.ts'];

const IN_DOUBT = ['store/postgres/in-doubt.test.ts'];
const SILENT = ['store/postgres/silent.test.ts'];

/** The log in PostgreSQL. */
export const postgres: Area = {
  sources: 'packages/aggregator/src/store/postgres',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'hosts.ts',
      breaks: 'Where a host of several cannot be reached, the next one is not tried.',
      find: 'this.#next = (place + 1) % this.#hosts.length;',
      replace: 'this.#next = place;',
      tests: ['store/postgres/hosts.test.ts'],
    },
    {
      file: 'hosts.ts',
      breaks: 'A late failure at one host takes everybody away from the primary at another.',
      find: 'if (this.#next === place && remedyFor',
      replace: 'if (remedyFor',
      tests: ['store/postgres/hosts.test.ts'],
    },
    {
      file: 'log-end.ts',
      breaks: 'What was committed without the standby that it awaits is shown.',
      find: 'if (!rows[0]!.awaits_standby) this.confirm(lastOffset);',
      replace: 'this.confirm(lastOffset);',
      tests: IN_DOUBT,
    },
    {
      file: 'watch.ts',
      breaks: 'What a notification tells of is shown, whether the standby that it awaits has it or not.',
      find: '      await this.#end.reach(lastOffset);\n',
      replace: '',
      tests: IN_DOUBT,
    },
    {
      file: 'read.ts',
      breaks: 'An event is found before the log may be shown up to it.',
      find: '    await this.#end.reach(offset);\n',
      replace: '',
      tests: IN_DOUBT,
    },
    {
      file: 'unbroken.ts',
      breaks: 'A warning at a commit is not heard.',
      find: "if (notice.severity === 'WARNING') warning = notice.message ?? 'a warning';",
      replace: '',
      tests: IN_DOUBT,
    },
    {
      file: 'commit-values.ts',
      breaks: 'The order in which keys are inserted is that of the events.',
      find: 'const sorted = keys.sorted(fresh);',
      replace: 'const sorted = fresh;',
      tests: ['store/postgres/group-keys.test.ts'],
    },
    {
      file: 'groups/load.ts',
      breaks: 'Two instances step with a group at the same time, and give an event twice.',
      find: 'ORDER BY group_id ${lock}`',
      replace: 'ORDER BY group_id`',
      tests: GROUPS,
    },
    {
      file: 'groups/load.ts',
      breaks: 'Two instances that make groups at once make more than may be.',
      find: '`SELECT group_id FROM last_group ${lock}`',
      replace: '`SELECT group_id FROM last_group`',
      tests: GROUPS,
    },
    {
      file: 'groups/load.ts',
      breaks: 'An instance goes by hands that another one has changed since.',
      find: 'if (known?.version !== version) tables.set',
      replace: 'if (known === undefined) tables.set',
      tests: ['store/group-store-property.test.ts', ...GROUPS],
    },
    {
      file: 'groups/groups.ts',
      breaks: 'Steps whose commit lost its answer are done a second time.',
      find: 'if (loaded.applyId === id && apply.inDoubt !== null) {',
      replace: 'if (apply.inDoubt === undefined) {',
      tests: GROUPS_IN_DOUBT,
    },
    {
      file: 'groups/groups.ts',
      breaks: 'A step is answered whose commit no standby has.',
      find: 'await unbroken(client, () => client.query(text));',
      replace: 'await client.query(text);',
      tests: GROUPS_IN_DOUBT,
    },
    {
      file: 'sessions.ts',
      breaks: 'An instance that stops in the middle of a step holds the group for ever.',
      find: "idle_in_transaction_session_timeout = '5s'`;",
      replace: "idle_in_transaction_session_timeout = '0'`;",
      tests: GROUPS_IN_DOUBT,
    },
    {
      file: 'epochs.ts',
      breaks: 'A copy that is put back gives ranges of append ids again that instances still draw from.',
      find: 'THEN ${LEFT_OUT} ELSE 1 END',
      replace: 'THEN 1 ELSE 1 END',
      tests: ['store/postgres/epochs.test.ts'],
    },
    {
      file: 'store.ts',
      breaks: 'An instance that misses what it knows takes a range of append ids that it may have already.',
      find: 'if (start.heldUpTo === null) ids.add(start.ranges);',
      replace: 'ids.add(start.ranges);',
      tests: ['store/postgres/epochs.test.ts'],
    },
    {
      file: 'store.ts',
      breaks: 'A start that fails at its last look keeps a connection, and the process does not end.',
      find: '      if (opened !== undefined) await opened.#parts.hearing.close();\n',
      replace: '',
      tests: ['store/postgres/open.test.ts'],
    },
    {
      file: 'store.ts',
      breaks: 'Whoever closes a store on PostgreSQL that is being closed goes on before it is.',
      find: 'this.#closing ??= this.#close();',
      replace: 'if (this.#closing !== null) return Promise.resolve();\n    this.#closing = this.#close();',
      tests: ['store/event-store.test.ts'],
    },
    {
      file: 'commit.ts',
      breaks: 'Events are acknowledged by a server that was told to sync no more.',
      find: '      last_offset = last_offset + $9::int * (${KEEPS}),',
      replace: '      last_offset = last_offset + $9::int,',
      tests: ['store/postgres/keeps.test.ts'],
    },
    {
      file: 'groups/save.ts',
      breaks: 'Steps are answered by a server that was told to sync no more.',
      find: 'used_ms = ${nowMs} * (${KEEPS}) WHERE',
      replace: 'used_ms = ${nowMs} WHERE',
      tests: ['store/postgres/keeps.test.ts'],
    },
    {
      file: 'sessions.ts',
      breaks: 'A commit waits for a standby only as long as the server wants it.',
      find: "return `SET synchronous_commit = ${synchronousCommit === 'remote_apply' ? 'remote_apply' : 'on'}; ${MUST_KEEP}`;",
      replace: "return synchronousCommit === '' ? '' : MUST_KEEP;",
      tests: ['store/postgres/keeps.test.ts'],
    },
    {
      file: 'store.ts',
      breaks: 'A store cannot be closed while its database does not answer.',
      find: 'setTimeout(() => sessions.cut(), LEAVE_WITHIN_MS)',
      replace: 'setTimeout(() => {}, LEAVE_WITHIN_MS)',
      tests: SILENT,
    },
    {
      file: 'store.ts',
      breaks: 'A service that starts waits without end for a database that has stopped answering.',
      find: '        await ended(client);',
      replace: '        await client.end();',
      tests: SILENT,
    },
    {
      file: 'sessions.ts',
      breaks: 'Idle connections to a database that does not answer outlive the store.',
      find: 'await Promise.all([...this.#hosts.open].map(ended));',
      replace: '',
      tests: SILENT,
    },
    {
      file: 'merge.ts',
      breaks: 'An instance merges no more once a connection was lost of whose end it did not hear.',
      find: 'answered(client, () => client.query<R>({ name, text, values })),',
      replace: 'answered(client, async () => {}).then(() => client.query<R>({ name, text, values })),',
      tests: SILENT,
    },
    {
      file: 'settle.ts',
      breaks: 'An instance settles no more once a connection was lost of whose end it did not hear.',
      find: "answered(client, () => client.query({ name: 'settle', text: SETTLE })),",
      replace: "answered(client, async () => {}).then(() => client.query({ name: 'settle', text: SETTLE })),",
      tests: SILENT,
    },
    {
      file: 'hearing.ts',
      breaks:
        'An instance hears of no other once the connection was lost on which it did, until the system finds that out.',
      find: 'if (this.#isHearing) this.#ask();',
      replace: 'if (this.#isClosed) this.#ask();',
      tests: SILENT,
    },
  ],
};

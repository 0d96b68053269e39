import type { Area } from '../breakage.ts';

const BLOCK_STORE = ['store/sqlite/block-store.test.ts'];
const STORES = ['store/event-store.test.ts'];
const UNDER_WAY = ['store/postgres/under-way.test.ts'];
const COMMITS = ['commits/commits.test.ts'];

/** From the consumer's commit to the word of it. */
export const append: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'released-memory.ts',
      breaks:
        "A thread takes the garbage collector's function away from another that starts at the same time.",
      find: "const collectGarbage = (globalThis.gc ?? runInNewContext('gc')) as CollectGarbage;",
      replace:
        "const collectGarbage = (globalThis.gc ?? runInNewContext('gc')) as CollectGarbage;\nsetFlagsFromString('--no-expose-gc');",
      tests: ['released-memory.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Every publish of a commit gets the verdicts of the first one.',
      find: 'const result = results[i]!;',
      replace: 'const result = results[i - i]!;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A stopping service does not wait for the commit in progress.',
      find: 'await this.#finished;',
      replace: '',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'The consumer waits after every second commit for publishers that never return.',
      find: 'this.#waitsToSkip = 2 ** this.#waitsInVain;',
      replace: 'this.#waitsToSkip = 1;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks:
        'Publishers that return over several turns of the event loop end up alternating in two commits.',
      find: 'const QUIET_TURNS = 8;',
      replace: 'const QUIET_TURNS = 1;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A lone publisher has to wait for others.',
      find: 'while (!this.#isComplete && quietTurns',
      replace: 'while (quietTurns',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Publishers are answered in the turn after their append was sent, not after its commit.',
      find: 'results = await this.#store.append(batches);',
      replace: `const sent = this.#store.append(batches);
      await Promise.race([sent, new Promise(setImmediate)]);
      for (const { batch, resolve } of group) {
        const { count } = batch;
        const verdicts = new Uint8Array(count);
        resolve({ accepted: count, duplicates: 0, conflicts: 0, receivedMs: 0, verdicts, offsets: new Float64Array(count), bare: null });
      }
      results = await sent;`,
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A store that does one append at a time is given two.',
      find: 'if (underWay.size >= this.#store.groupsAtOnce)',
      replace: 'if (underWay.size > this.#store.groupsAtOnce)',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'A stopping service waits for one of the groups under way alone.',
      find: 'await Promise.all(underWay);',
      replace: '',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Single events are divided among two commits, each of which costs nearly as much as one.',
      find: 'const SECOND_EVENTS_MIN = 512;',
      replace: 'const SECOND_EVENTS_MIN = 1;',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'consumer/consumer.ts',
      breaks: 'Beside a large group a small one begins, and the publishers never come together again.',
      find: 'Math.max(takenEvents, SECOND_EVENTS_MIN)',
      replace: 'SECOND_EVENTS_MIN',
      tests: ['consumer/consumer.test.ts'],
    },
    {
      file: 'store/postgres/judged.ts',
      breaks:
        'A group that repeats an event of one under way inserts it, waits for the key, and does everything again.',
      find: 'const key = underWay.find(words, i * KEY_WORDS, version);',
      replace: 'const key = undefined as KeyUnderWay | undefined;',
      tests: UNDER_WAY,
    },
    {
      file: 'store/postgres/recent-keys.ts',
      breaks: 'An event is dropped as a duplicate of a recent one whose hash begins alike.',
      find: 'if (this.#otherWords[place * (KEY_WORDS - 1) + word - 1] !== words[at + word]) return false;',
      replace: '',
      tests: ['store/postgres/recent-keys.test.ts'],
    },
    {
      file: 'store/postgres/recent-keys.ts',
      breaks: 'An instance still knows keys by heart that a failover has taken back.',
      find: 'this.#offsets.fill(0);',
      replace: '',
      tests: ['store/postgres/recent-keys.test.ts'],
    },
    {
      file: 'store/postgres/group-keys.ts',
      breaks: 'An event is dropped as a repeat of another one of its group whose hash begins alike.',
      find: 'if (some[at + word] !== others[otherAt + word]) return false;',
      replace: 'if (some[at] !== others[otherAt]) return false;',
      tests: ['store/postgres/group-keys.test.ts'],
    },
    {
      file: 'store/postgres/group-keys.ts',
      breaks:
        'Two instances insert keys whose first words are the same in different orders, and wait for each other.',
      find: 'at > 0 && this.#isBefore(event, sorted[at - 1]!)',
      replace: 'false',
      tests: ['store/postgres/group-keys.test.ts'],
    },
    {
      file: 'store/postgres/append.ts',
      breaks: 'An event counts as stored already because of a commit that failed.',
      find: 'if (!(await ended)) throw new WaitedInVainError();',
      replace: 'await ended;',
      tests: UNDER_WAY,
    },
    {
      file: 'store/postgres/append.ts',
      breaks: 'A group waits for ever for one that failed.',
      find: 'attempt.failed();',
      replace: '',
      tests: UNDER_WAY,
      hangs: true,
    },
    {
      file: 'store/postgres/judged.ts',
      breaks: 'A repeated event of a group under way is told the offset 0.',
      find: 'this.#offsets[event] = attempt.firstOffset + freshPlace;',
      replace: '',
      tests: UNDER_WAY,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'If the clock is set back, received_at goes back with it.',
      find: 'ledger.lastMs = Math.max(nowMs, ledger.lastMs);',
      replace: 'ledger.lastMs = nowMs;',
      tests: STORES,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'After a failed append the books count missing events, and offsets are skipped.',
      find: 'this.#ledger = { ...this.#committed };',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A failed event is a duplicate when it is sent again: acknowledged, but stored nowhere.',
      find: 'this.#index.rolledBack();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'A topic created by a failed append is remembered with an id that the file does not have.',
      find: `this.#ledger = { ...this.#committed };
    this.#isStale = true;`,
      replace: 'this.#ledger = { ...this.#committed };',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'After a failed append the topics lose the counts that only blocks hold.',
      find: 'const blocks = this.#unsettled.blocks();',
      replace: 'const blocks = this.#unsettled.blocks().slice(0, 0);',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'Topics dropped from memory lose the counts that their rows lack.',
      find: `      this.settle();
      this.#topics.forget();`,
      replace: '      this.#topics.forget();',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/open-file.ts',
      breaks: 'A start ignores a missing block, and its events are accepted again.',
      find: 'if (next !== null && block.firstOffset !== next) {',
      replace: 'if (next !== null && block.firstOffset < next) {',
      tests: ['store/sqlite/file.test.ts'],
    },
    {
      file: 'store/sqlite/books.ts',
      breaks: 'During small commits the rows of the books lag without bound.',
      find: 'this.#unsettledBlocks >= UNSETTLED_BLOCKS_MAX ||',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A merge deletes blocks that held the only copy of the books.',
      find: 'if (this.#log.isExchanged && !this.#books.isSettled) this.#books.settle();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A commit without new events, or a large one, does not update the books.',
      find: 'else books.settle();',
      replace: '',
      tests: BLOCK_STORE,
    },
    {
      file: 'store/sqlite/read.ts',
      breaks: 'The list of topics lacks the events that only blocks count.',
      find: 'sumOf(countIn(row), unsettled.get(id))',
      replace: 'sumOf(countIn(row), unsettled.get(-id))',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/read.ts',
      breaks: "The count of a topic's events lacks those that only blocks count.",
      find: 'sum.events += events;',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'A conflict is reported as a plain duplicate.',
      find: 'const isConflict = index.digest !== digest;',
      replace: 'const isConflict = index.digest > digest && index.digest < digest;',
      tests: STORES,
    },
    {
      file: 'store/sqlite/topic-rows.ts',
      breaks: 'A topic is counted only in its first commit.',
      find: 'topic.isTouched = false;',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/append.ts',
      breaks: 'After an I/O error the writer keeps writing to a file whose state it does not know.',
      find: "if (error.code === 'failed' || !isAsBefore) this.stop(error);",
      replace: 'if (!isAsBefore) this.stop(error);',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/sqlite/topic-rows.ts',
      breaks: 'Topics with a common prefix that share a cache slot are counted as one.',
      find: 'if (name.length !== end - start) return false;',
      replace: '',
      tests: ['store/sqlite/append.test.ts'],
    },
    {
      file: 'store/news-of-append.ts',
      breaks: "Followers get a batch's dropped events as new ones.",
      find: 'if (result.verdicts[i] === ACCEPTED && result.bare?.[i] !== 1) visit(batch, i, result);',
      replace: 'visit(batch, i, result);',
      tests: COMMITS,
    },
    {
      file: 'store/news-of-append.ts',
      breaks: 'An event is reported a second time.',
      find: 'if (offset <= above) return;',
      replace: '',
      tests: ['store/news-of-append.test.ts'],
    },
    {
      file: 'commits/commits.ts',
      breaks: 'Late news moves the end of the log back.',
      find: 'if (lastOffset <= known) return;',
      replace: '',
      tests: COMMITS,
    },
    {
      file: 'commits/commits.ts',
      breaks: 'A hole in the news is skipped, and nobody gets the events in it.',
      find: 'events: after > known ? null : events',
      replace: 'events',
      tests: COMMITS,
    },
    {
      file: 'store/postgres/sessions.ts',
      breaks: 'A publish whose session waits for a lost standby while it begins is never answered.',
      find: '    cut(client);\n',
      replace: '',
      tests: ['../../../tests/faults/lost-standby.test.ts'],
    },
    {
      file: 'store/postgres/schema.ts',
      breaks: 'A role that owns its schema and has no right in the database cannot make its log.',
      find: 'if (made.rowCount === 0) await client.query(`CREATE SCHEMA ${schema}`);',
      replace: 'await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);',
      tests: ['store/postgres/operations.test.ts'],
    },
    {
      file: 'store/postgres/pooler.ts',
      breaks: 'A pooler that gives each transaction another session is taken for a server.',
      find: 'if (isShared) {',
      replace: 'if (isShared && false) {',
      tests: ['../../../tests/faults/postgres-pooler.test.ts'],
    },
    {
      file: 'store/postgres/address.ts',
      breaks: 'A misspelt parameter of the address is ignored, such as the one that asks for TLS.',
      find: 'if (PARAMETERS.includes(name)) continue;',
      replace: 'continue;',
      tests: ['store/postgres/refused.test.ts'],
    },
    {
      file: 'store/postgres/schema.ts',
      breaks: 'A schema that the user may not use is taken for that of another program.',
      find: 'await refuseMissingRights(client, schema);',
      replace: '',
      tests: ['store/postgres/refused.test.ts'],
    },
    {
      file: 'store/postgres/probing.ts',
      breaks:
        'After a publish that found no space the service says that it is ready, though there still is none.',
      find: 'if (isDiskFull(error)) this.#lacked = { bytes };',
      replace: '',
      tests: ['../../../tests/faults/postgres-outage.test.ts'],
    },
    {
      file: 'store/postgres/errors.ts',
      breaks: 'A publish is refused if its statement must be planned anew after a change of the tables.',
      find: '  FEATURE_NOT_SUPPORTED,\n]);',
      replace: ']);',
      tests: ['../../../tests/faults/postgres-outage.test.ts'],
    },
  ],
};

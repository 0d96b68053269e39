import type { Area } from '../breakage.ts';

const PUBLISH = ['publish.test.ts'];
const REFUSED = ['publish-refused.test.ts'];
const BLOCKED = ['blocked-loop.test.ts'];
const TRANSPORT = ['transport.test.ts'];
const SUBSCRIBE = ['subscribe.test.ts'];
const CONSUME = ['consume.test.ts'];
const INBOX = ['inbox.test.ts'];
const INBOX_POSTGRES = ['inbox-postgres.test.ts'];
const INBOX_SQLITE = ['inbox-sqlite.test.ts'];

/** What programs publish and read with. */
export const client: Area = {
  sources: 'packages/client/src',
  tests: 'packages/client/test',
  breakages: [
    {
      file: 'publish-batch.ts',
      breaks: 'A call gets the verdicts of another call in its batch.',
      find: 'call.resolve(from, results.slice(at, at + to - from));',
      replace: 'call.resolve(from, results.slice(0, to - from));',
      tests: PUBLISH,
    },
    {
      file: 'publish-batch.ts',
      breaks: 'An invalid event is named by its place in the batch, not in the call.',
      find: '[{ ...fault, index: index - start + from }]',
      replace: '[fault]',
      tests: REFUSED,
    },
    {
      file: 'publish-buffer.ts',
      breaks: 'A failed batch still counts as in flight.',
      find: 'this.#inFlight--;',
      replace: '',
      tests: PUBLISH,
      hangs: true,
    },
    {
      file: 'publish-batch.ts',
      breaks: 'A batch refused for a reason other than its content is sent again in halves.',
      find: 'if (parts.length > 1 && CONTENT_REFUSED.has(error.status)) {',
      replace: 'if (parts.length > 1) {',
      tests: REFUSED,
    },
    {
      file: 'publish-batch.ts',
      breaks: 'A single call that is too large fails, although its halves would be accepted.',
      find: 'if (error.status === 413 && middle > from) {',
      replace: 'if (error.status === 414 && middle > from) {',
      tests: REFUSED,
    },
    {
      file: 'publish-batch.ts',
      breaks: 'A request continues although nobody waits for any of its calls.',
      find: 'if (this.#calls.every(({ isSettled }) => isSettled)) this.#ended.abort();',
      replace: '',
      tests: PUBLISH,
      hangs: true,
    },
    {
      file: 'publish-buffer.ts',
      breaks: 'A batch holds one call more than fits.',
      find: 'this.#take(0, end === -1 ? this.#buffered.length : end)',
      replace: 'this.#take(0, end === -1 ? this.#buffered.length : end + 1)',
      tests: PUBLISH,
    },
    {
      file: 'publish-buffer.ts',
      breaks: 'A call that waits for room waits for ever.',
      find: 'if (!this.#isFull) for (const go of this.#roomWaiters.splice(0)) go();',
      replace: '',
      tests: PUBLISH,
      hangs: true,
    },
    {
      file: 'transport.ts',
      breaks: 'Retryable errors are not retried, and others are.',
      find: 'return error instanceof ChronicleWeaverError && error.retryable;',
      replace: 'return error instanceof ChronicleWeaverError && !error.retryable;',
      tests: TRANSPORT,
    },
    {
      file: 'transport.ts',
      breaks: 'The client ignores Retry-After and retries at once.',
      find: 'error instanceof ProblemError ? error.retryAfterMs : 0',
      replace: 'error instanceof ProblemError ? 0 * error.retryAfterMs : 0',
      tests: TRANSPORT,
    },
    {
      file: 'transport.ts',
      breaks: 'The client starts a wait longer than the time left for retries.',
      find: 'if (waitMs >= retryTime.leftMs) {',
      replace: 'if (retryTime.leftMs <= 0) {',
      tests: TRANSPORT,
      hangs: true,
    },
    {
      file: 'transport.ts',
      breaks: 'Waits do not grow from attempt to attempt.',
      find: 'backoffMinMs * 2 ** (attempts - 1)',
      replace: 'backoffMinMs',
      tests: TRANSPORT,
    },
    {
      file: 'transport.ts',
      breaks: 'The client follows a dead connection for ever.',
      find: 'linked.setTimeout(quietMs);',
      replace: 'linked.setTimeout(quietMs * Infinity);',
      tests: SUBSCRIBE,
      hangs: true,
    },
    {
      file: 'address.ts',
      breaks: 'A name of one or two dots addresses another resource.',
      find: "name === '.' || name === '..' || ",
      replace: '',
      tests: ['read.test.ts', ...TRANSPORT],
    },
    {
      file: 'signals.ts',
      breaks: 'A timeout counts before the answer that arrived during a block of the event loop is read.',
      find: 'if (graces-- > 0) return wait(',
      replace: 'if (lateMs < 0 && graces-- > 0) return wait(',
      tests: BLOCKED,
    },
    {
      file: 'signals.ts',
      breaks: 'The time for retries runs out while the event loop is blocked.',
      find: 'setInterval(() => tenths--, ms / 10)',
      replace:
        '((from) => setInterval(() => (tenths = 10 - ((performance.now() - from) * 10) / (ms + 1)), ms / 10))(performance.now())',
      tests: BLOCKED,
    },
    {
      file: 'transport.ts',
      breaks: 'After a block of the event loop, a wait for the next attempt starts again.',
      find: 'linked.setTimeout(ms, 0);',
      replace: 'linked.setTimeout(ms);',
      tests: BLOCKED,
    },
    {
      file: 'transport.ts',
      breaks: 'A network error that comes at the moment of the timeout is reported as a timeout.',
      find: 'linked.isTimedOut && !(error instanceof TypeError)',
      replace: 'linked.isTimedOut',
      tests: TRANSPORT,
    },
    {
      file: 'subscribe.ts',
      breaks: 'A follower cut off before its first event resumes at the wrong place.',
      find: 'cursor = id ?? cursor;',
      replace: 'if (data !== undefined) cursor = id ?? cursor;',
      tests: SUBSCRIBE,
    },
    {
      file: 'subscribe.ts',
      breaks: 'A line break split over two chunks ends the message early.',
      find: '\\r(?!$)',
      replace: '\\r',
      tests: SUBSCRIBE,
    },
    {
      file: 'subscribe.ts',
      breaks: 'After a healthy stream the waits do not start over.',
      find: 'attempts = 0;\n        cursor',
      replace: 'cursor',
      tests: SUBSCRIBE,
    },
    {
      file: 'consume.ts',
      breaks: 'A consumer whose onError has thrown ends as if nothing had happened.',
      find: '    this.#failing.signal.throwIfAborted();\n',
      replace: '',
      tests: CONSUME,
    },
    {
      file: 'consume.ts',
      breaks: 'An event whose lease was lost is given back, which takes it from its new holder.',
      find: 'if (lost.signal.aborted) return;',
      replace: '',
      tests: CONSUME,
    },
    {
      file: 'consume.ts',
      breaks: 'An event is acknowledged before its handler is done.',
      find: 'await this.#handler(event, {',
      replace: 'void this.#handler(event, {',
      tests: CONSUME,
    },
    {
      file: 'consume.ts',
      breaks: 'A consumer that stops does not wait for the acknowledgements.',
      find: 'await this.#acknowledging;\n      clearInterval',
      replace: 'clearInterval',
      tests: CONSUME,
    },
    {
      file: 'consume.ts',
      breaks: 'A handler starts on a lease that has ended.',
      find: 'if (lease.lost.signal.aborted || performance.now() >= lease.endsAtMs) {',
      replace: 'if (lease.lost.signal.aborted) {',
      tests: ['blocked-handlers.test.ts', ...CONSUME],
    },
    {
      file: 'consume.ts',
      breaks: 'Leases are extended only after they have ended.',
      find: 'this.#leaseMs / 3);\n    try',
      replace: 'this.#leaseMs * 3);\n    try',
      tests: CONSUME,
    },
    {
      file: 'inbox/postgres.ts',
      breaks:
        'An inbox in PostgreSQL commits the note that an event is done before its effect, and a crash or a throw in between loses the effect.',
      find: '      if (Number((rows[0] as { repeats: unknown }).repeats) > 0) return undefined;',
      replace:
        "      if (Number((rows[0] as { repeats: unknown }).repeats) > 0) return undefined;\n      await client.query('COMMIT');\n      await client.query('BEGIN');",
      tests: INBOX,
    },
    {
      file: 'inbox/sqlite.ts',
      breaks:
        'An inbox in SQLite commits the note that an event is done before its effect, and a crash or a throw in between loses the effect.',
      find: '    if (Number((row as { repeats: unknown }).repeats) > 0) return undefined;',
      replace:
        "    if (Number((row as { repeats: unknown }).repeats) > 0) return undefined;\n    this.#database.exec('COMMIT; BEGIN IMMEDIATE');",
      tests: INBOX,
    },
    {
      file: 'inbox/postgres.ts',
      breaks: 'An inbox takes a transaction that PostgreSQL has rolled back for committed.',
      find: "if (command === 'COMMIT') return DONE;",
      replace: "if (command !== '') return DONE;",
      tests: INBOX_POSTGRES,
    },
    {
      file: 'inbox/postgres.ts',
      breaks: 'An inbox takes a transaction that the handler has rolled back for committed.',
      find: "client.getTransactionStatus?.() === 'I'",
      replace: "client.getTransactionStatus?.() === 'X'",
      tests: INBOX_POSTGRES,
    },
    {
      file: 'inbox/postgres.ts',
      breaks: 'An event is given back because the connection of its inbox was lost.',
      find: "await client.query('ROLLBACK');\n        if",
      replace: "await client.query('ROLLBACK').catch(() => {});\n        if",
      tests: INBOX_POSTGRES,
    },
    {
      file: 'inbox/settled.ts',
      breaks: 'An inbox forgets dead events, which a replay then has handled twice.',
      find: 'offset <= upTo && !dead.has(offset)',
      replace: 'offset <= upTo',
      tests: INBOX,
    },
    {
      file: 'inbox/settled.ts',
      breaks: 'An inbox forgets events that are not settled, which then are handled twice.',
      find: 'offset <= upTo && !dead.has(offset)',
      replace: '!dead.has(offset)',
      tests: INBOX,
    },
    {
      file: 'inbox/sqlite.ts',
      breaks: 'After a restore of the service an inbox goes by the offset that an event had before.',
      find: 'event_offset = excluded.event_offset',
      replace: 'event_offset = done.event_offset',
      tests: INBOX,
    },
    {
      file: 'inbox/inbox-table.ts',
      breaks: 'A worker that stood still for days handles what others have handled meanwhile.',
      find: 'Date.now() - sinceMs > keepMs / 2',
      replace: 'Date.now() - sinceMs > keepMs * 1000',
      tests: INBOX_SQLITE,
    },
    {
      file: 'inbox/inbox.ts',
      breaks: 'One event that fails takes those of its transaction with it.',
      find: 'else for (const event of events) await this.#work([event]);',
      replace: 'else for (const { reject } of events) reject(outcome.error);',
      tests: INBOX,
    },
  ],
};

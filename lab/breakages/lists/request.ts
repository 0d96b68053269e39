import type { Area } from '../breakage.ts';

const LIMITS = ['api/request/body-limits.test.ts'];
const CODINGS = ['api/request/content-coding.test.ts'];
const ADMISSION = ['api/request/admission.test.ts'];
const CONNECTIONS = ['api/request/connections.test.ts'];
const LINES = ['api/line-publish.test.ts'];
const TURNS = ['api/request/loop-turns.test.ts'];

/** What comes before a resource is asked. */
export const request: Area = {
  sources: 'packages/aggregator/src/api/request',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'body.ts',
      breaks: 'A body of exactly the limit is refused.',
      find: 'if (hold.bytes + piece.length > bytesMax) return refuse(tooLarge());',
      replace: 'if (hold.bytes + piece.length >= bytesMax) return refuse(tooLarge());',
      tests: LIMITS,
    },
    {
      file: 'body.ts',
      breaks: 'Bodies being received are not counted: a thousand of them exhaust the memory.',
      find: `if (!hold.grow(piece.length)) return refuse(full());
      body ??=`,
      replace: `hold.grow(piece.length);
      body ??=`,
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'The bytes of bodies are never released, until every publish is refused.',
      find: '} finally {\n    hold.release();',
      replace: '} finally {\n    hold.grow(0);',
      tests: ADMISSION,
    },
    {
      file: 'body-lines.ts',
      breaks: 'The bytes of the last lines of a body are never released.',
      find: '    part.release();\n',
      replace: '',
      tests: LINES,
    },
    {
      file: 'body-lines.ts',
      breaks: 'The beginning of a line is lost where a part ends within it.',
      find: 'this.#pieces = rest.length === 0 ? [] : [rest];',
      replace: 'this.#pieces = [];',
      tests: LINES,
    },
    {
      file: '../line-publish.ts',
      breaks: 'Events behind a line that its key may not publish are stored.',
      find: 'batch: firstOf(read.batch, count)',
      replace: 'batch: firstOf(read.batch, read.batch.count)',
      tests: LINES,
    },
    {
      file: '../../event/event-reader.ts',
      breaks: 'An event reaches over the end of its line.',
      find: 'this.bytes = lines.subarray(0, end);',
      replace: '',
      tests: LINES,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A small body is accepted although bytes follow the end of its compressed data.',
      find: 'if (engine.bytesWritten !== packed.length) throw bytesBehind();',
      replace: '',
      tests: CODINGS,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A large body is accepted although bytes follow the end of its compressed data.',
      find: 'if (stream.bytesWritten !== packed.length) return refuse(bytesBehind());',
      replace: '',
      tests: CODINGS,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A body may unpack to any size.',
      find: 'if (length > bytesMax) return refuse(tooLarge());',
      replace: '',
      tests: [...CODINGS, ...LIMITS],
    },
    {
      file: 'content-coding.ts',
      breaks: 'The unpacked size of a body does not count against the shared budget.',
      find: `if (!hold.grow(piece.length)) return refuse(full());
      pieces`,
      replace: 'pieces',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'A body that stops halfway keeps its room for ever.',
      find: 'pause = setTimeout(() => refuse(tooSlow(pauseMs)), pauseMs);',
      replace: 'pause = setTimeout(() => {}, pauseMs);',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'A body that arrives slowly but steadily is cut off.',
      find: 'if (pause !== undefined) pause.refresh();',
      replace: 'if (pause !== undefined) pause.ref();',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'The service asks for a body although its announced size is too large.',
      find: 'if (announced > bytesMax) throw tooLarge();',
      replace: '',
      tests: CONNECTIONS,
    },
    {
      file: 'body.ts',
      breaks: 'The service asks for a body although there is no room for it.',
      find: 'if (announced > 0 && !budget.fits(announced)) throw full();',
      replace: '',
      tests: ADMISSION,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A zstd frame chooses how much memory its window takes.',
      find: 'const ZSTD_WINDOW_LOG_MAX = 23;',
      replace: 'const ZSTD_WINDOW_LOG_MAX = 27;',
      tests: CODINGS,
    },
    {
      file: 'content-coding.ts',
      breaks: 'Every body that waited for its turn to be unpacked costs one slot for ever.',
      find: 'else next();',
      replace: '',
      tests: ADMISSION,
    },
    {
      file: 'json-body.ts',
      breaks: 'Bytes that are not UTF-8 become other characters in a definition.',
      find: 'if (!isUtf8(body)) {',
      replace: 'if (body.length === 0) {',
      tests: ['api/request/json-body.test.ts', 'api/groups/groups.test.ts'],
    },
    {
      file: 'json-text.ts',
      breaks: 'Of two members with one name the last one counts.',
      find: "this.#refuse([...this.#path, this.decoded(start, end)].join('.'), 'appears twice');",
      replace: '',
      tests: ['api/request/json-body.test.ts'],
    },
    {
      file: 'field-faults.ts',
      breaks: 'A message shows a string of a body that may be a secret.',
      find: "keyword === 'type' && fieldsOf === 'body'",
      replace: "keyword === 'type' && fieldsOf !== 'body'",
      tests: ['api/request/field-faults.test.ts'],
    },
    {
      file: '../server.ts',
      breaks: 'Resources that take no parameters ignore those that they get.',
      find: 'route.schema = { querystring: noQuery, ...route.schema, response };',
      replace: '',
      tests: ['api/about/unknown-parameters.test.ts'],
    },
    {
      file: '../line-publish.ts',
      breaks: 'Lines in another charset are stored as if they were UTF-8.',
      find: 'if (fault !== undefined) throw fault;',
      replace: '',
      tests: LINES,
    },
    {
      file: '../line-publish.ts',
      breaks: 'Whoever sends a line that is too long is not told which.',
      find: 'error instanceof LineTooLong ? this.#refusalOf(tooLong(error)) : (error as Error)',
      replace: '(error as Error)',
      tests: LINES,
    },
    {
      file: 'connections.ts',
      breaks: 'Every further piece of garbage on a connection gets another answer.',
      find: 'if (broken.has(socket)) return;',
      replace: '',
      tests: CONNECTIONS,
    },
    {
      file: 'connections.ts',
      breaks: 'A refusal is lost, because closing with unread bytes resets the connection.',
      find: 'socket.end(text);\n  socket.resume();',
      replace: 'socket.end(text);',
      tests: CONNECTIONS,
    },
    {
      file: 'connections.ts',
      breaks: 'More connections are accepted than the process may have open files.',
      find: 'if (connectionsMax + OTHER_FILES <= filesMax) return connectionsMax;',
      replace: 'if (connectionsMax - OTHER_FILES <= filesMax) return connectionsMax;',
      tests: CONNECTIONS,
    },
    {
      file: 'loop-turns.ts',
      breaks: 'A later request overtakes the waiting ones.',
      find: 'this.#bytesLeft <= 0 || this.#waiting.length > 0',
      replace: 'this.#bytesLeft <= 0',
      tests: TURNS,
    },
    {
      file: 'loop-turns.ts',
      breaks: 'All waiting requests start in one turn of the event loop, and nothing else gets a turn.',
      find: 'if (this.#bytesLeft <= 0) break;',
      replace: '',
      tests: TURNS,
    },
    {
      file: 'loop-turns.ts',
      breaks: 'A crowd of connections waits for large bodies one by one.',
      find: 'accepted > this.#acceptedBefore ? ARRIVAL_SHARE : 1',
      replace: '1',
      tests: TURNS,
    },
    {
      file: 'parameters.ts',
      breaks: 'A numeric parameter accepts the notations of a programming language.',
      find: '/^-?\\d+$/.test(value)',
      replace: '/^-?\\w+$/.test(value)',
      tests: ['api/read/parameters.test.ts'],
    },
    {
      file: 'upgrades.ts',
      breaks: 'What follows a request to upgrade is taken for another request if its commit takes a while.',
      find: 'socket.resume = () => socket;',
      replace: '',
      tests: ['api/request/hostile.test.ts'],
    },
  ],
};

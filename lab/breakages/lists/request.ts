import type { Area } from '../breakage.ts';

const LIMITS = ['api/request/body-limits.test.ts'];
const CODINGS = ['api/request/content-coding.test.ts'];
const ADMISSION = ['api/request/admission.test.ts'];
const CONNECTIONS = ['api/request/connections.test.ts'];
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
      breaks: 'Bodies that are on their way are not counted: a thousand of them take the memory.',
      find: `if (!hold.grow(piece.length)) return refuse(full());
      body ??=`,
      replace: `hold.grow(piece.length);
      body ??=`,
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'What bodies held is never given back, until every publish is refused.',
      find: '} finally {\n    hold.release();',
      replace: '} finally {\n    hold.grow(0);',
      tests: ADMISSION,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A small body is read although bytes stand behind the end of what was packed.',
      find: 'if (engine.bytesWritten !== packed.length) throw bytesBehind();',
      replace: '',
      tests: CODINGS,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A large body is read although bytes stand behind the end of what was packed.',
      find: 'if (stream.bytesWritten !== packed.length) return refuse(bytesBehind());',
      replace: '',
      tests: CODINGS,
    },
    {
      file: 'content-coding.ts',
      breaks: 'A body unpacks to as much as there is memory.',
      find: 'if (length > bytesMax) return refuse(tooLarge());',
      replace: '',
      tests: [...CODINGS, ...LIMITS],
    },
    {
      file: 'content-coding.ts',
      breaks: 'What a body unpacks to is not counted against the room for all.',
      find: `if (!hold.grow(piece.length)) return refuse(full());
      pieces`,
      replace: 'pieces',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'A body that stops in the middle keeps its room for ever.',
      find: 'pause = setTimeout(() => refuse(tooSlow(pauseMs)), pauseMs);',
      replace: 'pause = setTimeout(() => {}, pauseMs);',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'A body that comes slowly, but comes, is cut off.',
      find: 'if (pause !== undefined) pause.refresh();',
      replace: 'if (pause !== undefined) pause.ref();',
      tests: ADMISSION,
    },
    {
      file: 'body.ts',
      breaks: 'A body that is announced to be too large is asked for all the same.',
      find: 'if (announced > bytesMax) throw tooLarge();',
      replace: '',
      tests: CONNECTIONS,
    },
    {
      file: 'body.ts',
      breaks: 'A body for which there is no room is asked for all the same.',
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
      breaks: 'A place of those who unpack is lost with every body that waited for one.',
      find: 'else next();',
      replace: '',
      tests: ADMISSION,
    },
    {
      file: 'json-body.ts',
      breaks: 'Bytes that are not UTF-8 become other letters in a definition.',
      find: 'if (!isUtf8(body)) {',
      replace: 'if (body.length === 0) {',
      tests: ['api/request/json-body.test.ts', 'api/groups/groups.test.ts'],
    },
    {
      file: 'connections.ts',
      breaks: 'Each further piece of rubbish is answered again.',
      find: 'if (broken.has(socket)) return;',
      replace: '',
      tests: CONNECTIONS,
    },
    {
      file: 'connections.ts',
      breaks: 'A refusal is torn down by the reset that closing over unread bytes sends.',
      find: 'socket.end(text);\n  socket.resume();',
      replace: 'socket.end(text);',
      tests: CONNECTIONS,
    },
    {
      file: 'connections.ts',
      breaks: 'More connections are taken than the process may have files open.',
      find: 'if (connectionsMax + OTHER_FILES <= filesMax) return connectionsMax;',
      replace: 'if (connectionsMax - OTHER_FILES <= filesMax) return connectionsMax;',
      tests: CONNECTIONS,
    },
    {
      file: 'loop-turns.ts',
      breaks: 'Who comes later passes those who wait.',
      find: 'this.#bytesLeft <= 0 || this.#waiting.length > 0',
      replace: 'this.#bytesLeft <= 0',
      tests: TURNS,
    },
    {
      file: 'loop-turns.ts',
      breaks: 'All who wait begin in one turn, and nobody else is heard.',
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
      breaks: 'A number in a parameter may be written as in a program.',
      find: '/^-?\\d+$/.test(value)',
      replace: '/^-?\\w+$/.test(value)',
      tests: ['api/read/parameters.test.ts'],
    },
  ],
};

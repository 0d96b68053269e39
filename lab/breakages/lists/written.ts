import type { Area } from '../breakage.ts';

const ENV_FILE = ['terminal/test/env-file.test.ts'];
const CONFIG = ['aggregator/test/config.test.ts'];
const JSON_BODY = ['aggregator/test/api/request/json-body.test.ts'];
const PLACE = ['aggregator/test/store/sqlite/place.test.ts'];

/** What people write and programs read: settings, files of them, and the text and type of bodies. */
export const written: Area = {
  sources: 'packages',
  tests: 'packages',
  breakages: [
    {
      file: 'terminal/src/env-file.ts',
      breaks: 'A `.env` that is a dangling link counts as missing, and its settings are lost.',
      find: 'if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;',
      replace: 'if (statSync(path, { throwIfNoEntry: false }) === undefined) return;',
      also: [
        { file: 'terminal/src/env-file.ts', find: 'import { lstatSync,', replace: 'import { statSync,' },
      ],
      tests: ENV_FILE,
    },
    {
      file: 'terminal/src/env-file.ts',
      breaks: 'A variable that is empty in the environment hides the one in `.env`.',
      find: 'env[name] ||= value',
      replace: 'env[name] ??= value',
      tests: ENV_FILE,
    },
    {
      file: 'terminal/src/env-file.ts',
      breaks: 'An unterminated quote swallows the settings below it.',
      find: ' || (swallowed !== undefined && settings.includes(swallowed))',
      replace: '',
      tests: ENV_FILE,
    },
    {
      file: 'terminal/src/env-file.ts',
      breaks: 'Of a repeated setting the first is silently lost.',
      find: 'if (before === undefined || !settings.includes(name)) return undefined;',
      replace: 'if (before === undefined || settings.includes(name)) return undefined;',
      tests: ENV_FILE,
    },
    {
      file: 'terminal/src/env-file.ts',
      breaks: 'A misspelt setting is ignored as a variable of another program.',
      find: 'if (meant === undefined) return undefined;',
      replace: 'if (meant !== name) return undefined;',
      tests: ENV_FILE,
    },
    {
      file: 'protocol/src/text.ts',
      breaks: 'A byte order mark is read as part of the body.',
      find: 'return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;',
      replace: 'return 0;',
      tests: JSON_BODY,
    },
    {
      file: 'cli/src/json-lines.ts',
      breaks: "A byte order mark turns a line of the command's input into invalid JSON.",
      find: 'return isMarked ? text.slice(BYTE_ORDER_MARK.length) : text;',
      replace: 'return isMarked ? text : text;',
      tests: ['cli/test/publish.test.ts'],
    },
    {
      file: 'aggregator/src/access/key-file.ts',
      breaks: 'A key with two lists of topics silently gets the second one.',
      find: 'new NamesOnce().check(text);',
      replace: '',
      tests: ['aggregator/test/programs/keys-command.test.ts'],
    },
    {
      file: 'aggregator/src/config.ts',
      breaks: 'A carriage return becomes part of a path.',
      find: 'if (value.trim() !== value || UNSEEN.test(value)) {',
      replace: 'if (value.trim() === "") {',
      tests: CONFIG,
    },
    {
      file: 'aggregator/src/config.ts',
      breaks: 'The path of a folder is accepted as the path of the file.',
      find: "if (value.endsWith('/') || value.endsWith(sep) ||",
      replace: 'if (',
      tests: CONFIG,
    },
    {
      file: 'aggregator/src/api/request/json-type.ts',
      breaks: 'An empty chunked body is refused for its type.',
      find: "return isEmpty(headers) || (headers['transfer-encoding'] !== undefined && headers.expect === undefined);",
      replace: 'return isEmpty(headers);',
      tests: JSON_BODY,
    },
    {
      file: 'aggregator/src/api/request/json-body.ts',
      breaks: 'A page of another origin can send a small body as plain text.',
      find: 'bytesMax: 0, pauseMs',
      replace: 'bytesMax: 100, pauseMs',
      tests: JSON_BODY,
    },
    {
      file: 'aggregator/src/store/sqlite/file/place.ts',
      breaks: 'A path with a trailing slash works at the first start only.',
      find: "if (path.endsWith('/') || path.endsWith(sep)) throw folderError(path);",
      replace: '',
      tests: PLACE,
    },
    {
      file: 'aggregator/src/store/sqlite/file/database.ts',
      breaks: 'The service starts on a file that it cannot write to.',
      find: 'migrate(db);\n    refuseReadOnly(db);',
      replace: 'migrate(db);',
      tests: PLACE,
    },
  ],
};

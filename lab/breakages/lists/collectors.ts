import type { Area } from '../breakage.ts';

const RECORDS = ['sources/collector/records.test.ts'];
const LOKI = ['sources/collector/loki.test.ts'];
const COLLECTOR = ['api/in/collector.test.ts'];
const FIXED = ['api/in/fixed-addresses.test.ts'];

/** What collectors send. */
export const collectors: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'sources/collector/record-reader.ts',
      breaks: 'An object with logs and something else loses all but the logs.',
      find: 'if (this.#outerMembers > 1) {',
      replace: 'if (this.#outerMembers > 2) {',
      tests: RECORDS,
    },
    {
      file: 'sources/collector/record-reader.ts',
      breaks: 'A field of an object in an array is taken for one of the record.',
      find: 'this.#node = null;\n    super.array(depth);',
      replace: 'super.array(depth);',
      tests: RECORDS,
    },
    {
      file: 'sources/collector/record-reader.ts',
      breaks: 'What is wrong in one record is forgotten with the next.',
      find: 'if (this.fault !== null) this.#error(row / this.#rowLength, null, this.fault);',
      replace: '',
      tests: RECORDS,
    },
    {
      file: 'sources/collector/record-events.ts',
      breaks: 'Records without an id and a time are stored, and equal ones of later are lost.',
      find: 'if (time === undefined) {',
      replace: 'if (time === NO_TIME) {',
      tests: RECORDS,
    },
    {
      file: 'sources/collector/record-events.ts',
      breaks: 'A request is stored without the records that are wrong.',
      find: 'if (this.#errorsFound === 0) return',
      replace: 'if (this.#errorsFound < 100) return',
      tests: [...RECORDS, ...COLLECTOR],
    },
    {
      file: 'sources/collector/record-events.ts',
      breaks: 'Fields that tell records apart run into each other.',
      find: "values.join('\\n')",
      replace: "values.join('')",
      tests: RECORDS,
    },
    {
      file: 'sources/collector/record-time.ts',
      breaks: 'Times in milliseconds lose what is finer.',
      find: 'const fraction = padded.slice(padded.length - places);',
      replace: 'const fraction = padded.slice(padded.length - places).slice(0, 3);',
      tests: RECORDS,
    },
    {
      file: 'sources/collector/mapping.ts',
      breaks: 'An id without a field makes one event of all records.',
      find: 'if (fault !== undefined || new Template(text).placeholders.length > 0) return fault;',
      replace: 'return fault;',
      tests: [...RECORDS, ...COLLECTOR],
    },
    {
      file: 'sources/collector/loki.ts',
      breaks: 'Lines of two streams are one if they say the same at the same time.',
      find: 'digests.idOf(`${timestamp}\\n${payload}`)',
      replace: 'digests.idOf(`${timestamp}\\n${line}`)',
      tests: LOKI,
    },
    {
      file: 'sources/collector/loki.ts',
      breaks: 'A push of 16 MiB takes more than a gigabyte.',
      find: 'json.length > TEXT_CHARS_MAX',
      replace: 'json.length < 0',
      tests: LOKI,
    },
    {
      file: 'sources/kinds/segment.ts',
      breaks: 'A message that Segment sends again with another time of sending is another event.',
      find: "id: '/messageId', ",
      replace: '',
      tests: FIXED,
    },
    {
      file: 'api/in/body-type.ts',
      breaks: 'Any page that somebody has open may send events.',
      find: 'if (origin === undefined || ',
      replace: 'if (origin !== undefined || ',
      tests: COLLECTOR,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A browser that was once given a password reads with it.',
      find: '(isPublish ? basicSecret(authorization) : undefined)',
      replace: 'basicSecret(authorization)',
      tests: ['api/request/access.test.ts'],
    },
  ],
};

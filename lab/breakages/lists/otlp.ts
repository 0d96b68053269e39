import type { Area } from '../breakage.ts';

const LOGS = ['api/otlp/logs.test.ts'];
const EXPORTERS = ['api/otlp/exporters.test.ts'];
const ENCODINGS = ['otlp/encodings.test.ts'];
const WRITER = ['event/batch-writer.test.ts'];

/** Log records of OpenTelemetry. */
export const otlp: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'otlp/values.ts',
      breaks: 'A double without decimals is written like an integer.',
      find: "!text.includes('e') ? `${text}.0` : text",
      replace: "!text.includes('e') ? text : text",
      tests: LOGS,
    },
    {
      file: 'otlp/values.ts',
      breaks: 'Half a surrogate pair gets into a payload.',
      find: 'JSON.stringify(value.toWellFormed())',
      replace: 'JSON.stringify(value)',
      tests: LOGS,
    },
    {
      file: 'records/digests.ts',
      breaks: 'Of two equal records of one request the second is dropped.',
      find: 'return ordinal === 1 ? digest : `${digest}-${ordinal}`;',
      replace: 'return ordinal === 0 ? `${ordinal}` : digest;',
      tests: LOGS,
    },
    {
      file: 'otlp/record-events.ts',
      breaks: 'Equal lines at different times are one event.',
      find: '`${timestamp}\\n${payload}`',
      replace: '`${timestamp.slice(0, 19)}\\n${payload}`',
      tests: LOGS,
    },
    {
      file: 'otlp/record-events.ts',
      breaks: 'A record that only its collector gave a time has none.',
      find: 'record.timeNs === 0n ? record.observedNs : record.timeNs',
      replace: 'record.timeNs',
      tests: LOGS,
    },
    {
      file: 'otlp/record-events.ts',
      breaks: 'A record whose id is too long gets an id that no event may have.',
      find: 'shortened(id, LIMITS.eventIdCharsMax) === id;',
      replace: 'shortened(id, LIMITS.eventIdCharsMax) !== null;',
      tests: LOGS,
    },
    {
      file: 'otlp/record-events.ts',
      breaks: 'A key publishes to topics that it may not use.',
      find: 'if (!rules.mayUse(topic.text)) {',
      replace: 'if (!rules.mayUse(topic.text) && topic.isEscaped) {',
      tests: LOGS,
    },
    {
      file: 'otlp/record-events.ts',
      breaks: 'Nobody has a turn while many records become events.',
      find: 'refused.tooLarge += 1;\n        yield;',
      replace: 'refused.tooLarge += 1;',
      tests: ENCODINGS,
    },
    {
      file: 'event/topic-template.ts',
      breaks: 'The name of a service becomes a wildcard in its topic.',
      find: '/[\\p{Cc}\\s*>]/gu',
      replace: '/[\\p{Cc}\\s]/gu',
      tests: LOGS,
    },
    {
      file: 'otlp/json-request.ts',
      breaks: 'A request in JSON may have any number of records.',
      find: 'if ((this.#records += 1) > LIMITS.batchEventsMax) throw new TooManyRecords();',
      replace: 'this.#records += 1;',
      tests: LOGS,
    },
    {
      file: 'otlp/json-fields.ts',
      breaks: 'Integers beyond 2^53 lose digits.',
      find: 'if (/^-?\\d{1,40}$/.test(text)) return BigInt(text);',
      replace: 'if (/^-?\\d{1,40}$/.test(text)) return BigInt(Number(text));',
      tests: LOGS,
    },
    {
      file: 'otlp/json-request.ts',
      breaks: 'Fields of later versions are refused.',
      find: "else if (name === 'spanId') found.spanId = this.hex();\n      else this.passOver();",
      replace:
        "else if (name === 'spanId') found.spanId = this.hex();\n      else throw new UnreadableRequest(name, null);",
      tests: LOGS,
    },
    {
      file: 'otlp/protobuf-request.ts',
      breaks: 'Lists nest as deep as a request likes, until the stack ends.',
      find: '  #arrayValue(depth: number): string {\n    requireDepth(depth);',
      replace: '  #arrayValue(depth: number): string {\n    requireDepth(1);',
      tests: LOGS,
    },
    {
      file: 'otlp/protobuf-request.ts',
      breaks: 'A field reaches beyond the message around it.',
      find: 'if (pos > end) throw new RangeError(TRUNCATED);',
      replace: '',
      tests: LOGS,
    },
    {
      file: 'event/batch-writer.ts',
      breaks: 'A name with escapes is stored with them.',
      find: 'if (name.isEscaped) {',
      replace: "if (name.json === '') {",
      tests: WRITER,
    },
    {
      file: 'event/batch-writer.ts',
      breaks: 'An event may be three times as large as it may be, in letters that take three bytes.',
      find: 'if (end - start > LIMITS.eventBytesMax) return this.#refuse(end - start);',
      replace: '',
      tests: WRITER,
    },
    {
      file: 'event/batch-writer.ts',
      breaks: 'A small request makes any number of bytes, as each event holds its resource.',
      find: 'this.#bound(end);',
      replace: '',
      tests: [...WRITER, ...LOGS],
    },
    {
      file: 'event/batch-writer.ts',
      breaks: 'A small request with a resource or labels that are too large keeps a core busy for minutes.',
      find: 'this.#bound(this.#refusedBytes);',
      replace: '',
      tests: WRITER,
    },
    {
      file: 'api/otlp/messages.ts',
      breaks: 'An exporter drops what came too slowly, since it does not retry after 408.',
      find: 'const status = told === 408 ? 503 : told;',
      replace: 'const status = told;',
      tests: LOGS,
    },
    {
      file: 'api/otlp/messages.ts',
      breaks: 'A record with a known id and other content is dropped without a word.',
      find: 'conflicts > 0 &&',
      replace: 'conflicts < 0 &&',
      tests: LOGS,
    },
    {
      file: 'api/otlp/messages.ts',
      breaks: 'A key without any of the topics is told that all is well but for some records.',
      find: 'if (batch.count === 0 && refused.foreign > 0) {',
      replace: 'if (batch.count < 0 && refused.foreign > 0) {',
      tests: LOGS,
    },
    {
      file: 'api/otlp/routes.ts',
      breaks: 'Exporters get problem documents, of which they understand nothing.',
      find: '      errorHandler: statusesAnswered(answers),\n',
      replace: '',
      tests: LOGS,
    },
    {
      file: 'api/otlp/messages.ts',
      breaks: 'Exporters that are refused for a moment are not told when to come back.',
      find: 'retryAfterS: RETRIED.has(status) ? RETRY_AFTER_S : undefined,',
      replace: 'retryAfterS: RETRIED.has(0) ? RETRY_AFTER_S : undefined,',
      tests: [...LOGS, ...EXPORTERS],
    },
  ],
};
